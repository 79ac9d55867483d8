"""The journal: what was asked, what it cost and what came back, kept in a file."""

import json
import os
import re
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, IntEnum
from pathlib import Path
from secrets import token_hex
from types import NoneType
from typing import Any, Final
from zlib import crc32

from pydantic import TypeAdapter, ValidationError

from parallel_integrations.errors import JournalError
from parallel_integrations.models.task import TaskOutput, TaskRunStateEvent


class State(Enum):
    """How a task stands."""

    UNSENT = "unsent"
    OUT = "out"
    """It may have been sent: its group knows."""
    ENDED = "ended"


class Ending(IntEnum):
    """Whether a task is over; the numbers stand in the journal."""

    OPEN = 0
    """Its run may still end: asked to retry, it is looked at again and never paid again."""
    OVER = 1
    """Its run is over for good: asking again is no second bill."""
    UNREAD = 2
    """Its answer could not be read, and may be paid for: each later run looks at it again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        run_id: Its run.
        output: What was found; None where it failed.
        text: The event that told it, as JSON.
        error: Why it failed.
        ending: Whether its run is over.
        taskgroup_id: The group that may keep an answer which could not be read.
    """

    run_id: str | None
    output: TaskOutput | None = None
    text: str | None = None
    error: str | None = None
    ending: Ending = Ending.OVER
    taskgroup_id: str | None = None

    @classmethod
    def of(cls, event: TaskRunStateEvent) -> "Outcome":
        """The outcome that an event with an output tells."""
        text = event.wire_text or event.model_dump_json()
        return cls(event.run.run_id, event.output, text)


@dataclass(frozen=True, slots=True)
class Known:
    """A task that the journal has.

    Attributes:
        task: The task.
        state: How it stands.
    """

    task: int
    state: State


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tasks that were sent in one call, into a group of their own.

    Attributes:
        number: Its number.
        taskgroup_id: The group.
        sent: Whether the API said that it has them.
        tasks: Those without an outcome, by their place in the call.
    """

    number: int
    taskgroup_id: str
    sent: bool
    tasks: dict[int, int]


APPLICATION_ID: Final = 0x50415252
LAYOUT_VERSION: Final = 2
LAYOUT_WITHOUT_CHECKSUMS: Final = 1
CACHE_KIB: Final = 16_384
HOT: Final = bytes.fromhex("d9d505f920a163d7")
"""How SQLite's rollback journal begins while a change may have to be undone."""

# Outputs are a kilobyte or two: on larger pages less is spent on where they are kept.
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
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "facts": ("name", "value"),
    "chunks": ("id", "taskgroup_id", "sent"),
    "tasks": ("id", "input_key", "chunk", "place"),
    "outcomes": ("task", "run_id", "ended", "event", "error"),
    "repeats": ("number", "task"),
}
"""The columns that a table's checksums are made of, the key first."""
TYPES: Final[dict[str, tuple[tuple[type, ...], ...]]] = {
    "facts": ((str,), (str,)),
    "chunks": ((int,), (str,), (int,)),
    "tasks": ((int,), (bytes,), (int, NoneType), (int, NoneType)),
    "outcomes": ((int,), (str, NoneType), (int,), (str, NoneType), (str, NoneType)),
    "repeats": ((int,), (int,)),
}
SURROGATE: Final = re.compile("[\ud800-\udfff]")
NAMES: Final = {
    "facts": "the fact {!r}",
    "chunks": "group number {}",
    "tasks": "row {}",
    "outcomes": "the output of row {}",
    "repeats": "row {}",
}
UNRELATED: Final = {
    "the ending of row {}": "SELECT task FROM outcomes WHERE ended NOT IN (0, 1, 2)",
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
"""Rows that belong to others which are not there, or say what cannot be."""
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
    """Turn what SQLite and the file system raise into an error that says what to do."""
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
                "not hold: make room or give access, then start the same again."
            ) from error
        raise JournalError(f"{place} is damaged ({error}). {REMEDY}") from error
    except UnicodeDecodeError as error:  # what SQLite says quotes what it found
        raise JournalError(f"{place} is damaged (its tables). {REMEDY}") from error
    except OSError as error:
        raise JournalError(f"{place} cannot be opened ({error}). Check its folder.") from error


REMEDY: Final = (
    "Restore it from a backup; deleting it starts anew and pays again for what it had done."
)


def damaged(path: Path | None, what: str) -> JournalError:
    """The error for a part of a journal that is not what was written."""
    return JournalError(f"The journal {path} is damaged ({what}). {REMEDY}")


def checksum(table: str, *values: Any) -> int:
    """CRC-32 over a row, its types and its table: what is damaged has another."""
    total = crc32(table.encode())
    for value in values:
        if isinstance(value, str):
            content = value.encode("utf-8", "surrogateescape")
            total = crc32(content, crc32(b"text %d:" % len(content), total))
        elif isinstance(value, bytes):
            total = crc32(value, crc32(b"blob %d:" % len(value), total))
        else:
            total = crc32(f"{value!r};".encode(), total)
    return total


