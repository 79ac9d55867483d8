"""A chunk on its way: how its group stands, which of its tasks have ended, which never arrived."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import isinf
from typing import Any, Final

from parallel_integrations._protocol import polling
from parallel_integrations._protocol.flow import More, Send, delayed
from parallel_integrations._protocol.paths import carrying
from parallel_integrations._protocol.retry import RETRY_AFTER_CAP_SECONDS
from parallel_integrations.api.task_groups import (
    LOOKS_AFTER_SECONDS,
    retrieve_task_group,
    run_number,
)
from parallel_integrations.enrichment.journal import Chunk, Ending, Outcome
from parallel_integrations.enrichment.listing import Listed, list_runs, retrieve_output
from parallel_integrations.errors import (
    AuthenticationError,
    ConnectionFailedError,
    JournalError,
    ParallelError,
    PaymentRequiredError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.task import TERMINAL, TaskRun, TaskRunStateEvent
from parallel_integrations.models.task_group import TaskGroupStatus

SHARE_WORTH_LISTING: Final = 4
"""A group that is still at work is listed once a fourth of it is new: not at every look."""
LISTED_AFTER_SECONDS: Final = 30.0
"""Or once this long has passed with something new."""
LOOKS_AT_WHAT_LACKS: Final = 3
"""A listing may lag behind the status: what lacks is looked for so often before it counts."""
LOOKS_AT_A_REFUSAL: Final = 4
"""A group just made may be unknown for a moment, a proxy may answer with a page of its own."""
READ_TIMEOUT_SECONDS: Final = 900.0
"""How long a rate limit or an outage is waited out where an answer is read."""
MAX_REASON: Final = 300
MAY_BE_PAID: Final = (
    "It may be paid for: each later run looks at it again, and retry_failed asks the row anew, "
    "which is paid again, if that fails."
)

Taken = Callable[[dict[int, Outcome]], None]
FAULTS: Final = (
    StatusError,
    ConnectionFailedError,
    RequestTimeoutError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
"""What may come instead of an answer that is read."""


@dataclass(slots=True)
class Unconfirmed:
    """A request without an answer may still be on its way.

    Attributes:
        until: When it counts as lost, by the monotonic clock; `inf`: never.
        error: What came instead of the answer; None where the process ended.
        looks: How often the group was looked at.
    """

    until: float
    error: ParallelError | None = None
    looks: int = 0


@dataclass(slots=True)
class Trouble:
    """An answer cannot be read, which may pass.

    Attributes:
        error: What came last.
        since: Since when, by the monotonic clock.
        looks: How often it was tried.
    """

    error: ParallelError
    since: float
    looks: int = 1


class SubmittedBatch:
    """A chunk that its group may hold.

    Args:
        chunk: What was sent; its tasks go as they end.
        unconfirmed: Whether it arrived is not known; None where it is.
        pause: Seconds until the first look.

    Attributes:
        trouble: Why the group cannot be read at the moment.
        due: When it is looked at next, by the monotonic clock.
    """

    def __init__(
        self, chunk: Chunk, unconfirmed: Unconfirmed | None = None, pause: float = 0.0
    ) -> None:
        self.chunk = chunk
        self.unconfirmed = unconfirmed
        self.trouble: Trouble | None = None
        self._refusals = 0
        self._interruptions = 0
        self._one_by_one = False
        self._faults: dict[int, Trouble] = {}
        self._unreadable = ""
        self._expected = len(chunk.tasks)
        self._taken = 0
        self._listed = time.monotonic()
        self._cursor: str | None = None
        self._looks = 0
        self._pause = pause
        self.due = time.monotonic() + pause

    def look(self, wait: float, take: Taken) -> Generator[Send | More, Any, list[int]]:
        """See how the group stands.

        Args:
            wait: Seconds to wait before.
            take: Is given what ended, by task, before anything else can fail.

        Returns:
            Tasks that never arrived and are to be sent anew; they are no longer part of the chunk.

        Raises:
            AuthenticationError, PaymentRequiredError: No group can be read.
            ParallelError: What doubt began with, where nothing arrived and nothing may be resent.
        """
        lost: list[int] = []
        self._pause = min(
            max(2 * self._pause, polling.FIRST_POLL_SECONDS), polling.MAX_POLL_SECONDS
        )
        try:
            with carrying(taskgroup_id=self.chunk.taskgroup_id):
                group = yield from delayed(retrieve_task_group(self.chunk.taskgroup_id), wait)
                if self.unconfirmed is not None:
                    lost = yield from self._resolve(self.unconfirmed, group.status)
                else:
                    yield from self._collect(group.status, take)
        except (AuthenticationError, PaymentRequiredError):
            raise
        except FAULTS as error:
            if self.unconfirmed is not None and error is self.unconfirmed.error:
                raise
            self._suffer(error, take)
        else:
            self.trouble = None
            self._refusals = self._interruptions = 0
        finally:
            self.due = time.monotonic() + self._pause
        return lost

    def give_up(self, error: ParallelError, take: Taken) -> None:
        """Let every row fail whose answer the group keeps."""
        group = self.chunk.taskgroup_id
        outcome = self._unread(None, f"task group {group} cannot be read", str(error))
        self._take(take, dict.fromkeys(self.chunk.tasks, outcome))
        self.trouble = None

    def _suffer(self, error: ParallelError, take: Taken) -> None:
        if isinstance(error, StreamInterruptedError):
            self._interruptions += 1
            if self._interruptions < LOOKS_AT_WHAT_LACKS:
                return
            if not self._one_by_one:
                self._read_one_by_one()
                return
        elif _may_pass(error):
            self.trouble = _again(self.trouble, error)
            self._wait_for(error)
            return
        self._refusals += 1
        if self._refusals >= LOOKS_AT_A_REFUSAL:
            self.give_up(error, take)

    def _wait_for(self, error: ParallelError) -> None:
        if error.retry_after is not None:
            self._pause = max(self._pause, min(error.retry_after, RETRY_AFTER_CAP_SECONDS))

    def _read_one_by_one(self) -> None:
        """List the runs without their outputs from now on, and ask for each output alone."""
        self._one_by_one = True
        self._interruptions = self._looks = 0
        self._cursor = None

    def _resolve(
        self, unconfirmed: Unconfirmed, status: TaskGroupStatus
    ) -> Generator[Send | More, Any, list[int]]:
        unconfirmed.looks += 1
        settled = time.monotonic() >= unconfirmed.until
        held: set[int | None] = set()
        if status.num_task_runs:

            def see(listed: Listed) -> None:
                held.add(run_number(listed.event.run) if listed.event else None)

            yield from list_runs(self.chunk.taskgroup_id, see)
        if None in held:
            raise self._unmatched_runs()
        missing = self.chunk.tasks.keys() - held
        if missing and not settled:
            if isinf(unconfirmed.until) and unconfirmed.looks >= len(LOOKS_AFTER_SECONDS):
                raise unconfirmed.error or JournalError(
                    "The run before this one ended while rows were being sent. Their group holds "
                    f"{len(held)} of {len(self.chunk.tasks)}, and settle_seconds=inf forbids to "
                    "send the rest again: give a number of seconds."
                )
            self._pause = min(
                LOOKS_AFTER_SECONDS[min(unconfirmed.looks, len(LOOKS_AFTER_SECONDS) - 1)],
                max(0.0, unconfirmed.until - time.monotonic()),
            )
            return []
        self.unconfirmed = None
        self._pause = polling.FIRST_POLL_SECONDS
        return [self.chunk.tasks.pop(place) for place in sorted(missing)]

    def _collect(self, status: TaskGroupStatus, take: Taken) -> Generator[Send | More, Any, None]:
        counts = status.task_run_status_counts or {}
        ended = sum(counts.get(name, 0) for name in TERMINAL)
        over = not status.is_active and status.num_task_runs >= self._expected
        fresh = ended - self._taken
        long_ago = time.monotonic() - self._listed >= LISTED_AFTER_SECONDS
        if not over and (
            fresh <= 0 or (fresh * SHARE_WORTH_LISTING < self._expected and not long_ago)
        ):
            return
        unfinished = yield from self._list(take)
        self._taken, self._listed = ended, time.monotonic()
        if not over or not self.chunk.tasks:
            return
        if self._cursor is not None:
            self._cursor = None  # should the order of a listing not be the order of the runs
            unfinished = yield from self._list(take)
        self._looks += 1
        if self._looks < LOOKS_AT_WHAT_LACKS or not self.chunk.tasks:
            return
        if None in unfinished:
            raise self._unmatched_runs()
        if self._unreadable and not self._one_by_one:
            self._read_one_by_one()
            return
        lacking = self.chunk.tasks.keys() - self._faults.keys()
        self._take(take, {place: self._lacking(unfinished.get(place)) for place in lacking})

    def _list(self, take: Taken) -> Generator[Send | More, Any, dict[int | None, TaskRun]]:
        """Take what ended from the listing; tells what has not, and runs without a number."""
        found: dict[int, Outcome] = {}
        unfinished: dict[int | None, TaskRun] = {}
        without_output: dict[int, TaskRun] = {}
        begins = True
        self._unreadable = ""

        def see(listed: Listed) -> None:
            nonlocal begins
            event = listed.event
            if event is None:
                begins, self._unreadable = False, listed.fault
                return
            run, place = event.run, run_number(event.run)
            # What ended at the beginning need not be listed again.
            begins = begins and run.is_over and place is not None and not listed.fault
            if begins:
                self._cursor = event.event_id or self._cursor
            if place is None or not run.is_over:
                unfinished[place] = run
            elif place in self.chunk.tasks and place not in found:
                if event.output is not None:
                    found[place] = Outcome.of(event)
                elif run.status == "completed":
                    without_output[place] = run
                else:
                    found[place] = Outcome(run.run_id, error=_reason(run))

        try:
            yield from list_runs(
                self.chunk.taskgroup_id,
                see,
                include_output=not self._one_by_one,
                last_event_id=self._cursor,
            )
            lacking = {place: run for place, run in without_output.items() if place not in found}
            yield from self._fetch(lacking, found)
        finally:
            self._take(take, found)
        return unfinished

    def _fetch(
        self, runs: dict[int, TaskRun], found: dict[int, Outcome]
    ) -> Generator[Send | More, Any, None]:
        """Ask for outputs that the listing lacks, those first that were tried least."""

        def tries(place: int) -> int:
            fault = self._faults.get(place)
            return fault.looks if fault else 0

        for place in sorted(runs, key=tries):
            run_id = runs[place].run_id
            try:
                result = yield from retrieve_output(run_id)
            except (AuthenticationError, PaymentRequiredError):
                raise
            except FAULTS as error:
                fault = self._faults[place] = _again(self._faults.get(place), error)
                passing = _may_pass(error)
                if passing and time.monotonic() - fault.since < READ_TIMEOUT_SECONDS:
                    self._wait_for(error)
                    return  # where one has to wait, the others have to
                if passing or fault.looks >= LOOKS_AT_WHAT_LACKS:
                    found[place] = self._unread(run_id, "its output cannot be read", str(error))
            else:
                event = TaskRunStateEvent(run=result.run, output=result.output)
                found[place] = Outcome.of(event)

    def _take(self, take: Taken, found: dict[int, Outcome]) -> None:
        if found:
            take({self.chunk.tasks[place]: outcome for place, outcome in found.items()})
            for place in found:
                del self.chunk.tasks[place]
                self._faults.pop(place, None)

    def _unmatched_runs(self) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"Task group {self.chunk.taskgroup_id} holds runs without the number that they were "
            "sent with, so no row can be told from another"
        )

    def _unread(self, run_id: str | None, what: str, why: str) -> Outcome:
        shown = why if len(why) <= MAX_REASON else f"{why[:MAX_REASON]}…"
        return Outcome(
            run_id,
            error=f"{what} ({shown}). {MAY_BE_PAID}",
            ending=Ending.UNREAD,
            taskgroup_id=self.chunk.taskgroup_id,
        )

    def _lacking(self, run: TaskRun | None) -> Outcome:
        if run is not None:
            reason = (
                f"the run is {run.status}, neither worked on nor over; retrying looks at it again"
            )
            return Outcome(run.run_id, error=reason, ending=Ending.OPEN)
        if self._unreadable:
            return self._unread(None, "what its group lists cannot be read", self._unreadable)
        return Outcome(None, error="the group holds no run for this row")


def _may_pass(error: ParallelError) -> bool:
    """Whether the same may be read later: a rate limit, an outage."""
    passing = isinstance(error, RateLimitError | ServerError) or (
        isinstance(error, StatusError) and error.status == 408
    )
    return passing or isinstance(error, ConnectionFailedError | RequestTimeoutError)


def _again(trouble: Trouble | None, error: ParallelError) -> Trouble:
    if trouble is None:
        return Trouble(error, time.monotonic())
    return Trouble(error, trouble.since, trouble.looks + 1)


def _reason(run: TaskRun) -> str:
    return (run.error.message if run.error else "") or f"the run is {run.status}"
