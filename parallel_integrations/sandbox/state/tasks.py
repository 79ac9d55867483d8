"""Task runs and task groups: their inputs, status and bills."""

import threading
import time
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from parallel_integrations.sandbox.state.ledger import TASK_USD, Entry
from parallel_integrations.sandbox.state.times import rfc3339

Status = Literal["queued", "running", "completed", "failed"]

TASK_SECONDS = 0.05
"""How long a run takes unless `Sandbox(task_seconds=…)` says otherwise."""
QUEUED_SHARE = 0.2
"""Share of that time a run is queued before it is running."""
ACTIVE = frozenset({"queued", "running"})


@dataclass(frozen=True, slots=True)
class Spec:
    """What a run is to produce.

    Attributes:
        schema: The JSON schema as compact JSON text; empty unless `kind` is ``json``.
    """

    kind: Literal["text", "json", "auto"] = "auto"
    schema: str = ""
    size: int = 0


@dataclass(eq=False, slots=True)
class Batch:
    """Runs that one request created: they share their times, whatever number they are.

    Attributes:
        created: By the clock that responses carry.
        began: By the clock that runs, in seconds.
    """

    created: datetime
    began: float
    seconds: float
    runs: list["Run"] = field(default_factory=list)
    failing: int = 0

    @property
    def ends(self) -> float:
        """When the runs end."""
        return self.began + self.seconds

    def status(self, now: float) -> Status:
        """Return the status of its runs, those that fail aside."""
        if now >= self.ends:
            return "completed"
        return "running" if now - self.began >= self.seconds * QUEUED_SHARE else "queued"

    def modified(self, status: Status) -> str:
        """Return when the runs came to `status`, as responses carry it."""
        share = {"queued": 0.0, "running": QUEUED_SHARE}.get(status, 1.0)
        return rfc3339(self.created + timedelta(seconds=self.seconds * share))


def _ends(batch: Batch) -> float:
    return batch.ends


@dataclass(frozen=True, slots=True)
class TaskInput:
    """The input of one run, checked.

    Attributes:
        request: The request as it was sent, to be shown again.
        question: The input as one text.
        context: The questions of earlier interactions, oldest first.
        domains: Included domains, excluded domains and first day of its source policy.
        events: Whether progress is recorded.
    """

    request: Mapping[str, Any]
    spec: Spec
    question: str
    context: tuple[str, ...] = ()
    domains: tuple[tuple[str, ...], tuple[str, ...], str | None] = ((), (), None)
    warnings: Sequence[Mapping[str, Any]] = ()
    events: bool = False
    failure: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One task run.

    Attributes:
        run_id: Its id, which also continues it as an interaction.
        error_id: Support reference of its failure.
    """

    run_id: str
    input: TaskInput
    batch: Batch
    group_id: str | None = None
    error_id: str | None = None

    @property
    def processor(self) -> str:
        """What works on it."""
        return str(self.input.request["processor"])

    def status(self, now: float) -> Status:
        """Return its status."""
        status = self.batch.status(now)
        # A run that fails takes as long as one that completes: failing is known at the start here.
        return "failed" if status == "completed" and self.input.failure else status

    def body(self, status: Status) -> dict[str, Any]:
        """Return the run as responses show it."""
        # What there is nothing to say in is left out.
        more: dict[str, Any] = {}
        if self.input.warnings:
            more["warnings"] = list(self.input.warnings)
        if status == "failed":
            reason = self.input.failure
            more["error"] = {"ref_id": self.error_id, "message": reason, "detail": None}
        if self.group_id is not None:
            more["taskgroup_id"] = self.group_id
        return {
            "run_id": self.run_id,
            "interaction_id": self.run_id,
            "status": status,
            "is_active": status in ACTIVE,
            "processor": self.processor,
            "metadata": self.input.request.get("metadata") or {},
            "created_at": rfc3339(self.batch.created),
            "modified_at": self.batch.modified(status),
            **more,
        }


class Tasks:
    """Every task run of one sandbox. Time alone moves them: there are no timers.

    Args:
        seconds: How long a run takes.
    """

    def __init__(self, seconds: float = TASK_SECONDS) -> None:
        self.seconds = seconds
        self._runs: dict[str, Run] = {}
        self._unbilled: list[Batch] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, oldest first."""
        return iter(list(self._runs.values()))

    def now(self) -> float:
        """Return the time by which runs move, in seconds."""
        return time.monotonic()

    def get(self, run_id: str) -> Run | None:
        """Return a run, or None."""
        return self._runs.get(run_id)

    def add(self, batch: Batch, runs: Iterable[Run]) -> None:
        """Set runs going that belong to `batch`."""
        batch.runs.extend(runs)
        batch.failing = sum(run.input.failure is not None for run in batch.runs)
        with self._lock:
            self._runs.update((run.run_id, run) for run in batch.runs)
            insort(self._unbilled, batch, key=_ends)

    def due(self) -> list[Entry]:
        """Return what is to be billed for the runs that completed since the last call."""
        now = self.now()
        done: list[Batch] = []
        with self._lock:
            while self._unbilled and self._unbilled[0].ends <= now:
                done.append(self._unbilled.pop(0))
        return [
            Entry("task_run", TASK_USD[run.processor], run.processor)
            for batch in done
            for run in batch.runs
            if run.input.failure is None
        ]

    def clear(self) -> None:
        """Forget every run."""
        with self._lock:
            self._runs.clear()
            self._unbilled.clear()


Event = Run | Mapping[str, Any]
"""What happened: a run ended, or the group came to a new status."""


@dataclass(eq=False, slots=True)
class Group:
    """One task group.

    Attributes:
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
    _going: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known_status = self._summary(0.0)

    def status(self, now: float) -> dict[str, Any]:
        """Return the status of its runs."""
        self.known_status = self._summary(now)
        return self.known_status

    def _summary(self, now: float) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        modified = rfc3339(self.created)
        for batch in self._batches:
            status = batch.status(now)
            failed = batch.failing if status == "completed" else 0
            # By batch, not by run: every poll requests the status of a group, even of thousands.
            counts.update({status: len(batch.runs) - failed, "failed": failed})
            modified = max(modified, batch.modified(status))
        return {
            "num_task_runs": len(self.runs),
            "task_run_status_counts": {name: n for name, n in counts.items() if n},
            "is_active": any(counts[name] for name in ACTIVE),
            "status_message": None,
            "modified_at": modified,
        }

    def status_without_refresh(self, added: int) -> dict[str, Any]:
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
        insort(self._going, batch, key=_ends)
        self.runs += batch.runs
        self.events.append(self._summary(batch.began))

    def advance(self, now: float) -> None:
        """Note what has happened until `now`."""
        while self._going and self._going[0].ends <= now:
            batch = self._going.pop(0)
            # The runs first, then the status that counts them.
            self.events += batch.runs
            self.events.append(self._summary(batch.ends))

    @property
    def next_end(self) -> float | None:
        """When runs end next; None when none is going on, as far as `advance` knows."""
        return self._going[0].ends if self._going else None
