"""Output file of the command `enrich`: locked, checked before anything is paid, written whole."""

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Final

from parallel_integrations._cli.enrich_tables import Places, table_writer
from parallel_integrations._cli.files import check_output
from parallel_integrations.errors import InvalidArgumentError

GOES_ON: Final = "The journal has every output: the same command writes it without paying again."

if sys.platform == "win32":
    import msvcrt

    def _lock_now(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock_now(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Output:
    """An output file; it is given its name only if `is_complete` is set."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.is_complete = False
        self._path = path
        self._file = file

    def write(self, line: str) -> None:
        """Write a line.

        Raises:
            ValueError: It cannot be written.
        """
        with _writing(self._path):
            self._file.write(f"{line}\n".encode())


def lock_path(path: Path) -> Path:
    """The file that a run holds while it writes an output."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def replacing(path: Path, columns: Places = ()) -> Iterator[Output]:
    """Write JSON lines under another name; once complete, rename them, or the table made of them.

    The operating system ends the lock with the process, however that ends; files of a killed run
    are removed by the next.

    Args:
        path: The file.
        columns: Those that a table has whatever its rows hold, by part and key.

    Raises:
        ValueError: It is no file that can be written, or another run writes it.
    """
    check_replaceable(path)
    write_table = table_writer(path)
    with _locked(path):
        _remove_leftovers(path)
        with _part(path) as lines:
            output = Output(path, lines)
            yield output
            if not output.is_complete:
                return
            if write_table is None:
                _rename(lines, path)
                return
            with _part(path) as table:
                with _writing(path):
                    lines.flush()
                    write_table(Path(lines.name), table, columns)
                _rename(table, path)


@contextmanager
def _part(path: Path) -> Iterator[IO[bytes]]:
    """A file beside an output, removed unless it is renamed."""
    made = path.with_name(f".{path.name}.{token_hex(8)}.part")
    try:
        with _writing(path):
            # An unpredictable name, and "x": no link that was placed there is followed.
            file = made.open("xb")
        with file:
            with _writing(path):
                _keep_mode(path, file.fileno())
            yield file
    finally:
        with suppress(OSError):
            made.unlink(missing_ok=True)


def _rename(file: IO[bytes], path: Path) -> None:
    with _writing(path):
        # A name that points to an empty file after a power failure would be worse than the old
        # output.
        file.flush()
        os.fsync(file.fileno())
        file.close()  # some systems rename no open file
        Path(file.name).replace(path)


def check_replaceable(path: Path) -> None:
    """Refuse a path that no whole file can be put at.

    Raises:
        InvalidArgumentError: As `check_output`, or it is a device or a pipe.
    """
    check_output(path)
    if path.exists() and not path.is_file():
        raise InvalidArgumentError(f"The output {path} is no regular file. Name another.")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"The output {path} cannot be written ({error}). {GOES_ON}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    name = lock_path(path)
    descriptor = None
    while descriptor is None:
        descriptor = _lock(path, name)
    try:
        yield
    finally:
        # Removed before it is unlocked: after that another run may have it.
        with suppress(OSError):  # a system that removes no open file: the next run does
            name.unlink()
        os.close(descriptor)


def _lock(path: Path, name: Path) -> int | None:
    """Lock a file; None where the run that held it has removed it meanwhile.

    That run and this one may both have had it open: a lock on a file without a name locks nothing
    for a third, which makes a new one. So the name is compared once the lock is held.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(name, flags, 0o600)
    except OSError as error:
        raise ValueError(
            f"The output {path} cannot be written: its lock {name} cannot be made ({error}). Give "
            "access to the folder, or name another."
        ) from error
    try:
        held = os.fstat(descriptor)
        if not stat.S_ISREG(held.st_mode) or held.st_size:
            raise ValueError(
                f"The output {path} cannot be locked: {name} is in the way. Move it, or name "
                "another output."
            )
        _lock_now(descriptor)
        if _is_at(name, held):
            found, descriptor = descriptor, -1
            return found
    except (BlockingIOError, PermissionError) as error:
        raise ValueError(
            f"The output {path} is being written by another run. Wait for it to end, or name "
            "another."
        ) from error
    except OSError as error:
        raise ValueError(
            f"The output {path} cannot be locked ({error}). Name one on another disk."
        ) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return None


def _is_at(name: Path, held: os.stat_result) -> bool:
    try:
        return os.path.samestat(name.lstat(), held)
    except FileNotFoundError:
        return False


def _remove_leftovers(path: Path) -> None:
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.part")
    with suppress(OSError):  # a folder that cannot be listed
        for each in path.parent.iterdir():
            if ours.fullmatch(each.name):
                each.unlink(missing_ok=True)


def _keep_mode(path: Path, descriptor: int) -> None:
    """Give the new file the permissions of the old one, which may be private."""
    if path.is_file() and sys.platform != "win32":
        os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
