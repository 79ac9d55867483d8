"""Signals that end a process, raised as an exception so that `finally` blocks run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

HANDLED: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class EndedError(KeyboardInterrupt):
    """A signal ended the process; `status` is the exit status for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `EndedError` for the first signal that would end the process, and ignore later ones.

    What is ignored already, as under `nohup`, stays ignored. Outside of the main thread, where
    Python allows no handlers, nothing is changed.
    """
    before: dict[int, Any] = {}

    def end(number: int, frame: FrameType | None) -> None:
        # A second Ctrl+C must not interrupt the clean-up, which writes the journal.
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise EndedError(number)

    if threading.current_thread() is threading.main_thread():
        for name in HANDLED:
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
