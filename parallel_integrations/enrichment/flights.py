"""A chunk on its way: how its group stands, which of its tasks have ended, which never arrived."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import isinf
from typing import Any, Final

from parallel_integrations.api import polling
from parallel_integrations.api.errors import JournalError, ParallelError, UnexpectedAnswerError
from parallel_integrations.api.events import StreamEvent, each
from parallel_integrations.api.flow import More, Send, delayed
from parallel_integrations.api.paths import carrying
from parallel_integrations.api.task_group_run import LOOKS_AFTER_SECONDS, run_number
from parallel_integrations.api.task_group_streams import task_group_runs
from parallel_integrations.api.task_group_types import TaskGroupStatus
from parallel_integrations.api.task_groups import retrieve_task_group
from parallel_integrations.api.task_types import TERMINAL, TaskRun, TaskRunStateEvent
from parallel_integrations.api.tasks import wait_task_run
from parallel_integrations.enrichment.journal_entries import Chunk, Outcome

SHARE_WORTH_LISTING: Final = 4
"""A group that is still at work is listed once a fourth of it is new: not at every look."""
LISTED_AFTER_SECONDS: Final = 30.0
"""Or once this long has passed with something new."""
LOOKS_AT_WHAT_LACKS: Final = 3
"""A listing may lag behind the status: what lacks is looked for so often before it counts."""
OUTPUT_SECONDS: Final = 60.0

Taken = Callable[[dict[int, Outcome]], None]


@dataclass(slots=True)
class Doubt:
    """A request without an answer may still be on its way.

    Attributes:
        until: When it counts as lost, by the monotonic clock; `inf`: never.
        error: What came instead of the answer; None where the process ended.
        looks: How often the group was looked at.
    """

    until: float
    error: ParallelError | None = None
    looks: int = 0


class Flight:
    """A chunk that its group may hold.

    Args:
        chunk: What was sent; its tasks go as they end.
        doubt: Whether it arrived is not known; None where it is.
        pause: Seconds until the first look.
    """

    def __init__(self, chunk: Chunk, doubt: Doubt | None = None, pause: float = 0.0) -> None:
        self.chunk = chunk
        self.doubt = doubt
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
            UnexpectedAnswerError: The group holds runs that do not say which task they belong to.
            ParallelError: What doubt began with, where nothing arrived and nothing may be resent.
        """
        with carrying(taskgroup_id=self.chunk.taskgroup_id):
            group = yield from delayed(retrieve_task_group(self.chunk.taskgroup_id), wait)
            self._pause = min(
                max(2 * self._pause, polling.FIRST_POLL_SECONDS), polling.LONGEST_POLL_SECONDS
            )
            try:
                if self.doubt is not None:
                    return (yield from self._resolve(self.doubt, group.status))
                yield from self._collect(group.status, take)
                return []
            finally:
                self.due = time.monotonic() + self._pause

    def _resolve(
        self, doubt: Doubt, status: TaskGroupStatus
    ) -> Generator[Send | More, Any, list[int]]:
        doubt.looks += 1
        settled = time.monotonic() >= doubt.until
        held: set[int | None] = set()
        if status.num_task_runs:

            def see(event: StreamEvent) -> None:
                if isinstance(event, TaskRunStateEvent):
                    held.add(run_number(event.run))

            yield from each(task_group_runs(self.chunk.taskgroup_id), see)
        if None in held:
            raise self._strangers()
        missing = self.chunk.tasks.keys() - held
        if missing and not settled:
            if isinf(doubt.until) and doubt.looks >= len(LOOKS_AFTER_SECONDS):
                raise doubt.error or JournalError(
                    "The run before this one ended while rows were being sent. Their group holds "
                    f"{len(held)} of {len(self.chunk.tasks)}, and settle_seconds=inf forbids to "
                    "send the rest again: give a number of seconds."
                )
            self._pause = min(
                LOOKS_AFTER_SECONDS[min(doubt.looks, len(LOOKS_AFTER_SECONDS) - 1)],
                max(0.0, doubt.until - time.monotonic()),
            )
            return []
        self.doubt = None
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
        if self.chunk.tasks and self._looks >= LOOKS_AT_WHAT_LACKS:
            if None in unfinished:
                raise self._strangers()
            self._take(take, {place: _lacking(unfinished.get(place)) for place in self.chunk.tasks})

    def _list(self, take: Taken) -> Generator[Send | More, Any, dict[int | None, TaskRun]]:
        """Take what ended from the listing; tells what has not, and runs without a number."""
        found: dict[int, Outcome] = {}
        unfinished: dict[int | None, TaskRun] = {}
        without_output: dict[int, TaskRun] = {}
        begins = True

        def see(event: StreamEvent) -> None:
            nonlocal begins
            if not isinstance(event, TaskRunStateEvent):
                return
            run, place = event.run, run_number(event.run)
            # What ended at the beginning need not be listed again.
            begins = begins and run.is_over and place is not None
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

        stream = task_group_runs(
            self.chunk.taskgroup_id, include_output=True, last_event_id=self._cursor
        )
        try:
            yield from each(stream, see)
            for place, run in without_output.items():
                if place not in found:
                    result = yield from wait_task_run(run.run_id)
                    event = TaskRunStateEvent(run=result.run, output=result.output)
                    found[place] = Outcome.of(event)
        finally:
            self._take(take, found)
        return unfinished

    def _take(self, take: Taken, found: dict[int, Outcome]) -> None:
        if found:
            take({self.chunk.tasks[place]: outcome for place, outcome in found.items()})
            for place in found:
                del self.chunk.tasks[place]

    def _strangers(self) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"Task group {self.chunk.taskgroup_id} holds runs without the number that they were "
            "sent with, so no row can be told from another. Nothing is sent again."
        )


def _reason(run: TaskRun) -> str:
    return (run.error.message if run.error else "") or f"the run is {run.status}"


def _lacking(run: TaskRun | None) -> Outcome:
    if run is None:
        return Outcome(None, error="the group holds no run for this row")
    return Outcome(
        run.run_id,
        error=f"the run is {run.status}, neither worked on nor over; retrying looks at it again",
        ended=False,
    )
