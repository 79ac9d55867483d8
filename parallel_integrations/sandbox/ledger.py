"""What the sandbox's answers would have cost on the live service."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SEARCH_USD = 0.005
FAST_SEARCH_USD = 0.001
INCLUDED_RESULTS = 10
EXTRA_RESULT_USD = 0.001
EXTRACT_USD = 0.001
CHAT_USD: Mapping[str, float] = MappingProxyType(
    {"speed": 0.005, "lite": 0.005, "base": 0.010, "core": 0.025}
)
FAST_MODES = frozenset({"turbo", "fast"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One billed call.

    Attributes:
        operation: Its name, such as ``search``.
        usd: What it costs, in US dollars.
        detail: What the price hangs on, such as a chat model or a search mode.
        units: How many things were paid for: 1, or the number of URLs of an extract.
    """

    operation: str
    usd: float
    detail: str = ""
    units: int = 1


class Ledger:
    """Every billed call since the start or the last reset. Threads may share it.

    Example:
        >>> ledger = Ledger()
        >>> ledger.add(Entry("search", 0.005))
        >>> ledger.count("search"), ledger.count(), ledger.usd
        (1, 1, 0.005)
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The billed calls, oldest first."""
        with self._lock:
            return tuple(self._entries)

    @property
    def usd(self) -> float:
        """The sum in US dollars, exact to a millionth."""
        return round(sum(entry.usd for entry in self.entries), 6)

    def count(self, operation: str | None = None) -> int:
        """Return how many calls of `operation` were billed, or of all operations."""
        return sum(operation in (None, entry.operation) for entry in self.entries)

    def add(self, entry: Entry) -> None:
        """Bill a call."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Forget every entry."""
        with self._lock:
            self._entries.clear()


def search_usd(mode: str, max_results: int) -> float:
    """Return the price of a search that asked for `max_results` results, in US dollars."""
    price = FAST_SEARCH_USD if mode in FAST_MODES else SEARCH_USD
    return round(price + EXTRA_RESULT_USD * max(0, max_results - INCLUDED_RESULTS), 6)
