"""Memory: what earlier task runs, monitors and FindAll runs were about and what they found.

There is no memory of its own: it is what the sandbox still knows of them, less what was evicted or
cleared. Work that names no `memory_scope_key` is in the personal scope, which is always on here. A
query finds task runs by their input, monitors and FindAll runs also by what they found.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from parallel_integrations.sandbox.operations.findall import settle
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import Loose, as_text
from parallel_integrations.sandbox.operations.tasks import ScopeKey, findings
from parallel_integrations.sandbox.server.responses import RequestError
from parallel_integrations.sandbox.state.monitors import Monitor
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.state.tasks import Run
from parallel_integrations.sandbox.web.words import stem, stems, terms

EXCERPT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory.

    Attributes:
        scope: Memory scope, None for the personal one.
        place: How far down the list of its kind it is; breaks ties between equal times.
        texts: What a query may be about.
        details: Gives the rest of it, as the API shows it; called only for memories that are shown.
    """

    kind: str
    id: str
    scope: str | None
    updated_at: str
    place: int
    texts: Sequence[str]
    details: Callable[[], dict[str, Any]]

    @property
    def changed(self) -> datetime:
        """When what it is about last changed."""
        return datetime.fromisoformat(self.updated_at)

    @property
    def wire(self) -> dict[str, Any]:
        """The memory as the API shows it."""
        return {"kind": self.kind, "id": self.id, "updated_at": self.updated_at, **self.details()}


def excerpt(text: str) -> str:
    """Return the beginning of a text, on one line, whole words where it has to be cut."""
    line = " ".join(text.split())
    if len(line) <= EXCERPT_CHARS:
        return line
    return (line[:EXCERPT_CHARS].rpartition(" ")[0] or line[:EXCERPT_CHARS]) + " …"


Kind = Literal["task", "monitor", "findall"]


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError("a moment is written as RFC 3339 has it, with a time zone")
    return text


class RetrieveBody(Loose):
    """Body of a retrieval."""

    query: Annotated[str, StringConstraints(max_length=500)] | None = None
    limit: Annotated[int, Field(ge=1, le=25)] = 10
    kind: Kind | None = None
    since: Annotated[str, AfterValidator(_moment)] | None = None
    memory_scope_key: ScopeKey | None = None


class ClearBody(Loose):
    """Body of clearing a scope."""

    memory_scope_key: ScopeKey | None = None


class EvictBody(Loose):
    """Body of evicting one memory."""

    kind: Kind
    id: Annotated[str, StringConstraints(min_length=1)]
    memory_scope_key: ScopeKey | None = None


async def retrieve(call: Call) -> Result:
    """Handle ``POST /v1beta/memory/retrieve``: the best for a query, or else the most recent."""
    body = call.parse(RetrieveBody)
    since = datetime.fromisoformat(body.since) if body.since else None
    found = [
        memory
        for memory in _memories(call.state, body.memory_scope_key)
        if (body.kind is None or memory.kind == body.kind)
        and (since is None or memory.changed >= since)
    ]
    # The place breaks ties: the sandbox's clock stands still, so most times are equal.
    found.sort(key=lambda memory: (memory.changed, memory.place), reverse=True)
    if (body.query or "").strip():
        wanted = {stem(term) for term in terms([body.query or ""])}
        fit = {id(memory): len(wanted & stems(" ".join(memory.texts))) for memory in found}
        # Sorting keeps the order of equals: the more recent one first.
        found = sorted(
            (memory for memory in found if fit[id(memory)]), key=lambda memory: -fit[id(memory)]
        )
        results = [_seen_by(memory, wanted) for memory in found[: body.limit]]
    else:
        results = [memory.wire for memory in found[: body.limit]]
    return Result({"results": results})


async def clear(call: Call) -> Result:
    """Handle ``POST /v1beta/memory/clear``."""
    body = call.parse(ClearBody)
    memories = list(_memories(call.state, body.memory_scope_key))
    call.state.forgotten.update((memory.kind, memory.id) for memory in memories)
    return Result(status=204)


