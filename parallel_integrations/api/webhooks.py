"""Webhooks: whether a message is Parallel's, and what it says (API facts 13)."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from pydantic import ValidationError, ValidationInfo, field_validator

from parallel_integrations.api.errors import UnexpectedAnswerError
from parallel_integrations.api.findall_types import FindallCandidate, FindallRun
from parallel_integrations.api.models import AnswerModel, first_fault
from parallel_integrations.api.task_types import TaskRun

TOLERANCE_SECONDS: Final = 300
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix that everyone knows
VERSION: Final = "v1"


class MonitorNotice(AnswerModel):
    """What a monitor's webhook reports; the event itself is fetched with `monitor_events`.

    Attributes:
        monitor_id: Which monitor.
        event: `{event_group_id}`, or a completion or error.
        metadata: The monitor's labels.
    """

    monitor_id: str
    event: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class WebhookPayload(AnswerModel):
    """A webhook's message.

    Attributes:
        type: What happened, e.g. `task_run.status`.
        timestamp: When.
        data: `TaskRun`, `FindallRun`, `FindallCandidate` or `MonitorNotice` by type; a dict for
            types this version does not know.
    """

    type: str
    timestamp: str | None = None
    data: TaskRun | FindallRun | FindallCandidate | MonitorNotice | dict[str, Any]

    @field_validator("data", mode="plain")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Read by the type's name: by their fields alone, the classes cannot be told apart."""
        if isinstance(value, AnswerModel):
            return value
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        for prefix, kind in _DATA:
            if info.data.get("type", "").startswith(prefix):
                try:
                    return kind.model_validate(value)
                except ValidationError as error:
                    fault = first_fault(error)
                raise ValueError(fault)
        return value


_DATA: Final[tuple[tuple[str, type[AnswerModel]], ...]] = (
    ("task_run.", TaskRun),
    ("findall.candidate.", FindallCandidate),
    ("findall.run.", FindallRun),
    ("monitor.", MonitorNotice),
)


def verify_webhook(
    headers: Mapping[str, str] | Mapping[bytes, bytes], body: bytes, secret: str
) -> bool:
    """Whether a webhook's message was signed with the account's secret, and lately.

    The signature is over the raw bytes, so verify before anything parses the body. Deliveries
    repeat; recognise them by the `webhook-id` header.

    Args:
        headers: The message's headers, in any case, as texts or bytes.
        body: Its raw body.
        secret: The account's webhook secret, with or without `whsec_`.

    Returns:
        True for a valid signature not older or newer than 300 s; False for anything else, however
        the message is broken.

    Raises:
        ValueError: The secret is empty, or none that the API gives.
        TypeError: The headers are no mapping, or the body is not bytes.

    Example:
        ```python
        from parallel_integrations.api.webhooks import verify_webhook

        assert not verify_webhook({"webhook-id": "1"}, b"{}", "whsec_c2VjcmV0")
        ```
    """
    if not hasattr(headers, "items") or not isinstance(body, bytes | bytearray):
        raise TypeError(
            "verify_webhook takes a mapping of headers, the raw body as bytes, and the secret: got "
            f"{type(headers).__name__}, {type(body).__name__} and {type(secret).__name__}"
        )
    plain = secret.strip() if isinstance(secret, str) else "\0"
    if not plain.isprintable():
        raise ValueError(
            "secret is not one line of printable text (the value is not shown): copy it again from "
            "the account's webhook settings"
        )
    if not plain.removeprefix(SECRET_PREFIX):
        # Nothing but the prefix would be worse than nothing: its decoded key is empty.
        raise ValueError("secret is empty; it stands in the account's webhook settings")
    named = {_text(name).lower(): _text(value) for name, value in headers.items()}
    message_id, sent = named.get("webhook-id"), named.get("webhook-timestamp")
    signatures = named.get("webhook-signature")
    if not message_id or not sent or not signatures or not _is_recent(sent):
        return False
    signed = f"{message_id}.{sent}.".encode("utf-8", "surrogatepass") + body
    expected = [base64.b64encode(hmac.digest(key, signed, sha256)) for key in _keys(plain)]
    valid = False
    for entry in signatures.split():
        version, _, signature = entry.partition(",")
        given = signature.encode("utf-8", "surrogatepass")
        for one in expected:
            # Every pair is compared, whatever was found before: time tells nothing.
            valid |= hmac.compare_digest(given, one) and version == VERSION
    return valid


def parse_webhook(body: bytes) -> WebhookPayload:
    """Read a webhook's message; verify it first.

    Args:
        body: Its raw body.

    Returns:
        The typed payload. A task's message holds no output: fetch it with `wait_task_run`.

    Raises:
        UnexpectedAnswerError: It cannot be a webhook's message.
        TypeError: The body is not bytes.

    Example:
        ```python
        from parallel_integrations.api import parse_webhook

        body = b'{"type": "task_run.status", "data": {"run_id": "trun_1", "status": "completed"}}'
        payload = parse_webhook(body)
        print(payload.type, payload.data.run_id)
        ```
    """
    if not isinstance(body, bytes | bytearray):
        raise TypeError(f"parse_webhook takes the raw body as bytes: got {type(body).__name__}")
    try:
        return WebhookPayload.model_validate_json(body)
    except ValidationError as error:
        fault = first_fault(error)
    shown = body[:200].decode("utf-8", "replace")
    # Raised out here, the error does not drag pydantic's along, which shows the whole message.
    raise UnexpectedAnswerError(f"This is no webhook message ({fault}): {shown!r}", body=shown)


def _text(value: object) -> str:
    """A header's name or value; frameworks give texts, ASGI itself gives bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _is_recent(sent: str) -> bool:
    try:
        age = datetime.now(UTC).timestamp() - int(sent)
    except (ValueError, OverflowError):
        return False
    return abs(age) <= TOLERANCE_SECONDS


def _keys(secret: str) -> list[bytes]:
    """Both derivations that are documented: the secret's bytes, and its decoded rest."""
    keys = [secret.encode()]
    try:
        keys.append(base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return keys
    return keys
