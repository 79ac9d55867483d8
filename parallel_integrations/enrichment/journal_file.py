"""The journal as a file: made whole or not at all, open in one process at a time, never cut.

Every row has a checksum, which is compared when the journal is opened and when an output is read.
"""

import os
import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import NoneType
from typing import Any, Final
from zlib import crc32

from parallel_integrations.api.errors import JournalError

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
