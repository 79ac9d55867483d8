"""The loop of a run: send what is read, look at what was sent, tell what is finished."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, TypeVar

from parallel_integrations._protocol import polling
from parallel_integrations._protocol.flow import Emit, Flow, More, Send, Stream, delayed
from parallel_integrations._protocol.retry import RETRY_AFTER_CAP_SECONDS
from parallel_integrations.api.task_groups import (
    add_task_group_runs,
    create_task_group,
    numbered_requests,
    runs_to_add,
)
from parallel_integrations.enrichment import submitted_batches
from parallel_integrations.enrichment.budget import Budget
from parallel_integrations.enrichment.deadline import DeadlinePassedError, until
from parallel_integrations.enrichment.journal import Ending, Outcome
from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.row_queue import Pending, RowQueue
from parallel_integrations.enrichment.submitted_batches import SubmittedBatch, Trouble, Unconfirmed
from parallel_integrations.errors import (
    ConnectionFailedError,
    ParallelError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    TaskTimeoutError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.task import TaskSettings
from parallel_integrations.models.task_group import AddedTaskGroupRuns

T = TypeVar("T")

GROUPS_READ_AHEAD: Final = 16
"""How far rows are read ahead of the oldest that is not finished, in groups."""
MAX_LOST_RESPONSES: Final = 3
"""Answers to a create lost in a row before that stops the run."""
RATE_LIMIT_PAUSE_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 2.0
MAX_PAUSE_SECONDS: Final = 30.0
SEND_TIMEOUT_SECONDS: Final = 300.0
"""How long a rate limit or an outage is waited out where rows are sent."""
GROUPS_NAMED: Final = 8
AHEAD_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and for how long; `enrich` explains them."""

    rows_per_group: int
    groups_in_flight: int
    deadline_seconds: float
    settle_seconds: float


