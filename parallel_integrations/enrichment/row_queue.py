"""Row queue of a run: reads rows ahead within bounds, and yields them finished and in order."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from parallel_integrations.enrichment.journal import Batch, Journal, KnownTask, Outcome
from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.rows import NumberedRow, numbered

MAX_ROWS: Final = 2**63 - 1  # what SQLite compares with
MAX_ROWS_AT_ONCE: Final = 500
"""How many rows are looked for in the journal by one query."""


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A row that was read and not yielded yet; `task` is the number of the first row like it."""

    number: int
    given: str | dict[str, Any]
    input: str | dict[str, Any]
    key: bytes
    task: int


class RowQueue:
    """The rows of a run and where their tasks are: queued, in flight, or with an outcome.

    Args:
        source: Gives the rows.
        journal: Knows those of earlier runs, and records what happens to tasks.
        schema: What the outputs are read into.
        columns: The fields that are sent; None sends all.
        limit: How many rows at most are read, the first; None reads all.

    Attributes:
        total: How many rows there are; None while that is not known.
        queue: Tasks to send, in order, with the row to send for each.
        in_flight: Tasks that were sent, or may have been, and have no outcome.
        accepts_more: False once what is not sent will not be sent in this run.
    """

    def __init__(
        self,
        source: Iterable[Any],
        journal: Journal,
        schema: object,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> None:
        self.total: int | None = None
        self.queue: dict[int, PendingRow] = {}
        self.in_flight: set[int] = set()
        self.accepts_more = True
        self._journal = journal
        self._source = source
        self._schema = schema
        self._columns = columns
        self._limit = limit
        self._rows: Iterator[NumberedRow] = iter(())
        self._all_read = False
        self._num_read = 0
        self._num_unread_tasks = 0
        self._pending: deque[PendingRow] = deque()
        self._num_waiting: Counter[int] = Counter()  # pending rows of a task
        self._outcomes: dict[int, Outcome] = {}
        self._queued_keys: dict[bytes, int] = {}
        self._recorded: set[int] = set()  # tasks of the queue that the journal has already
        self._unrecorded: deque[tuple[int, int]] = deque()  # rows that it has not yet
        self._num_yielded = self._num_failed = self._num_not_submitted = 0

    def open(self, *, retry_failed: bool) -> None:
        """Begin to read; what can be iterated twice is checked whole before anything is sent."""
        if iter(self._source) is not self._source:
            total = 0
            for row in numbered(self._source, self._columns):
                self._journal.check_row(row.number, row.key)
                total = row.number + 1
            self._journal.check_total(total)
            self.total = total if self._limit is None else min(total, self._limit)
        limit = MAX_ROWS if self._limit is None else self._limit
        if retry_failed:
            self._journal.retry_failed(limit)
        new = max(0, (self.total or 0) - self._journal.num_rows)
        self._num_unread_tasks = new + self._journal.num_unsent_rows(limit)
        self._rows = numbered(islice(self._source, self._limit), self._columns)

    @property
    def is_done(self) -> bool:
        """Whether every row was yielded."""
        return self._all_read and not self._pending

    @property
    def max_unsent(self) -> int:
        """How many tasks there are still to send, rows not read yet counted as one each."""
        return self._num_unread_tasks + len(self.queue)

    def read(self, max_queued: int, max_pending: int) -> None:
        """Read until so many tasks are queued, or so many rows wait to be yielded."""
        while not self._all_read:
            count = min(
                max_queued - len(self.queue), max_pending - len(self._pending), MAX_ROWS_AT_ONCE
            )
            if count <= 0:
                return
            found = list(islice(self._rows, count))
            self._add(found)
            if len(found) < count:
                self._all_read = True
                if self._limit is None:
                    self._journal.check_total(self._num_read)

    def _add(self, rows: list[NumberedRow]) -> None:
        recorded = {row.number: self._journal.check_row(row.number, row.key) for row in rows}
        # The journal does not have queued tasks, so it cannot find the rows like them.
        found = self._journal.find(
            [
                row.key
                for row in rows
                if not recorded[row.number] and row.key not in self._queued_keys
            ]
        )
        for row in rows:
            self._add_row(row, recorded[row.number], found.get(row.key))

    def _add_row(
        self, read: NumberedRow, recorded: KnownTask | None, found: KnownTask | None
    ) -> None:
        number, given, row_input, key = read
        self._num_read = number + 1
        task = self._queued_keys.get(key)
        known = None if task is not None else recorded or found
        if known is not None:
            task = known.task
        row = PendingRow(number, given, row_input, key, number if task is None else task)
        self._pending.append(row)
        self._num_waiting[row.task] += 1
        if recorded is None and self.accepts_more:
            self._unrecorded.append((number, row.task))
        if row.task in self.queue or (known is not None and known.is_sent):
            if recorded is None or row.task in self.queue:
                self._num_unread_tasks -= 1  # it was counted as if it differed from all others
        elif self.accepts_more:
            self._num_unread_tasks -= 1
            self._enqueue(row, recorded=known is not None)

    def _enqueue(self, row: PendingRow, *, recorded: bool) -> None:
        self.queue[row.task] = row
        if recorded:
            self._recorded.add(row.task)
        self._queued_keys[row.key] = row.task

    def first(self, max_rows: int) -> list[PendingRow]:
        """The first rows of the queue."""
        return list(islice(self.queue.values(), max_rows))

    def submit(self, rows: list[PendingRow], taskgroup_id: str) -> Batch:
        """Record, before they are sent, that queued rows are sent to a task group."""
        for row in rows:
            del self.queue[row.task]
            self._recorded.discard(row.task)
            self._queued_keys.pop(row.key, None)
        batch = self._journal.add_batch(
            taskgroup_id, [(row.task, row.key) for row in rows], self._recordable_repeats()
        )
        self.in_flight.update(batch.tasks.values())
        return batch

    def resume(self, batch: Batch) -> None:
        """Take over a batch of an earlier run."""
        self.in_flight.update(batch.tasks.values())

    def _recordable_repeats(self) -> Iterator[tuple[int, int]]:
        # In order, so that the recorded rows are always the beginning of the input: the next run
        # compares them by their number, and takes all that follow for new.
        while self._unrecorded:
            number, task = self._unrecorded[0]
            if task in self.queue and task not in self._recorded:
                return
            self._unrecorded.popleft()
            if number != task:
                yield number, task

    def queue_again(self, tasks: Iterable[int], *, given_up: bool = False) -> None:
        """Put tasks back that were not sent, or (`given_up`) that are to be paid again."""
        again = set(tasks)
        self._journal.mark_unsent(list(again), given_up=given_up)
        self.in_flight -= again
        for row in self._pending:
            if row.task in again:
                again.remove(row.task)
                self._enqueue(row, recorded=True)
        self._num_unread_tasks += len(again)  # those of an earlier run, queued when they are read

    def stop_submitting(self) -> None:
        """Leave unsent what is unsent."""
        self.accepts_more = False
        self._num_unread_tasks += len(self.queue)
        self.queue.clear()
        self._recorded.clear()
        self._queued_keys.clear()
        self._unrecorded.clear()

    def settle(self, outcomes: Mapping[int, Outcome]) -> None:
        """Take the outcomes of tasks."""
        self._journal.record(outcomes)
        self.in_flight.difference_update(outcomes)
        self._outcomes.update(
            (task, outcome) for task, outcome in outcomes.items() if task in self._num_waiting
        )

    def finished_rows(self) -> Iterator[EnrichedRow]:
        """The rows that come next, as far as they are finished."""
        while self._pending:
            row = self._pending[0]
            if row.task in self.in_flight or row.task in self.queue:
                return
            outcome = self._outcomes.get(row.task) or self._journal.outcome(row.task)
            self._pending.popleft()
            self._num_waiting[row.task] -= 1
            if not self._num_waiting[row.task]:
                del self._num_waiting[row.task]
                self._outcomes.pop(row.task, None)
            yield self._result(row, outcome)

    def _result(self, row: PendingRow, outcome: Outcome | None) -> EnrichedRow:
        if outcome is None:
            self._num_not_submitted += 1
            reason = "not submitted: one more row could cost more than max_cost_usd"
            return EnrichedRow(number=row.number, input=row.given, error=reason, submitted=False)
        self._num_yielded += 1
        self._num_failed += outcome.output is None
        return EnrichedRow(
            number=row.number,
            input=row.given,
            output=outcome.output,
            error=outcome.error,
            run_id=outcome.run_id,
            taskgroup_id=outcome.taskgroup_id,
        ).fit(self._schema)

    def finish(self) -> None:
        """Record that this was the whole input, if all of it was read and submitted."""
        if self.accepts_more:
            self._journal.add_repeats(self._recordable_repeats())
        # An input without rows binds no journal: its rows may come tomorrow.
        if self._limit is None and 0 < self._num_read == self._journal.num_rows:
            self._journal.finish(self._num_read)
        self.total = self._num_read

    def progress(self) -> EnrichmentProgress:
        """How many rows are finished, or in flight."""
        failed = [
            outcome.output is None
            for row in self._pending
            if (outcome := self._outcomes.get(row.task))
        ]
        return EnrichmentProgress(
            finished=self._num_yielded + len(failed),
            failed=self._num_failed + sum(failed),
            not_submitted=self._num_not_submitted,
            total=self.total,
            in_flight=len(self.in_flight),
        )
