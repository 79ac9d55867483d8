"""Polling: waiting until a deadline for work whose status has to be looked up."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import httpx
from pydantic import BeforeValidator

from parallel_integrations import errors
from parallel_integrations._protocol.flow import Flow, More, Send, attempt, relay
from parallel_integrations._protocol.response_reading import read_response
from parallel_integrations._protocol.retry import (
    LAST_RESPONSE_SECONDS,
    Failure,
    RetryPolicy,
    conditions_of,
    may_retry,
    requested_pause,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._validation import is_number
from parallel_integrations.models.shared import ModelT

DEADLINE_SECONDS: Final = 3600.0
# Each pause doubles: what is done soon is seen soon, and an hour's wait costs few requests.
FIRST_POLL_SECONDS: Final = 1.0
MAX_POLL_SECONDS: Final = 10.0
MAX_DEADLINE_SECONDS: Final = 2_592_000.0
"""Thirty days: a longer wait is for another process, which resumes it from the id."""
STILL_WORKING: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that mean "not yet" while polling, however often they come."""

T = TypeVar("T")


def check_deadline(seconds: object, name: str = "deadline_seconds") -> float:
    """Refuse what is no time to wait, before anything is begun.

    Args:
        seconds: The deadline.
        name: What it is called.

    Raises:
        ValueError: It is no number above 0, or above the largest that is admitted.
    """
    if not is_number(seconds) or not 0 < seconds <= MAX_DEADLINE_SECONDS:
        raise InvalidArgumentError(
            f"{name}={seconds!r:.100} must be a number of seconds above 0 and at most "
            f"{MAX_DEADLINE_SECONDS:.0f} (30 days); the work goes on after it, so wait again with "
            "its id"
        )
    return float(seconds)


DeadlineSeconds: TypeAlias = Annotated[float, BeforeValidator(check_deadline)]
"""A deadline as a field of a model."""


@dataclass
class WaitLimit:
    """How much longer polling goes on, and whether another attempt may help.

    Args:
        deadline_seconds: When it ends, counted from the operation's start.
        elapsed_seconds: How much of that has passed.
        reached: Whether the server has responded before. Without that, a connection that cannot be
            made is more likely a wrong address than a passing fault.
    """

    deadline_seconds: float
    elapsed_seconds: float = 0.0
    reached: bool = False
    last: errors.ParallelError | None = None
    failures: int = 0

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline_seconds - self.elapsed_seconds)

    def bounded(self, send: Send) -> Send:
        """A step whose pause ends at the deadline, and whose response is not waited for past it."""
        delay = min(send.delay_seconds, self.remaining)
        # What creates something is waited for as ever: given up, it might be paid for unseen.
        end = inf if send.retry is RetryPolicy.CREATE else self.deadline_seconds
        deadline = min(send.deadline_seconds, end)
        return replace(send, delay_seconds=delay, deadline_seconds=deadline)

    def responded(self, elapsed_seconds: float) -> None:
        """Note that the server responded."""
        self.elapsed_seconds = elapsed_seconds
        self.reached, self.last, self.failures = True, None, 0

    def failed(self, failure: Failure) -> float:
        """Note a failure; how long to wait at least before the next attempt.

        Raises:
            ParallelError: Another attempt does not help.
        """
        error = failure.error
        self.elapsed_seconds = error.elapsed_seconds
        self.reached |= failure.cause is None or failure.conditions.response is not None
        self.last = error
        # "Not yet" may come for hours and does not use up the retries, which are for real faults.
        if not self._is_temporary(error):
            self.failures += 1
            if self.failures > failure.conditions.max_retries or not _may_pass(error):
                error.repeatable = may_retry(RetryPolicy.READ, failure)
                raise error from failure.cause
        else:
            self.failures = 0
        return requested_pause(error)

    def check(self, late: Callable[[], str]) -> None:
        """Refuse to go on after the deadline.

        Raises:
            TaskTimeoutError: It has passed; `late` says what to do.
        """
        if self.remaining > 0:
            return
        raise _late(late(), self.last) from self.last

    def _is_temporary(self, error: errors.ParallelError) -> bool:
        """Whether an error says no more than "not yet"."""
        if isinstance(error, errors.ConnectionFailedError):
            return self.reached
        late = isinstance(error, errors.StatusError) and error.status in STILL_WORKING
        return late or isinstance(error, errors.RequestTimeoutError)


