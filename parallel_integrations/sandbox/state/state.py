"""State of one sandbox: what its operations share and keep between requests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from parallel_integrations.sandbox.state.findall import FindallRun
from parallel_integrations.sandbox.state.ledger import Ledger
from parallel_integrations.sandbox.state.monitors import Monitor
from parallel_integrations.sandbox.state.tasks import Group, Tasks
from parallel_integrations.sandbox.state.times import rfc3339
from parallel_integrations.sandbox.state.waiting import Waiting
from parallel_integrations.sandbox.state.webhooks import Message, Webhooks, encode, objection
from parallel_integrations.sandbox.web.corpus import Corpus
from parallel_integrations.sandbox.web.index import Index

Clock = Callable[[], datetime]

SANDBOX_TIME = datetime(2026, 5, 2, 10, 0, tzinfo=UTC)
"""The instant at which a sandbox's clock stands, so that its responses never change."""


ACCOUNT = "sandbox_00000000"
"""What the 32 characters of every id begin with, as those of one account do."""


class Ids:
    """Counts up one series of ids per kind, so that a run repeats byte for byte.

    Example:
        ```python
        from parallel_integrations.sandbox.state.state import Ids

        ids = Ids()
        assert (ids.next("search"), ids.next("search")[-3:], ids.next("extract")[-3:]) == (
            "search_sandbox_000000000000000000000001",
            "002",
            "001",
        )
        ```
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, kind: str) -> str:
        """Return the next id of `kind`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}_{ACCOUNT}{self._counts[kind]:016}"

    def reference(self) -> str:
        """Return the next support reference of an error: 32 characters, without a kind."""
        return self.next("").removeprefix("_")

    def clear(self) -> None:
        """Start every series again."""
        self._counts.clear()


@dataclass(slots=True)
class State:
    """Everything an operation may read or change besides its request.

    Attributes:
        index: The pages, searchable. An index itself never changes, and sandboxes may share one:
            publishing a page puts another in its place.
        interactions: Interaction id → its questions so far, oldest first; later requests refer
            to them as ``previous_interaction_id``.
        findall: FindAll run id → run, oldest first.
        monitors: Monitor id → monitor, oldest first.
        clean: Whether pages are shown as they are, in several excerpts, without a crawler's noise.
        quickstart: Whether the older search responds in the shape of the older quickstart.
        forgotten: Kinds and ids of what memory no longer shows.
        mcp_sessions: Ids of the open sessions with the MCP server.
    """

    index: Index
    clock: Clock = field(default=lambda: SANDBOX_TIME)
    stream_done: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    ids: Ids = field(default_factory=Ids)
    interactions: dict[str, Sequence[str]] = field(default_factory=dict)
    tasks: Tasks = field(default_factory=Tasks)
    groups: dict[str, Group] = field(default_factory=dict)
    webhooks: Webhooks = field(default_factory=Webhooks)
    findall_seconds: float = 0.05
    findall: dict[str, FindallRun] = field(default_factory=dict)
    monitors: dict[str, Monitor] = field(default_factory=dict)
    forgotten: set[tuple[str, str]] = field(default_factory=set)
    mcp_sessions: set[str] = field(default_factory=set)
    clean: bool = False
    quickstart: bool = False
    waiting: Waiting = field(default_factory=Waiting)
    _first_index: Index = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Runs complete by the clock alone; the ledger asks for what they cost when it is looked at.
        self.ledger.bill_from(self.tasks.due)
        self._first_index = self.index

    @property
    def corpus(self) -> Corpus:
        """The pages."""
        return self.index.corpus

    def stamp(self) -> str:
        """Return the time as responses carry it."""
        return rfc3339(self.clock())

    def deliver(
        self,
        webhook: Mapping[str, Any] | None,
        kind: str,
        data: Mapping[str, Any],
        *,
        after: float = 0.0,
    ) -> None:
        """Post what happened to a webhook, signed and repeated until it is taken; returns at once.

        Args:
            webhook: ``url`` and ``event_types`` as the request had them. Nothing is sent for None,
                for an event it does not name, or to another machine (`webhooks.objection`).
            kind: Type of the event, such as ``task_run.status``.
            data: What it is about.
            after: Seconds from now at which it happens.
        """
        # A sandbox must never post to another machine, whatever a test hands it.
        if webhook is None or objection(webhook) or kind not in webhook["event_types"]:
            return
        timestamp = rfc3339(self.clock() + timedelta(seconds=after))
        message = Message(self.ids.next("whevent"), webhook["url"], encode(kind, timestamp, data))
        self.webhooks.send(message, after=after)

    def reset(self) -> None:
        """Forget everything that requests left behind."""
        # First what timers still work on, so that they add nothing to what is cleared.
        self.findall.clear()
        self.monitors.clear()
        self.webhooks.stop()
        self.tasks.clear()
        self.groups.clear()
        self.ledger.clear()
        self.ids.clear()
        self.interactions.clear()
        self.forgotten.clear()
        self.mcp_sessions.clear()
        self.index = self._first_index


@lru_cache(maxsize=2)
def python_reference_index(*, clean: bool) -> Index:
    """Return the index of the built-in web, built once per process: it never changes."""
    return Index(Corpus.python_reference(clean=clean))
