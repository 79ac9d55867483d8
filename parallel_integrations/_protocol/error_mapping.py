"""Errors made of responses and of transport failures; none of them shows the key."""

from collections.abc import Mapping
from typing import Any, Final

import httpx
from pydantic_core import from_json, to_json

from parallel_integrations._protocol.redaction import (
    MAX_SCRUBBED_CHARACTERS,
    SHOWN_CHARACTERS,
    beginning,
    scrub,
    scrub_failure,
    scrub_json,
)
from parallel_integrations._protocol.retry import conditions_of, retry_after_seconds
from parallel_integrations._protocol.settings import is_loopback
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
from parallel_integrations.models.prices import PRICES_USD, task_sku
from parallel_integrations.models.tolerant_reading import read_json, storable

MAX_INPUT_CHARACTERS: Final = 80
PROCESSORS: Final = tuple(
    sku.removeprefix("task_") for sku in PRICES_USD if sku.startswith("task_")
)
MAX_MESSAGE_CHARACTERS: Final = 2000
ROUTE_KEY: Final = "parallel_integrations_route"
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
    if response.has_redirect_location:
        target = beginning(response.headers.get("location", ""), response)
        parts.append(f": redirect to {target!r} refused, key and request would travel with it.")
        remedy = "Set base_url to the final address if you trust it."
    else:
        parts.append(f": {message or response.reason_phrase or 'no message'}")
        remedy = _remedies(response).get(status) or _remedy(response) or cls.remedy
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


def _remedy(response: httpx.Response) -> str:
    """A remedy that knows the response or the request; empty where there is none."""
    if response.status_code == 429:
        seconds = retry_after_seconds(response, conditions_of(response).now)
        if seconds is not None:
            return f"Wait {seconds:g} s (`retry_after`), or send fewer requests at once."
    if response.status_code == 403:
        return _known_processors(response)
    return ""


def _known_processors(response: httpx.Response) -> str:
    try:
        body = from_json(response.request.content)
    except (RuntimeError, ValueError, httpx.RequestNotRead):  # no request, or one without a body
        return ""
    given = _processors(body)
    unknown = [each for each in given if task_sku(each) not in PRICES_USD]
    if not unknown:
        return ""
    return f"processor={unknown[0]!r} is none of {', '.join(PROCESSORS)}, each also with '-fast'."


def _processors(body: Any) -> list[str]:
    if not isinstance(body, dict):
        return []
    inputs = body.get("inputs")
    parts = [body, *(inputs if isinstance(inputs, list) else [])]
    found = [part.get("processor") for part in parts if isinstance(part, dict)]
    return [each for each in found if isinstance(each, str)]


def unexpected_response(
    response: httpx.Response, reason: str, body: bytes | None = None
) -> UnexpectedAnswerError:
    """The error for a response that cannot be read: status, content type, first 200 characters."""
    content = response.content if body is None else body
    text = content[:MAX_SCRUBBED_CHARACTERS].decode("utf-8", "replace")
    shown = beginning(text, response)
    content_type = response.headers.get("content-type")
    if content_type is not None:
        content_type = beginning(content_type, response)
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
    reasons = _validation_message(detail)
    if not isinstance(message, str) or not message:
        message = reasons
    elif reasons and reasons not in message:
        # The service's own message is a general one: what is wrong stands in the detail.
        message = f"{message.rstrip('.')}: {reasons}"
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
    return message or beginning(text, response), detail, ref_id


def _decoded(response: httpx.Response, content: bytes) -> str:
    """A body as text that can be printed, whatever encoding is declared for it."""
    try:
        text = content.decode(response.charset_encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # there is no such encoding, or it is none of text
        text = content.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # some encodings admit halves of a character


def _validation_message(detail: Any) -> str:
    """Field and reason of each error in a detail, `{"errors": […]}` or a list (facts, 18.5)."""
    if isinstance(detail, str):
        return detail
    if isinstance(detail, dict):
        detail = detail.get("errors")
    if not isinstance(detail, list):
        return ""
    return "; ".join(
        _reason(item)
        for item in detail
        if isinstance(item, dict) and isinstance(item.get("msg"), str)
    )


def _reason(item: dict[str, Any]) -> str:
    loc = item.get("loc")
    path = [str(step) for step in loc] if isinstance(loc, list) else []
    field = ".".join(path[1:] if path[:1] == ["body"] else path)
    reason = f"{field}: {item['msg']}" if field else item["msg"]
    given = item.get("input")
    if not isinstance(given, str | int | float):  # what is missing comes with the whole body
        return str(reason)
    shown = to_json(given).decode()
    shown = shown if len(shown) <= MAX_INPUT_CHARACTERS else f"{shown[:MAX_INPUT_CHARACTERS]}…"
    return f"{reason} (given: {shown})"


def _remedies(response: httpx.Response) -> Mapping[int, str]:
    """What the route of a request knows to do about a status."""
    try:
        request = response.request
    except RuntimeError:  # httpx raises it where no request is attached
        return {}
    if (route := request.extensions.get(ROUTE_KEY)) is None:
        return {}
    found: Mapping[int, str] = route.remedies(has_key="authorization" in request.headers)
    return found


def _where(response: httpx.Response) -> str:
    try:
        request = response.request
    except RuntimeError:  # httpx raises it where no request is attached
        return "the API"
    return f"{request.method} {request.url.path}"


def _connection_remedy(failure: httpx.HTTPError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(failure):
        return (
            "The server's certificate is not trusted here. Name a private CA's bundle in "
            "SSL_CERT_FILE, or give clients that trust it: http_client=httpx.Client(verify=…) and "
            "http_async_client=."
        )
    try:
        url = failure.request.url
    except RuntimeError:  # httpx raises it where no request is attached
        url = httpx.URL()
    if url.host and is_loopback(url.host):
        return (
            "Does the sandbox run there, and on this port? "
            f"`parallel-integrations sandbox --port {url.port or 80}` starts it."
        )
    return "Check the network, base_url and the proxy settings (HTTPS_PROXY)."


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
            f"Could not connect for {where} ({kind}: {failure}). Nothing was sent. "
            f"{_connection_remedy(failure)}"
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