def _late(message: str, last: errors.ParallelError | None) -> errors.TaskTimeoutError:
    return errors.TaskTimeoutError(
        message if last is None else f"{message} The last error was: {last}"
    )


def _may_pass(error: errors.ParallelError) -> bool:
    """Whether another attempt may help."""
    passing = isinstance(error, errors.StatusError) and error.status >= 500
    return passing or isinstance(error, errors.ConnectionFailedError)


def poll(
    send: Send,
    response_type: type[ModelT],
    is_done: Callable[[ModelT], bool],
    *,
    deadline_seconds: float,
    late: Callable[[ModelT | None], str],
    reached: bool = False,
) -> Flow[ModelT]:
    """Look a status up, at growing distances, until `is_done`.

    Args:
        send: Looks it up.
        response_type: Class of the response.
        is_done: Whether that is the end.
        deadline_seconds: When to stop, counted from the operation's start.
        late: What to say then, given the last response.
        reached: Whether the server has responded in this operation before.

    Raises:
        TaskTimeoutError: The deadline passed; `late` says what to do.
    """
    wait_limit = WaitLimit(deadline_seconds, reached=reached)
    pause, found = FIRST_POLL_SECONDS, None
    while True:
        outcome = yield from attempt(wait_limit.bounded(send))
        requested_pause = 0.0
        if isinstance(outcome, Failure):
            requested_pause = wait_limit.failed(outcome)
        else:
            wait_limit.responded(conditions_of(outcome).elapsed_seconds)
            found = read_response(outcome, response_type)
            if is_done(found):
                return found
        wait_limit.check(lambda: late(found))  # noqa: B023 - called at once
        send = replace(send, delay_seconds=max(pause, requested_pause))
        pause = min(pause * 2, MAX_POLL_SECONDS)


def within(
    operation: Generator[Any, Any, T],
    deadline_seconds: float,
    *,
    elapsed_seconds: float = 0.0,
    late: Callable[[], str] | None = None,
) -> Generator[Any, Any, T]:
    """Carry an operation out until a deadline, which no pause and no wait for bytes outlasts.

    What creates something has its whole timeout; only its repetitions end at the deadline.

    Args:
        operation: A flow or a stream.
        deadline_seconds: When to stop, counted from the operation's start.
        elapsed_seconds: How much of that has passed.
        late: What to say then; None to raise what the last attempt failed with.

    Returns:
        The operation's result.

    Raises:
        TaskTimeoutError: The deadline passed.
        ParallelError: It passed and there is no `late`.
    """
    wait_limit = WaitLimit(deadline_seconds, elapsed_seconds)
    response: httpx.Response | None = None
    sent: Send | None = None
    failed = False
    over: errors.TaskTimeoutError | None = None

    def handle(step: Any) -> Generator[Any, Any, Any]:
        nonlocal response, sent, failed, over
        if isinstance(step, Send):
            late_by = wait_limit.elapsed_seconds - deadline_seconds
            again = sent is not None and (sent.method, sent.path) == (step.method, step.path)
            # What comes next (a result after the status said "completed") has a moment left; a
            # repetition of what just failed has none.
            too_late = late is not None and sent is not None and late_by > LAST_RESPONSE_SECONDS
            if too_late or (failed and again and late_by >= 0):
                over = errors.TaskTimeoutError("The deadline has passed.")
                raise over
            step = sent = wait_limit.bounded(step)
        elif isinstance(step, More) and response is not None:
            step = _until_deadline(step, response, wait_limit)
        try:
            outcome = yield step
        except httpx.HTTPError as failure:
            failed = failed or isinstance(step, Send)
            wait_limit.elapsed_seconds = conditions_of(failure).elapsed_seconds
            raise
        if isinstance(outcome, httpx.Response):
            response, failed = outcome, not outcome.is_success
        if response is not None:
            wait_limit.elapsed_seconds = conditions_of(response).elapsed_seconds
        return outcome

    try:
        return (yield from relay(operation, handle))
    except errors.ParallelError as error:
        if over is None or late is None:
            raise
        raise _late(late(), None if error is over else error) from error


def _until_deadline(step: More, response: httpx.Response, wait_limit: WaitLimit) -> More:
    """The next bytes of a stream, waited for until the deadline at most."""
    # A transport without a socket of its own has nothing that could be cut in the middle of a wait.
    if step.seconds is not None or "network_stream" not in response.extensions:
        return step
    idle_timeout = response.request.extensions["timeout"]["read"]
    return More(wait_limit.remaining) if wait_limit.remaining < idle_timeout else step