class Engine:
    """One run.

    Args:
        row_queue: The rows, and through it the journal.
        settings: How tasks are done.
        budget: How many may be.
        limits: How much at once, and for how long.
    """

    def __init__(
        self, row_queue: RowQueue, settings: TaskSettings, budget: Budget, limits: Limits
    ) -> None:
        self._row_queue = row_queue
        self._journal = row_queue.journal
        self._settings = settings
        self._budget = budget
        self._limits = limits
        self._until = time.monotonic() + limits.deadline_seconds
        self._batches: list[SubmittedBatch] = []
        self._out: set[int] = set()
        self._done = 0
        self._uncertain = self._journal.num_given_up  # runs that may be paid for
        self._may_pay_again: set[int] = set()
        self._last_read = -inf
        self._has_answered = False
        self._lost_responses = 0
        self._error: ParallelError | None = None

    def steps(self, *, retry_failed: bool) -> Stream[EnrichedRow | EnrichmentProgress]:
        """The run, as a stream of its rows and its progress."""
        limits = self._limits
        read_ahead = limits.rows_per_group * max(GROUPS_READ_AHEAD, limits.groups_in_flight + 1)
        if retry_failed:
            self._may_pay_again = set(self._journal.unread)
        self._row_queue.open(retry_failed=retry_failed)
        self._resume()
        yield Emit(self._progress())
        while True:
            if self._error is None:
                self._row_queue.read(limits.rows_per_group, read_ahead)
            sent = yield from self._send_queue()
            for row in self._row_queue.ready(self._out):
                yield Emit(row)
            if not sent:
                self._journal.flush()
            if not sent and self._batches:
                yield from self._look()
            elif not sent and (self._error is not None or self._row_queue.is_done):
                break
            yield Emit(self._progress())
        if self._error is not None:
            raise self._error
        self._row_queue.finish()
        yield Emit(self._progress())

    def _resume(self) -> None:
        self._done = self._journal.num_done()
        # Whatever the run before this one sent, it sent before this moment.
        settled = time.monotonic() + self._limits.settle_seconds
        for chunk in self._journal.chunks():
            self._batches.append(
                SubmittedBatch(chunk, None if chunk.sent else Unconfirmed(settled))
            )
            self._out.update(chunk.tasks.values())

    def _send_queue(self) -> Generator[Send | More, Any, bool]:
        """Send what waits, as far as may be; tells whether there was something."""
        free = len(self._batches) < self._limits.groups_in_flight
        if not self._row_queue.queue or not free or self._error is not None:
            return False
        remaining = self._budget.remaining_runs(self._runs)
        if remaining:
            max_rows = int(min(remaining, self._limits.rows_per_group))
            try:
                yield from self._send(self._row_queue.next_to_send(max_rows))
            except ParallelError as error:
                self._error = error
        elif not self._batches:  # with runs in flight some may fail, which leaves room
            self._row_queue.stop_submitting()
        else:
            return False
        return True

    def _send(self, rows: list[Pending]) -> Generator[Send | More, Any, None]:
        # Made before it is noted that they are sent: nothing can refuse them after that.
        request = runs_to_add(
            numbered_requests((row.input for row in rows), self._settings), self._settings
        )
        # Where nothing has answered yet, an address that cannot be reached is most likely wrong.
        unreachable = (ConnectionFailedError,) if self._has_answered else ()
        group = yield from self._repeating(
            create_task_group, ServerError, RequestTimeoutError, *unreachable
        )
        chunk = self._journal.begin(
            group.taskgroup_id,
            [(row.task, row.key) for row in rows],
            self._row_queue.sending(rows),
        )
        tasks = list(chunk.tasks.values())
        self._out.update(tasks)

        def add() -> Flow[AddedTaskGroupRuns]:
            return add_task_group_runs(group.taskgroup_id, request, refresh_status=False)

        try:
            yield from self._repeating(add)
        except (
            ConnectionFailedError,
            RequestTimeoutError,
            UnexpectedAnswerError,
            StatusError,
        ) as error:
            if _is_refusal(error):
                self._take_back(tasks)
                raise
            self._lost_responses += 1
            settle_seconds = self._limits.settle_seconds
            if self._lost_responses >= MAX_LOST_RESPONSES:
                settle_seconds = inf
            self._batches.append(
                SubmittedBatch(chunk, Unconfirmed(time.monotonic() + settle_seconds, error))
            )
        else:
            self._lost_responses = 0
            self._batches.append(SubmittedBatch(chunk, pause=polling.FIRST_POLL_SECONDS))
            self._journal.mark_sent(chunk)

    def _repeating(self, make: Callable[[], Flow[T]], *harmless: type[ParallelError]) -> Flow[T]:
        """Wait out rate limits, and repeat what costs nothing."""
        latest = min(self._until, time.monotonic() + SEND_TIMEOUT_SECONDS)
        wait, failures = 0.0, 0
        while True:
            try:
                made = yield from delayed(make(), wait)
            except RateLimitError as error:
                wait = RATE_LIMIT_PAUSE_SECONDS if error.retry_after is None else error.retry_after
                if wait > RETRY_AFTER_CAP_SECONDS or time.monotonic() + wait > latest:
                    raise
            except harmless:
                failures += 1
                # An address that never answered is not waited for as long as one that did.
                wait = min(FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), MAX_PAUSE_SECONDS)
                if failures >= MAX_LOST_RESPONSES and not (
                    self._has_answered and time.monotonic() + wait <= latest
                ):
                    raise
            else:
                self._has_answered = True
                return made

    def _look(self) -> Generator[Send | More, Any, None]:
        """Look at the group whose turn it is."""
        batch = min(self._batches, key=lambda each: each.due)
        unconfirmed = batch.unconfirmed
        wait = min(batch.due, self._until) - time.monotonic()
        try:
            lost = yield from until(self._until, batch.look(wait, self._settle))
        except DeadlinePassedError:
            lost = []
        except ParallelError as error:
            if unconfirmed is None or error is not unconfirmed.error:
                raise
            # What else is in flight is still waited for.
            self._batches.remove(batch)
            self._error = self._error or error
            return
        if batch.trouble is not None:
            self._bear(batch, batch.trouble)
        else:
            self._last_read = time.monotonic()
            self._has_answered = True
        if lost:
            self._take_back(lost)
            self._row_queue.send_again(lost)
        if not batch.chunk.tasks:
            self._batches.remove(batch)
        elif unconfirmed is not None and batch.unconfirmed is None:
            self._journal.mark_sent(batch.chunk)
        if batch.chunk.tasks and time.monotonic() >= self._until:
            raise self._late(batch, f"after {self._limits.deadline_seconds:g} s")

    def _bear(self, batch: SubmittedBatch, trouble: Trouble) -> None:
        """Wait for a group that cannot be read, or give it up where only this one cannot."""
        if isinstance(trouble.error, RateLimitError):
            for other in self._batches:  # the limit is not the group's; the others come first
                if other is not batch:
                    other.due = max(other.due, batch.due - AHEAD_SECONDS)
        if time.monotonic() - trouble.since < submitted_batches.READ_TIMEOUT_SECONDS:
            return
        if self._last_read <= trouble.since:
            late = self._late(
                batch, f"and cannot be read since {submitted_batches.READ_TIMEOUT_SECONDS:g} s"
            )
            raise late from trouble.error
        batch.give_up(trouble.error, self._settle)

    def _late(self, batch: SubmittedBatch, why: str) -> TaskTimeoutError:
        groups = [each.chunk.taskgroup_id for each in self._batches]
        more = f" and {len(groups) - GROUPS_NAMED} more" if len(groups) > GROUPS_NAMED else ""
        trouble = f" The last answer: {batch.trouble.error}." if batch.trouble else ""
        error = TaskTimeoutError(
            f"{len(self._out)} rows are not done {why}.{trouble} They go on, in the task groups "
            f"{', '.join(groups[:GROUPS_NAMED])}{more}: with a journal, the same call waits for "
            "them."
        )
        error.taskgroup_id = batch.chunk.taskgroup_id
        return error

    @property
    def _runs(self) -> int:
        """Runs that are paid for, will be, or may be."""
        return self._done + len(self._out) + self._uncertain

    def _settle(self, outcomes: Mapping[int, Outcome]) -> None:
        again = self._to_pay_again(outcomes)
        outcomes = {task: each for task, each in outcomes.items() if task not in again}
        self._journal.settle(outcomes)
        self._out.difference_update(outcomes)
        self._done += sum(each.output is not None for each in outcomes.values())
        self._uncertain += sum(each.ending is Ending.UNREAD for each in outcomes.values())
        self._row_queue.settle(outcomes)
        if again:
            self._take_back(again, given_up=True)
            self._uncertain += len(again)
            self._row_queue.send_again(again)

    def _to_pay_again(self, outcomes: Mapping[int, Outcome]) -> list[int]:
        """Tasks that could not be read before and now, and that are to be asked anew then."""
        unread = [
            task
            for task, each in outcomes.items()
            if each.ending is Ending.UNREAD and task in self._may_pay_again
        ]
        self._may_pay_again.difference_update(outcomes)
        if self._error is not None or not self._row_queue.accepts_more:
            return []
        remaining = self._budget.remaining_runs(self._runs) - len(self._row_queue.queue)
        return unread[: int(max(0, min(remaining, len(unread))))]

    def _take_back(self, tasks: list[int], *, given_up: bool = False) -> None:
        self._journal.take_back(tasks, given_up=given_up)
        self._out.difference_update(tasks)
        self._row_queue.may_submit += len(tasks)

    def _progress(self) -> EnrichmentProgress:
        progress = self._row_queue.progress()
        progress.in_flight = len(self._out)
        progress.cost_usd = self._budget.usd(self._done)
        progress.reserved_usd = self._budget.usd(len(self._out) + self._uncertain)
        if progress.total is not None:
            progress.max_usd = self._budget.max_usd(self._runs + self._row_queue.may_submit)
        progress.trouble = next(
            (_name(each.trouble.error) for each in self._batches if each.trouble), None
        )
        return progress


def _name(error: ParallelError) -> str:
    status = f" {error.status}" if isinstance(error, StatusError) else ""
    return f"{type(error).__name__}{status}"


def _is_refusal(error: ParallelError) -> bool:
    """Whether nothing was executed, so that nothing can be on its way."""
    return isinstance(error, StatusError) and error.status < 500 and error.status != 408
