"""Webhooks: check the signature and read the payload (docs/reference/facts.md, 13)."""

import base64
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TypeAlias

from parallel_integrations.errors import (
    ArgumentTypeError,
    InvalidArgumentError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.shared import first_fault
from parallel_integrations.models.tolerant_reading import read_as
from parallel_integrations.models.webhook import WebhookPayload

TOLERANCE_SECONDS: Final = 300
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix that everyone knows
VERSION: Final = "v1"
ID_HEADER: Final = "webhook-id"

WebhookHeaders: TypeAlias = (
    Mapping[str, str]
    | Mapping[bytes, bytes]
    | Mapping[str, Sequence[str]]
    | Iterable[tuple[str, str]]
    | Iterable[tuple[bytes, bytes]]
)
"""Headers as web frameworks have them."""


def verify_webhook(headers: WebhookHeaders, body: bytes, secret: str | bytes) -> bool:
    """Whether a webhook's message was signed with the account's secret, and lately.

    The signature is over the raw bytes, so verify before anything parses the body. Deliveries
    repeat; recognise them by `webhook_id`.

    Args:
        headers: The message's headers: any mapping or pairs, names in any case, texts or bytes;
            lists of values (`multiValueHeaders` of AWS Lambda) and WSGI's names (Django's
            `request.META`), too.
        body: Its raw body.
        secret: The account's webhook secret: `whsec_` and base64, or the base64 alone. Bytes are
            taken for the key itself.

    Returns:
        True for a valid signature not older or newer than 300 s; False for anything else, however
        the message is broken.

    Raises:
        ValueError: The secret is empty or no webhook secret; it is never shown.
        TypeError: The headers are no mapping and no pairs, the body is not bytes, or the secret is
            neither text nor bytes.

    Example:
        ```python
        from parallel_integrations.api import verify_webhook

        assert not verify_webhook({"webhook-id": "1"}, b"{}", "whsec_c2VjcmV0")
        ```
    """
    named = _named(headers)
    if named is None or not isinstance(body, bytes | bytearray | memoryview):
        raise ArgumentTypeError(
            "verify_webhook takes a mapping of headers, the raw body as bytes, and the secret: got "
            f"{type(headers).__name__}, {type(body).__name__} and {type(secret).__name__}"
        )
    # Before the message is looked at: a wrong secret would otherwise show as "not valid" for ever.
    keys = _keys(secret)
    message_id, sent = named.get(ID_HEADER), named.get("webhook-timestamp")
    signatures = named.get("webhook-signature")
    if not message_id or not sent or not signatures or not _is_recent(sent):
        return False
    # A header may hold half a character: that makes a signature wrong, and is no exception.
    signed = f"{message_id}.{sent}.".encode("utf-8", "surrogatepass") + bytes(body)
    expected = [base64.b64encode(hmac.digest(key, signed, sha256)) for key in keys]
    valid = False
    for entry in signatures.split():  # a gateway that joins headers puts commas between them
        version, _, signature = entry.rstrip(",").partition(",")
        given = signature.encode("utf-8", "surrogatepass")
        for one in expected:
            # Every pair is compared, whatever was found before: the time taken says nothing.
            valid |= hmac.compare_digest(given, one) and version == VERSION
    return valid


def webhook_id(headers: WebhookHeaders) -> str | None:
    """The id of a webhook's message, the same however often it is delivered.

    Args:
        headers: The message's headers, as `verify_webhook` takes them.

    Returns:
        The id; None where there is none.

    Raises:
        TypeError: The headers are no mapping and no pairs.
    """
    named = _named(headers)
    if named is None:
        raise ArgumentTypeError(
            f"webhook_id takes a mapping of headers, not {type(headers).__name__}"
        )
    return named.get(ID_HEADER) or None


def parse_webhook(body: bytes) -> WebhookPayload:
    """Read a webhook's message; verify it first.

    Args:
        body: Its raw body.

    Returns:
        The typed payload. A task's message holds no output: fetch it with `wait_task_run`.

    Raises:
        UnexpectedAnswerError: It cannot be a webhook's message.
        TypeError: The body is not bytes.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise ArgumentTypeError(
            f"parse_webhook takes the raw body as bytes: got {type(body).__name__}"
        )
    body = bytes(body)
    try:
        return read_as(WebhookPayload, body)
    except ValueError as error:
        fault = first_fault(error)
    shown = body[:200].decode("utf-8", "replace")
    # Raised out here, the error does not drag pydantic's along, which shows the whole message.
    raise UnexpectedAnswerError(f"This is no webhook message ({fault}): {shown!r}", body=shown)


def _named(headers: Any) -> dict[str, str] | None:
    """Headers by their name in lower case; None where they are none.

    One that came several times is its values with a space between them, as signatures have it;
    gateways give lists of values, and WSGI names a header `HTTP_WEBHOOK_ID`.
    """
    if isinstance(headers, str | bytes):
        return None
    named: dict[str, dict[str, None]] = {}
    try:
        for name, value in headers.items() if hasattr(headers, "items") else headers:
            plain = _text(name).lower().replace("_", "-").removeprefix("http-")
            values = value if isinstance(value, list | tuple) else [value]
            named.setdefault(plain, {}).update(dict.fromkeys(map(_text, values)))
    except (TypeError, ValueError):  # nothing to go through, or not in pairs
        return None
    return {name: " ".join(values) for name, values in named.items()}


def _text(value: object) -> str:
    """A header's name or value; frameworks give texts, ASGI itself gives bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _is_recent(sent: str) -> bool:
    try:
        age = datetime.now(UTC).timestamp() - int(sent)
    except (ValueError, OverflowError):
        return False
    return abs(age) <= TOLERANCE_SECONDS


def _keys(secret: object) -> list[bytes]:
    """Both derivations that are documented: the secret's bytes, and its decoded rest.

    Raises:
        ValueError: It is no webhook secret.
        TypeError: It is neither text nor bytes.
    """
    if isinstance(secret, bytes) and secret:
        return [secret]
    if not isinstance(secret, str | bytes):
        raise ArgumentTypeError(
            f"secret must be the account's webhook secret as text, not {type(secret).__name__}"
        )
    plain = secret.strip() if isinstance(secret, str) else ""
    rest = plain.removeprefix(SECRET_PREFIX)
    if not rest:
        # Nothing but the prefix would be worse than nothing: its decoded key is empty.
        raise InvalidArgumentError("secret is empty; it stands in the account's webhook settings")
    try:
        decoded = base64.b64decode(rest, validate=True)
        if decoded:
            return [plain.encode(), decoded]
    except ValueError:
        pass
    known = rest != plain
    fault = "what follows whsec_ is no base64" if known else "neither whsec_… nor base64"
    raise InvalidArgumentError(
        f"secret is no webhook secret ({len(plain)} characters, not shown): {fault}. Copy it "
        "whole from the account's webhook settings, without quotes; other text that is the key "
        "itself goes as bytes"
    )
