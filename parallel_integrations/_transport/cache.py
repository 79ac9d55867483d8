"""Response caches: a directory of files, or an object that a user has."""

import inspect
import logging
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Protocol, TypeAlias

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._validation import check_count

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_TTL_SECONDS: Final = 10 * 365 * 24 * 3600.0
ABANDONED_SECONDS: Final = 3600.0
log = logging.getLogger("parallel_integrations")

SUFFIX: Final = ".answer"
PART: Final = ".part"
_KEY = re.compile(r"[0-9a-f]{16,128}")
_OURS = re.compile(rf"\.?[0-9a-f]{{16,128}}(\.[0-9a-f]+)?({re.escape(SUFFIX)}|{re.escape(PART)})")


class ResponseCache(Protocol):
    """What `ParallelClient(cache=…)` takes besides a path; a `diskcache.Cache` is one.

    A client used from several threads or tasks calls it from several threads.
    """

    def get(self, key: str, /) -> Any:
        """The bytes set under a key, or None where there are none or their time is over."""

    def set(self, key: str, value: bytes, /, *, expire: float) -> Any:
        """Keep bytes under a key for `expire` seconds."""


class DirectoryCache:
    """Responses as files of a directory, for any number of threads and processes.

    A file is put in place whole, so there is nothing to lock and nothing that a crash could leave
    half written. The directory is made with mode 0700 if it is not there, with the parents that it
    lacks, and the files with 0600. Where the system has users, a directory or file that belongs to
    another one, or that others may write to, is not used.

    Args:
        path: The directory; made when the first response is kept. `~` is understood.
        max_bytes: Most bytes of all responses; those that expire first go first. 256 MiB.

    Raises:
        ValueError: The path is empty or no directory, or `max_bytes` is no number above 0.

    Example:
        ```python
        from tempfile import mkdtemp

        from parallel_integrations import DirectoryCache, ParallelClient

        client = ParallelClient(cache=DirectoryCache(mkdtemp(), max_bytes=10_000_000))
        ```
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> None:
        if not os.fspath(path):
            raise InvalidArgumentError(
                "cache='' is no directory; leave it out to keep no responses"
            )
        check_count("max_bytes", max_bytes, 1)
        taken = False
        try:
            self.path = Path(path).expanduser().absolute()
            taken = not stat.S_ISDIR(self.path.stat().st_mode)
        except (FileNotFoundError, PermissionError):  # may change, and costs no response until then
            pass
        except (OSError, RuntimeError, ValueError) as error:
            raise InvalidArgumentError(
                f"cache={os.fspath(path)!r} cannot be a directory: {error}"
            ) from None
        if taken:
            raise InvalidArgumentError(f"cache={str(self.path)!r} is a file; name a directory")
        self.max_bytes = max_bytes
        self._until_sweep = 0

    def __repr__(self) -> str:
        return f"DirectoryCache({str(self.path)!r}, max_bytes={self.max_bytes})"

    def get(self, key: str) -> bytes | None:
        """What is kept under a key; None where there is nothing or its time is over.

        Raises:
            OSError: The file cannot be read, or is none that this package keeps responses in.
        """
        path = self._file(key)
        try:
            self._check_directory()
            with open(path, "rb", buffering=0, opener=_no_other) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(f"{path!r} is no regular file; delete it")
                _check_owner(found, path)
                # A file's time of change is the moment that its response expires.
                if found.st_mtime <= time.time():
                    return None
                if found.st_size > self.max_bytes:
                    raise OSError(f"{path!r} is larger than max_bytes={self.max_bytes}")
                return file.read(found.st_size)
        except FileNotFoundError:
            return None

    def set(self, key: str, value: bytes, expire: float) -> None:
        """Keep bytes under a key for `expire` seconds; more than `max_bytes` are not kept.

        Raises:
            OSError: The file cannot be written, or others may write to the directory.
        """
        final = self._file(key)
        if len(value) > self.max_bytes:
            return
        try:
            self._check_directory()
        except FileNotFoundError:
            self._make_directory()
        self._until_sweep -= len(value)
        if self._until_sweep < 0:
            self._sweep(needed=len(value))
        part = self.path / f".{key}.{token_hex(4)}{PART}"
        try:
            with open(part, "xb", opener=_only_mine) as file:
                file.write(value)
            now = time.time()
            os.utime(part, (now, now + min(expire, MAX_TTL_SECONDS)))
            part.replace(final)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def _make_directory(self) -> None:
        for directory in (*reversed(self.path.parents), self.path):
            if not directory.exists():  # `parents=True` would leave their mode to the umask
                directory.mkdir(mode=0o700, exist_ok=True)
                log.info("created the cache directory %s", directory)

    def _check_directory(self) -> None:
        found = self.path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(f"{str(self.path)!r} is no directory")
        _check_owner(found, self.path)

    def _file(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"key={key!r} is not 16 to 128 hexadecimal digits")
        return os.path.join(self.path, key + SUFFIX)  # noqa: PTH118 - a third of what `/` takes

    def _sweep(self, needed: int) -> None:
        """Delete what is over, then what is over soonest, until an eighth of the space is free."""
        now = time.time()
        kept: list[tuple[float, int, str]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if not _OURS.fullmatch(entry.name):
                    continue
                with suppress(OSError):  # another process deletes, too
                    found = entry.stat(follow_symlinks=False)
                    part = entry.name.endswith(PART)
                    if not part and found.st_mtime > now:
                        kept.append((found.st_mtime, found.st_size, entry.path))
                    elif not part or found.st_ctime < now - ABANDONED_SECONDS:
                        Path(entry.path).unlink()
        eighth = self.max_bytes // 8
        excess = sum(size for _, size, _ in kept) - min(
            self.max_bytes - eighth, self.max_bytes - needed
        )
        for _, size, path in sorted(kept):
            if excess <= 0:
                break
            with suppress(OSError):
                Path(path).unlink()
                excess -= size
        self._until_sweep = eighth - needed


def _only_mine(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _no_other(path: str, flags: int) -> int:
    """Open no file that a link leads to, and wait for nobody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _check_owner(found: os.stat_result, path: str | Path) -> None:
    """Refuse what somebody else may have written.

    Raises:
        PermissionError: It belongs to another user, or others may write to it.
    """
    if not hasattr(os, "geteuid"):  # Windows: no owners and modes of this kind
        return
    if found.st_uid != os.geteuid():
        raise PermissionError(
            f"{str(path)!r} belongs to another user; name a directory of your own, such as a new "
            "one inside it"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"others may write to {str(path)!r} (mode {stat.S_IMODE(found.st_mode):04o}); "
            "chmod go-w it, or name a new directory inside it"
        )


CacheArgument: TypeAlias = str | os.PathLike[str] | ResponseCache


def opened(cache: CacheArgument | None) -> ResponseCache | None:
    """The cache that `cache=` means.

    Raises:
        ValueError: It is neither a directory's path nor an object with `get` and `set`.
    """
    if cache is None:
        return None
    if isinstance(cache, str | os.PathLike):
        return DirectoryCache(cache)
    for name in ("get", "set"):
        method = getattr(cache, name, None)
        if not callable(method):
            raise InvalidArgumentError(
                f"cache= must be a directory's path, or an object with get(key) and set(key, "
                f"value, expire=seconds); {type(cache).__name__} has no {name}"
            )
        if inspect.iscoroutinefunction(method):
            raise InvalidArgumentError(
                f"cache=: {type(cache).__name__}.{name} must block, not be awaited"
            )
    return cache
