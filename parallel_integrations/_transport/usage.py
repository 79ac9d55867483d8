"""What a client's calls cost, by SKU."""

import os
import threading
from collections.abc import Mapping
from typing import NamedTuple

from parallel_integrations.models.prices import PRICES_USD
from parallel_integrations.models.shared import ApiResponse


class Counted(NamedTuple):
    """What a request was counted as.

    Attributes:
        saved: Whether its response took no request.
        resets: How often the usage had been reset by then.
    """

    skus: Mapping[str, int]
    saved: bool
    resets: int


class Usage:
    """How much of each SKU a client has paid for, and an estimate of it in US dollars.

    There are two figures: what the requests alone say (`estimated`), and that corrected by what the
    responses report (`counts`), such as fewer results than requested, or pages that failed.
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
        self._estimated: dict[str, int] = {}
        self._reported: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._resets = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many of each SKU, as a copy; as responses report it, where they do."""
        with _lock:
            return dict(self._counts)

    @property
    def usd(self) -> float:
        """What they cost at `prices`, exact to a millionth of a dollar."""
        return self._priced(self.counts)

    @property
    def estimated(self) -> dict[str, int]:
        """How many of each SKU by the requests alone, as a copy."""
        with _lock:
            return dict(self._estimated)

    @property
    def estimated_usd(self) -> float:
        """What they would cost at `prices`, exact to a millionth of a dollar."""
        return self._priced(self.estimated)

    @property
    def reported(self) -> dict[str, int]:
        """What responses reported (`usage`), by the API's own names, as a copy."""
        with _lock:
            return dict(self._reported)

    @property
    def saved(self) -> dict[str, int]:
        """How many of each SKU the cache and shared requests made unnecessary, as a copy."""
        with _lock:
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
        with _lock:
            _add(self._counts, skus)
            _add(self._estimated, skus)

    def count(self, skus: Mapping[str, int], *, saved: bool = False) -> Counted:
        """Count a request, or with `saved` a response that took none, until it is read."""
        with _lock:
            if saved:
                _add(self._saved, skus)
            else:
                self.add(skus)
            return Counted(skus, saved, self._resets)

    def settle(self, counted: Counted, response: ApiResponse) -> None:
        """Correct what a request was counted as by what its response shows to be billed."""
        billed = response.billed_skus(counted.skus)
        with _lock:
            if counted.resets != self._resets:
                return
            if billed != counted.skus:
                counts = self._saved if counted.saved else self._counts
                _add(counts, {sku: -count for sku, count in counted.skus.items()})
                _add(counts, billed)
            if not counted.saved:
                _add(self._reported, response.reported)

    def reset(self) -> None:
        """Begin at zero again; the prices stay."""
        with _lock:
            for counts in (self._counts, self._estimated, self._reported, self._saved):
                counts.clear()
            self._resets += 1

    def renewed(self) -> "Usage":
        """Another one with the same prices and nothing counted."""
        return Usage(self.prices)

    def __repr__(self) -> str:
        estimated = "" if self.estimated == self.counts else f", estimated_usd={self.estimated_usd}"
        return f"Usage(counts={self.counts}, usd={self.usd}{estimated})"

    def _priced(self, counts: Mapping[str, int]) -> float:
        return round(sum(self.prices.get(sku, 0.0) * count for sku, count in counts.items()), 6)


def _add(counts: dict[str, int], skus: Mapping[str, int]) -> None:
    for sku, count in skus.items():
        counts[sku] = counts.get(sku, 0) + count
        if not counts[sku]:
            del counts[sku]


# One for all: they hold it for a microsecond, and of its own an adapter that is made for one call
# would have to make, note and forget it. A signal handler may count, too.
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()  # a forked child may find it taken for ever


if hasattr(os, "register_at_fork"):  # asking for the process at every call would cost more
    os.register_at_fork(after_in_child=_renew_lock)
