"""How much is run: a part that holds every fault and every kind of request, or all."""

import os
from typing import Final

import pytest

ALL: Final = os.environ.get("FAULTS") == "all"
"""Whether every cell is run."""
SOAK: Final = os.environ.get("SOAK") == "long"
"""Whether the soak is the long one."""


def begun_first(takes_its_time: bool) -> list[pytest.MarkDecorator]:
    """The marks of a test, of which one that takes its time is begun first where all are run."""
    return [pytest.mark.slow] if ALL and takes_its_time else []
