"""How a figure comes about: short turns, of which the quick ones count; CPU time, mostly."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

QUESTION = "How does the with statement handle exceptions?"
SEARCH = {"objective": QUESTION, "search_queries": ["statement handle exceptions"]}
KEY = "bench-key"
Call = Callable[[], object]


@dataclass
class Row:
    """One line of the table.

    Attributes:
        what: What is measured.
        bar: What it must not exceed (or reach, with `at_least`); None where nothing is promised.
        value: What was found.
        unit: What bar and value are in; `x` for a ratio.
        base: What it is a ratio to, with its cost.
        at_least: Whether more is better.
        peers: The same of other packages; what is not installed is missing.
    """

    what: str
    bar: float | None
    value: float
    unit: str = "x"
    base: str = ""
    at_least: bool = False
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def quick(turns: Iterable[float]) -> float:
    """What a tenth of the turns stayed below.

    Other work on the machine makes turns slower, by a third and more, and none quicker: a median
    says how busy it was.
    """
    ordered = sorted(turns)
    return ordered[len(ordered) // 10]


def per_call(
    contenders: dict[str, Call],
    *,
    calls: int,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Seconds per call; contenders take turns, so that a slow spell of the machine hits all.

    Args:
        contenders: What is measured, by name.
        calls: Calls per turn.
        rounds: Turns of each.
        clock: `time.process_time` for what a call costs, `time.perf_counter` for how long it takes.
    """
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            call()  # it finds the processor's caches full of another's work
            start = clock()
            for _ in range(calls):
                call()
            turns[name].append((clock() - start) / calls)
    return {name: quick(each) for name, each in turns.items()}


def row(
    what: str,
    bar: float | None,
    base: tuple[str, Call],
    ours: Call,
    others: dict[str, Call],
    *,
    calls: int,
    rounds: int = 80,
    parts: int = 1,
    beside: dict[str, Call] | None = None,
) -> Row:
    """CPU as a ratio to `base`.

    Each peer is measured in a run of its own: one that takes forty times as long would leave the
    processor's caches cold for what comes after it.

    Args:
        what: The row's name.
        bar: What the ratio must not exceed; None where nothing is promised.
        base: Name and call that everything is a ratio to.
        ours: This package's call.
        others: Peers.
        calls: Calls per turn.
        rounds: Turns of each.
        parts: What a call consists of (chunks), for the base's cost.
        beside: What costs about as much, and is measured in the same turns.
    """
    name, plain = base
    contenders = {"base": plain, "ours": ours, **(beside or {})}
    cost = per_call(contenders, calls=calls, rounds=rounds)
    ratios = {each: cost[each] / cost["base"] for each in beside or ()}
    for peer, call in others.items():
        against = per_call({"base": plain, "peer": call}, calls=1, rounds=rounds // 2)
        ratios[peer] = against["peer"] / against["base"]
    shown = f"{name}, {cost['base'] / parts * 1e6:.1f} us"
    return Row(what, bar, cost["ours"] / cost["base"], base=shown, peers=ratios)
