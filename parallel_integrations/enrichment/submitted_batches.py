"""Submitted batches: polls a task group, reads outcomes, finds tasks that never arrived."""

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from math import isinf
from typing import Any, Final

from parallel_integrations import errors
from parallel_integrations._protocol import polling
from parallel_integrations._protocol.flow import Flow, More, Send, call, delayed, each
from parallel_integrations._protocol.paths import NO_IDS, carrying, segment
from parallel_integrations._protocol.retry import RetryPolicy, requested_pause
from parallel_integrations.api.task_groups import (
    LOOKS_AFTER_SECONDS,
    retrieve_task_group,
    run_number,
    run_within,
    task_group_runs,
)
from parallel_integrations.api.tasks import result_of_run
from parallel_integrations.enrichment.journal import Batch, Outcome, OutcomeState
from parallel_integrations.models.shared import StreamEvent, UnreadableEvent
from parallel_integrations.models.task import TERMINAL, TaskRun, TaskRunResult, TaskRunStateEvent
from parallel_integrations.models.task_group import TaskGroupStatus

# A group at work is listed once a fourth of its runs has ended since the last listing, or after a
# while: a listing repeats what has not ended, so one at each poll would read a row many times.
MIN_SHARE_TO_LIST: Final = 4
LIST_AFTER_SECONDS: Final = 30.0
# A listing may lag behind the status of its group.
MAX_INCOMPLETE_LISTINGS: Final = 3
# A new group may be unknown for a moment, and a proxy may respond with a page of its own.
MAX_REFUSALS: Final = 4
READ_TIMEOUT_SECONDS: Final = 900.0
"""How long a rate limit or an outage is waited out where outputs are read."""
MAX_REASON: Final = 300
MAY_BE_PAID: Final = (
    "It may be paid for: each later run tries to read it again, and retry_failed sends the row "
    "once more, which is paid again, if that fails."
)
READ_ERRORS: Final = (
    errors.StatusError,
    errors.ConnectionFailedError,
    errors.RequestTimeoutError,
    errors.StreamInterruptedError,
    errors.UnexpectedAnswerError,
)
"""Errors of reading what is paid for; those of the key and the account among them stop the run."""


@dataclass(slots=True)
class Unconfirmed:
    """State of a batch whose add has no response, and may still be on its way.

    Attributes:
        until: When it counts as lost, by the monotonic clock; `inf`: never.
        error: What came instead of the response; None where the process ended.
    """

    until: float
    error: errors.ParallelError | None = None
    polls: int = 0


