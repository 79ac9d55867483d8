"""Every fault in every operation, blocking and awaiting, bare, of LangChain, of LlamaIndex.

A cell passes where the right error or the right result comes, in time, after as many requests and
such pauses as the retry table allows, with the ids of what was paid for, no key in anything, and
the connections back in the pool. Each test runs many cells; its failure names those that failed.

Most runs take a part of them: every fault on the bare client in every kind of request, in one kind
of each sort of response both blocking and awaiting, in the others and on the adapters in one of the
two. `make faults` runs all.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from parallel_integrations import TaskTimeoutError, api
from tests.faults.calls import BARE, Call, Step
from tests.faults.langchain_calls import LANGCHAIN
from tests.faults.llama_index_calls import LLAMA_INDEX
from tests.faults.report import REPORT
from tests.faults.selection import ALL, begun_first
from tests.faults.table import FAULTS, NOT_YET, Expected, Fault, Kind, Sort, expected
from tests.faults.trial import MAX_SHOWN, SHORT_TIMEOUT_SECONDS, Attempt, Trial, trial

LIBRARIES: Final = {"bare": BARE, "langchain": LANGCHAIN, "llama_index": LLAMA_INDEX}
SHARE: Final = 20
"""One cell in so many is run where not all are."""
_DEAR: Final = (Kind.READ, Kind.QUERY, Kind.CREATE)
BOTH_MODES: Final = {
    (Kind.QUERY, Sort.JSON),
    (Kind.QUERY, Sort.CHAT),
    (Kind.READ, Sort.EVENTS),
    (Kind.READ, Sort.NOTHING),
}
"""One kind for each sort of response: blocking and awaiting connections have code of their own."""


@dataclass(frozen=True)
class Cell:
    """A fault in one request of one call.

    Attributes:
        call: The call.
        step: Which of its requests is spoiled.
        once: Whether only the first of them is.
        expected: What must come of it.
    """

    call: Call
    step: Step
    once: bool
    expected: Expected

    def attempt(self, fault: Fault, *, awaiting: bool) -> Attempt:
        """The call, with the fault."""
        times = "once" if self.once else ""
        words = (self.call.name, self.step.name, "awaited" if awaiting else "", times)
        name = " ".join(filter(None, words))
        return Attempt(name, self.call, self.step, fault, self.expected, 1 if self.once else None)


def cells(fault: Fault, library: str) -> list[Cell]:
    """The cells of a fault: all, or some of each kind, others for each fault."""
    kinds: dict[tuple[Kind, Sort], list[tuple[Call, Step]]] = {}
    for call in LIBRARIES[library]:
        for step in call.steps:
            kinds.setdefault((step.kind, step.sort), []).append((call, step))
    return [
        Cell(call, step, once, _expected(fault, step, once=once))
        for once in (False, True)
        for (kind, _), places in kinds.items()
        for call, step in _some(places, fault, kind, library, once=once)
    ]


def _run_of(fault: Fault, some: list[Cell], library: str, *, awaiting: bool) -> list[Cell]:
    return [cell for cell in some if ALL or _is_run(fault, cell, library, awaiting=awaiting)]


def _is_run(fault: Fault, cell: Cell, library: str, *, awaiting: bool) -> bool:
    kind = cell.step.kind
    if cell.once and cell.expected.sent == 1:
        return False  # the same as where every request is struck
    if library == "bare" and not cell.once and (kind, cell.step.sort) in BOTH_MODES:
        return True
    # What operations do is written once: blocking for this fault, awaiting for the next.
    turn = list(Kind).index(kind) if library == "bare" else 0
    return (FAULTS.index(fault) + turn) % 2 == awaiting


def _some(
    places: list[tuple[Call, Step]], fault: Fault, kind: Kind, library: str, *, once: bool
) -> list[tuple[Call, Step]]:
    if ALL:
        return [] if fault.huge and once else places
    number = FAULTS.index(fault) + once
    takes_time = fault.huge or (fault.times_out and fault.name != "no bytes")
    takes_time = takes_time or (kind in (Kind.WAIT, Kind.POLL) and fault.name in NOT_YET)
    if library != "bare" and (once or takes_time):
        return []
    if fault.huge or fault.times_out:  # they take their time
        kinds = _DEAR if fault.name == "no bytes" and library == "bare" else (Kind.QUERY,)
        return [] if once or kind not in kinds else [places[number % len(places)]]
    return places[number % min(SHARE, len(places)) :: SHARE]


def _expected(fault: Fault, step: Step, *, once: bool) -> Expected:
    if "entity-search" in step.place and fault.name == "404":
        # The older path is tried.
        return Expected(None if once else fault.outcome.error, 2)
    return expected(fault, step.kind, step.sort, once=once, first=step.first)


def groups(fault: Fault, library: str) -> Iterator[tuple[float, list[Cell]]]:
    """The cells by the deadline they need: short where only a deadline ends them."""
    by_deadline: dict[float, list[Cell]] = {}
    for cell in cells(fault, library):
        by_deadline.setdefault(_deadline(fault, cell), []).append(cell)
    yield from by_deadline.items()


def _deadline(fault: Fault, cell: Cell) -> float:
    if cell.expected.error is TaskTimeoutError:
        return 0.1
    if cell.step.kind is Kind.LOOK:
        return 1.0 if cell.expected.error is TaskTimeoutError else 5.0
    # An enrichment waits for as long as it may.
    waits_long = cell.step.kind in (Kind.GROUP, Kind.ROWS) and not cell.once
    if fault.times_out or waits_long:
        return 1.0
    return max(30.0 if fault.huge else 5.0, 2 * fault.pause[1])


@pytest.mark.timeout(900 if ALL else 180)
@pytest.mark.parametrize(
    # One process for each: what comes of a call in good health is found out once.
    "library",
    [pytest.param(each, marks=pytest.mark.xdist_group(f"faults of {each}")) for each in LIBRARIES],
)
@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, marks=begun_first(each.times_out or each.huge)) for each in FAULTS],
    ids=lambda fault: fault.name,
)
def test_what_comes_of_a_fault(fault: Fault, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[str] = []
    timeout = {"timeout": SHORT_TIMEOUT_SECONDS} if fault.times_out else {}
    for deadline, some in groups(fault, library):
        with trial(monkeypatch, deadline=deadline, **timeout) as one:
            if blocking := _run_of(fault, some, library, awaiting=False):
                _blocking(one, fault, blocking)
            if awaiting := _run_of(fault, some, library, awaiting=True):
                asyncio.run(_awaiting(one, fault, awaiting))
            wrong += one.wrong
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:MAX_SHOWN])


def test_the_matrix_knows_every_operation() -> None:
    """What is new must be in it."""
    offline = {"parse_webhook", "verify_webhook", "webhook_id"}
    assert set(api.__all__) - offline <= {call.name for call in BARE}


def _blocking(one: Trial, fault: Fault, some: list[Cell]) -> None:
    for cell in some:
        if cell.call.run is not None:
            before = len(one.wrong)
            came = one.try_out(cell.attempt(fault, awaiting=False))
            REPORT.add(fault, cell.step, came, one.sent, failed=len(one.wrong) > before)
    one.close()


async def _awaiting(one: Trial, fault: Fault, some: list[Cell]) -> None:
    for cell in some:
        if cell.call.arun is not None:
            before = len(one.wrong)
            came = await one.atry_out(cell.attempt(fault, awaiting=True))
            REPORT.add(fault, cell.step, came, one.sent, failed=len(one.wrong) > before)
    await one.aclose()
