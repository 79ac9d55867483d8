"""What a client's calls cost, by SKU."""

import os
import threading
from collections.abc import Mapping
from weakref import WeakSet

from parallel_integrations.models.prices import PRICES_USD


class Usage:
    """How much of each SKU a client has paid for, and an estimate of it in US dollars.

    What is counted, and what a client cannot know, is said in `docs/spend.md`. Threads, tasks and
    event loops may share it.

    Attributes:
        prices: US dollars by SKU, to change in place; the published ones to begin with. A SKU
            that is not in it is counted and costs 0.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SearchRequest
        from parallel_integrations.api import search

        with ParallelClient() as client:
            client.usage.prices["search"] = 0.004
            client.run(search(SearchRequest(objective="What is a metaclass?")))
        print(client.usage.counts, client.usage.usd)  # {'search': 1} 0.004
        ```
    """

    def __init__(self, prices: Mapping[str, float] = PRICES_USD) -> None:
        self.prices = dict(prices)
        self._counts: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._lock = threading.RLock()  # a signal handler may count, too
        _living.add(self)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each SKU, as a copy."""
        with self._lock:
            return dict(self._counts)

    @property
    def usd(self) -> float:
        """What they cost at `prices`, exact to a millionth of a dollar."""
        return self._priced(self.counts)

    @property
    def saved(self) -> dict[str, int]:
        """How many of each SKU the cache and shared requests made unnecessary, as a copy."""
        with self._lock:
            return dict(self._saved)

    @property
    def saved_usd(self) -> float:
        """What they would have cost at `prices`, exact to a millionth of a dollar."""
        return self._priced(self.saved)

    def add(self, skus: Mapping[str, int]) -> None:
        """Count what the client cannot know, such as the matches of a FindAll run.

        Args:
            skus: How many of each, e.g. `{"findall_core_match": 12}`.
        """
        with self._lock:
            for sku, count in skus.items():
                self._counts[sku] = self._counts.get(sku, 0) + count

    def save(self, skus: Mapping[str, int]) -> None:
        """Count the units of a response that took no request."""
        with self._lock:
            for sku, count in skus.items():
                self._saved[sku] = self._saved.get(sku, 0) + count

    def reset(self) -> None:
        """Begin at zero again; the prices stay."""
        with self._lock:
            self._counts.clear()
            self._saved.clear()

    def renewed(self) -> "Usage":
        """Another one with the same prices and nothing counted."""
        return Usage(self.prices)

    def __repr__(self) -> str:
        return f"Usage(counts={self.counts}, usd={self.usd})"

    def _priced(self, counts: Mapping[str, int]) -> float:
        return round(sum(self.prices.get(sku, 0.0) * count for sku, count in counts.items()), 6)


_living: WeakSet[Usage] = WeakSet()


def _renew_locks() -> None:
    for usage in _living:
        usage._lock = threading.RLock()  # noqa: SLF001 - a forked child may find it taken for ever


if hasattr(os, "register_at_fork"):  # asking for the process at every call would cost more
    os.register_at_fork(after_in_child=_renew_locks)
