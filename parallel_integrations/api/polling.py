"""Waiting for work whose status can only be asked for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from parallel_integrations.api.errors import TaskTimeoutError
from parallel_integrations.api.flow import Flow, Send, exchange
from parallel_integrations.api.models import read_answer
from parallel_integrations.api.retries import conditions_of

FIRST_POLL_SECONDS: Final = 1.0
LONGEST_POLL_SECONDS: Final = 10.0

T = TypeVar("T")


def check_deadline(seconds: float) -> None:
    """Refuse a deadline that passes before anything is begun.

    Raises:
        ValueError: It is not above 0.
    """
    if not seconds > 0:
        raise ValueError(f"deadline_seconds={seconds!r} must be above 0")


def poll(
    send: Send,
    answer: type[T],
    is_done: Callable[[T], bool],
    *,
    deadline_seconds: float,
    late: Callable[[T], str],
) -> Flow[T]:
    """Ask again and again, at growing distances, until `is_done`.

    Raises:
        TaskTimeoutError: The deadline passed; `late` says what to do.
    """
    pause = FIRST_POLL_SECONDS
    while True:
        response = yield from exchange(send)
        found = read_answer(response, answer)
        if is_done(found):
            return found
        remaining = deadline_seconds - conditions_of(response).elapsed_seconds
        if remaining <= 0:
            raise TaskTimeoutError(late(found))
        send = replace(send, delay_seconds=min(pause, remaining))
        pause = min(pause * 2, LONGEST_POLL_SECONDS)