@dataclass(slots=True)
class ReadFailure:
    """A read that failed, and may succeed later: the last error, and since when."""

    error: errors.ParallelError
    since: float
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run as a listing shows it.

    Attributes:
        event: What could be read of it; None where nothing could be.
        fault: Why not all of it was read; empty where all was.
    """

    event: TaskRunStateEvent | None
    fault: str = ""


@dataclass(slots=True)
class Listing:
    """The runs of a group, by their number in the batch (None: it carries none).

    Attributes:
        ended: Runs that are over, as the event of each.
        unfinished: Runs that are not.
        fault: Why an entry could not be read; empty where all could.
        cursor: The last event before anything that has to be listed again.
    """

    ended: dict[int, TaskRunStateEvent] = field(default_factory=dict)
    unfinished: dict[int | None, TaskRun] = field(default_factory=dict)
    fault: str = ""
    cursor: str | None = None

    @classmethod
    def of(cls, runs: Iterable[ListedRun], cursor: str | None) -> "Listing":
        """What a listing from `cursor` on shows."""
        listing = cls(cursor=cursor)
        is_complete = True
        for listed in runs:
            event = listed.event
            if event is None:
                is_complete, listing.fault = False, listed.fault
                continue
            number = run_number(event.run)
            # What ended at the beginning need not be listed again.
            is_complete = (
                is_complete and event.run.is_over and number is not None and not listed.fault
            )
            if is_complete:
                listing.cursor = event.event_id or listing.cursor
            if number is None or not event.run.is_over:
                listing.unfinished[number] = event.run
            elif number not in listing.ended or listing.ended[number].output is None:
                listing.ended[number] = event
        return listing


class SubmittedBatch:
    """A batch that was sent, or may have been.

    Args:
        batch: What was sent; its tasks are removed as they get outcomes.
        unconfirmed: Whether it arrived is not known; None where it is.
        pause: Seconds until the first poll.

    Attributes:
        due: When it is polled next, by the monotonic clock.
        read_failure: Why the group cannot be read at the moment.
        submit_error: The error of the add, once it is certain that not all of it arrived and the
            rest may not be sent again.
    """

    def __init__(
        self, batch: Batch, unconfirmed: Unconfirmed | None = None, pause: float = 0.0
    ) -> None:
        self.batch = batch
        self.unconfirmed = unconfirmed
        self.read_failure: ReadFailure | None = None
        self.submit_error: errors.ParallelError | None = None
        self.due = time.monotonic() + pause
        self._pause = pause
        self._tasks = batch.tasks
        self._num_runs = len(batch.tasks)
        self._num_ended = 0
        self._outcomes: dict[int, Outcome] = {}
        self._output_failures: dict[int, ReadFailure] = {}
        self._listed_at = time.monotonic()
        self._cursor: str | None = None
        self._fault = ""
        self._reads_one_by_one = False
        self._incomplete_listings = self._refusals = self._interruptions = 0

    def take_outcomes(self) -> dict[int, Outcome]:
        """Outcomes that were read since the last time, by task; whole even where a poll failed."""
        taken, self._outcomes = self._outcomes, {}
        return taken

    def poll(self, wait: float) -> Generator[Send | More, Any, list[int]]:
        """Read the state of the group after a wait, and what is new of its outcomes.

        Returns:
            Tasks that never arrived and are to be sent again; they are no longer part of the batch.

        Raises:
            AuthenticationError, PaymentRequiredError: No group can be read.
            JournalError: Something may have been sent or not, and settle_seconds forbids to decide.
        """
        self._pause = min(
            max(2 * self._pause, polling.FIRST_POLL_SECONDS), polling.MAX_POLL_SECONDS
        )
        lost: list[int] = []
        group = self.batch.taskgroup_id
        try:
            with carrying(taskgroup_id=group):
                status = (yield from delayed(retrieve_task_group(group), wait)).status
                if self.unconfirmed is not None:
                    lost = yield from self._find_lost(self.unconfirmed, status)
                else:
                    yield from self._collect(status)
        except (errors.AuthenticationError, errors.PaymentRequiredError):
            raise
        except READ_ERRORS as error:
            self._handle(error)
        else:
            self.read_failure = None
            self._refusals = self._interruptions = 0
        finally:
            self.due = time.monotonic() + self._pause
        return lost

    def give_up(self, error: errors.ParallelError) -> None:
        """Fail every row whose output the group still has."""
        what = f"task group {self.batch.taskgroup_id} cannot be read"
        self._finish(dict.fromkeys(self._tasks, self._unreadable(None, what, str(error))))
        self.read_failure = None

    def _handle(self, error: errors.ParallelError) -> None:
        if isinstance(error, errors.StreamInterruptedError):
            # Outputs that no listing gets through are read one by one.
            self._interruptions += 1
            if self._interruptions < MAX_INCOMPLETE_LISTINGS:
                return
            if not self._reads_one_by_one:
                self._read_one_by_one()
                return
        elif _may_pass(error):
            self.read_failure = _repeated(self.read_failure, error)
            self._wait_for(error)
            return
        self._refusals += 1
        if self._refusals >= MAX_REFUSALS:
            self.give_up(error)

    def _wait_for(self, error: errors.ParallelError) -> None:
        self._pause = max(self._pause, requested_pause(error))

    def _read_one_by_one(self) -> None:
        """List the runs without their outputs from now on, and read each output by itself."""
        self._reads_one_by_one = True
        self._interruptions = self._incomplete_listings = 0
        self._cursor = None

    def _find_lost(
        self, unconfirmed: Unconfirmed, status: TaskGroupStatus
    ) -> Generator[Send | More, Any, list[int]]:
        """Compare the group with the batch; tasks that it lacks once the add counts as lost.

        No idempotency key exists, so a row that is sent again while the first request is still on
        its way is paid twice. Hence each batch has a group of its own, and each run its number.
        """
        unconfirmed.polls += 1
        settled = time.monotonic() >= unconfirmed.until  # before the listing, which takes a while
        listed: list[ListedRun] = []
        if status.num_task_runs:
            yield from list_runs(self.batch.taskgroup_id, listed.append)
        held = {run_number(each.event.run) if each.event else None for each in listed}
        if None in held:
            raise self._unmatched_runs()
        missing = self._tasks.keys() - held
        if missing and not settled:
            if isinf(unconfirmed.until) and unconfirmed.polls >= len(LOOKS_AFTER_SECONDS):
                if unconfirmed.error is None:
                    raise errors.JournalError(
                        "The run before this one ended while rows were being sent. Their group "
                        f"holds {len(held)} of {len(self._tasks)}, and settle_seconds=inf forbids "
                        "to send the rest again: give a number of seconds."
                    )
                self.submit_error = unconfirmed.error
            self._pause = min(
                LOOKS_AFTER_SECONDS[min(unconfirmed.polls, len(LOOKS_AFTER_SECONDS) - 1)],
                max(0.0, unconfirmed.until - time.monotonic()),
            )
            return []
        self.unconfirmed = None
        self._pause = polling.FIRST_POLL_SECONDS
        return [self._tasks.pop(number) for number in sorted(missing)]

    def _collect(self, status: TaskGroupStatus) -> Generator[Send | More, Any, None]:
        """List the group where that is worth it, until every task has an outcome."""
        counts = status.task_run_status_counts or {}
        num_ended = sum(counts.get(name, 0) for name in TERMINAL)
        num_new = num_ended - self._num_ended
        is_over = not status.is_active and status.num_task_runs >= self._num_runs
        long_ago = time.monotonic() - self._listed_at >= LIST_AFTER_SECONDS
        is_worth = num_new > 0 and (long_ago or num_new * MIN_SHARE_TO_LIST >= self._num_runs)
        if not is_over and not is_worth:
            return
        unfinished = yield from self._read_listing()
        self._num_ended, self._listed_at = num_ended, time.monotonic()
        if is_over and self._tasks and self._cursor is not None:
            self._cursor = None  # in case the order of a listing is not that of its events
            unfinished = yield from self._read_listing()
        if not is_over or not self._tasks:
            return
        self._incomplete_listings += 1
        if self._incomplete_listings < MAX_INCOMPLETE_LISTINGS:
            return
        if None in unfinished:
            raise self._unmatched_runs()
        if self._fault and not self._reads_one_by_one:
            self._read_one_by_one()
            return
        incomplete = self._tasks.keys() - self._output_failures.keys()
        self._finish({number: self._incomplete(unfinished.get(number)) for number in incomplete})

    def _read_listing(self) -> Generator[Send | More, Any, dict[int | None, TaskRun]]:
        """Take the outcomes from a listing; returns the runs that are not over."""
        runs: list[ListedRun] = []
        try:
            yield from list_runs(
                self.batch.taskgroup_id,
                runs.append,
                include_output=not self._reads_one_by_one,
                last_event_id=self._cursor,
            )
        finally:
            # What came before a break is paid for, and readable: it is not read a second time.
            listing = Listing.of(runs, self._cursor)
            self._cursor, self._fault = listing.cursor, listing.fault
            found: dict[int, Outcome] = {}
            without_output: dict[int, TaskRun] = {}
            for number, event in listing.ended.items():
                if number not in self._tasks:
                    continue
                if event.output is not None and not event.output.is_empty:
                    found[number] = Outcome.of(event)
                elif event.run.status == "completed":
                    without_output[number] = event.run
                else:
                    reason = event.run.error and event.run.error.reason
                    found[number] = Outcome(
                        event.run.run_id, error=reason or f"the run is {event.run.status}"
                    )
            self._finish(found)
        yield from self._read_outputs(without_output)
        return listing.unfinished

    def _read_outputs(self, runs: dict[int, TaskRun]) -> Generator[Send | More, Any, None]:
        """Read outputs that the listing lacks, those first that were tried least."""

        def attempts(number: int) -> int:
            failure = self._output_failures.get(number)
            return failure.attempts if failure else 0

        for number in sorted(runs, key=attempts):
            run_id = runs[number].run_id
            try:
                result = yield from retrieve_output(run_id)
            except (errors.AuthenticationError, errors.PaymentRequiredError):
                raise
            except READ_ERRORS as error:
                failure = _repeated(self._output_failures.get(number), error)
                self._output_failures[number] = failure
                may_pass = _may_pass(error)
                if may_pass and time.monotonic() - failure.since < READ_TIMEOUT_SECONDS:
                    self._wait_for(error)
                    return  # a rate limit or an outage concerns the others as well
                if may_pass or failure.attempts >= MAX_INCOMPLETE_LISTINGS:
                    what = "its output cannot be read"
                    self._finish({number: self._unreadable(run_id, what, str(error))})
            else:
                event = TaskRunStateEvent(run=result.run, output=result.output)
                self._finish({number: Outcome.of(event)})

    def _finish(self, outcomes: dict[int, Outcome]) -> None:
        for number, outcome in outcomes.items():
            self._outcomes[self._tasks.pop(number)] = outcome
            self._output_failures.pop(number, None)

    def _unmatched_runs(self) -> errors.UnexpectedAnswerError:
        return errors.UnexpectedAnswerError(
            f"Task group {self.batch.taskgroup_id} holds runs without the number that they were "
            "sent with, so no run can be matched with its row"
        )

    def _unreadable(self, run_id: str | None, what: str, why: str) -> Outcome:
        shown = why if len(why) <= MAX_REASON else f"{why[:MAX_REASON]}…"
        return Outcome(
            run_id,
            error=f"{what} ({shown}). {MAY_BE_PAID}",
            state=OutcomeState.UNREADABLE,
            taskgroup_id=self.batch.taskgroup_id,
        )

    def _incomplete(self, run: TaskRun | None) -> Outcome:
        if run is not None:
            reason = f"the run is {run.status}, neither worked on nor over; a retry reads it again"
            return Outcome(run.run_id, error=reason, state=OutcomeState.MAY_CONTINUE)
        if self._fault:
            return self._unreadable(None, "what its group lists cannot be read", self._fault)
        return Outcome(None, error="the group holds no run for this row")


def list_runs(
    taskgroup_id: str,
    take: Callable[[ListedRun], None],
    *,
    include_output: bool = False,
    last_event_id: str | None = None,
) -> Generator[Send | More, Any, None]:
    """List the runs of a group, read one by one: one that cannot be read costs no other.

    Args:
        taskgroup_id: The group.
        take: Is given each as it comes, so that a broken listing loses none of them.
        include_output: With outputs, where complete.
        last_event_id: Begin after this event.
    """

    def take_event(event: StreamEvent) -> None:
        if isinstance(event, TaskRunStateEvent):
            take(ListedRun(event))
        elif isinstance(event, UnreadableEvent):
            run = run_within(event.text)
            take(ListedRun(TaskRunStateEvent(run=run) if run else None, event.fault))

    runs = task_group_runs(taskgroup_id, include_output=include_output, last_event_id=last_event_id)
    yield from each(runs, take_event)


def retrieve_output(run_id: str) -> Flow[TaskRunResult]:
    """Read the result of a run that is complete.

    Raises:
        UnexpectedAnswerError: It cannot be read, or the run has no id.
    """
    if run_id.strip() in NO_IDS:
        raise errors.UnexpectedAnswerError(f"the group lists a run whose id is {run_id!r}")
    send = Send(
        "GET",
        f"/v1/tasks/runs/{segment('run_id', run_id)}/result",
        params=(("timeout", "1"),),
        retry=RetryPolicy.READ,
        wait_seconds=1,
    )
    with carrying(run_id=run_id):
        return result_of_run(run_id, (yield from call(send, TaskRunResult)))


def _may_pass(error: errors.ParallelError) -> bool:
    """Whether the same read may succeed later: a rate limit, an outage."""
    if isinstance(error, errors.StatusError) and error.status == 408:
        return True
    return isinstance(
        error,
        errors.RateLimitError
        | errors.ServerError
        | errors.ConnectionFailedError
        | errors.RequestTimeoutError,
    )


def _repeated(failure: ReadFailure | None, error: errors.ParallelError) -> ReadFailure:
    if failure is None:
        return ReadFailure(error, time.monotonic())
    return ReadFailure(error, failure.since, failure.attempts + 1)
