"""Every error of this package, and the one place that turns an HTTP status into one.

    ParallelError
    ├── MissingKeyError            no API key at the first call, or none that can be sent
    ├── ConnectionFailedError      no connection, or it broke before the answer was whole
    ├── RequestTimeoutError        the answer did not come in time
    ├── StatusError                .status .message .detail .ref_id .retry_after
    │   ├── AuthenticationError    401
    │   ├── PaymentRequiredError   402
    │   ├── PermissionDeniedError  403
    │   ├── NotFoundError          404
    │   ├── ConflictError          409
    │   ├── InvalidRequestError    400, 422
    │   ├── RateLimitError         429
    │   └── ServerError            5xx
    ├── UnexpectedAnswerError      an answer that cannot be read
    ├── StreamInterruptedError     a stream cut short; .partial holds what had arrived
    ├── JournalError               an enrichment's journal is in use, damaged or of other work
    ├── TaskFailedError            a run that failed or was cancelled, with the API's reason
    └── TaskTimeoutError           the deadline passed; .run_id resumes, the work goes on

Values that cannot be right are refused before anything is sent: a request model raises pydantic's
`ValidationError` (a `ValueError`) at construction, naming field, value and limit.
"""

import json
from contextlib import suppress
from typing import Any, Final

import httpx
from pydantic_core import from_json

SHOWN_CHARACTERS: Final = 200
LONGEST_MESSAGE: Final = 2000
LONGEST_TEXT: Final = 8000
"""Of an error in all: what the API says may stand in it several times, or be an endless id."""
LARGEST_ERROR_BYTES: Final = 1_000_000
"""What comes of an error body beyond this is not read: it is a page, or a mistake."""
HIDDEN: Final = "[hidden]"
SHORTEST_SECRET: Final = 4
SECRET_HEADERS: Final = ("x-api-key", "authorization", "cf-aig-authorization")


class ParallelError(Exception):
    """Base of every error that this package raises on its own account.

    Attributes:
        retry_after: Seconds that the server asked to wait, or None.
        elapsed_seconds: How long the operation had run.
        run_id: The task run that the error is about, so that nothing paid for is lost.
        taskgroup_id: The task group, likewise.
        findall_id: The FindAll run, likewise.

    Example:
        ```python
        from parallel_integrations import (
            ParallelClient,
            ParallelError,
            RateLimitError,
            SearchRequest,
        )
        from parallel_integrations.api import search

        client = ParallelClient(api_key="a-wrong-key")
        try:
            client.run(search(SearchRequest(objective="What is a closure?")))
        except RateLimitError as error:
            print("wait", error.retry_after, "seconds")
        except ParallelError as error:
            print(error)  # says what happened and what to do
        ```
    """

    retry_after: float | None = None
    elapsed_seconds: float = 0.0
    run_id: str | None = None
    taskgroup_id: str | None = None
    findall_id: str | None = None

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= LONGEST_TEXT:
            return text
        return f"{text[:LONGEST_TEXT]} […cut, {len(text)} characters in all]"


class MissingKeyError(ParallelError):
    """A call was made without an API key, or a key was given that no header can carry."""


class ConnectionFailedError(ParallelError):
    """The server could not be reached, or the connection broke before the answer was whole."""


class RequestTimeoutError(ParallelError):
    """The answer did not come within the timeout; the work may have been done and billed."""


class UnexpectedAnswerError(ParallelError):
    """The server answered with something that cannot be read.

    Attributes:
        status: HTTP status, or None where there is none.
        content_type: The answer's `Content-Type`, or None.
        body: Its first 200 characters.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        content_type: str | None = None,
        body: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.content_type = content_type
        self.body = body


class StreamInterruptedError(ParallelError):
    """A stream ended before its answer did.

    Attributes:
        partial: The text that had arrived.
    """

    def __init__(self, message: str, *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial


class JournalError(ParallelError):
    """The journal of an enrichment is in use, damaged, of other work, or cannot be written.

    Nothing is paid for that the journal does not know of.
    """


class TaskFailedError(ParallelError):
    """A task, or a FindAll run, ended without a result; failed runs are not billed."""


class TaskTimeoutError(ParallelError):
    """The deadline for waiting passed; the work goes on and its id resumes the waiting."""


class StatusError(ParallelError):
    """The API answered with an error status.

    Attributes:
        status: HTTP status code.
        message: The API's own words.
        detail: Whatever structured detail came along (dict, list or None).
        ref_id: The API's reference for its support, or None.
    """

    remedy = ""

    def __init__(
        self,
        text: str,
        *,
        status: int = 0,
        message: str = "",
        detail: Any = None,
        ref_id: str | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.message = message
        self.detail = detail
        self.ref_id = ref_id


class AuthenticationError(StatusError):
    """401: the key is missing or wrong."""

    remedy = "Check PARALLEL_API_KEY or api_key=."


class PaymentRequiredError(StatusError):
    """402: the account's credit does not cover the call."""

    remedy = "Add credit to the account, or wait for running tasks to release theirs."


