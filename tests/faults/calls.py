"""Every operation of the bare client, and which of its requests can be spoiled."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations import ParallelClient, TaskSettings, api
from parallel_integrations.api.findall import start_findall
from tests.faults.table import Kind, Sort
from tests.support.operations import (
    BY_NAME,
    ENRICHMENT,
    EXAMPLES,
    FINDALL,
    FINDALL_ID,
    GROUP_ID,
    IDS,
    MONITOR_ID,
    OBJECTIVE,
    QUESTION,
    RESPOND,
    RUN_ID,
    STREAMS,
    TASK,
)
from tests.support.twins import twins


class Title(BaseModel):
    """What structured output is read into."""

    title: str


@dataclass(frozen=True)
class Connection:
    """How a call reaches the scripted server.

    Attributes:
        client: For bare operations; adapters with `settings` share its connections.
        settings: For adapters.
        deadline_seconds: For what waits.
    """

    client: ParallelClient
    settings: dict[str, Any]
    deadline_seconds: float


@dataclass(frozen=True)
class Step:
    """One kind of request that a call makes.

    Attributes:
        name: What it does; empty where the call makes no other.
        place: Method and path, as a regular expression.
        kind: What it is.
        sort: What its healthy response is.
        ids: What an error must carry once this step is reached.
        first: Whether nothing comes before it.
        polled: Whether the call pauses between requests that succeed, too.
    """

    name: str
    place: str
    kind: Kind
    sort: Sort = Sort.JSON
    ids: dict[str, str] = field(default_factory=dict)
    first: bool = True
    polled: bool = False

    def matches(self, place: str) -> bool:
        """Whether a request is one of these."""
        return re.fullmatch(self.place, place) is not None


@dataclass(frozen=True, eq=False)
class Call:
    """Something a user calls.

    Attributes:
        name: Its name.
        run: Calls it, blocking, and gives something to compare; None where it can only be awaited.
        arun: Calls it, awaiting; None where it can only block.
        steps: The requests it makes.
        wrapped: The framework's error that ours is the cause of.
        also: What our errors must be instances of besides.
    """

    name: str
    run: Callable[[Connection], Any] | None
    arun: Callable[[Connection], Awaitable[Any]] | None
    steps: tuple[Step, ...]
    wrapped: type[Exception] | None = None
    also: type[Exception] | None = None


RUN: Final = {"run_id": RUN_ID}
GROUP: Final = {"taskgroup_id": GROUP_ID}
FOUND: Final = {"findall_id": FINDALL_ID}

_RUNS: Final = "/v1/tasks/runs"
_GROUPS: Final = "/v1/tasks/groups"
_FINDALL: Final = "/v1beta/findall"
_MONITORS: Final = "/v1/monitors"

CREATE_RUN: Final = Step("create", f"POST {_RUNS}", Kind.CREATE)
RUN_RESULT: Final = Step("result", f"GET {_RUNS}/[^/]+/result", Kind.READ, ids=RUN, first=False)
RUN_STATUS: Final = Step("status", f"GET {_RUNS}/[^/]+", Kind.READ, ids=RUN)
RESULT: Final = Step("result", f"GET {_RUNS}/[^/]+/result", Kind.WAIT, ids=RUN, first=False)
PROGRESS: Final = Step(
    "events", f"GET {_RUNS}/[^/]+/events", Kind.COURTESY, Sort.EVENTS, RUN, first=False
)
CREATE_GROUP: Final = Step("create", f"POST {_GROUPS}", Kind.CREATE)
ADD: Final = Step("add", f"POST {_GROUPS}/[^/]+/runs", Kind.ADD, ids=GROUP, first=False)
GROUP_STATUS: Final = Step("status", f"GET {_GROUPS}/[^/]+", Kind.POLL, ids=GROUP, first=False)
LISTING: Final = Step(
    "runs", f"GET {_GROUPS}/[^/]+/runs", Kind.READ, Sort.EVENTS, GROUP, first=False
)
INGEST: Final = Step("ingest", f"POST {_FINDALL}/ingest", Kind.QUERY)
CREATE_FINDALL: Final = Step("create", f"POST {_FINDALL}/runs", Kind.CREATE)
LATER_FINDALL: Final = Step("create", f"POST {_FINDALL}/runs", Kind.CREATE, first=False)
FOUND_STATUS: Final = Step(
    "status", f"GET {_FINDALL}/runs/[^/]+", Kind.POLL, ids=FOUND, first=False
)
FOUND_RESULT: Final = Step(
    "result", f"GET {_FINDALL}/runs/[^/]+/result", Kind.READ, ids=FOUND, first=False
)
SEARCH: Final = Step("", "POST /v1/search", Kind.QUERY)
EXTRACT: Final = Step("", "POST /v1/extract", Kind.QUERY)
CHAT: Final = Step("", "POST /chat/completions", Kind.QUERY)
CHAT_STREAM: Final = Step("", "POST /chat/completions", Kind.QUERY, Sort.CHAT)
RESPONSE: Final = Step("", "POST /v1/responses", Kind.CREATE)
DECISION: Final = Step("", "POST /v1/decisions", Kind.CREATE)
RESPONSE_STREAM: Final = Step("", "POST /v1/responses", Kind.CREATE, Sort.CHAT)

ENTITIES: Final = Step("", f"POST {_FINDALL}/(entity-search|candidates)", Kind.QUERY)
MEMORY: Final = Step("", "POST /v1beta/memory/retrieve", Kind.READ)
CREATE_MONITOR: Final = Step("", f"POST {_MONITORS}", Kind.CREATE)
MONITOR_EVENTS: Final = Step("", f"GET {_MONITORS}/[^/]+/events", Kind.READ)


def plain(value: Any) -> Any:
    """A result as plain values, to compare."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def method(
    library: ModuleType,
    name: str,
    *inputs: Any,
    steps: tuple[Step, ...],
    waits: bool = False,
    result: Callable[[Any], Any] = plain,
    **settings: Any,
) -> Call:
    """A method of an adapter, and its awaiting twin, which has an `a` before its name.

    Args:
        library: The adapter's subpackage.
        name: Class and method, as `Class.method`, and behind a space what sets the call apart.
        inputs: What the method takes.
        steps: The requests it makes.
        waits: Whether the adapter has a deadline.
        result: Gives what to compare; a stream is a list by then.
        settings: Of the adapter.
    """
    adapter, _, called = name.partition(" ")[0].partition(".")

    def make(at: Connection) -> Any:
        deadline = {"deadline_seconds": at.deadline_seconds} if waits else {}
        return getattr(library, adapter)(**settings, **deadline, **at.settings)

    return Call(name, *twins(make, called, *inputs, result=result), steps)


