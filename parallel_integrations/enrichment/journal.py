"""Journal of an enrichment: one SQLite file with rows, task groups and outputs.

A process may be killed at any instant, so each step is recorded before the call that it pays for.
SQLite makes a transaction whole; what it does not promise is done here: the file gets its name only
once it is complete, a cut or changed one is refused, and one process alone has it.
"""

import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from zlib import crc32

from parallel_integrations._counted import counted
from parallel_integrations.errors import JournalError
from parallel_integrations.models.task import TaskOutput, TaskRunStateEvent
from parallel_integrations.models.tolerant_reading import read_as


class OutcomeState(IntEnum):
    """Whether a task is over; the numbers stand in the file."""

    MAY_CONTINUE = 0
    """Its run may still complete: a retry reads it again instead of paying for another."""
    FINAL = 1
    """Its run completed, or failed for good: a retry of a failed one is no second bill."""
    UNREADABLE = 2
    """Its output could not be read and may be paid for: each later run reads it again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a task.

    Attributes:
        output: What was found; None where it failed.
        text: The event that the output came in, as JSON.
        error: Why it failed.
        taskgroup_id: The group that may hold an output which could not be read.
    """

    run_id: str | None
    output: TaskOutput | None = None
    text: str | None = None
    error: str | None = None
    state: OutcomeState = OutcomeState.FINAL
    taskgroup_id: str | None = None

    @classmethod
    def of(cls, event: TaskRunStateEvent) -> "Outcome":
        """The outcome of a run from an event that has its output."""
        return cls(event.run.run_id, event.output, event.wire_text or event.model_dump_json())


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task that the journal has, and whether it may have been sent."""

    task: int
    is_sent: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that are sent in one call, into a task group of their own.

    Attributes:
        is_confirmed: Whether the API confirmed that it has them.
        tasks: Those without an outcome, by their place in the call.
    """

    number: int
    taskgroup_id: str
    is_confirmed: bool
    tasks: dict[int, int]


APPLICATION_ID: Final = 0x50415252
LAYOUT_VERSION: Final = 2
CACHE_KIB: Final = 16_384
ROLLBACK_HEADER: Final = bytes.fromhex("d9d505f920a163d7")
"""First bytes of SQLite's rollback journal while a transaction may have to be undone."""

# Outputs are a kilobyte or two: large pages hold several, with less overhead for each.
TABLES: Final = """
PRAGMA page_size = 16384;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, taskgroup_id TEXT NOT NULL, sent INTEGER NOT NULL, checksum INTEGER
);
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY, input_key BLOB NOT NULL, chunk INTEGER, place INTEGER, checksum INTEGER
);
CREATE TABLE outcomes (
    task INTEGER PRIMARY KEY, run_id TEXT, ended INTEGER NOT NULL, event TEXT, error TEXT,
    checksum INTEGER
);
CREATE TABLE repeats (number INTEGER PRIMARY KEY, task INTEGER NOT NULL, checksum INTEGER);
"""
# Keys are in no order: each batch would write most pages of an index in the file again, and twice.
# This one is never synced, and is made from the tasks when it is needed.
KEYS: Final = """
PRAGMA temp.journal_mode = MEMORY;
PRAGMA temp.cache_size = -4096;
CREATE TEMP TABLE keys (input_key BLOB PRIMARY KEY, task INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO keys SELECT input_key, id FROM tasks;
"""
COLUMNS: Final = {
    "facts": ("name", "value"),
    "chunks": ("id", "taskgroup_id", "sent"),
    "tasks": ("id", "input_key", "chunk", "place"),
    "outcomes": ("task", "run_id", "ended", "event", "error"),
    "repeats": ("number", "task"),
}
"""The columns that a table's checksums are made of, the key first."""
NAMES: Final = {
    "facts": "the fact {!r}",
    "chunks": "group number {}",
    "tasks": "row {}",
    "outcomes": "the output of row {}",
    "repeats": "row {}",
}
UNRELATED: Final = {
    "the state of row {}": "SELECT task FROM outcomes WHERE ended NOT IN (0, 1, 2)",
    "row {}": "SELECT id FROM tasks WHERE chunk NOT IN (SELECT id FROM chunks)",
    "the output of row {}": "SELECT task FROM outcomes WHERE task NOT IN (SELECT id FROM tasks)",
    "row {}, which repeats another": (
        "SELECT number FROM repeats WHERE task NOT IN (SELECT id FROM tasks) "
        "OR number IN (SELECT id FROM tasks)"
    ),
    "row {}, the last": (
        "SELECT last FROM (SELECT MAX((SELECT COALESCE(MAX(id), -1) FROM tasks), "
        "(SELECT COALESCE(MAX(number), -1) FROM repeats)) AS last) WHERE last + 1 != "
        "(SELECT COUNT(*) FROM tasks) + (SELECT COUNT(*) FROM repeats)"
    ),
}
"""Rows that refer to missing ones, or hold values that cannot be."""
NO_ACCESS: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
    }
)


