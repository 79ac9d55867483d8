"""Prints the table of the faults after a run of all of them."""

import pytest

from tests.faults.report import REPORT
from tests.faults.selection import ALL
from tests.support.workers import HandedOver


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(HandedOver("faults", REPORT.counted, REPORT.add_counted))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if ALL and REPORT.cells:
        terminalreporter.section("what came of the faults")
        for line in REPORT.lines():
            terminalreporter.write_line(line)
