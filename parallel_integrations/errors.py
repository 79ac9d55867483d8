"""Errors of this package.

    ParallelError
    ├── InvalidArgumentError       a value that cannot be right (a ValueError, too)
    │   ├── ArgumentTypeError      an argument that does not exist, or of another kind (a TypeError)
    │   └── PromptTooLongError     more text than the model takes
    ├── MissingKeyError            no API key at the first call, or none that can be sent
    ├── NotServedError             the host or route does not serve this; nothing was sent
    ├── ConnectionFailedError      no connection, or it broke before the response was whole
    ├── RequestTimeoutError        the response did not come in time
    ├── StatusError                .status .message .detail .ref_id .retry_after
    │   ├── AuthenticationError    401
    │   ├── PaymentRequiredError   402
    │   ├── PermissionDeniedError  403
    │   ├── NotFoundError          404
    │   ├── ConflictError          409
    │   ├── InvalidRequestError    400, 422
    │   ├── RateLimitError         429
    │   └── ServerError            5xx
    ├── UnexpectedAnswerError      a response that cannot be read
    ├── StreamInterruptedError     a stream cut short; .partial holds what had arrived
    ├── JournalError               an enrichment's journal is in use, damaged or of other work
    ├── TaskFailedError            a run that failed or was cancelled, with the API's reason
    └── TaskTimeoutError           the deadline passed; .run_id resumes, the work goes on

Values that cannot be right are refused before anything is sent, by an `InvalidArgumentError` that
names field, value and remedy.
"""

from typing import Any, Final

MAX_ERROR_CHARACTERS: Final = 8000
"""Of an error in all: what the API says may stand in it several times, or be an endless id."""


class ParallelError(Exception):
    """Base of every error that this package raises on its own account.

    Attributes:
        retry_after: Seconds to wait that the server named, or None.
        elapsed_seconds: How long the operation had run.
        run_id: The task run that the error is about, so that nothing paid for is lost.
        taskgroup_id: The task group, likewise.
        findall_id: The FindAll run, likewise.
        repeatable: Whether the whole call can be made again without the risk of paying twice, by
            the table of docs/concepts/retries.md; `may_repeat` reads it.

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
    repeatable: bool = False

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= MAX_ERROR_CHARACTERS:
            return text
        return f"{text[:MAX_ERROR_CHARACTERS]} […cut, {len(text)} characters in all]"


class InvalidArgumentError(ParallelError, ValueError):
    """A value that cannot be right; nothing was sent.

    Attributes:
        field: The argument or field, with dots where it is nested (`source_policy.after_date`);
            empty where it is about several.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ArgumentTypeError(InvalidArgumentError, TypeError):
    """An argument that does not exist, or a value of another kind than is needed."""


class PromptTooLongError(InvalidArgumentError):
    """More text than the model takes; nothing was sent."""


class MissingKeyError(ParallelError):
    """A call was made without an API key, or a key was given that no header can carry."""


class NotServedError(ParallelError):
    """The host or route does not serve this operation; nothing was sent."""


class ConnectionFailedError(ParallelError):
    """The server could not be reached, or the connection broke before the response was whole."""


class RequestTimeoutError(ParallelError):
    """The response did not come within the timeout; the work may have been done and billed."""


class UnexpectedAnswerError(ParallelError):
    """A response cannot be read.

    Attributes:
        status: HTTP status, or None where there is none.
        content_type: The response's `Content-Type`, or None.
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
    """A stream ended before what it carried did.

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
    """A response with an error status.

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


def may_repeat(error: BaseException) -> bool:
    """Whether the call that failed may be made again, for `retry_on=` of a framework.

    True exactly where this package repeats by itself (docs/concepts/retries.md), for what goes on
    failing after `max_retries`. False for what may be paid twice, such as a timeout of a search or
    anything that follows the creation of a run, for what fails again in the same way, and for every
    error that is not this package's.

    Args:
        error: A `ParallelError`, or an error that has one as its cause, such as LangChain's
            `ToolException` of a tool with `handle_tool_error=False`.

    Example:
        ```python
        from langchain.agents.middleware import ToolRetryMiddleware
        from langgraph.types import RetryPolicy
        from parallel_integrations import may_repeat

        middleware = ToolRetryMiddleware(retry_on=may_repeat)
        policy = RetryPolicy(retry_on=may_repeat)
        ```
    """
    behind: BaseException | None = error
    seen: set[int] = set()  # an error may be its own cause
    while behind is not None and id(behind) not in seen:
        if isinstance(behind, ParallelError):
            return behind.repeatable
        seen.add(id(behind))
        behind = behind.__cause__
    return False
