"""Prints the table of the faults after a run of all of them."""

from typing import Any

import pytest

from tests.faults.report import REPORT
from tests.faults.selection import ALL


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process hands over what came of its cells."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["faults"] = REPORT.counted()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The main process adds up what came of its workers' cells."""
    if counted := getattr(node, "workeroutput", {}).get("faults"):
        REPORT.add_counted(counted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if ALL and REPORT.cells:
        terminalreporter.section("what came of the faults")
        for line in REPORT.lines():
            terminalreporter.write_line(line)
