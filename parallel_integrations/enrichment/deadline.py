"""Steps that end at a deadline, however long a server keeps them."""

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final, TypeVar

from parallel_integrations._protocol.flow import More, Send

T = TypeVar("T")

LAST_LOOK_SECONDS: Final = 5.0
"""How long after the deadline a last look may take."""
MIN_TIMEOUT_SECONDS: Final = 0.01


class DeadlinePassedError(Exception):
    """The deadline passed before the steps came to their end; they were closed."""


def until(deadline: float, steps: Generator[Send | More, Any, T]) -> Generator[Send | More, Any, T]:
    """The same steps, none of which waits beyond a deadline.

    Args:
        deadline: By the monotonic clock.
        steps: The steps.

    Raises:
        DeadlinePassedError: There is no time left for the next step.
    """
    try:
        step = next(steps)
        while True:
            now = time.monotonic()
            left = deadline + LAST_LOOK_SECONDS - now
            if left <= 0:
                raise DeadlinePassedError
            if isinstance(step, Send):
                delay = min(step.delay_seconds, max(0.0, deadline - now))
                patience = min(step.timeout_seconds, max(left - delay, MIN_TIMEOUT_SECONDS))
                step = replace(step, delay_seconds=delay, timeout_seconds=patience)
            try:
                outcome = yield step
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is for the steps
                step = steps.throw(failure)
            else:
                step = steps.send(outcome)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # a StopIteration does not say of what
    finally:
        steps.close()
