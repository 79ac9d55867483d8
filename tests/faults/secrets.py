"""Looks for the key in everything that may be shown, sent on or written down."""

import logging
import pickle
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from parallel_integrations.client import ParallelClient

MAX_DEPTH: Final = 8


def leaks(value: Any, key: str) -> list[str]:
    """Where `value` shows the key: in its words, its repr, its pickle, or anything it holds.

    An exception is followed through its causes, contexts, notes and attributes, and is printed
    with its traceback. Only a `SecretStr` may hold the key, and a client whose settings are one.
    """
    found = [where for where, text in _shown(value) if key in text]
    found += [where for where, text in _held(value, type(value).__name__, set()) if key in text]
    try:
        pickled = pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - what cannot be pickled cannot leak there
        if isinstance(value, BaseException):
            found.append(f"it cannot be pickled: {error!r}")
    else:
        if key.encode() in pickled:
            found.append("its pickle")
    return list(dict.fromkeys(found))


def _shown(value: Any) -> Iterator[tuple[str, str]]:
    yield "str", str(value)
    yield "repr", repr(value)
    if isinstance(value, BaseException):
        yield "its traceback", "".join(traceback.format_exception(value))


def _held(value: Any, where: str, seen: set[int], depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, bytes | bytearray):
        yield where, bytes(value).decode("latin-1")
    elif id(value) not in seen and depth < MAX_DEPTH:
        seen.add(id(value))
        for name, inner in _parts(value):
            yield from _held(inner, f"{where}{name}", seen, depth + 1)


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, SecretStr | ParallelClient | TracebackType | type | int | float):
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield f"[{name!r}]", inner
            yield " keys", name
        return
    if isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{number}]", inner) for number, inner in enumerate(value))
        return
    if isinstance(value, BaseException):
        for name in ("args", "__cause__", "__context__", "__notes__"):
            yield f".{name}", getattr(value, name, None)
    if isinstance(value, BaseModel):
        yield from ((f".{name}", inner) for name, inner in vars(value).items() if name != "api_key")
        return
    names = [*getattr(value, "__dict__", {}), *_slots(type(value))]
    for name in names:
        try:
            yield f".{name}", getattr(value, name)
        except AttributeError:
            continue


def _slots(cls: type) -> Iterator[str]:
    for each in cls.__mro__:
        slots = each.__dict__.get("__slots__", ())
        yield from [slots] if isinstance(slots, str) else slots


class Listener(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.said.append((record.name, self.format(record)))

    def take(self) -> list[tuple[str, str]]:
        """What was logged since the last time, and by which logger."""
        said, self.said = self.said, []
        return said