@contextmanager
def journal_errors(path: Path | None) -> Iterator[None]:
    """Turn what SQLite and the file system raise into an error with a remedy."""
    place = f"The journal {path}" if path else "The journal in memory"
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise JournalError(
                f"{place} is in use by another run. Wait for it to end, or give this run a journal "
                "of its own."
            ) from error
        if code in NO_ACCESS:
            raise JournalError(
                f"{place} cannot be read or written ({error}). Nothing was paid for that it does "
                "not hold: free disk space or give access, then start the same again."
            ) from error
        raise JournalError(f"{place} is damaged ({error}). {REMEDY}") from error
    except UnicodeDecodeError as error:  # what SQLite says quotes what it found
        raise JournalError(f"{place} is damaged (its tables). {REMEDY}") from error
    except OSError as error:
        raise JournalError(f"{place} cannot be opened ({error}). Check its folder.") from error


REMEDY: Final = (
    "Restore it from a backup; deleting it starts again and pays again for what it had done."
)


def damaged(path: Path | None, what: str) -> JournalError:
    """The error for a part of a journal that differs from what was written."""
    return JournalError(f"The journal {path} is damaged ({what}). {REMEDY}")


def checksum(table: str, *values: Any) -> int:
    """CRC-32 over a row, its types and its table.

    SQLite's integrity check finds broken pages, not a flipped bit in a text or in a group's id,
    which would give another output or send rows again. CRC-32 finds every single bit and costs less
    than a tenth of the insertion. Lengths and types are part of it: no two rows read alike.
    """
    parts = [table.encode()]
    for value in values:
        if isinstance(value, str):
            content = value.encode("utf-8", "surrogateescape")
            parts += (b"text %d:" % len(content), content)
        elif isinstance(value, bytes):
            parts += (b"blob %d:" % len(value), value)
        else:
            parts.append(b"%a;" % (value,))
    return crc32(b"".join(parts))


def read_rows(
    connection: sqlite3.Connection, path: Path | None, table: str, where: str = "", *values: Any
) -> Generator[tuple[Any, ...], None, None]:
    """Rows of a table, each compared with its checksum."""
    columns = ", ".join(COLUMNS[table])
    # Table and condition are constants of this module.
    query = f"SELECT {columns}, checksum FROM {table} {where}"  # noqa: S608
    with journal_errors(path):
        for row in connection.execute(query, values):
            if checksum(table, *row[:-1]) != row[-1]:
                raise damaged(path, NAMES[table].format(row[0]))
            yield row[:-1]