class PermissionDeniedError(StatusError):
    """403: the key may not do this, or the processor is unknown to it."""

    remedy = "Check that the account may use this model, processor or feature."


class NotFoundError(StatusError):
    """404: nothing is there under this id or path."""

    remedy = "Check the id, and base_url where the path itself is unknown."


class ConflictError(StatusError):
    """409: the thing is in a state that does not admit this."""


class InvalidRequestError(StatusError):
    """400 or 422: the API refused the request's content."""

    remedy = "Change the field that the message names."


class RateLimitError(StatusError):
    """429: too many requests, or a quota is used up."""

    remedy = "Send fewer requests at once, or wait (`retry_after`)."


class ServerError(StatusError):
    """5xx: the fault is on the server's side."""

    remedy = "Try again later; quote ref_id to support if it persists."


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

    Five bodies are known (API facts 3.1): native `error{ref_id, message, detail}`, the framework's
    `detail[]`, the docs' variant without `type`, Chat's OpenAI-like one, and plain text or HTML.
    """
    status = response.status_code
    cls = _BY_STATUS.get(status, ServerError if status >= 500 else StatusError)
    where = _where(response)
    message, detail, ref_id = _read_error_body(response)
    parts = [f"{status} from {where}"]
    if response.is_redirect:
        target = scrub(response.headers.get("location", ""), response)[:SHOWN_CHARACTERS]
        parts.append(f": redirect to {target!r} refused, key and request would travel with it.")
        remedy = "Set base_url to the final address if you trust it."
    else:
        parts.append(f": {message or response.reason_phrase or 'no message'}")
        remedy = cls.remedy
    if ref_id:
        parts.append(f" (ref_id {ref_id})")
    if remedy:
        parts.append(f" - {remedy}")
    return cls(
        scrub("".join(parts), response),
        status=status,
        message=message,
        detail=detail,
        ref_id=ref_id,
    )


def unexpected_answer(
    response: httpx.Response, reason: str, body: bytes | None = None
) -> UnexpectedAnswerError:
    """The error for an answer that cannot be read: status, content type, first 200 characters."""
    content = response.content if body is None else body
    shown = scrub(content[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace"), response)
    shown = shown[:SHOWN_CHARACTERS]
    content_type = response.headers.get("content-type")
    if content_type is not None:
        content_type = scrub(content_type, response)[:SHOWN_CHARACTERS]
    return UnexpectedAnswerError(
        f"{response.status_code} from {_where(response)} ({content_type or 'no content type'}) "
        f"cannot be read: {scrub(reason, response)}. It begins: {shown!r}",
        status=response.status_code,
        content_type=content_type,
        body=shown,
    )


def scrub(text: str, outcome: httpx.Response | httpx.HTTPError) -> str:
    """`text` without any secret that the request carried, should the server echo it."""
    try:
        headers = outcome.request.headers
    except RuntimeError:  # httpx raises it where no request is attached
        return text
    for name in SECRET_HEADERS:
        secret = headers.get(name, "").removeprefix("Bearer ")
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN).replace(json.dumps(secret)[1:-1], HIDDEN)
    return text


def scrub_failure(failure: httpx.HTTPError) -> None:
    """Take secrets out of a failure: its words, those it came from, the request it holds.

    A server that does not speak HTTP is quoted there, and it may echo what it was sent. Of the
    request only method and address are left: its headers hold the key.
    """
    error: BaseException | None = failure
    while error is not None:
        if any(isinstance(arg, str) and scrub(arg, failure) != arg for arg in error.args):
            error.args = tuple(
                scrub(arg, failure) if isinstance(arg, str) else arg for arg in error.args
            )
        error = error.__cause__ or error.__context__
    with suppress(RuntimeError):  # httpx raises it where no request is attached
        failure.request = httpx.Request(failure.request.method, failure.request.url)


def error_body(body: Any) -> tuple[str, Any, str | None]:
    """Message, detail and ref_id of a decoded error body of any of the known shapes."""
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


def _shortened(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:LONGEST_MESSAGE]} […cut, {len(message)} characters in all]"


def _read_error_body(response: httpx.Response) -> tuple[str, Any, str | None]:
    huge = len(response.content) > LARGEST_ERROR_BYTES
    begin = response.content[: 8 * SHOWN_CHARACTERS]
    text = scrub(begin.decode("utf-8", "replace") if huge else _decoded(response), response)
    try:
        # Written anew first: there are many ways to write a character, and the key, in JSON.
        body = json.loads(scrub(json.dumps(from_json(text)), response))
    except (ValueError, RecursionError):
        return " ".join(text[: 4 * SHOWN_CHARACTERS].split())[:SHOWN_CHARACTERS], None, None
    message, detail, ref_id = error_body(body)
    return message or text[:SHOWN_CHARACTERS], detail, ref_id


def _decoded(response: httpx.Response) -> str:
    """The body as text that can be printed, whatever encoding is declared for it."""
    content = response.content
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


def _where(response: httpx.Response) -> str:
    try:
        request = response.request
    except RuntimeError:  # httpx raises it where no request is attached
        return "the API"
    return f"{request.method} {request.url.path}"