def read_rows(
    connection: sqlite3.Connection, path: Path | None, table: str, where: str = "", *values: Any
) -> Generator[tuple[Any, ...], None, None]:
    """Rows of a table, each compared with its checksum.

    Raises:
        JournalError: A row is not what was written; says which.
    """
    columns = ", ".join(COLUMNS[table])
    # Both are our own words.
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
        # Text that is not UTF-8 any more is found by its checksum, which says where it is.
        connection.text_factory = _text
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if path is None:
            connection.executescript(TABLES)
        else:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # With the rollback journal, the database alone holds every row once a change is done;
            # EXTRA syncs what ends a change too, so that no loss of power takes it back.
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
    if version not in (LAYOUT_VERSION, LAYOUT_WITHOUT_CHECKSUMS):
        raise JournalError(
            f"The journal {path} has layout {version}, this version of the package writes "
            f"{LAYOUT_VERSION}: go on with the version that began it."
        )
    whole = pragma("page_count") * pragma("page_size")
    if (size := path.stat().st_size) != whole:
        raise JournalError(
            f"The journal {path} has {size} bytes instead of {whole}: it was cut. {REMEDY}"
        )
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        shown = " ".join(found.encode("utf-8", "replace").decode().split())
        raise damaged(path, shown)
    if version == LAYOUT_WITHOUT_CHECKSUMS:
        _add_checksums(connection, path)
    with closing(_blank()) as blank:
        if _layout(connection) != _layout(blank):
            raise damaged(path, "its tables")
    for table in COLUMNS:
        for _ in read_rows(connection, path, table):
            pass
    for name, query in UNRELATED.items():
        if row := connection.execute(query).fetchone():
            raise damaged(path, name.format(row[0]))


def _add_checksums(connection: sqlite3.Connection, path: Path) -> None:
    """Turn a journal of the layout before into one of this, whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    for table, columns in COLUMNS.items():
        names = ", ".join(columns)
        sums = []
        for row in connection.execute(f"SELECT {names} FROM {table}"):  # noqa: S608
            if not all(map(_is_sound, row, TYPES[table])):
                raise damaged(path, NAMES[table].format(row[0]))
            sums.append((checksum(table, *row), row[0]))
        connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")
        connection.executemany(
            f"UPDATE {table} SET checksum = ? WHERE {columns[0]} = ?",  # noqa: S608
            sums,
        )
    connection.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
    connection.execute("COMMIT")


def _is_sound(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not (isinstance(value, str) and SURROGATE.search(value))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


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
    """Give the file its name only once it is whole, and only if there is none by that name."""
    _drop_leftover(path)
    with closing(_blank()) as blank:
        blank.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        blank.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
        content = blank.serialize()
    made = path.with_name(f".{path.name}.{token_hex(8)}.new")
    try:
        with open(made, "xb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _give_name(made, path)
    finally:
        made.unlink(missing_ok=True)
    with suppress(OSError):  # not every system can sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _give_name(made: Path, path: Path) -> None:
    with suppress(FileExistsError):  # another run was faster: the lock decides
        try:
            path.hardlink_to(made)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            made.replace(path)


def _drop_leftover(path: Path) -> None:
    """Take away the rollback journal of a database that was deleted.

    Raises:
        JournalError: It holds what the deleted database needs.
    """
    leftover = path.with_name(f"{path.name}-journal")
    if not leftover.exists():
        return
    with leftover.open("rb") as file:
        if file.read(len(HOT)) == HOT:
            raise JournalError(
                f"{leftover} is there without {path}, which it belongs to. Put that back, or "
                "delete both to start anew, which pays again for what was done."
            )
    leftover.unlink()


class KnownKeys:
    """Tells which keys are surely new, in two megabytes whatever their number (a Bloom filter).

    Most rows are; the database need not be asked for them.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << 21)

    def update(self, tasks: Iterable[tuple[int, bytes]]) -> None:
        """Take the keys of tasks in."""
        bits = self._bits
        for _, key in tasks:
            bits[int.from_bytes(key[:3]) >> 3] |= 1 << (key[2] & 7)
            bits[int.from_bytes(key[3:6]) >> 3] |= 1 << (key[5] & 7)

    def lack(self, key: bytes) -> bool:
        """Whether a key is surely new."""
        bits = self._bits
        return not (
            bits[int.from_bytes(key[:3]) >> 3] >> (key[2] & 7) & 1
            and bits[int.from_bytes(key[3:6]) >> 3] >> (key[5] & 7) & 1
        )


RUN_FINGERPRINT: Final = "fingerprint"
ROWS_IN_ALL: Final = "rows"
GIVEN_UP: Final = "given_up"
"""How many runs may be paid for whose rows were sent again."""
FINGERPRINT: Final = TypeAdapter(dict[str, str])
MAX_NUMBER: Final = 18
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
        if not (text.isdecimal() and text.isascii() and len(text) < MAX_NUMBER):
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