def open_file(path: Path | None) -> sqlite3.Connection:
    """Open a journal for this process alone, having made it where there is none.

    Args:
        path: Where; None keeps it in a temporary place that ends with the connection.

    Raises:
        JournalError: It is in use, damaged, no journal, or cannot be written.
    """
    with journal_errors(path), ExitStack() as failing:
        if path is not None and path.is_file() and path.stat().st_size == 0:
            raise JournalError(f"The journal {path} is empty: it was cut. {REMEDY}")
        if path is not None and not path.exists():
            _create(path)
        connection = sqlite3.connect(
            path or "",
            timeout=0,
            isolation_level=None,
            # A generator may be closed in another thread than it ran in, never used by two at once.
            check_same_thread=False,
        )
        failing.callback(connection.close)
        # Damaged text need not be UTF-8: it is read all the same, and its checksum names its row.
        connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if path is None:
            connection.executescript(TABLES)
        else:
            # The lock is the operating system's: it ends with the process, however that ends. The
            # empty transaction takes it, and EXCLUSIVE holds it from here on.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # A rollback journal, not WAL: between transactions the one file is complete and can be
            # moved. EXTRA syncs the end of a transaction too, so that no loss of power undoes it.
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            _check(connection, path)
        failing.pop_all()
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    def pragma(name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

    if pragma("application_id") != APPLICATION_ID:
        raise JournalError(f"{path} is no journal of an enrichment. Name another file.")
    version = pragma("user_version")
    if version != LAYOUT_VERSION:
        raise JournalError(
            f"The journal {path} has layout {version}, this version of the package writes "
            f"{LAYOUT_VERSION}: go on with the version that began it."
        )
    # SQLite opens a file that was cut between two pages, and finds rows missing or nothing at all.
    whole = pragma("page_count") * pragma("page_size")
    if (size := path.stat().st_size) != whole:
        raise JournalError(
            f"The journal {path} has {counted(size, 'byte')} instead of {whole}: it was cut. "
            f"{REMEDY}"
        )
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        shown = " ".join(found.encode("utf-8", "replace").decode().split())
        raise damaged(path, shown)
    with closing(_blank()) as blank:
        if _layout(connection) != _layout(blank):
            raise damaged(path, "its tables")
    for table in COLUMNS:
        for _ in read_rows(connection, path, table):
            pass
    for name, query in UNRELATED.items():
        if row := connection.execute(query).fetchone():
            raise damaged(path, name.format(row[0]))


def _layout(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        'SELECT tables.name, columns.name, columns.type, columns."notnull", columns.pk '
        "FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns "
        "WHERE tables.type = 'table' ORDER BY tables.name, columns.cid"
    ).fetchall()


def _blank() -> sqlite3.Connection:
    """An empty journal in memory."""
    blank = sqlite3.connect(":memory:")
    blank.executescript(TABLES)
    return blank


def _create(path: Path) -> None:
    """Make a journal, whole before it has its name; one that another run made meanwhile stays.

    A process that is killed here leaves no empty file, which would look like one that was cut.
    Nothing is synced: the first transaction does that, and nothing is paid before it.
    """
    _remove_old_rollback(path)
    with closing(_blank()) as blank:
        blank.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        blank.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
        content = blank.serialize()
    made = path.with_name(f".{path.name}.{token_hex(8)}.new")
    try:
        with open(made, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
        # A hard link, since a rename would replace the journal that another run has just made.
        with suppress(FileExistsError):
            try:
                path.hardlink_to(made)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                path.touch(mode=0o600, exist_ok=False)
                made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _remove_old_rollback(path: Path) -> None:
    """Remove the rollback journal of a deleted database, which SQLite would apply to the new one.

    Raises:
        JournalError: It holds a transaction, which the deleted database needs.
    """
    leftover = path.with_name(f"{path.name}-journal")
    # In this order: another run that begins now makes the database before its rollback journal.
    if not leftover.exists() or path.exists():
        return
    try:
        header = leftover.read_bytes()[: len(ROLLBACK_HEADER)]
    except FileNotFoundError:  # another run has removed it
        return
    if header == ROLLBACK_HEADER:
        raise JournalError(
            f"{leftover} is there without {path}, which it belongs to. Put that back, or delete "
            "both to start again, which pays again for what was done."
        )
    leftover.unlink(missing_ok=True)


# Names of facts.
FINGERPRINT: Final = "fingerprint"
TOTAL: Final = "rows"
GIVEN_UP: Final = "given_up"
SERVER: Final = "server"
"""The one part of a fingerprint that need not be known."""


class Journal:
    """The journal of one enrichment; use it from one process, and close it.

    A task is a distinct input, numbered by the first row that has it; other rows that have it are
    its repeats. A task without a batch (in the file: a chunk) is not sent.

    Args:
        path: The file; None keeps it for this run alone.
        fingerprint: Settings that must be the same for the journal to be of the same work.

    Attributes:
        num_rows: How many rows it has.
        total: How many there are in all, once that is known.
        unreadable: Tasks whose output an earlier run could not read, and this one has not yet.
        num_given_up: Runs that may be paid for, and whose rows were sent again.

    Raises:
        JournalError: It is in use, damaged, of other work, or cannot be written.
    """

    def __init__(self, path: Path | None, fingerprint: Mapping[str, str]) -> None:
        self._path = path
        self._process = os.getpid()
        self._confirmed: list[Batch] = []
        self._unwritten: dict[int, Outcome] = {}
        self._has_keys = False
        self._db = open_file(path)
        try:
            self._check_work(fingerprint)
            self.num_rows = self._number(
                "SELECT (SELECT COUNT(*) FROM tasks) + (SELECT COUNT(*) FROM repeats)"
            )
            with journal_errors(path):
                unreadable = self._db.execute(
                    "SELECT task FROM outcomes WHERE ended = ?", (int(OutcomeState.UNREADABLE),)
                )
                self.unreadable = {task for (task,) in unreadable}
            self.num_given_up = int(self._fact(GIVEN_UP) or 0)
            total = self._fact(TOTAL)
            if total not in (None, str(self.num_rows)):
                raise damaged(path, "how many rows there are")
            self.total = None if total is None else self.num_rows
        except BaseException:
            self._db.close()
            raise

    def _check_work(self, fingerprint: Mapping[str, str]) -> None:
        known = self._fact(FINGERPRINT)
        if known is None:
            with self._change() as db:
                _insert(db, "facts", [(FINGERPRINT, json.dumps(dict(fingerprint)))])
            return
        before: dict[str, str] = json.loads(known)
        for name in sorted(before.keys() | fingerprint.keys()):
            was, now = before.get(name), fingerprint.get(name)
            if was != now and not (name == SERVER and None in (was, now)):
                is_digest = any((value or "").startswith("blake2b:") for value in (was, now))
                shown = "" if is_digest else f" ({was!r}, now {now!r})"
                raise JournalError(
                    f"The journal {self._path} is of other work: {name} differs{shown}. Take the "
                    "settings that it was begun with, or give this run another journal."
                )

    def finish(self, total: int) -> None:
        """Record how many rows there are, now that all were read."""
        if self.total is None:
            with self._change() as db:
                _insert(db, "facts", [(TOTAL, str(total))])
            self.total = total

    def check_row(self, number: int, key: bytes) -> KnownTask | None:
        """The task of a row that was read before; None where the row is new.

        Raises:
            JournalError: The row differs from before, or comes after what was the last.
        """
        if number >= self.num_rows:
            if self.total is not None and number >= self.total:
                raise JournalError(
                    f"The journal {self._path} is of an input of "
                    f"{counted(self.total, 'row')}; this one has "
                    "more. Take the same input, or put the new rows into a run of their own."
                )
            return None
        with journal_errors(self._path):
            found = self._db.execute(
                "SELECT id, chunk, input_key FROM tasks "
                "WHERE id = COALESCE((SELECT task FROM repeats WHERE number = :row), :row)",
                {"row": number},
            ).fetchone()
        if found is None or found[2] != key:
            raise JournalError(
                f"The journal {self._path} is of another input: row {number} differs. Take the "
                "same rows in the same order, or give this run another journal."
            )
        return KnownTask(found[0], found[1] is not None)

    def check_total(self, total: int) -> None:
        """Refuse an input that has fewer rows than were read before."""
        known = self.num_rows if self.total is None else self.total
        if total < known:
            raise JournalError(
                f"The journal {self._path} is of an input of {counted(known, 'row')}; this "
                f"one has {total}. "
                "Take the same input, or give this run another journal."
            )

    def find(self, keys: Sequence[bytes]) -> dict[bytes, KnownTask]:
        """The tasks with these inputs, as far as there are any, by their keys (500 at most)."""
        if not keys:
            return {}
        marks = ", ".join("?" for _ in keys)
        with journal_errors(self._path):
            if not self._has_keys:
                # Not before: a journal that is only read again stays as it is.
                self._db.executescript(KEYS)
                self._has_keys = True
            found = self._db.execute(
                "SELECT keys.input_key, id, chunk FROM keys JOIN tasks ON id = task "  # noqa: S608
                f"WHERE keys.input_key IN ({marks})",
                keys,
            )
            return {key: KnownTask(task, chunk is not None) for key, task, chunk in found}

    def outcome(self, task: int) -> Outcome | None:
        """The outcome of a task; None where there is none, or where it is to be read again."""
        if task in self.unreadable:
            return None
        if task in self._unwritten:
            return self._unwritten[task]
        found = self._read("outcomes", "WHERE task = ?", task)
        if found is None:
            return None
        _, run_id, state, text, error = found
        try:
            event = None if text is None else read_as(TaskRunStateEvent, text)
        except ValueError:
            raise damaged(self._path, f"the output of row {task}") from None
        output = event.output if event else None
        if output is None and error is None:
            raise damaged(self._path, f"the output of row {task}")
        group = None
        if state == OutcomeState.UNREADABLE:
            where = "WHERE id = (SELECT chunk FROM tasks WHERE id = ?)"
            _, group, _ = self._read("chunks", where, task) or (None, None, None)
        return Outcome(run_id, output, text, error, OutcomeState(state), group)

    def num_completed(self) -> int:
        """How many tasks have an output, and so were paid for."""
        return self._number("SELECT COUNT(*) FROM outcomes WHERE event IS NOT NULL")

    def num_unsent_rows(self, limit: int) -> int:
        """How many of the first rows were read before and wait for a task still to be sent."""
        return self._number(
            "SELECT COUNT(*) + (SELECT COUNT(*) FROM repeats JOIN tasks ON id = task "
            "WHERE chunk IS NULL AND number < :limit) FROM tasks "
            "WHERE chunk IS NULL AND id < :limit",
            limit=limit,
        )

    def unfinished_batches(self) -> list[Batch]:
        """The batches that have tasks without an outcome, oldest first."""
        found: dict[int, Batch] = {}
        with journal_errors(self._path):
            for number, group, sent, place, task in self._db.execute(
                "SELECT chunks.id, taskgroup_id, sent, place, tasks.id FROM tasks "
                "JOIN chunks ON chunks.id = tasks.chunk WHERE NOT EXISTS "
                "(SELECT 1 FROM outcomes WHERE task = tasks.id AND ended != ?) "
                "ORDER BY chunks.id, place",
                (int(OutcomeState.UNREADABLE),),
            ):
                batch = found.setdefault(number, Batch(number, group, bool(sent), {}))
                batch.tasks[place] = task
        return list(found.values())

    def add_batch(
        self,
        taskgroup_id: str,
        tasks: Sequence[tuple[int, bytes]],
        repeats: Iterable[tuple[int, int]],
    ) -> Batch:
        """Record that tasks are going to be sent; they are paid for only after this.

        Args:
            taskgroup_id: The group they are sent to, in this order.
            tasks: Task and key of its input.
            repeats: Row and task, for rows that repeat a task which the journal now has.
        """
        with self._change() as db:
            number = db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM chunks").fetchone()[0]
            _insert(db, "chunks", [(number, taskgroup_id, 0)])
            added = []
            for place, (task, key) in enumerate(tasks):
                if task < self.num_rows:
                    _move(db, task, number, place)
                else:
                    added.append((task, key, number, place))
            _insert(db, "tasks", added)
            if self._has_keys:
                db.executemany(
                    "INSERT OR IGNORE INTO keys VALUES (?, ?)",
                    [(key, task) for task, key, *_ in added],
                )
            self.num_rows += len(added)
            self._add_repeats(db, repeats)
        places = {place: task for place, (task, _) in enumerate(tasks)}
        return Batch(number, taskgroup_id, is_confirmed=False, tasks=places)

    def add_repeats(self, repeats: Iterable[tuple[int, int]]) -> None:
        """Record rows whose task the journal has already."""
        with self._change() as db:
            self._add_repeats(db, repeats)

    def _add_repeats(self, db: sqlite3.Connection, repeats: Iterable[tuple[int, int]]) -> None:
        added = list(repeats)
        _insert(db, "repeats", added)
        self.num_rows += len(added)

    def confirm(self, batch: Batch) -> None:
        """Record that the API has a batch, with the next transaction.

        Lost by a kill, it costs the next run one listing of the group, and a transaction for each
        batch would cost more.
        """
        self._confirmed.append(batch)

    def mark_unsent(self, tasks: Sequence[int], *, given_up: bool = False) -> None:
        """Record that tasks were not sent, or (`given_up`) that they are to be paid again."""
        with self._change() as db:
            for task in tasks:
                _move(db, task, None, None)
            if given_up:
                db.executemany("DELETE FROM outcomes WHERE task = ?", [(task,) for task in tasks])
                _insert(db, "facts", [(GIVEN_UP, str(self.num_given_up + len(tasks)))])
        if given_up:
            self.num_given_up += len(tasks)
            self.unreadable.difference_update(tasks)

    def record(self, outcomes: Mapping[int, Outcome]) -> None:
        """Record outcomes, with the next transaction or `flush`: their group has them too."""
        self._unwritten.update(outcomes)
        self.unreadable.difference_update(outcomes)

    def flush(self) -> None:
        """Write outcomes that wait for the next transaction."""
        if self._unwritten:
            with self._change():
                pass

    def retry_failed(self, limit: int) -> None:
        """Mark the failed of the first tasks unsent; a run that may complete is read again."""
        with self._change() as db:
            failed = db.execute(
                "SELECT task FROM outcomes WHERE event IS NULL AND ended = ? AND task < ?",
                (int(OutcomeState.FINAL), limit),
            )
            for (task,) in failed.fetchall():
                _move(db, task, None, None)
            db.execute(
                "DELETE FROM outcomes WHERE event IS NULL AND ended != ? AND task < ?",
                (int(OutcomeState.UNREADABLE), limit),
            )

    def close(self) -> None:
        """Write what waits, and unlock the file."""
        if os.getpid() != self._process:
            # A forked child: to close the file would end the lock of its parent, as POSIX locks do.
            return
        try:
            if self._unwritten or self._confirmed:
                with self._change():
                    pass
        finally:
            with journal_errors(self._path):
                self._db.close()

    def __del__(self) -> None:
        # An interruption may come before `close` has closed, and a connection of `sqlite3`, which
        # refers to itself, would hold its lock until some later collection.
        if (connection := getattr(self, "_db", None)) and os.getpid() == self._process:
            connection.close()

    def _fact(self, name: str) -> str | None:
        found = self._read("facts", "WHERE name = ?", name)
        return None if found is None else str(found[1])

    def _read(self, table: str, where: str, *values: Any) -> tuple[Any, ...] | None:
        with closing(read_rows(self._db, self._path, table, where, *values)) as rows:
            return next(rows, None)

    def _number(self, query: str, **values: int) -> int:
        with journal_errors(self._path):
            return int(self._db.execute(query, values).fetchone()[0])

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with journal_errors(self._path):
            # A signal may interrupt at any line. What it left of a transaction is undone; what
            # waited counts as written only after the commit, and may be written twice.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._write_waiting()
                yield self._db
                self._db.execute("COMMIT")
                self._confirmed.clear()
                self._unwritten.clear()
            except BaseException:
                # A full disk may have rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _write_waiting(self) -> None:
        self._db.executemany(
            "UPDATE chunks SET sent = 1, checksum = ? WHERE id = ?",
            [
                (checksum("chunks", batch.number, batch.taskgroup_id, 1), batch.number)
                for batch in self._confirmed
            ],
        )
        outcomes = (
            (task, each.run_id, int(each.state), each.text, each.error)
            for task, each in self._unwritten.items()
        )
        _insert(self._db, "outcomes", outcomes)


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    verb = "INSERT OR REPLACE" if table in ("outcomes", "facts") else "INSERT"
    marks = ", ".join("?" for _ in COLUMNS[table])
    db.executemany(
        f"{verb} INTO {table} VALUES ({marks}, ?)",
        ((*row, checksum(table, *row)) for row in rows),
    )


def _move(db: sqlite3.Connection, task: int, batch: int | None, place: int | None) -> None:
    """Record that a task is part of another batch, or of none."""
    (key,) = db.execute("SELECT input_key FROM tasks WHERE id = ?", (task,)).fetchone()
    db.execute(
        "UPDATE tasks SET chunk = ?, place = ?, checksum = ? WHERE id = ?",
        (batch, place, checksum("tasks", task, key, batch, place), task),
    )
