"""The steps of an operation, and what runs them one after another.

An operation is a generator. It yields `Send` ("wait, then send this"), is given the
`httpx.Response` (or thrown the transport's error) and returns its typed result, so the same lines
serve blocking and awaiting callers and run in a test with `next(flow)` and no network:

    flow = search(SearchRequest(objective="Who wrote Dune?"))
    send = next(flow)                      # Send("POST", "/v1/search", ...)
    flow.send(httpx.Response(200, json=…)) # StopIteration carries the SearchResponse

A streaming operation yields two more kinds of step: `MORE` requests the next bytes of the open
response (`b""` at its end), `Emit` hands an event to the caller. Two more are yielded by what a
client with a cache puts around an operation: `Wait` and `Do`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, cast

import httpx

from parallel_integrations._protocol.error_mapping import status_error, transport_error
from parallel_integrations._protocol.response_reading import read_empty_response, read_response
from parallel_integrations._protocol.retry import (
    RETRY_AFTER_CAP_SECONDS,
    Failure,
    RetryPolicy,
    backoff_seconds,
    conditions_of,
    may_retry,
    retry_after_seconds,
)
from parallel_integrations.errors import ParallelError, TaskTimeoutError
from parallel_integrations.models.shared import ModelT, RequestModel

if TYPE_CHECKING:
    from concurrent.futures import Future

RESULT_KEY: Final = "parallel_integrations.result"
"""What was read from a response before, among the `extensions` of one that the cache gave."""

Result = TypeVar("Result")
Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Keep:
    """How a result serves other equal requests, on a client with `cache=`.

    Attributes:
        worth: Whether a result may be kept for later requests.
        max_seconds: For how long at most.
        labels: Fields of the body that do not change what the request is about.
    """

    worth: Callable[[Any], bool]
    max_seconds: float = inf
    labels: frozenset[str] = frozenset()


@dataclass(slots=True)  # frozen would make each call's steps three times as dear
class Send:
    """Wait `delay_seconds`, then send this request.

    Attributes:
        method: HTTP method.
        path: Path of the current API generation, e.g. `/v1/search`; the client's `api_version` and
            route may turn it into another.
        request: Renders itself into the body; None sends no body.
        params: Query parameters, in order; a name may repeat.
        retry: Which failures are repeated.
        timeout_seconds: Read timeout, unless the client has one of its own.
        wait_seconds: How long the server is to hold the response back; added to the timeout.
        delay_seconds: Pause before sending.
        deadline_seconds: When its response is no longer waited for, counted from the operation's
            start; one that is late by then has `LAST_RESPONSE_SECONDS`.
        stream: Whether the response is read piece by piece.
        betas: Values for the `parallel-beta` header.
        headers: Of this request alone.
        keep: How its response serves other equal requests; None: never.
        max_skus: What it is billed as at most, where there is no `request` to say it.
    """

    method: str
    path: str
    request: RequestModel | None = None
    params: tuple[tuple[str, str], ...] = ()
    retry: RetryPolicy = RetryPolicy.QUERY
    timeout_seconds: float = 60.0
    wait_seconds: float = 0.0
    delay_seconds: float = 0.0
    deadline_seconds: float = inf
    stream: bool = False
    betas: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    keep: Keep | None = field(default=None, compare=False)
    max_skus: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class More:
    """Requests the next bytes of the open response from the driver.

    Attributes:
        seconds: How long to wait for them at most, where that is less than the stream's timeout;
            none in that time are `b""`, and the response is given up.
    """

    seconds: float | None = None


MORE: Final = More()
END: Final = More(seconds=0.25)
"""Where nothing more is expected: a response that is read to its end frees its connection."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Makes the driver wait for something that happens elsewhere; gives whether it did in time.

    Attributes:
        future: What is waited for; None only lets the time pass.
        seconds: How long at most.
    """

    future: "Future[Any] | None"
    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Makes the driver call something that may block for a moment; gives what that returns."""

    call: Callable[[], Any]


@dataclass(slots=True)  # freezing would cost as much as the rest of its way to the caller
class Emit(Generic[Event_co]):
    """Hands one event to the caller of the stream."""

    event: Event_co


Step: TypeAlias = Send | More | Emit[Any] | Wait | Do
Flow: TypeAlias = Generator[Send, httpx.Response, Result]
Operation: TypeAlias = Generator[Send | More | Wait | Do, Any, Result]
"""A flow, or one that reads streams on its way to a result; what `run` takes."""
Stream: TypeAlias = Generator[Send | More | Emit[Event], Any, None]
"""What `stream` takes."""


