"""Ledger: what the sandbox's responses would have cost on the live service."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

SEARCH_USD = 0.005
FAST_SEARCH_USD = 0.001
INCLUDED_RESULTS = 10
EXTRA_RESULT_USD = 0.001
EXTRACT_USD = 0.001
CHAT_USD: Mapping[str, float] = MappingProxyType(
    {"speed": 0.005, "lite": 0.005, "base": 0.010, "core": 0.025}
)
RESPONSE_USD: Mapping[str, float] = MappingProxyType({"low": 0.010, "medium": 0.050, "high": 0.250})
"""What a response costs, by reasoning effort."""
DECISION_USD = 0.001
FAST = "-fast"
"""What the name of a processor ends with that trades depth for time, at the same price."""
_TASK_USD = {
    "lite": 0.005,
    "base": 0.010,
    "core": 0.025,
    "core2x": 0.050,
    "pro": 0.10,
    "ultra": 0.30,
    "ultra2x": 0.60,
    "ultra4x": 1.20,
    "ultra8x": 2.40,
}
TASK_USD: Mapping[str, float] = MappingProxyType(
    {**_TASK_USD, **{name + FAST: usd for name, usd in _TASK_USD.items()}}
)
"""What a task run costs, by processor."""
FINDALL_USD: Mapping[str, float] = MappingProxyType(
    {"preview": 0.10, "base": 0.25, "core": 2.0, "pro": 10.0}
)
"""The fixed price of a FindAll run, by generator."""
FINDALL_MATCH_USD: Mapping[str, float] = MappingProxyType(
    {"preview": 0.0, "base": 0.03, "core": 0.15, "pro": 1.0}
)
"""What each match of a FindAll run costs besides, by generator."""
ENTITY_SEARCH_USD = 0.005
INCLUDED_ENTITIES = 100
EXTRA_ENTITY_USD = 0.00005
MONITOR_USD: Mapping[str, float] = MappingProxyType({"lite": 0.003, "base": 0.010})
"""What each execution of a monitor costs, by processor."""
FAST_MODES = frozenset({"turbo", "fast"})
BILLED = frozenset(
    "search extract entity_search chat respond decide create_task_run create_task_group "
    "add_task_group_runs task_run create_findall_run findall_match findall_enrichment "
    "monitor_execution".split()
)
"""Names of what an entry can be."""


def _check_operation(name: str) -> None:
    if name not in BILLED:
        near = get_close_matches(name, BILLED, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"operation: {name!r} is never billed{meant} Names: {', '.join(sorted(BILLED))}"
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One billed call.

    Attributes:
        operation: Its name, such as ``search``.
        usd: What it costs, in US dollars.
        detail: What the price hangs on, such as a chat model or a search mode.
        units: How many things were paid for: 1, the number of URLs of an extract, or the number
            of runs that a request started.
    """

    operation: str
    usd: float
    detail: str = ""
    units: int = 1

    def __post_init__(self) -> None:
        _check_operation(self.operation)

    def __str__(self) -> str:
        return f"{self.operation} {self.detail}".rstrip()


class Ledger:
    """Every billed call since the start or the last reset. Threads may share it.

    A request that starts task runs is an entry that costs nothing (``create_task_run``,
    ``create_task_group``, ``add_task_group_runs``); each run is an entry of its own, ``task_run``,
    once it completes. A failed run is never billed.

    A FindAll run is an entry with its fixed price (``create_findall_run``); each of its matches
    (``findall_match``) and each enrichment of a match (``findall_enrichment``) is one of its own
    once it is there. So is each execution of a monitor (``monitor_execution``). Extending a run,
    ingesting, memory and whatever else only reads or stops cost nothing and are no entries.

    Example:
        ```python
        from parallel_integrations.sandbox import Entry, Ledger

        ledger = Ledger()
        ledger.add(Entry("search", 0.005))
        assert (ledger.count("search"), ledger.count(), ledger.usd) == (1, 1, 0.005)
        assert repr(ledger) == "Ledger(0.005 USD: 1 search)"
        ```
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._sources: list[Callable[[], Iterable[Entry]]] = []
        self._lock = threading.Lock()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The billed calls, oldest first."""
        with self._lock:
            self._collect()
            return tuple(self._entries)

    @property
    def usd(self) -> float:
        """The sum in US dollars, exact to a millionth."""
        # Sums of prices such as 0.005 are not exact in binary.
        return round(sum(entry.usd for entry in self.entries), 6)

    def count(self, operation: str | None = None) -> int:
        """Return how many calls of `operation` were billed, or of all operations.

        Raises:
            ValueError: No operation is billed under this name.
        """
        if operation is not None:
            _check_operation(operation)
        return sum(operation in (None, entry.operation) for entry in self.entries)

    def __repr__(self) -> str:
        entries = self.entries
        usd = round(sum(entry.usd for entry in entries), 6)
        counts = Counter(map(str, entries))
        calls = ", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing billed"
        return f"Ledger({usd:g} USD: {calls})"

    def add(self, entry: Entry) -> None:
        """Bill a call."""
        with self._lock:
            self._collect()
            self._entries.append(entry)

    def bill_from(self, source: Callable[[], Iterable[Entry]]) -> None:
        """Bill what becomes due by time; `source` is called at every use, so no timer is needed.

        Args:
            source: Gives each entry once, after it became due. It must not use the ledger.
        """
        self._sources.append(source)

    def _collect(self) -> None:
        # Collected lazily: a bill is only ever seen through this class, so nobody can notice a
        # delay.
        for source in self._sources:
            self._entries.extend(source())

    def clear(self) -> None:
        """Forget every entry."""
        with self._lock:
            self._entries.clear()


def search_usd(mode: str, max_results: int) -> float:
    """Return the price of a search with this `max_results`, in US dollars."""
    price = FAST_SEARCH_USD if mode in FAST_MODES else SEARCH_USD
    return round(price + EXTRA_RESULT_USD * max(0, max_results - INCLUDED_RESULTS), 6)


def entity_search_usd(match_limit: int) -> float:
    """Return the price of an entity search with this ``match_limit``, in US dollars."""
    extra = max(0, match_limit - INCLUDED_ENTITIES)
    return round(ENTITY_SEARCH_USD + EXTRA_ENTITY_USD * extra, 6)
