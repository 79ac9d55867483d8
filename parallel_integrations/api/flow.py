"""One step of talk with the API, an operation in motion, and when a step is repeated.

An operation is a generator. It yields `Send` ("wait, then send this"), is given the
`httpx.Response` (or thrown the transport's error) and returns its typed result, so the same lines
serve blocking and awaiting callers and run in a test with `next(flow)` and no network:

    flow = search(SearchRequest(objective="Who wrote Dune?"))
    send = next(flow)                      # Send("POST", "/v1/search", ...)
    flow.send(httpx.Response(200, json=…)) # StopIteration carries the SearchResponse

A streaming operation yields two more kinds of step: `MORE` asks for the next bytes of the open
answer (`b""` at its end), `Emit` hands an event to the caller.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from math import inf, isfinite
from random import uniform
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

import httpx

from parallel_integrations.api.errors import (
    ConnectionFailedError,
    ParallelError,
    RequestTimeoutError,
    StatusError,
    UnexpectedAnswerError,
    scrub_failure,
    status_error,
    unexpected_answer,
)
from parallel_integrations.api.models import RequestModel, read_answer, read_nothing

Result = TypeVar("Result")
Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)
Answer = TypeVar("Answer")

RETRY_AFTER_CAP_SECONDS: Final = 60.0
FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 8.0
CONDITIONS_KEY: Final = "parallel_integrations"


class Repeat(Enum):
    """What may be sent again by itself. The API has no idempotency key."""

    READ = "read"
    """Status, results, events, update, cancel, memory: repeating changes nothing."""
    ASK = "ask"
    """Search, extract, chat: repeating costs a request, nothing else."""
    CREATE = "create"
    """A run, group, monitor …: repeated only when it surely was not executed."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How an answer serves other equal requests, on a client with `cache=`.

    Attributes:
        worth: Tells whether a successful answer may be kept for later ones.
        longest_seconds: For how long at most.
        labels: Fields of the body that do not change what is asked.
    """

    worth: Callable[[httpx.Response], bool]
    longest_seconds: float = inf
    labels: frozenset[str] = frozenset()


@dataclass(slots=True)  # frozen would make each call's steps three times as dear
class Send:
    """Wait `delay_seconds`, then send this request.

    Attributes:
        method: HTTP method.
        path: Path of the current API generation, e.g. `/v1/search`; the client's `api_version` and
            route may turn it into another.
        request: What is asked; renders itself into the body. None sends no body.
        params: Query parameters, in order; a name may repeat.
        repeat: Which failures are repeated.
        timeout_seconds: Patience of this operation unless the client was given its own.
        wait_seconds: How long the server was asked to hold the answer back; adds to the patience.
        delay_seconds: Pause before sending.
        stream: Whether the answer is read piece by piece.
        betas: Values for the `parallel-beta` header.
        headers: Of this request alone.
        keep: How its answer serves other equal requests; None: never.
    """

    method: str
    path: str
    request: RequestModel | None = None
    params: tuple[tuple[str, str], ...] = ()
    repeat: Repeat = Repeat.ASK
    timeout_seconds: float = 60.0
    wait_seconds: float = 0.0
    delay_seconds: float = 0.0
    stream: bool = False
    betas: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    keep: Keep | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class More:
    """Asks the driver for the next bytes of the open answer.

    Attributes:
        seconds: How long to wait for them at most, where that is less than the stream's patience;
            none in that time are `b""`, and the answer is given up.
    """

    seconds: float | None = None


MORE: Final = More()
END: Final = More(seconds=0.25)
"""Where nothing more is expected: an answer that is read to its end frees its connection."""


@dataclass(slots=True)  # freezing would cost as much as the rest of its way to the caller
class Emit(Generic[Event_co]):
    """Hands one event to whoever iterates the stream."""

    event: Event_co


Flow: TypeAlias = Generator[Send, httpx.Response, Result]
Stream: TypeAlias = Generator[Send | More | Emit[Event], Any, Any]


@dataclass(slots=True)
class Conditions:
    """What the driver tells a flow of the world; travels in `request.extensions`.

    Attributes:
        max_retries: How often one step may be repeated.
        retry_timeouts: Whether an ASK may be repeated after a read timeout.
        answer: The answer's head, had it arrived when the transport failed.
        elapsed_seconds: Since the flow started.
        now: Seconds since the epoch, for a `Retry-After` date.
    """

    max_retries: int = 2
    retry_timeouts: bool = False
    answer: httpx.Response | None = None
    elapsed_seconds: float = 0.0
    now: float = field(default=0.0)


def conditions_of(outcome: httpx.Response | httpx.HTTPError) -> Conditions:
    """The conditions that travelled with the request behind an answer or a transport failure."""
    try:
        found = outcome.request.extensions.get(CONDITIONS_KEY)
    except RuntimeError:  # httpx raises it where no request is attached
        found = None
    return found if isinstance(found, Conditions) else Conditions()


def call(send: Send, answer: type[Answer]) -> Flow[Answer]:
    """Send, repeat as the retry table allows, and read the answer as `answer`."""
    response = yield from exchange(send)
    return read_answer(response, answer)


def order(send: Send) -> Flow[None]:
    """Send, repeat as the retry table allows; a success has no result, but is the API's own."""
    read_nothing((yield from exchange(send)))


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of sending something once, where it was no success.

    Attributes:
        error: Our error for it.
        cause: The transport's failure behind it.
        conditions: What the driver tells.
    """

    error: ParallelError
    cause: httpx.HTTPError | None
    conditions: Conditions


def attempt(send: Send) -> Flow[httpx.Response | Failure]:
    """Send once. Who waits for a deadline repeats by itself: it knows how much time is left."""
    cause: httpx.HTTPError | None = None
    try:
        response = yield send
    except httpx.HTTPError as failure:
        cause = failure
        conditions = conditions_of(failure)
        error = transport_error(failure)
    else:
        if response.is_success:
            return response
        conditions = conditions_of(response)
        error = status_error(response)
        error.retry_after = retry_after_seconds(response, conditions.now)
    error.elapsed_seconds = conditions.elapsed_seconds
    return Failure(error, cause, conditions)


def exchange(send: Send) -> Flow[httpx.Response]:
    """Send, repeat as the retry table allows; the first successful response or our error."""
    attempts = 0
    while True:
        outcome = yield from attempt(send)
        if isinstance(outcome, httpx.Response):
            return outcome
        attempts += 1
        error = outcome.error
        wait = error.retry_after
        again = _repeatable(send.repeat, outcome)
        if (
            not again
            or attempts > outcome.conditions.max_retries
            or (wait or 0) > RETRY_AFTER_CAP_SECONDS
        ):
            if again and attempts > 1:
                error.add_note(f"Given up after {attempts} attempts.")
            raise error from outcome.cause
        send = replace(send, delay_seconds=_backoff(attempts) if wait is None else wait)


def delayed(flow: Flow[Result], seconds: float) -> Flow[Result]:
    """The same flow, which waits before its first step."""
    step = next(flow)
    step = replace(step, delay_seconds=step.delay_seconds + max(0.0, seconds))
    try:
        while True:
            try:
                outcome = yield step
            except httpx.HTTPError as failure:
                step = flow.throw(failure)
            else:
                step = flow.send(outcome)
    except StopIteration as end:
        return cast(Result, end.value)
    finally:
        flow.close()


def transport_error(failure: httpx.HTTPError) -> ParallelError:
    """Our error for a failure below HTTP, naming the call and the remedy, never the key."""
    head = conditions_of(failure).answer
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
            f"No complete answer to {where} in time ({kind}). It may still have been executed; "
            "a longer timeout= can be set on the client or adapter."
        )
    if isinstance(failure, httpx.DecodingError):
        reason = "it is not compressed as its headers say"
        if head is not None:
            return unexpected_answer(head, reason, b"")
        return UnexpectedAnswerError(f"The answer to {where} cannot be read: {reason}")
    if isinstance(failure, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return ConnectionFailedError(
            f"{where} could not be written as HTTP ({kind}). Check base_url and headers=."
        )
    return ConnectionFailedError(
        f"The connection broke during {where} ({kind}: {failure or 'no reason given'})."
    )


def retry_after_seconds(response: httpx.Response, now: float) -> float | None:
    """Seconds that `Retry-After` (number or HTTP date) asks for; None if absent or nonsense."""
    value = response.headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # a year, or an offset, beyond all numbers
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        seconds = max(0.0, (until - datetime.fromtimestamp(now, UTC)).total_seconds())
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _repeatable(repeat: Repeat, failure: Failure) -> bool:
    if failure.cause is not None:
        return _repeatable_failure(repeat, failure.cause, failure.conditions)
    return isinstance(failure.error, StatusError) and _repeatable_status(
        repeat, failure.error.status
    )


def _repeatable_status(repeat: Repeat, status: int) -> bool:
    if status == 429:
        return True
    match repeat:
        case Repeat.READ:
            return status >= 500 or status == 408
        case Repeat.ASK:
            return status >= 500
        case Repeat.CREATE:
            return status == 503


def _repeatable_failure(repeat: Repeat, failure: httpx.HTTPError, conditions: Conditions) -> bool:
    if isinstance(
        failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
    ):
        return True
    if repeat is Repeat.CREATE or isinstance(
        failure, httpx.DecodingError | httpx.LocalProtocolError | httpx.UnsupportedProtocol
    ):
        return False
    if repeat is Repeat.READ:
        return True
    if isinstance(failure, httpx.TimeoutException):
        return conditions.retry_timeouts
    return conditions.answer is None


def _backoff(attempts: int) -> float:
    longest = min(FIRST_BACKOFF_SECONDS * 2.0 ** (attempts - 1), LONGEST_BACKOFF_SECONDS)
    return longest * uniform(0.75, 1.0)  # noqa: S311 - spreads clients, guards nothing
