"""The rows of a run: read ahead within bounds, paid once where they are alike, told in order."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from parallel_integrations.enrichment.journal import Journal, Outcome, State
from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.rows import numbered


@dataclass(frozen=True, slots=True)
class Pending:
    """A row that was read and is not told yet.

    Attributes:
        number: Its number.
        input: What is sent for it.
        key: Key of that.
        task: The number of the first row that asks the same.
    """

    number: int
    input: str | dict[str, Any]
    key: bytes
    task: int


class RowQueue:
    """The rows of a run.

    Args:
        source: Gives them.
        journal: Knows those that were read before.
        schema: What the outputs are read into.

    Attributes:
        journal: The journal.
        all_read: Whether there are no more rows.
        total: How many there are; None while that is not known.
        may_submit: How many tasks there may still be to send, as far as the total is known.
        queue: Tasks to send, in order, with the row to send for each.
        accepts_more: False once what is not sent will not be sent in this run.
    """

    def __init__(self, source: Iterable[Any], journal: Journal, schema: object) -> None:
        self.journal = journal
        self.all_read = False
        self.total: int | None = None
        self.may_submit = 0
        self.queue: dict[int, Pending] = {}
        self.accepts_more = True
        self._source = source
        self._schema = schema
        self._rows: Iterator[tuple[int, str | dict[str, Any], bytes]] = iter(())
        self._pending: deque[Pending] = deque()
        self._wanted: Counter[int] = Counter()
        self._outcomes: dict[int, Outcome] = {}
        self._queued_keys: dict[bytes, int] = {}
        self._noted: set[int] = set()  # of the queue, tasks that the journal has already
        self._unnoted: deque[tuple[int, int]] = deque()
        self._num_read = 0
        self._num_reported = self._failed = self._num_not_submitted = 0

    def open(self, *, retry_failed: bool) -> None:
        """Go through all rows before anything is sent, where that can be done twice."""
        if iter(self._source) is not self._source:
            total = 0
            for number, _, key in numbered(self._source):
                self.journal.check_row(number, key)
                total = number + 1
            self.journal.check_end(total)
            self.total = total
        if retry_failed:
            self.journal.retry_failed()
        self.may_submit = (self.total or 0) - self.journal.num_rows + self.journal.num_unsent_rows()
        self._rows = numbered(self._source)

    @property
    def is_done(self) -> bool:
        """Whether every row was told."""
        return self.all_read and not self._pending

    def read(self, max_queued: int, max_pending: int) -> None:
        """Read until so many tasks are queued, or so many rows wait to be told."""
        while (
            not self.all_read and len(self.queue) < max_queued and len(self._pending) < max_pending
        ):
            found = next(self._rows, None)
            if found is None:
                self.all_read = True
                self.journal.check_end(self._num_read)
            else:
                self._take_in(*found)

    def _take_in(self, number: int, row_input: str | dict[str, Any], key: bytes) -> None:
        self._num_read = number + 1
        noted = self.journal.check_row(number, key)
        task = self._queued_keys.get(key)
        state: State | None = None
        if task is None and (known := noted or self.journal.find(key)):
            task, state = known.task, known.state
        row = Pending(number, row_input, key, number if task is None else task)
        self._pending.append(row)
        self._wanted[row.task] += 1
        if noted is None:
            self._unnoted.append((number, row.task))
        if row.task not in self.queue and (task is None or state is State.UNSENT):
            if self.accepts_more:
                self._enqueue(row, noted=task is not None)
        elif noted is None or row.task in self.queue:
            self.may_submit -= 1  # it was taken for a row that differs from all others

    def _enqueue(self, row: Pending, *, noted: bool) -> None:
        self.queue[row.task] = row
        if noted:
            self._noted.add(row.task)
        self._queued_keys[row.key] = row.task

    def next_to_send(self, max_rows: int) -> list[Pending]:
        """The first rows of the queue."""
        return list(islice(self.queue.values(), max_rows))

    def sending(self, rows: Iterable[Pending]) -> Iterator[tuple[int, int]]:
        """Take rows off the queue; gives row and task of repeats that can be noted with them."""
        for row in rows:
            del self.queue[row.task]
            self._noted.discard(row.task)
            self._queued_keys.pop(row.key, None)
            self.may_submit -= 1
        return self._notable()

    def _notable(self) -> Iterator[tuple[int, int]]:
        # Noted in order, so that what is noted is always the beginning of the input.
        while self._unnoted:
            number, task = self._unnoted[0]
            if task in self.queue and task not in self._noted:
                return
            self._unnoted.popleft()
            if number != task:
                yield number, task

    def send_again(self, tasks: Iterable[int]) -> None:
        """Put tasks back into the queue; those whose row is not read yet come with it."""
        again = set(tasks)
        for row in self._pending:
            if row.task in again:
                again.remove(row.task)
                self._enqueue(row, noted=True)

    def stop_submitting(self) -> None:
        """Leave unsent what is unsent."""
        self.accepts_more = False
        self.queue.clear()
        self._noted.clear()
        self._queued_keys.clear()
        self._unnoted.clear()

    def settle(self, outcomes: Mapping[int, Outcome]) -> None:
        """Take how tasks ended."""
        self._outcomes.update(
            (task, outcome) for task, outcome in outcomes.items() if task in self._wanted
        )

    def ready(self, out: set[int]) -> Iterator[EnrichedRow]:
        """The rows that come next, as far as they are finished.

        Args:
            out: Tasks in flight.
        """
        while self._pending:
            row = self._pending[0]
            if row.task in out or row.task in self.queue:
                return
            outcome = self._outcomes.get(row.task) or self.journal.outcome(row.task)
            if outcome is None and self.accepts_more:
                return
            self._pending.popleft()
            self._wanted[row.task] -= 1
            if not self._wanted[row.task]:
                del self._wanted[row.task]
                self._outcomes.pop(row.task, None)
            yield self._result(row, outcome)

    def _result(self, row: Pending, outcome: Outcome | None) -> EnrichedRow:
        if outcome is None:
            self._num_not_submitted += 1
            reason = "not asked: one more row could cost more than max_cost_usd"
            return EnrichedRow(number=row.number, input=row.input, error=reason, submitted=False)
        self._num_reported += 1
        self._failed += outcome.output is None
        return EnrichedRow(
            number=row.number,
            input=row.input,
            output=outcome.output,
            error=outcome.error,
            run_id=outcome.run_id,
            taskgroup_id=outcome.taskgroup_id,
        ).fit(self._schema)

    def finish(self) -> None:
        """Note that this was the whole input, if all of it was asked."""
        if self.accepts_more:
            self.journal.note_repeats(self._notable())
        if self.journal.num_rows == self._num_read:
            self.journal.finish(self._num_read)
        self.total = self._num_read

    def progress(self) -> EnrichmentProgress:
        """How many rows are finished."""
        ended = [
            outcome.output is None
            for row in self._pending
            if (outcome := self._outcomes.get(row.task))
        ]
        return EnrichmentProgress(
            finished=self._num_reported + len(ended),
            failed=self._failed + sum(ended),
            not_submitted=self._num_not_submitted,
            total=self.total,
        )
