"""The journal as a file: made whole or not at all, open in one process at a time, never cut."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from parallel_integrations.api.errors import JournalError

APPLICATION_ID: Final = 0x50415252
LAYOUT_VERSION: Final = 1
CACHE_KIB: Final = 16_384
HOT: Final = bytes.fromhex("d9d505f920a163d7")
"""How SQLite's rollback journal begins while a change may have to be undone."""

# Outputs are a kilobyte or two: on larger pages less is spent on where they are kept.
TABLES: Final = """
PRAGMA page_size = 16384;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chunks (id INTEGER PRIMARY KEY, taskgroup_id TEXT NOT NULL, sent INTEGER NOT NULL);
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY, input_key BLOB NOT NULL, chunk INTEGER, place INTEGER
);
CREATE TABLE outcomes (
    task INTEGER PRIMARY KEY, run_id TEXT, ended INTEGER NOT NULL, event TEXT, error TEXT
);
CREATE TABLE repeats (number INTEGER PRIMARY KEY, task INTEGER NOT NULL);
"""


@contextmanager
def journal_errors(path: Path | None) -> Iterator[None]:
    """Turn what SQLite and the file system raise into an error that says what to do."""
    place = f"The journal {path}" if path else "The journal in memory"
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise JournalError(
                f"{place} is in use by another run. Wait for it to end, or give this run a journal "
                "of its own."
            ) from error
        raise JournalError(
            f"{place} cannot be read or written ({error}). Nothing was paid for that it does not "
            "hold: make room or give access, then start the same again."
        ) from error
    except sqlite3.Error as error:
        raise JournalError(f"{place} is damaged ({error}). {REMEDY}") from error
    except OSError as error:
        raise JournalError(f"{place} cannot be opened ({error}). Check its folder.") from error


REMEDY: Final = (
    "Restore it from a backup; deleting it starts anew and pays again for what it had done."
)


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
    if (version := pragma("user_version")) != LAYOUT_VERSION:
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
        raise JournalError(f"The journal {path} is damaged ({found}). {REMEDY}")


def _create(path: Path) -> None:
    """Give the file its name only once it is whole, and only if there is none by that name."""
    _drop_leftover(path)
    blank = sqlite3.connect(":memory:")
    try:
        blank.executescript(TABLES)
        blank.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        blank.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
        content = blank.serialize()
    finally:
        blank.close()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    made = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
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
