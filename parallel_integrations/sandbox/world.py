"""What the operations of one sandbox share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from parallel_integrations.sandbox.corpus import Corpus
from parallel_integrations.sandbox.ledger import Ledger
from parallel_integrations.sandbox.search import Index

Clock = Callable[[], datetime]

SANDBOX_TIME = datetime(2026, 5, 2, 10, 0, tzinfo=UTC)
"""The instant at which a sandbox's clock stands, so that what it answers never changes."""


class Ids:
    """Counts up one series of ids per kind, so that a run repeats byte for byte.

    Example:
        >>> ids = Ids()
        >>> ids.next("search"), ids.next("search"), ids.next("extract")
        ('search_sandbox_000001', 'search_sandbox_000002', 'extract_sandbox_000001')
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, kind: str) -> str:
        """Return the next id of `kind`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}_sandbox_{self._counts[kind]:06}"

    def clear(self) -> None:
        """Begin every series anew."""
        self._counts.clear()


@dataclass(frozen=True, slots=True)
class World:
    """Everything an operation may read or change besides its request.

    Attributes:
        index: The pages, searchable.
        clock: Tells the time that answers carry.
        stream_done: Whether a chat stream ends with ``data: [DONE]``.
        ledger: What was billed.
        ids: The id counters.
        interactions: Interaction id → what was asked so far, oldest first; later requests refer
            to them as ``previous_interaction_id``.
    """

    index: Index
    clock: Clock = field(default=lambda: SANDBOX_TIME)
    stream_done: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    ids: Ids = field(default_factory=Ids)
    interactions: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def corpus(self) -> Corpus:
        """The pages."""
        return self.index.corpus

    def reset(self) -> None:
        """Forget everything that requests left behind."""
        self.ledger.clear()
        self.ids.clear()
        self.interactions.clear()


@lru_cache(maxsize=1)
def python_reference_index() -> Index:
    """Return the default web's index, built once per process: it never changes."""
    return Index(Corpus.python_reference())
