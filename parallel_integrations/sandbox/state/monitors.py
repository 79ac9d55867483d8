"""Monitors: what they have found, and which pages they have seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from parallel_integrations.sandbox.answering.matching import evidence_of, fill, found_spans, judge
from parallel_integrations.sandbox.answering.sentences import basis
from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.domains import allowed
from parallel_integrations.sandbox.web.index import Index

MAX_EXECUTIONS = 300
"""How many executions a monitor remembers."""
BACKFILL = 3
"""How many earlier pages a monitor reports with `include_backfill`."""
QUOTES = 2


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution.

    Attributes:
        events: Its events as the API shows them; a completion when there was nothing new, an error
            when it failed.
    """

    group_id: str
    at: str
    events: Sequence[dict[str, Any]]

    @property
    def outcome(self) -> str:
        """``detected``, ``completion`` or ``error``."""
        kind = str(self.events[0]["event_type"])
        return kind if kind in ("completion", "error") else "detected"


@dataclass(slots=True)
class Monitor:
    """One monitor.

    Attributes:
        number: Counts the monitors up; newer ones have higher numbers.
        scope: Memory scope it is remembered in, None for the personal one.
        snapshot: What a snapshot monitor last saw, a task's output as the API shows it.
        seen: The pages an event stream knows; anything else is new.
        first_event: Number of the oldest event it still has; numbers begin at 1.
    """

    monitor_id: str
    number: int
    type: str
    frequency: str
    processor: str
    settings: dict[str, Any]
    created_at: str
    webhook: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    scope: str | None = None
    status: str = "active"
    last_run_at: str | None = None
    snapshot: dict[str, Any] | None = None
    seen: frozenset[Page] = frozenset()
    executions: list[Execution] = field(default_factory=list)
    first_event: int = 1

    @property
    def wire(self) -> dict[str, Any]:
        """The monitor as the API shows it."""
        snapshot = {"latest_snapshot": self.snapshot} if self.type == "snapshot" else None
        return {
            "monitor_id": self.monitor_id,
            "type": self.type,
            "status": self.status,
            "frequency": self.frequency,
            "processor": self.processor,
            "settings": self.settings,
            "webhook": self.webhook,
            "metadata": self.metadata,
            "created_at": self.created_at,
            "last_run_at": self.last_run_at,
            "output": snapshot,
        }

    @property
    def fails(self) -> bool:
        """Whether its metadata make it fail."""
        return (self.metadata or {}).get("sandbox") == "fail"

    def add(self, execution: Execution) -> None:
        """Remember an execution, and forget the oldest when there are too many."""
        self.last_run_at = execution.at
        self.executions.append(execution)
        if len(self.executions) > MAX_EXECUTIONS:
            # Numbers go on counting, because cursors that were given out refer to them.
            self.first_event += len(self.executions.pop(0).events)

    @property
    def events(self) -> list[tuple[int, Execution, dict[str, Any]]]:
        """Every event with its number and its execution, newest first."""
        flat = [(each, event) for each in self.executions for event in each.events]
        numbered = [(self.first_event + n, each, event) for n, (each, event) in enumerate(flat)]
        return numbered[::-1]

    def about(self, page: Page) -> bool:
        """Return whether its query is about `page` and its source policy lets it through."""
        advanced = self.settings.get("advanced_settings") or {}
        policy = advanced.get("source_policy") or {}
        after = policy.get("after_date")
        return judge(self.settings["query"], page).yes and allowed(
            page,
            policy.get("include_domains", []),
            policy.get("exclude_domains", []),
            date.fromisoformat(after) if after else None,
        )

    def news(self, index: Index) -> list[Page]:
        """Return the pages that are new and to the point; from now on they are known."""
        pages = [page for page in index.corpus if page not in self.seen and self.about(page)]
        # Also what is off topic is seen: a later change of the query makes old pages no news.
        self.seen = frozenset(index.corpus)
        return pages

    def backfill(self, index: Index) -> list[Page]:
        """Return a few earlier pages."""
        # More than needed, because the source policy drops some.
        hits = index.search([self.settings["query"]], limit=10 * BACKFILL)
        return [hit.page for hit in hits if self.about(hit.page)][:BACKFILL]

    def report(self, page: Page, index: Index) -> dict[str, Any]:
        """Return what a page says about the query, as a task's output on the wire.

        Raises:
            SchemaError: If the output schema is none.
        """
        query = self.settings["query"]
        evidence = evidence_of(page, [query], found_spans(index, [query], [page.url]))
        if schema := self.settings.get("output_schema"):
            content, found = fill(schema["json_schema"], evidence)
            return {"type": "json", "content": content, "basis": found}
        quotes = evidence.best(QUOTES) or evidence.quotes[:QUOTES]
        lines = [f"“{quote.text}”" for quote in quotes]
        text = "\n\n".join([f"New in the sandbox's pages: {page.title}", *lines, page.url])
        return {"type": "text", "content": text, "basis": [basis("output", evidence, quotes)]}


def changed_parts(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any] | None:
    """Return what of a task's output is different now, None when nothing is.

    Of JSON content only the fields that changed are kept, each with its basis.
    """
    if now["content"] == before["content"]:
        return None
    if now["type"] != "json" or before["type"] != "json":
        return now
    old = before["content"]
    fresh = {
        name: value
        for name, value in now["content"].items()
        if name not in old or old[name] != value
    }
    # A basis without its field would cite what the event does not say.
    kept = [one for one in now["basis"] if _field(one) in fresh]
    return {**now, "content": fresh, "basis": kept}


def _field(basis_of: dict[str, Any]) -> str:
    return str(basis_of["field"]).partition(".")[0]
