"""What was asked, what it cost and what came back, written down before and after it is paid for."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from parallel_integrations.api.errors import JournalError
from parallel_integrations.api.task_types import TaskRunStateEvent
from parallel_integrations.enrichment.journal_entries import Chunk, Ending, Known, Outcome, State
from parallel_integrations.enrichment.journal_file import (
    COLUMNS,
    checksum,
    damaged,
    journal_errors,
    open_file,
    read_rows,
)
from parallel_integrations.enrichment.known_keys import KnownKeys

RUN_FINGERPRINT: Final = "fingerprint"
ROWS_IN_ALL: Final = "rows"
GIVEN_UP: Final = "given_up"
"""How many runs may be paid for whose rows were sent again."""
FINGERPRINT: Final = TypeAdapter(dict[str, str])
LONGEST_NUMBER: Final = 18
SERVER: Final = "server"
"""The one part of a fingerprint that need not be known."""
# An answer that could not be read (2, `Ending.UNREAD`) is looked at again.
FIND_TASK: Final = (
    "SELECT id, chunk, EXISTS (SELECT 1 FROM outcomes WHERE task = id AND ended != 2), input_key "
    "FROM tasks WHERE id = COALESCE((SELECT task FROM repeats WHERE number = :row), :row)"
)
FIND_TASK_BY_KEY: Final = (
    "SELECT id, chunk, EXISTS (SELECT 1 FROM outcomes WHERE task = id AND ended != 2), input_key "
    "FROM tasks WHERE input_key = ?"
)


class Journal:
    """The journal of one enrichment; use it from one process, and close it.

    A task is a distinct input, known by the number of the first row that has it; the other rows
    that have it are its repeats. A task without a chunk is not sent.

    Args:
        path: The file; None keeps it for this run alone.
        fingerprint: What must be the same for the journal to be of the same work: name to value.

    Attributes:
        num_rows: How many rows it has.
        total: How many there are in all, once that is known.
        unread: Tasks whose answer an earlier run could not read, and this one has not yet.
        num_given_up: Runs that may be paid for, and whose rows were sent again.

    Raises:
        JournalError: It is in use, damaged, of other work, or cannot be written.
    """

    def __init__(self, path: Path | None, fingerprint: Mapping[str, str]) -> None:
        self._path = path
        self._process = os.getpid()
        self._sent: list[Chunk] = []
        self._unwritten: dict[int, Outcome] = {}
        self._is_indexed = False
        self._db = open_file(path)
        try:
            self._check_work(fingerprint)
            self.num_rows = self._number(
                "SELECT (SELECT COUNT(*) FROM tasks) + (SELECT COUNT(*) FROM repeats)"
            )
            with journal_errors(path):
                self._keys = KnownKeys()
                self._keys.update(self._db.execute("SELECT id, input_key FROM tasks"))
                unread = self._db.execute(
                    "SELECT task FROM outcomes WHERE ended = ?", (int(Ending.UNREAD),)
                )
                self.unread = {task for (task,) in unread}
            self.num_given_up = self._given_up()
            self.total = self._total()
        except BaseException:
            self._db.close()
            raise

    def _check_work(self, fingerprint: Mapping[str, str]) -> None:
        known = self._fact(RUN_FINGERPRINT)
        if known is None:
            with self._change() as db:
                _note_fact(db, RUN_FINGERPRINT, json.dumps(dict(fingerprint)))
            return
        try:
            before = FINGERPRINT.validate_json(known)
        except ValidationError:
            raise damaged(self._path, "the settings that it was begun with") from None
        for name in sorted(before.keys() | fingerprint.keys()):
            was, now = before.get(name), fingerprint.get(name)
            if was != now and not (name == SERVER and None in (was, now)):
                shown = "" if _is_digest(was) or _is_digest(now) else f" ({was!r}, now {now!r})"
                raise JournalError(
                    f"The journal {self._path} is of other work: {name} differs{shown}. Take the "
                    "settings that it was begun with, or give this run another journal."
                )

    def _total(self) -> int | None:
        total = self._fact(ROWS_IN_ALL)
        if total is not None and total != str(self.num_rows):
            raise damaged(self._path, "how many rows there are")
        return None if total is None else self.num_rows

    def _given_up(self) -> int:
        text = self._fact(GIVEN_UP) or "0"
        if not (text.isdecimal() and text.isascii() and len(text) < LONGEST_NUMBER):
            raise damaged(self._path, "how many runs were given up")
        return int(text)

    def finish(self, total: int) -> None:
        """Note how many rows there are, now that all were read."""
        if self.total is None:
            with self._change() as db:
                _note_fact(db, ROWS_IN_ALL, str(total))
            self.total = total

    def check_row(self, number: int, key: bytes) -> Known | None:
        """The task of a row that was read before; None where the row is new.

        Raises:
            JournalError: The row is not what it was, or comes after what was the last.
        """
        if number >= self.num_rows:
            if self.total is not None and number >= self.total:
                raise JournalError(
                    f"The journal {self._path} is of an input of {self.total} rows; this one has "
                    "more. Take the same input, or put the new rows into a run of their own."
                )
            return None
        with journal_errors(self._path):
            found = self._db.execute(FIND_TASK, {"row": number}).fetchone()
        if found is None or found[3] != key:
            raise JournalError(
                f"The journal {self._path} is of another input: row {number} differs. Take the "
                "same rows in the same order, or give this run another journal."
            )
        return _known(*found)

    def check_end(self, total: int) -> None:
        """Refuse an input that has fewer rows than were read before."""
        known = self.num_rows if self.total is None else self.total
        if total < known:
            raise JournalError(
                f"The journal {self._path} is of an input of {known} rows; this one has {total}. "
                "Take the same input, or give this run another journal."
            )

    def find(self, key: bytes) -> Known | None:
        """The task with this input; None where there is none."""
        if self._keys.lack(key):
            return None
        if not self._is_indexed:
            # Made when it is first needed: most inputs have no two rows alike.
            with self._change() as db:
                db.execute("CREATE INDEX IF NOT EXISTS tasks_by_key ON tasks (input_key)")
            self._is_indexed = True
        with journal_errors(self._path):
            found = self._db.execute(FIND_TASK_BY_KEY, (key,)).fetchone()
        return None if found is None else _known(*found)

    def outcome(self, task: int) -> Outcome | None:
        """How a task ended; None where it has not, or is to be looked at again."""
        if task in self.unread:
            return None
        if task in self._unwritten:
            return self._unwritten[task]
        found = self._read("outcomes", "WHERE task = ?", task)
        if found is None:
            return None
        _, run_id, ended, text, error = found
        try:
            event = None if text is None else TaskRunStateEvent.model_validate_json(text)
        except ValidationError:
            raise damaged(self._path, f"the output of row {task}") from None
        output = event.output if event else None
        if output is None and error is None:
            raise damaged(self._path, f"the output of row {task}")
        group = self._group(task) if ended == Ending.UNREAD else None
        return Outcome(run_id, output, text, error, Ending(ended), group)

    def _group(self, task: int) -> str | None:
        with journal_errors(self._path):
            found = self._db.execute(
                "SELECT taskgroup_id FROM tasks JOIN chunks ON chunks.id = chunk "
                "WHERE tasks.id = ?",
                (task,),
            ).fetchone()
        return None if found is None else str(found[0])

    def num_done(self) -> int:
        """How many tasks have an output, and so were paid for."""
        return self._number("SELECT COUNT(*) FROM outcomes WHERE event IS NOT NULL")

    def num_unsent_rows(self) -> int:
        """How many rows were read before and wait for a task that is still to be sent."""
        return self._number(
            "SELECT COUNT(*) + (SELECT COUNT(*) FROM repeats JOIN tasks ON id = task "
            "WHERE chunk IS NULL) FROM tasks WHERE chunk IS NULL"
        )

    def chunks(self) -> list[Chunk]:
        """The chunks that have tasks without an answer to read, oldest first."""
        found: dict[int, Chunk] = {}
        with journal_errors(self._path):
            for number, group, sent, place, task in self._db.execute(
                "SELECT chunks.id, taskgroup_id, sent, place, tasks.id FROM tasks "
                "JOIN chunks ON chunks.id = tasks.chunk WHERE NOT EXISTS "
                "(SELECT 1 FROM outcomes WHERE task = tasks.id AND ended != 2) "
                "ORDER BY chunks.id, place"
            ):
                found.setdefault(number, Chunk(number, group, bool(sent), {})).tasks[place] = task
        return list(found.values())

    def begin(
        self,
        taskgroup_id: str,
        tasks: Sequence[tuple[int, bytes]],
        repeats: Iterable[tuple[int, int]],
    ) -> Chunk:
        """Note that tasks are going to be sent; they are paid for only after this.

        Args:
            taskgroup_id: The group they are sent to, in this order.
            tasks: Task and key of its input.
            repeats: Row and task, for rows that repeat a task which the journal now has.
        """
        with self._change() as db:
            number = db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM chunks").fetchone()[0]
            _insert(db, "chunks", [(number, taskgroup_id, 0)])
            places = {place: task for place, (task, _) in enumerate(tasks)}
            for place, task in places.items():
                if task < self.num_rows:
                    _move(db, task, number, place)
            added = [
                (task, key, number, place)
                for place, (task, key) in enumerate(tasks)
                if task >= self.num_rows
            ]
            _insert(db, "tasks", added)
            self.num_rows += len(added)
            self._add_repeats(db, repeats)
        self._keys.update(tasks)
        return Chunk(number, taskgroup_id, sent=False, tasks=places)

    def note_repeats(self, repeats: Iterable[tuple[int, int]]) -> None:
        """Note rows whose task the journal has already."""
        with self._change() as db:
            self._add_repeats(db, repeats)

    def _add_repeats(self, db: sqlite3.Connection, repeats: Iterable[tuple[int, int]]) -> None:
        added = list(repeats)
        _insert(db, "repeats", added)
        self.num_rows += len(added)

    def mark_sent(self, chunk: Chunk) -> None:
        """Note that the API has a chunk, along with the next change or `flush`."""
        self._sent.append(chunk)

    def take_back(self, tasks: Sequence[int], *, given_up: bool = False) -> None:
        """Note that tasks were not sent after all.

        Args:
            tasks: The tasks.
            given_up: They may have been sent, and paid for, but their answers cannot be read.
        """
        with self._change() as db:
            for task in tasks:
                _move(db, task, None, None)
            if given_up:
                db.executemany("DELETE FROM outcomes WHERE task = ?", [(task,) for task in tasks])
                _note_fact(db, GIVEN_UP, str(self.num_given_up + len(tasks)))
        if given_up:
            self.num_given_up += len(tasks)
            self.unread.difference_update(tasks)

    def settle(self, outcomes: Mapping[int, Outcome]) -> None:
        """Note how tasks ended, along with the next change or `flush`: their group knows it too."""
        self._unwritten.update(outcomes)
        self.unread.difference_update(outcomes)

    def flush(self) -> None:
        """Write what waits for the next change."""
        if self._unwritten or self._sent:
            with self._change():
                pass

    def _write_waiting(self) -> None:
        self._db.executemany(
            "UPDATE chunks SET sent = 1, checksum = ? WHERE id = ?",
            [
                (checksum("chunks", chunk.number, chunk.taskgroup_id, 1), chunk.number)
                for chunk in self._sent
            ],
        )
        _insert(
            self._db,
            "outcomes",
            (
                (task, outcome.run_id, int(outcome.ending), outcome.text, outcome.error)
                for task, outcome in self._unwritten.items()
            ),
        )
        self._sent.clear()
        self._unwritten.clear()

    def retry_failed(self) -> None:
        """Have failed tasks asked again; those whose run may still end are awaited again."""
        with self._change() as db:
            failed = db.execute(
                "SELECT task FROM outcomes WHERE event IS NULL AND ended = ?", (int(Ending.OVER),)
            )
            for (task,) in failed.fetchall():
                _move(db, task, None, None)
            db.execute(
                "DELETE FROM outcomes WHERE event IS NULL AND ended != ?", (int(Ending.UNREAD),)
            )

    def close(self) -> None:
        """Write what waits, and give the journal free."""
        if os.getpid() != self._process:
            return  # a forked child: the journal is its parent's
        try:
            self.flush()
        finally:
            with journal_errors(self._path):
                self._db.close()

    def _fact(self, name: str) -> str | None:
        found = self._read("facts", "WHERE name = ?", name)
        return None if found is None else str(found[1])

    def _read(self, table: str, where: str, *values: Any) -> tuple[Any, ...] | None:
        with closing(read_rows(self._db, self._path, table, where, *values)) as rows:
            return next(rows, None)

    def _number(self, query: str, *values: object) -> int:
        with journal_errors(self._path):
            return int(self._db.execute(query, values).fetchone()[0])

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with journal_errors(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write_waiting()
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    verb = "INSERT OR REPLACE" if table in ("outcomes", "facts") else "INSERT"
    marks = ", ".join("?" for _ in COLUMNS[table])
    db.executemany(
        f"{verb} INTO {table} VALUES ({marks}, ?)",
        ((*row, checksum(table, *row)) for row in rows),
    )


def _move(db: sqlite3.Connection, task: int, chunk: int | None, place: int | None) -> None:
    """Note that a task is part of another chunk, or of none."""
    (key,) = db.execute("SELECT input_key FROM tasks WHERE id = ?", (task,)).fetchone()
    db.execute(
        "UPDATE tasks SET chunk = ?, place = ?, checksum = ? WHERE id = ?",
        (chunk, place, checksum("tasks", task, key, chunk, place), task),
    )


def _note_fact(db: sqlite3.Connection, name: str, value: str) -> None:
    _insert(db, "facts", [(name, value)])


def _known(task: int, chunk: int | None, has_ended: int, _: bytes) -> Known:
    if chunk is None:
        return Known(task, State.UNSENT)
    return Known(task, State.ENDED if has_ended else State.OUT)


def _is_digest(value: str | None) -> bool:
    return value is not None and value.startswith("blake2b:")
