"""Engine of an enrichment: the loop that sends queued rows, polls batches and yields rows.

    rows ─read─▶ RowQueue ─submit─▶ SubmittedBatch ─poll─▶ outcomes ─settle─▶ RowQueue ─▶ rows
                     └──────────────── Journal ────────────────┘

Each part returns what it found and knows no other; the engine alone decides what happens next.
"""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final, TypeVar

from parallel_integrations import errors
from parallel_integrations._counted import counted
from parallel_integrations._protocol import polling
from parallel_integrations._protocol.flow import Emit, Flow, More, Send, Stream, delayed, relay
from parallel_integrations._protocol.retry import RETRY_AFTER_CAP_SECONDS
from parallel_integrations.api.task_groups import (
    add_task_group_runs,
    create_task_group,
    numbered_requests,
    runs_to_add,
)
from parallel_integrations.enrichment import submitted_batches
from parallel_integrations.enrichment.budget import Budget
from parallel_integrations.enrichment.journal import Journal, Outcome, OutcomeState
from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.row_queue import PendingRow, RowQueue
from parallel_integrations.enrichment.submitted_batches import (
    ReadFailure,
    SubmittedBatch,
    Unconfirmed,
)
from parallel_integrations.models.task import TaskSettings
from parallel_integrations.models.task_group import AddedTaskGroupRuns

T = TypeVar("T")

log = logging.getLogger("parallel_integrations")