def call(send: Send, response_type: type[ModelT]) -> Flow[ModelT]:
    """Send, repeat as the retry table allows, and read the response as `response_type`."""
    response = yield from exchange(send)
    known = response.extensions.get(RESULT_KEY)
    result = known if isinstance(known, response_type) else read_response(response, response_type)
    conditions_of(response).result = result
    return result


def order(send: Send) -> Flow[None]:
    """Send, repeat as the retry table allows, and make sure that the success is the API's own."""
    read_empty_response((yield from exchange(send)))


def attempt(send: Send) -> Flow[httpx.Response | Failure]:
    """Send once; what waits for a deadline repeats by its own rules."""
    try:
        response = yield send
    except httpx.HTTPError as failure:
        return failure_of(failure)
    return response if response.is_success else failure_of(response)


def failure_of(outcome: httpx.Response | httpx.HTTPError) -> Failure:
    """Our error for a transport's failure, or for a response that is no success."""
    conditions = conditions_of(outcome)
    cause: httpx.HTTPError | None = None
    error: ParallelError
    if isinstance(outcome, httpx.HTTPError):
        cause = outcome
        error = transport_error(outcome)
    else:
        error = status_error(outcome)
        error.retry_after = retry_after_seconds(outcome, conditions.now)
    error.elapsed_seconds = conditions.elapsed_seconds
    return Failure(error, cause, conditions)


def exchange(send: Send) -> Flow[httpx.Response]:
    """Send, repeat as the retry table allows; the first successful response or our error."""
    attempts = 0
    failed: Failure | None = None
    while True:
        try:
            outcome = yield from attempt(send)
        except TaskTimeoutError:  # the deadline has passed: say what failed before it
            if failed is None:
                raise
            raise failed.error from failed.cause
        if isinstance(outcome, httpx.Response):
            return outcome
        attempts += 1
        failed, error = outcome, outcome.error
        wait = error.retry_after
        again = error.repeatable = may_retry(send.retry, outcome)
        # A server that names an hour would block the caller for it: above the cap, the error is
        # raised at once, with `retry_after` on it.
        if (
            not again
            or attempts > outcome.conditions.max_retries
            or (wait or 0) > RETRY_AFTER_CAP_SECONDS
        ):
            if again and attempts > 1:
                error.add_note(f"Given up after {attempts} attempts.")
            raise error from outcome.cause
        send = replace(send, delay_seconds=backoff_seconds(attempts) if wait is None else wait)


def relay(
    inner: Generator[Any, Any, Result],
    handle: Callable[[Any], Generator[Any, Any, Any]],
) -> Generator[Any, Any, Result]:
    """Run an operation inside another, which handles each of its steps.

    Args:
        inner: The operation.
        handle: Takes a step and returns the steps to take instead; their result is the outcome that
            `inner` is given. A transport's failure out of them, or a deadline's end, is thrown into
            it, so that it may repeat or clean up; any other error ends both.

    Returns:
        What `inner` returns.
    """
    try:
        step = next(inner)
        while True:
            try:
                outcome = yield from handle(step)
            except (httpx.HTTPError, TaskTimeoutError) as failure:
                step = inner.throw(failure)
            else:
                step = inner.send(outcome)
    except StopIteration as end:
        return cast(Result, end.value)
    finally:
        # Abandoned halfway, the inner operation would free its connection whenever the garbage
        # collector comes by.
        inner.close()


def each(
    stream: Generator[Send | More | Emit[Event], Any, Result], take: Callable[[Event], None]
) -> Generator[Send | More, Any, Result]:
    """Run a stream inside a flow, handing its events to `take` instead of the caller."""

    def handle(step: Any) -> Generator[Any, Any, Any]:
        if isinstance(step, Emit):
            return take(step.event)
        return (yield step)

    return relay(stream, handle)


def delayed(flow: Flow[Result], seconds: float) -> Flow[Result]:
    """The same flow, which waits before its first step."""
    wait = max(0.0, seconds)

    def handle(step: Send) -> Flow[httpx.Response]:
        nonlocal wait
        step, wait = replace(step, delay_seconds=step.delay_seconds + wait), 0.0
        return (yield step)

    return relay(flow, handle)
