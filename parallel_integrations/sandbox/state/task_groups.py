"""Task groups: many runs, their status summed up, and what happened to them in order."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from parallel_integrations.sandbox.state.tasks import ACTIVE, Batch, Run
from parallel_integrations.sandbox.state.times import rfc3339

Event = Run | Mapping[str, Any]
"""What happened: a run ended, or the group came to a new status."""


@dataclass(eq=False, slots=True)
class Group:
    """One task group.

    Attributes:
        group_id: Its id.
        created: By the clock that answers carry.
        metadata: Its labels.
        runs: Its runs, oldest first.
        events: What happened so far, oldest first; `advance` brings it up to date.
        known_status: The status when it was last worked out.
    """

    group_id: str
    created: datetime
    metadata: Mapping[str, Any] | None = None
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    known_status: dict[str, Any] = field(default_factory=dict)
    _batches: list[Batch] = field(default_factory=list)
    _going: deque[Batch] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.known_status = self._summary(0.0)

    def status(self, now: float) -> dict[str, Any]:
        """Return how its runs stand."""
        self.known_status = self._summary(now)
        return self.known_status

    def _summary(self, now: float) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        modified = rfc3339(self.created)
        for batch in self._batches:
            status = batch.status(now)
            failed = batch.failing if status == "completed" else 0
            counts.update({status: len(batch.runs) - failed, "failed": failed})
            modified = max(modified, batch.modified(status))
        return {
            "num_task_runs": len(self.runs),
            "task_run_status_counts": {name: n for name, n in counts.items() if n},
            "is_active": any(counts[name] for name in ACTIVE),
            "status_message": None,
            "modified_at": modified,
        }

    def hasty_status(self, added: int) -> dict[str, Any]:
        """Return the status known already, with the runs just added as queued."""
        known = self.known_status
        counts = dict(known["task_run_status_counts"])
        if added:
            counts["queued"] = counts.get("queued", 0) + added
        self.known_status = {
            **known,
            "num_task_runs": known["num_task_runs"] + added,
            "task_run_status_counts": counts,
            "is_active": known["is_active"] or added > 0,
        }
        return self.known_status

    def add(self, batch: Batch) -> None:
        """Add the runs of a request, after `advance` to the time they began."""
        self._batches.append(batch)
        self._going.append(batch)
        self.runs += batch.runs
        self.events.append(self._summary(batch.began))

    def advance(self, now: float) -> None:
        """Note what has happened until `now`."""
        # All runs take equally long, so batches end in the order in which they began.
        while self._going and self._going[0].ends <= now:
            batch = self._going.popleft()
            self.events += batch.runs
            self.events.append(self._summary(batch.ends))

    @property
    def next_end(self) -> float | None:
        """When runs end next; None when none is going on, as far as `advance` knows."""
        return self._going[0].ends if self._going else None


class Groups:
    """Every task group of one sandbox."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        """Yield the groups, oldest first."""
        return iter(list(self._groups.values()))

    def get(self, group_id: str) -> Group | None:
        """Return a group, or None."""
        return self._groups.get(group_id)

    def add(self, group: Group) -> None:
        """Keep a group."""
        self._groups[group.group_id] = group

    def clear(self) -> None:
        """Forget every group."""
        self._groups.clear()
