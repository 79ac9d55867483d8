"""Interrupts a call at a chosen line, as Ctrl+C may."""

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """What Ctrl+C raises is a BaseException, too."""


def interrupted_at(line: int, call: Callable[[], object], files: Sequence[str]) -> bool:
    """Make a call and interrupt it where it executes its n-th line; False where it ended before.

    Args:
        line: Which line, counted as they are executed, from 1.
        call: What is interrupted.
        files: Only lines of files with one of these in their path count, and none of a `__del__`,
            where Python ignores what is raised.
    """

    def reached(number: int) -> None:
        if number == line:
            sys.settrace(None)
            raise Interrupted

    try:
        _trace(call, files, reached)
    except Interrupted:
        return True
    return False


def done_within(
    line: int, call: Callable[[], object], files: Sequence[str], other: Callable[[], object]
) -> None:
    """Make a call and do something else where it executes its n-th line, as another thread may."""

    def reached(number: int) -> None:
        if number == line:
            sys.settrace(None)
            other()

    _trace(call, files, reached)


def num_lines(call: Callable[[], object], files: Sequence[str]) -> int:
    """How many lines `interrupted_at` could interrupt."""
    numbers: list[int] = []
    _trace(call, files, numbers.append)
    return len(numbers)


def _trace(
    call: Callable[[], object], files: Sequence[str], reached: Callable[[int], None]
) -> None:
    number = 0

    def on_line(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal number
        if event == "call":
            counts = any(name in frame.f_code.co_filename for name in files)
            # Without it, no line of this frame is reported.
            return on_line if counts and frame.f_code.co_name != "__del__" else None
        if event == "line":
            number += 1
            reached(number)
        return on_line

    sys.settrace(on_line)
    try:
        call()
    finally:
        sys.settrace(None)