async def evict(call: Call) -> Result:
    """Handle ``POST /v1beta/memory/evict``; again, it changes nothing.

    Raises:
        RequestError: 404 when the scope never held it.
    """
    body = call.parse(EvictBody)
    key = (body.kind, body.id)
    # Looked for among the evicted, too, so that evicting twice is no error.
    if key not in {(memory.kind, memory.id) for memory in _all(call.state, body.memory_scope_key)}:
        raise RequestError(404, "Memory not found")
    call.state.forgotten.add(key)
    return Result(status=204)


def _memories(state: State, scope: str | None) -> Iterator[Memory]:
    return (each for each in _all(state, scope) if (each.kind, each.id) not in state.forgotten)


def _all(state: State, scope: str | None) -> Iterator[Memory]:
    for memories in (_tasks(state), _monitors(state), _findall(state)):
        yield from (memory for memory in memories if memory.scope == scope)


def _tasks(state: State) -> Iterator[Memory]:
    now = state.tasks.now()
    for place, run in enumerate(state.tasks):
        status = run.status(now)
        yield Memory(
            "task",
            run.run_id,
            run.input.request.get("memory_scope_key"),
            run.batch.modified(status),
            place,
            [run.input.question],
            partial(_task_details, state, run, status),
        )


def _task_details(state: State, run: Run, status: str) -> dict[str, Any]:
    said = None
    if status == "completed":
        said = excerpt(as_text(findings(state.index, run).output["content"]))
    return {"input_excerpt": excerpt(run.input.question), "output_excerpt": said}


def _monitors(state: State) -> Iterator[Memory]:
    for place, monitor in enumerate(state.monitors.values()):
        events = list(_events(monitor))
        texts = [monitor.settings["query"], *(event["excerpt"] for event in events)]
        body = {
            "input_excerpt": excerpt(monitor.settings["query"]),
            "status": monitor.status,
            "matched_events": events,
        }
        yield Memory(
            "monitor",
            monitor.monitor_id,
            monitor.scope,
            monitor.last_run_at or monitor.created_at,
            place,
            texts,
            partial(dict, body),
        )


def _events(monitor: Monitor) -> Iterator[dict[str, Any]]:
    for _, execution, event in monitor.events:
        output = event.get("output") or event.get("changed_output")
        if output is not None:
            yield {
                "event_id": event["event_id"],
                "event_group_id": event["event_group_id"],
                "detected_at": execution.at,
                "excerpt": excerpt(as_text(output["content"])),
            }


def _findall(state: State) -> Iterator[Memory]:
    for place, run in enumerate(list(state.findall.values())):
        settle(state, run)
        matched = [one for one in run.candidates if one["match_status"] == "matched"]
        body = {
            "input_excerpt": excerpt(run.schema["objective"]),
            "matched_count": len(matched),
        }
        yield Memory(
            "findall",
            run.findall_id,
            run.scope,
            run.modified_at,
            place,
            [run.schema["objective"], *(one["name"] for one in matched)],
            partial(dict, body),
        )


def _seen_by(memory: Memory, wanted: set[str]) -> dict[str, Any]:
    """Return a memory as the API shows it, with those of a monitor's events that fit the query."""
    if memory.kind != "monitor":
        return memory.wire
    shown = memory.wire
    events = [one for one in shown["matched_events"] if wanted & stems(one["excerpt"])]
    return {**shown, "matched_events": events}


OPERATIONS = tuple(
    Operation(name, "POST", path, handler, framework_errors=True)
    for name, path, handler in (
        ("retrieve_memory", "/v1beta/memory/retrieve", retrieve),
        ("clear_memory", "/v1beta/memory/clear", clear),
        ("evict_memory", "/v1beta/memory/evict", evict),
    )
)
