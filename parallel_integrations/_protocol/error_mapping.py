"""Errors made of responses and of transport failures; none of them shows the key."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from parallel_integrations._protocol.redaction import (
    MAX_SCRUBBED_CHARACTERS,
    beginning,
    scrub,
    scrub_failure,
    scrub_json,
)
from parallel_integrations._protocol.retry import conditions_of
from parallel_integrations.errors import (
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InvalidRequestError,
    NotFoundError,
    ParallelError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.tolerant_reading import read_json, storable

SHOWN_CHARACTERS: Final = 200
MAX_MESSAGE_CHARACTERS: Final = 2000
REMEDIES_KEY: Final = "parallel_integrations_remedies"
MAX_ERROR_BYTES: Final = 1_000_000
"""What comes of an error body beyond this is not read: it is a page, or a mistake."""


_BY_STATUS: Final[dict[int, type[StatusError]]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidRequestError,
    429: RateLimitError,
}


def status_error(response: httpx.Response) -> StatusError:
    """The error for a response that is no success, from any of the API's error bodies.

    Five bodies are known (docs/reference/facts.md, 3.1): native
    `error{ref_id, message, detail}`, the framework's `detail[]`, the docs'
    variant without `type`, Chat's OpenAI-like one, and plain text or HTML.
    """
    status = response.status_code
    cls = _BY_STATUS.get(status, ServerError if status >= 500 else StatusError)
    where = _where(response)
    message, detail, ref_id = _read_error_body(response)
    parts = [f"{status} from {where}"]
    if response.is_redirect:
        target = beginning(response.headers.get("location", ""), response, SHOWN_CHARACTERS)
        parts.append(f": redirect to {target!r} refused, key and request would travel with it.")
        remedy = "Set base_url to the final address if you trust it."
    else:
        parts.append(f": {message or response.reason_phrase or 'no message'}")
        remedy = _remedies(response).get(status, cls.remedy)
    if ref_id:
        parts.append(f" (ref_id {ref_id})")
    if remedy:
        parts.append(f" - {remedy}")
    return cls(
        # Path and reason phrase came from outside as well, and a server may write the key there.
        scrub("".join(parts), response),
        status=status,
        message=message,
        detail=detail,
        ref_id=ref_id,
    )


def unexpected_response(
    response: httpx.Response, reason: str, body: bytes | None = None
) -> UnexpectedAnswerError:
    """The error for a response that cannot be read: status, content type, first 200 characters."""
    content = response.content if body is None else body
    text = content[:MAX_SCRUBBED_CHARACTERS].decode("utf-8", "replace")
    shown = beginning(text, response, SHOWN_CHARACTERS)
    content_type = response.headers.get("content-type")
    if content_type is not None:
        content_type = beginning(content_type, response, SHOWN_CHARACTERS)
    return UnexpectedAnswerError(
        f"{response.status_code} from {_where(response)} ({content_type or 'no content type'}) "
        f"cannot be read: {scrub(reason, response)}. It begins: {shown!r}",
        status=response.status_code,
        content_type=content_type,
        body=shown,
    )


def error_body(body: Any) -> tuple[str, Any, str | None]:
    """Message, detail and ref_id of a decoded error body of any of the known shapes.

    Both texts are shortened, so the body must have been scrubbed.
    """
    if not isinstance(body, dict):
        return "", None, None
    inner = body.get("error", body)
    if isinstance(inner, str):
        return _shortened(inner), body.get("detail"), None
    if not isinstance(inner, dict):
        return "", body, None
    detail = inner.get("detail", inner.get("details"))
    message = inner.get("message")
    if not isinstance(message, str) or not message:
        message = _validation_message(detail)
    message = _shortened(message)
    ref_id = inner.get("ref_id")
    return (
        message,
        detail,
        ref_id[:SHOWN_CHARACTERS] if isinstance(ref_id, str) and ref_id else None,
    )


def reported_error(body: Any, response: httpx.Response) -> str:
    """Message and reference of an error that came within a stream."""
    return reported_words(body, response) or "no message"


def reported_words(body: Any, response: httpx.Response) -> str:
    """Message and reference of an error that came with a success; empty where it says nothing."""
    message, _, ref_id = error_body(scrub_json(body, response))
    reference = f"(ref_id {ref_id})" if ref_id else ""
    return storable(" ".join(filter(None, (message, reference))))


def _shortened(message: str) -> str:
    if len(message) <= MAX_MESSAGE_CHARACTERS:
        return message
    return f"{message[:MAX_MESSAGE_CHARACTERS]} […cut, {len(message)} characters in all]"


def _read_error_body(response: httpx.Response) -> tuple[str, Any, str | None]:
    text = _decoded(response, response.content[: MAX_ERROR_BYTES + 1])
    try:
        body = scrub_json(read_json(text), response)
    except (ValueError, RecursionError):
        shown = scrub(text[:MAX_SCRUBBED_CHARACTERS], response)
        return " ".join(shown.split())[:SHOWN_CHARACTERS], None, None
    message, detail, ref_id = error_body(body)
    return message or beginning(text, response, SHOWN_CHARACTERS), detail, ref_id


def _decoded(response: httpx.Response, content: bytes) -> str:
    """A body as text that can be printed, whatever encoding is declared for it."""
    try:
        text = content.decode(response.charset_encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # there is no such encoding, or it is none of text
        text = content.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # some encodings admit halves of a character


def _validation_message(detail: Any) -> str:
    if isinstance(detail, str):
        return detail
    if not isinstance(detail, list):
        return ""
    lines = []
    for item in detail:
        if isinstance(item, dict) and isinstance(item.get("msg"), str):
            loc = item.get("loc")
            field = ".".join(map(str, loc)) if isinstance(loc, list) else ""
            lines.append(f"{field}: {item['msg']}" if field else item["msg"])
    return "; ".join(lines)


def _remedies(response: httpx.Response) -> Mapping[int, str]:
    """What the route of a request knows to do about a status."""
    try:
        found: Mapping[int, str] = response.request.extensions.get(REMEDIES_KEY, {})
    except RuntimeError:  # httpx raises it where no request is attached
        return {}
    return found


def _where(response: httpx.Response) -> str:
    try:
        request = response.request
    except RuntimeError:  # httpx raises it where no request is attached
        return "the API"
    return f"{request.method} {request.url.path}"


def transport_error(failure: httpx.HTTPError) -> ParallelError:
    """Our error for a failure below HTTP, naming the call and the remedy, never the key."""
    response = conditions_of(failure).response
    # First of all: the failure itself becomes the error's cause, and a traceback shows it.
    scrub_failure(failure)
    try:
        request = failure.request
        where = f"{request.method} {request.url.copy_with(query=None)}"
    except RuntimeError:  # httpx raises it where no request is attached
        where = "the request"
    kind = type(failure).__name__
    if isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return ConnectionFailedError(
            f"Could not connect for {where} ({kind}: {failure}). Nothing was sent. Check the "
            "network, base_url and the proxy settings (HTTPS_PROXY)."
        )
    if isinstance(failure, httpx.TimeoutException):
        return RequestTimeoutError(
            f"No complete response to {where} in time ({kind}). It may still have been executed; "
            "a longer timeout= can be set on the client or adapter."
        )
    if isinstance(failure, httpx.DecodingError):
        reason = str(failure)
        if response is not None:
            return unexpected_response(response, reason, b"")
        return UnexpectedAnswerError(f"The response to {where} cannot be read: {reason}")
    if isinstance(failure, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return ConnectionFailedError(
            f"{where} could not be written as HTTP ({kind}). Check base_url and headers=."
        )
    return ConnectionFailedError(
        f"The connection broke during {where} ({kind}: {failure or 'no reason given'})."
    )
