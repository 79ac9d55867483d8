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
        files: Only lines of files with one of these in their path count.
    """
    left = line

    def on_line(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left
        if event == "call":
            counts = any(name in frame.f_code.co_filename for name in files)
            return on_line if counts else None  # without it, no line of this frame is reported
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Interrupted
        return on_line

    sys.settrace(on_line)
    try:
        call()
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return False
