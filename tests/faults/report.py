"""The table that `make faults` prints: what came of each fault, by kind of request."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.faults.calls import Step
from tests.faults.table import FAULTS, REFUSED, Fault, Kind, Sort
from tests.faults.trial import Came

SHORT: Final = {
    "AuthenticationError": "401",
    "ConnectionFailedError": "Connection",
    "PaymentRequiredError": "402",
    "PermissionDeniedError": "403",
    "NotFoundError": "404",
    "ConflictError": "409",
    "InvalidRequestError": "Invalid",
    "RateLimitError": "RateLimit",
    "RequestTimeoutError": "Timeout",
    "ServerError": "Server",
    "StatusError": "Status",
    "StreamInterruptedError": "Interrupted",
    "TaskTimeoutError": "TaskTimeout",
    "TimeoutError": "Timeout",
    "UnexpectedAnswerError": "Unexpected",
}
COLUMNS: Final = tuple(
    "read, query, create, add, free group, rows, wait, courtesy, chat stream, event stream".split(
        ", "
    )
)


class Report:
    """Counts what came of the cells."""

    def __init__(self) -> None:
        self._came: dict[str, dict[str, Counter[str]]] = {}
        self.cells = 0
        self.failed = 0

    def add(self, fault: Fault, step: Step, came: Came, sent: int, *, failed: bool) -> None:
        """Count a cell."""
        self.cells += 1
        self.failed += failed
        row = self._came.setdefault(fault.name, {})
        row.setdefault(_column(step), Counter())[_outcome(came, sent, step)] += 1

    def counted(self) -> dict[str, Any]:
        """What was counted, as plain data, for `add_counted` in another process."""
        came = {
            fault: {column: dict(outcomes) for column, outcomes in row.items()}
            for fault, row in self._came.items()
        }
        return {"came": came, "cells": self.cells, "failed": self.failed}

    def add_counted(self, counted: Mapping[str, Any]) -> None:
        """Add what another process counted."""
        self.cells += counted["cells"]
        self.failed += counted["failed"]
        for fault, row in counted["came"].items():
            for column, outcomes in row.items():
                self._came.setdefault(fault, {}).setdefault(column, Counter()).update(outcomes)

    def lines(self) -> Iterator[str]:
        """The table."""
        rows = [["fault", *COLUMNS]]
        order = [fault.name for fault in (REFUSED, *FAULTS)]
        known = sorted(self._came, key=lambda name: (*_place(name, order), name))
        for fault in known:
            came = self._came[fault]
            rows.append([fault, *("; ".join(sorted(came.get(name, ()))) for name in COLUMNS)])
        widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "  ".join(cells).rstrip()
        yield ""
        yield f"{self.cells} cells, {self.failed} of them wrong. xn: requests sent, one repetition"
        yield "allowed; x alone: as many as fit before a deadline."


def _place(name: str, order: list[str]) -> tuple[int]:
    return (order.index(name) if name in order else len(order),)


def _column(step: Step) -> str:
    if step.sort in (Sort.CHAT, Sort.EVENTS) and step.kind is not Kind.COURTESY:
        return str(step.sort.value)
    return str(step.kind.value)


def _outcome(came: Came, sent: int, step: Step) -> str:
    error = came.error
    if error is not None and type(error).__name__ == "ToolException":
        error = error.__cause__
    times = str(sent) if step.kind not in (Kind.WAIT, Kind.POLL, Kind.COURTESY) or sent < 3 else ""
    if error is None:
        return f"result x{times}"
    name: str = type(error).__name__
    plain = name.removeprefix("Chat")
    return f"{SHORT.get(plain, SHORT.get(name, name))} x{times}"


REPORT: Final = Report()