GROUPS_READ_AHEAD: Final = 16
"""How far rows are read ahead of the oldest that is not finished, in groups."""
MAX_LOST_RESPONSES: Final = 3
"""Responses to a create that are lost in a row before that stops the run."""
RATE_LIMIT_PAUSE_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 2.0
MAX_PAUSE_SECONDS: Final = 30.0
SEND_TIMEOUT_SECONDS: Final = 300.0
"""How long a rate limit or an outage is waited out where rows are sent."""
MAX_GROUPS_NAMED: Final = 8
MIN_GAP_SECONDS: Final = 0.001
LAST_POLL_SECONDS: Final = 5.0
"""How long after the deadline a last poll may take."""
MIN_TIMEOUT_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and for how long; `enrich` explains them."""

    rows_per_group: int
    groups_in_flight: int
    deadline_seconds: float
    settle_seconds: float
    num_rows: float


class Engine:
    """One run of an enrichment."""

    def __init__(
        self,
        rows: RowQueue,
        journal: Journal,
        settings: TaskSettings,
        budget: Budget,
        limits: Limits,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._settings = settings
        self._budget = budget
        self._limits = limits
        self._deadline = time.monotonic() + limits.deadline_seconds
        self._batches: list[SubmittedBatch] = []
        self._num_completed = journal.num_completed()
        self._num_uncertain = journal.num_given_up  # runs without an output that may be paid for
        self._may_pay_again: set[int] = set()
        self._last_read = -inf
        self._has_responded = False
        self._lost_responses = 0
        self._error: errors.ParallelError | None = None

    def steps(self, *, retry_failed: bool) -> Stream[EnrichedRow | EnrichmentProgress]:
        """Run to the end, as a stream of finished rows and of progress.

        An error that concerns all rows ends the submission, not the run: what is in flight is paid
        for, and is read before the error is raised.
        """
        limits = self._limits
        read_ahead = limits.rows_per_group * max(GROUPS_READ_AHEAD, limits.groups_in_flight + 1)
        if retry_failed:
            self._may_pay_again = {
                task for task in self._journal.unreadable if task < self._limits.num_rows
            }
        self._rows.open(retry_failed=retry_failed)
        self._resume()
        yield Emit(self._progress())
        while True:
            if self._error is None:
                self._rows.read(limits.rows_per_group, read_ahead)
            max_rows = self._max_rows_to_submit()
            if max_rows:
                try:
                    yield from self._submit(self._rows.first(max_rows))
                except errors.ParallelError as error:
                    self._error = error
            for row in self._rows.finished_rows():
                yield Emit(row)
            if not max_rows:
                self._journal.flush()
                if self._batches:
                    yield from self._poll()
                elif self._error is not None or self._rows.is_done:
                    break
            yield Emit(self._progress())
        if self._error is not None:
            raise self._error
        self._rows.finish()
        yield Emit(self._progress())

    def _resume(self) -> None:
        # An add of the run before was sent before this moment, and may still arrive.
        settled = time.monotonic() + self._limits.settle_seconds
        for batch in self._journal.unfinished_batches():
            self._rows.resume(batch)
            unconfirmed = None if batch.is_confirmed else Unconfirmed(settled)
            self._batches.append(SubmittedBatch(batch, unconfirmed))

    def _max_rows_to_submit(self) -> int:
        """How many rows may be sent now: one group at most, 0 where a batch has to end before."""
        is_full = len(self._batches) >= self._limits.groups_in_flight
        if not self._rows.queue or is_full or self._error is not None:
            return 0
        remaining = self._budget.remaining_runs(self._num_paid)
        if not remaining and not self._batches:
            # Not before the last batch has ended: its failed runs are free.
            self._rows.stop_submitting()
        return int(min(remaining, self._limits.rows_per_group))

    @property
    def _num_paid(self) -> int:
        """Runs that are paid for, will be, or may be."""
        return self._num_completed + len(self._rows.in_flight) + self._num_uncertain

    def _submit(self, rows: list[PendingRow]) -> Generator[Send | More, Any, None]:
        """Send rows to a new group.

        The group comes first, which is free; the journal then records group and rows; only then are
        the rows added, which is paid. Killed anywhere, the next run lists what that group holds.
        """
        # Built before the journal records it: an invalid request raises here, and nothing is sent.
        request = runs_to_add(
            numbered_requests((row.input for row in rows), self._settings), self._settings
        )
        # Where nothing has responded yet, an address that cannot be reached is most likely wrong.
        unreachable = (errors.ConnectionFailedError,) if self._has_responded else ()
        group = yield from self._repeat(
            create_task_group, errors.ServerError, errors.RequestTimeoutError, *unreachable
        )
        batch = self._rows.submit(rows, group.taskgroup_id)

        def add() -> Flow[AddedTaskGroupRuns]:
            return add_task_group_runs(group.taskgroup_id, request, refresh_status=False)

        try:
            yield from self._repeat(add)
        except (
            errors.ConnectionFailedError,
            errors.RequestTimeoutError,
            errors.UnexpectedAnswerError,
            errors.StatusError,
        ) as error:
            if isinstance(error, errors.StatusError) and error.status < 500 and error.status != 408:
                # Refused: the API executed nothing, so nothing can arrive later.
                self._rows.queue_again(batch.tasks.values())
                raise
            self._lost_responses += 1
            settle_seconds = self._limits.settle_seconds
            if self._lost_responses >= MAX_LOST_RESPONSES:
                settle_seconds = inf  # something is wrong: to send again would go on for ever
            unconfirmed = Unconfirmed(time.monotonic() + settle_seconds, error)
            self._batches.append(SubmittedBatch(batch, unconfirmed))
        else:
            self._lost_responses = 0
            self._journal.confirm(batch)
            self._batches.append(SubmittedBatch(batch, pause=polling.FIRST_POLL_SECONDS))

    def _repeat(self, make: Callable[[], Flow[T]], *free: type[errors.ParallelError]) -> Flow[T]:
        """Wait out rate limits, and repeat after the errors that can have cost nothing (`free`)."""
        latest = min(self._deadline, time.monotonic() + SEND_TIMEOUT_SECONDS)
        wait, failures = 0.0, 0
        while True:
            try:
                made = yield from delayed(make(), wait)
            except errors.RateLimitError as error:
                wait = RATE_LIMIT_PAUSE_SECONDS if error.retry_after is None else error.retry_after
                if wait > RETRY_AFTER_CAP_SECONDS or time.monotonic() + wait > latest:
                    raise
            except free:
                failures += 1
                wait = min(FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), MAX_PAUSE_SECONDS)
                # An address that never responded is not waited for as long as one that did.
                has_time = self._has_responded and time.monotonic() + wait <= latest
                if failures >= MAX_LOST_RESPONSES and not has_time:
                    raise
            else:
                self._has_responded = True
                return made

    def _poll(self) -> Generator[Send | More, Any, None]:
        """Poll the batch that is due next, and take what it found."""
        batch = min(self._batches, key=lambda each: each.due)
        was_unconfirmed = batch.unconfirmed is not None
        wait = min(batch.due, self._deadline) - time.monotonic()
        lost: list[int] = []
        try:
            lost = yield from until(self._deadline, batch.poll(wait))
        except DeadlinePassedError:
            pass
        finally:
            # However the poll ends: what it has read is paid for, and recorded.
            self._settle(batch.take_outcomes())
        if batch.submit_error is not None:
            self._batches.remove(batch)
            self._error = self._error or batch.submit_error
            return
        if batch.read_failure is not None:
            self._wait_or_give_up(batch, batch.read_failure)
        else:
            self._last_read = time.monotonic()
            self._has_responded = True
        if lost:
            self._rows.queue_again(lost)
        if not batch.batch.tasks:
            self._batches.remove(batch)
            return
        if was_unconfirmed and batch.unconfirmed is None:
            self._journal.confirm(batch.batch)
        if time.monotonic() >= self._deadline:
            raise self._late(batch, f"after {self._limits.deadline_seconds:g} s")

    def _wait_or_give_up(self, batch: SubmittedBatch, failure: ReadFailure) -> None:
        """Wait for a group that cannot be read; give it up where it is the only one."""
        if isinstance(failure.error, errors.RateLimitError):
            # The limit is the key's, not the group's; the others come first when it is over.
            for other in self._batches:
                if other is not batch:
                    other.due = max(other.due, batch.due - MIN_GAP_SECONDS)
        timeout = submitted_batches.READ_TIMEOUT_SECONDS
        if time.monotonic() - failure.since < timeout:
            return
        if self._last_read <= failure.since:
            late = self._late(batch, f"and cannot be read since {timeout:g} s")
            raise late from failure.error
        batch.give_up(failure.error)
        self._settle(batch.take_outcomes())

    def _late(self, batch: SubmittedBatch, why: str) -> errors.TaskTimeoutError:
        last = f" The last error: {batch.read_failure.error}." if batch.read_failure else ""
        error = errors.TaskTimeoutError(
            f"{counted(len(self._rows.in_flight), 'row is', 'rows are')} not done {why}.{last} The "
            f"work goes on, in the task {self._groups()}: with a journal, the same call waits for "
            "it."
        )
        error.taskgroup_id = batch.batch.taskgroup_id
        return error

    def _groups(self) -> str:
        groups = [each.batch.taskgroup_id for each in self._batches]
        more = f" and {len(groups) - MAX_GROUPS_NAMED} more" * (len(groups) > MAX_GROUPS_NAMED)
        names = "group" if len(groups) == 1 else "groups"
        return f"{names} {', '.join(groups[:MAX_GROUPS_NAMED])}{more}"

    def log_unfinished(self) -> None:
        """Name in the log what goes on, where no journal holds it and no error names it."""
        if self._batches:
            log.warning(
                "%s not done and no longer waited for: task_group_runs(…) lists the runs of the "
                "task %s",
                counted(len(self._rows.in_flight), "row is", "rows are"),
                self._groups(),
            )

    def _settle(self, outcomes: Mapping[int, Outcome]) -> None:
        again = self._tasks_to_pay_again(outcomes)
        outcomes = {task: each for task, each in outcomes.items() if task not in again}
        self._rows.settle(outcomes)
        self._num_completed += sum(each.output is not None for each in outcomes.values())
        unreadable = [each for each in outcomes.values() if each.state is OutcomeState.UNREADABLE]
        self._num_uncertain += len(unreadable) + len(again)
        if again:
            self._rows.queue_again(again, given_up=True)

    def _tasks_to_pay_again(self, outcomes: Mapping[int, Outcome]) -> list[int]:
        """Tasks that no run could read, and that `retry_failed` allows to pay again."""
        unreadable = [
            task
            for task, each in outcomes.items()
            if each.state is OutcomeState.UNREADABLE and task in self._may_pay_again
        ]
        self._may_pay_again.difference_update(outcomes)
        if self._error is not None or not self._rows.accepts_more:
            return []
        remaining = self._budget.remaining_runs(self._num_paid) - len(self._rows.queue)
        return unreadable[: int(max(0, min(remaining, len(unreadable))))]

    def _progress(self) -> EnrichmentProgress:
        progress = self._rows.progress()
        progress.cost_usd = self._budget.usd(self._num_completed)
        to_submit = min(self._rows.max_unsent, self._budget.remaining_runs(self._num_paid))
        if progress.total is not None:
            progress.remaining_runs = progress.in_flight + int(to_submit)
        progress.reserved_usd = self._budget.usd(progress.in_flight + self._num_uncertain)
        if progress.total is not None:
            progress.max_usd = self._budget.max_usd(self._num_paid + self._rows.max_unsent)
        for batch in self._batches:
            if batch.read_failure is not None:
                error = batch.read_failure.error
                status = f" {error.status}" if isinstance(error, errors.StatusError) else ""
                progress.waiting_reason = f"{type(error).__name__}{status}"
                break
        return progress


class DeadlinePassedError(Exception):
    """The deadline passed before the steps came to their end; they were closed."""


def until(deadline: float, steps: Generator[Send | More, Any, T]) -> Generator[Send | More, Any, T]:
    """The same steps, none of which waits beyond a deadline, however long a server takes.

    Args:
        deadline: By the monotonic clock.
        steps: The steps.

    Raises:
        DeadlinePassedError: There is no time left for the next step.
    """

    def limited(step: Send | More) -> Generator[Send | More, Any, Any]:
        now = time.monotonic()
        left = deadline + LAST_POLL_SECONDS - now
        if left <= 0:
            raise DeadlinePassedError
        if isinstance(step, Send):
            delay = min(step.delay_seconds, max(0.0, deadline - now))
            timeout = min(step.timeout_seconds, max(left - delay, MIN_TIMEOUT_SECONDS))
            step = replace(step, delay_seconds=delay, timeout_seconds=timeout)
        return (yield step)

    return relay(steps, limited)