def _flow(name: str, make: Callable[[Connection], Any], *steps: Step) -> Call:
    async def arun(connection: Connection) -> Any:
        return plain(await connection.client.arun(make(connection)))

    return Call(name, lambda at: plain(at.client.run(make(at))), arun, steps)


def _stream(name: str, make: Callable[[Connection], Any], *steps: Step, last: bool = False) -> Call:
    """A stream; of one whose progress is a courtesy, the last event counts."""

    def compared(events: list[Any]) -> Any:
        return plain(events[-1] if last else events)

    async def arun(connection: Connection) -> Any:
        return compared([each async for each in connection.client.astream(make(connection))])

    return Call(name, lambda at: compared(list(at.client.stream(make(at)))), arun, steps)


def _first(step: Step) -> Step:
    return Step(step.name, step.place, step.kind, step.sort, step.ids)


def _example(name: str, place: str = "") -> Call:
    """The example of one operation, which makes one kind of request."""
    operation = BY_NAME[name]
    place = place or re.sub(r"\{\w+\}", "[^/]+", operation.path)
    ids = {each: IDS[each] for each in re.findall(r"\{(\w+)\}", operation.path)}
    ids.pop("monitor_id", None)  # nothing paid hangs on it: no error carries it
    sort = Sort.EVENTS if name in STREAMS else Sort.JSON if operation.response else Sort.NOTHING
    step = Step("", f"{operation.method} {place}", _KINDS[operation.repeat], sort, ids)
    make = _stream if name in STREAMS else _flow
    return make(name, lambda _: EXAMPLES[name](), step)


_KINDS: Final = {"read": Kind.READ, "query": Kind.QUERY, "create": Kind.CREATE}
_OTHERWISE: Final = ("wait_task_run", "entity_search")

BARE: Final[tuple[Call, ...]] = (
    *(_example(name) for name in EXAMPLES if name not in _OTHERWISE),
    _example("entity_search", f"{_FINDALL}/(entity-search|candidates)"),
    _stream("stream_chat", lambda _: api.stream_chat(QUESTION), CHAT_STREAM),
    _stream("stream_response", lambda _: api.stream_response(RESPOND), RESPONSE_STREAM),
    _flow(
        "wait_task_run",
        lambda at: api.wait_task_run(RUN_ID, deadline_seconds=at.deadline_seconds),
        _first(RESULT),
    ),
    _flow(
        "run_task",
        lambda at: api.run_task(TASK, deadline_seconds=at.deadline_seconds),
        CREATE_RUN,
        RESULT,
    ),
    _stream(
        "stream_task",
        lambda at: api.stream_task(TASK, deadline_seconds=at.deadline_seconds),
        CREATE_RUN,
        PROGRESS,
        RESULT,
        last=True,
    ),
    _stream(
        "resume_task",
        lambda at: api.resume_task(RUN_ID, deadline_seconds=at.deadline_seconds),
        PROGRESS,
        RESULT,
        last=True,
    ),
    _flow(
        "run_task_group",
        lambda at: api.run_task_group(
            ["with", "nonlocal"],
            TaskSettings(processor="lite"),
            deadline_seconds=at.deadline_seconds,
        ),
        CREATE_GROUP,
        ADD,
        GROUP_STATUS,
        LISTING,
    ),
    _flow(
        "wait_task_group",
        lambda at: api.wait_task_group(GROUP_ID, 2, deadline_seconds=at.deadline_seconds),
        _first(GROUP_STATUS),
        LISTING,
    ),
    _flow(
        "start_findall",
        lambda _: start_findall(OBJECTIVE, generator="preview", match_limit=5),
        INGEST,
        LATER_FINDALL,
    ),
    _flow(
        "run_findall",
        lambda at: api.run_findall(
            FINDALL, enrich=ENRICHMENT, deadline_seconds=at.deadline_seconds
        ),
        CREATE_FINDALL,
        Step("enrich", f"POST {_FINDALL}/runs/[^/]+/enrich", Kind.CREATE, ids=FOUND, first=False),
        FOUND_STATUS,
        FOUND_RESULT,
    ),
    _flow(
        "wait_findall_run",
        lambda at: api.wait_findall_run(FINDALL_ID, deadline_seconds=at.deadline_seconds),
        _first(FOUND_STATUS),
        FOUND_RESULT,
    ),
    _stream("all_monitors", lambda _: api.all_monitors(), _example("list_monitors").steps[0]),
    _stream(
        "all_monitor_events",
        lambda _: api.all_monitor_events(MONITOR_ID),
        _example("monitor_events").steps[0],
    ),
)
