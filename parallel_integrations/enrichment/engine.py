"""The loop of a run: send what is read, look at what was sent, tell what is finished."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, TypeVar

from parallel_integrations.api import polling
from parallel_integrations.api.errors import (
    ConnectionFailedError,
    ParallelError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    TaskTimeoutError,
    UnexpectedAnswerError,
)
from parallel_integrations.api.flow import Emit, Flow, More, Send, Stream, delayed
from parallel_integrations.api.retries import RETRY_AFTER_CAP_SECONDS
from parallel_integrations.api.task_group_run import numbered_requests, runs_to_add
from parallel_integrations.api.task_group_types import AddedTaskGroupRuns
from parallel_integrations.api.task_groups import add_task_group_runs, create_task_group
from parallel_integrations.api.task_requests import TaskSettings
from parallel_integrations.enrichment.budget import Budget
from parallel_integrations.enrichment.flights import Doubt, Flight
from parallel_integrations.enrichment.intake import Intake, Pending
from parallel_integrations.enrichment.journal_entries import Outcome
from parallel_integrations.enrichment.types import EnrichedRow, EnrichmentProgress

T = TypeVar("T")

GROUPS_READ_AHEAD: Final = 16
"""How far rows are read ahead of the oldest that is not finished, in groups."""
MOST_LOST_ANSWERS: Final = 3
"""Answers to a create lost in a row before that stops the run."""
RATE_LIMIT_PAUSE_SECONDS: Final = 10.0
RATE_LIMIT_PATIENCE_SECONDS: Final = 300.0


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
        intake: The rows, and through it the journal.
        settings: How tasks are done.
        budget: How many may be.
        limits: How much at once, and for how long.
    """

    def __init__(
        self, intake: Intake, settings: TaskSettings, budget: Budget, limits: Limits
    ) -> None:
        self._intake = intake
        self._journal = intake.journal
        self._settings = settings
        self._budget = budget
        self._limits = limits
        self._until = time.monotonic() + limits.deadline_seconds
        self._flights: list[Flight] = []
        self._out: set[int] = set()
        self._done = 0
        self._lost_answers = 0
        self._error: ParallelError | None = None

    def steps(self, *, retry_failed: bool) -> Stream[EnrichedRow | EnrichmentProgress]:
        """The run, as a stream of its rows and its progress."""
        limits = self._limits
        read_ahead = limits.rows_per_group * max(GROUPS_READ_AHEAD, limits.groups_in_flight + 1)
        self._intake.open(retry_failed=retry_failed)
        self._resume()
        yield Emit(self._progress())
        while True:
            if self._error is None:
                self._intake.read(limits.rows_per_group, read_ahead)
            sent = yield from self._send_queue()
            for row in self._intake.ready(self._out):
                yield Emit(row)
            if not sent:
                self._journal.flush()
            if not sent and self._flights:
                yield from self._look()
            elif not sent and (self._error is not None or self._intake.is_done):
                break
            yield Emit(self._progress())
        if self._error is not None:
            raise self._error
        self._intake.finish()
        yield Emit(self._progress())

    def _resume(self) -> None:
        self._done = self._journal.num_done()
        # Whatever the run before this one sent, it sent before this moment.
        settled = time.monotonic() + self._limits.settle_seconds
        for chunk in self._journal.chunks():
            self._flights.append(Flight(chunk, None if chunk.sent else Doubt(settled)))
            self._out.update(chunk.tasks.values())

    def _send_queue(self) -> Generator[Send | More, Any, bool]:
        """Send what waits, as far as may be; tells whether there was something."""
        free = len(self._flights) < self._limits.groups_in_flight
        if not self._intake.queue or not free or self._error is not None:
            return False
        room = self._budget.room(self._done + len(self._out))
        if room:
            most = int(min(room, self._limits.rows_per_group))
            try:
                yield from self._send(self._intake.next_to_send(most))
            except ParallelError as error:
                self._error = error
        elif not self._flights:  # with runs in flight some may fail, which leaves room
            self._intake.ask_no_more()
        else:
            return False
        return True

    def _send(self, rows: list[Pending]) -> Generator[Send | More, Any, None]:
        # Made before it is noted that they are sent: nothing can refuse them after that.
        request = runs_to_add(
            numbered_requests((row.asked for row in rows), self._settings), self._settings
        )
        group = yield from self._patiently(create_task_group, ServerError, RequestTimeoutError)
        chunk = self._journal.begin(
            group.taskgroup_id,
            [(row.task, row.key) for row in rows],
            self._intake.sending(rows),
        )
        tasks = list(chunk.tasks.values())
        self._out.update(tasks)

        def add() -> Flow[AddedTaskGroupRuns]:
            return add_task_group_runs(group.taskgroup_id, request, refresh_status=False)

        try:
            yield from self._patiently(add)
        except (
            ConnectionFailedError,
            RequestTimeoutError,
            UnexpectedAnswerError,
            StatusError,
        ) as error:
            if _is_refusal(error):
                self._take_back(tasks)
                raise
            self._lost_answers += 1
            patience = self._limits.settle_seconds
            if self._lost_answers >= MOST_LOST_ANSWERS:
                patience = inf
            self._flights.append(Flight(chunk, Doubt(time.monotonic() + patience, error)))
        else:
            self._lost_answers = 0
            self._flights.append(Flight(chunk, pause=polling.FIRST_POLL_SECONDS))
            self._journal.mark_sent(chunk)

    def _patiently(self, make: Callable[[], Flow[T]], *harmless: type[ParallelError]) -> Flow[T]:
        """Wait out rate limits, and repeat what costs nothing."""
        began = time.monotonic()
        wait, mishaps = 0.0, 0
        while True:
            try:
                return (yield from delayed(make(), wait))
            except RateLimitError as error:
                wait = RATE_LIMIT_PAUSE_SECONDS if error.retry_after is None else error.retry_after
                ends = time.monotonic() + wait
                latest = min(self._until, began + RATE_LIMIT_PATIENCE_SECONDS)
                if wait > RETRY_AFTER_CAP_SECONDS or ends > latest:
                    raise
            except harmless:
                mishaps += 1
                if mishaps >= MOST_LOST_ANSWERS:
                    raise
                wait = 2.0**mishaps

    def _look(self) -> Generator[Send | More, Any, None]:
        """Look at the group whose turn it is."""
        flight = min(self._flights, key=lambda each: each.due)
        doubt = flight.doubt
        wait = min(flight.due, self._until) - time.monotonic()
        try:
            lost = yield from flight.look(wait, self._settle)
        except ParallelError as error:
            if doubt is None or error is not doubt.error:
                raise
            # What else is in flight is still waited for.
            self._flights.remove(flight)
            self._error = self._error or error
            return
        if lost:
            self._take_back(lost)
            self._intake.send_again(lost)
        if not flight.chunk.tasks:
            self._flights.remove(flight)
        elif doubt is not None and flight.doubt is None:
            self._journal.mark_sent(flight.chunk)
        if flight.chunk.tasks and time.monotonic() >= self._until:
            late = TaskTimeoutError(
                f"{len(self._out)} rows are not done after {self._limits.deadline_seconds:g} s. "
                "They go on: with a journal, the same call waits for them."
            )
            late.taskgroup_id = flight.chunk.taskgroup_id
            raise late

    def _settle(self, outcomes: Mapping[int, Outcome]) -> None:
        self._journal.settle(outcomes)
        self._out.difference_update(outcomes)
        self._done += sum(each.output is not None for each in outcomes.values())
        self._intake.settle(outcomes)

    def _take_back(self, tasks: list[int]) -> None:
        self._journal.take_back(tasks)
        self._out.difference_update(tasks)
        self._intake.may_ask += len(tasks)

    def _progress(self) -> EnrichmentProgress:
        progress = self._intake.progress()
        runs = self._done + len(self._out)
        progress.in_flight = len(self._out)
        progress.cost_usd = self._budget.usd(self._done)
        progress.reserved_usd = self._budget.usd(len(self._out))
        if progress.total is not None:
            progress.most_usd = self._budget.most_usd(runs + self._intake.may_ask)
        return progress


def _is_refusal(error: ParallelError) -> bool:
    """Whether nothing was executed, so that nothing can be on its way."""
    return isinstance(error, StatusError) and error.status < 500 and error.status != 408
