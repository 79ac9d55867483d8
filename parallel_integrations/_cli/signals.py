"""Signals that end a process, as exceptions, so that it leaves nothing behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

ENDING: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class EndedError(KeyboardInterrupt):
    """A signal ended the process.

    Attributes:
        number: The signal's.
        status: The exit status that says so.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number
        self.status = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `EndedError` for the first signal that would end the process, and ignore later ones.

    What is ignored already, as under `nohup`, stays ignored. Outside of the main thread, which
    alone is given signals, nothing is changed.
    """
    before: dict[int, Any] = {}

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:  # what is cleaned up now is cleaned up to its end
            signal.signal(each, signal.SIG_IGN)
        raise EndedError(number)

    if threading.current_thread() is threading.main_thread():
        for name in ENDING:
            number = getattr(signal, name, None)  # not every system has each
            handler = None if number is None else signal.getsignal(number)
            if number is not None and handler not in (None, signal.SIG_IGN):
                before[number] = handler
    try:
        for number in before:
            signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
