"""What the worker processes of a run count, added up in the main process."""

from collections.abc import Callable
from typing import Any

import pytest


class HandedOver:
    """A plugin that hands over what a worker process counted, and adds it up where it arrives.

    Args:
        name: What is counted.
        counted: Gives it as plain data.
        add: Takes that of another process.
    """

    def __init__(self, name: str, counted: Callable[[], Any], add: Callable[[Any], None]) -> None:
        self._name, self._counted, self._add = name, counted, add

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output[self._name] = self._counted()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if counted := getattr(node, "workeroutput", {}).get(self._name):
            self._add(counted)
