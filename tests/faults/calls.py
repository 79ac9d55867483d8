"""Every operation of the bare client, and which of its requests can be spoiled."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations import (
    ChatRequest,
    CreateTaskRunRequest,
    ExtractRequest,
    ParallelClient,
    SearchRequest,
    TaskSettings,
    api,
)
from parallel_integrations.api.findall import start_findall
from parallel_integrations.models import (
    AddTaskGroupRunsRequest,
    CreateFindallRunRequest,
    CreateMonitorRequest,
    EnrichFindallRequest,
    EntitySearchRequest,
    EventStreamSettings,
    EvictMemoryRequest,
    ExtendFindallRequest,
    IngestFindallRequest,
    UpdateMonitorRequest,
)
from tests.faults.responses import FINDALL_ID, GROUP_ID, MONITOR_ID, PAGE_URL, RUN_ID
from tests.faults.table import Kind, Sort


class Title(BaseModel):
    """What structured answers are read into."""

    title: str


@dataclass(frozen=True)
class Connection:
    """How a call reaches the stage.

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
        sort: What its healthy answer is.
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


@dataclass(frozen=True)
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

_QUESTION: Final = ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])
_TASK: Final = CreateTaskRunRequest(input="What is a slot?", processor="lite")
_OBJECTIVE: Final = IngestFindallRequest(objective="Python statements that bind names")
_FIND: Final = CreateFindallRunRequest(
    objective="Python statements that bind names",
    entity_type="statements",
    match_conditions=[{"name": "binds", "description": "It binds a name."}],
    generator="preview",
    match_limit=5,
)
_ENRICH: Final = EnrichFindallRequest(output_schema=Title)
_MONITOR: Final = CreateMonitorRequest(
    type="event_stream", frequency="1d", settings=EventStreamSettings(query="new syntax")
)


def plain(value: Any) -> Any:
    """A result as plain values, to compare."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _flow(name: str, make: Callable[[Connection], Any], *steps: Step) -> Call:
    async def arun(connection: Connection) -> Any:
        return plain(await connection.client.arun(make(connection)))

    return Call(name, lambda at: plain(at.client.run(make(at))), arun, steps)


def _stream(name: str, make: Callable[[Connection], Any], *steps: Step, last: bool = False) -> Call:
    """A stream; of one whose progress is a courtesy, the last event counts."""

    def told(events: list[Any]) -> Any:
        return plain(events[-1] if last else events)

    async def arun(connection: Connection) -> Any:
        return told([each async for each in connection.client.astream(make(connection))])

    return Call(name, lambda at: told(list(at.client.stream(make(at)))), arun, steps)


def _read(place: str, ids: dict[str, str] | None = None) -> Step:
    return Step("", f"GET {place}", Kind.READ, ids=ids or {})


def _post(
    place: str, kind: Kind, sort: Sort = Sort.JSON, ids: dict[str, str] | None = None
) -> Step:
    return Step("", f"POST {place}", kind, sort, ids or {})


def _follow(place: str, ids: dict[str, str]) -> Step:
    return Step("", f"GET {place}", Kind.READ, Sort.EVENTS, ids)


def _first(step: Step) -> Step:
    return Step(step.name, step.place, step.kind, step.sort, step.ids)


_R: Final = f"{_RUNS}/[^/]+"
_G: Final = f"{_GROUPS}/[^/]+"
_F: Final = f"{_FINDALL}/runs/[^/]+"
_M: Final = f"{_MONITORS}/[^/]+"

BARE: Final[tuple[Call, ...]] = (
    _flow("search", lambda _: api.search(SearchRequest(objective="What is a slot?")), SEARCH),
    _flow("extract", lambda _: api.extract(ExtractRequest(urls=[PAGE_URL])), EXTRACT),
    _flow("chat", lambda _: api.chat(_QUESTION), CHAT),
    _stream("stream_chat", lambda _: api.stream_chat(_QUESTION), CHAT_STREAM),
    _flow("create_task_run", lambda _: api.create_task_run(_TASK), _post(_RUNS, Kind.CREATE)),
    _flow("retrieve_task_run", lambda _: api.retrieve_task_run(RUN_ID), _read(_R, RUN)),
    _flow(
        "retrieve_task_run_input",
        lambda _: api.retrieve_task_run_input(RUN_ID),
        _read(f"{_R}/input", RUN),
    ),
    _flow(
        "wait_task_run",
        lambda at: api.wait_task_run(RUN_ID, deadline_seconds=at.deadline_seconds),
        _first(RESULT),
    ),
    _flow(
        "run_task",
        lambda at: api.run_task(_TASK, deadline_seconds=at.deadline_seconds),
        CREATE_RUN,
        RESULT,
    ),
    _stream(
        "task_run_events",
        lambda at: api.task_run_events(RUN_ID, deadline_seconds=30),
        _follow(f"{_R}/events", RUN),
    ),
    _stream(
        "stream_task",
        lambda at: api.stream_task(_TASK, deadline_seconds=at.deadline_seconds),
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
    _flow("create_task_group", lambda _: api.create_task_group(), _post(_GROUPS, Kind.CREATE)),
    _flow("retrieve_task_group", lambda _: api.retrieve_task_group(GROUP_ID), _read(_G, GROUP)),
    _flow(
        "add_task_group_runs",
        lambda _: api.add_task_group_runs(GROUP_ID, AddTaskGroupRunsRequest(inputs=[_TASK])),
        _post(f"{_G}/runs", Kind.CREATE, ids=GROUP),
    ),
    _flow(
        "retrieve_task_group_run",
        lambda _: api.retrieve_task_group_run(GROUP_ID, RUN_ID),
        _read(f"{_G}/runs/[^/]+", {**GROUP, **RUN}),
    ),
    _stream(
        "task_group_runs",
        lambda _: api.task_group_runs(GROUP_ID, include_output=True),
        _follow(f"{_G}/runs", GROUP),
    ),
    _stream(
        "task_group_events",
        lambda _: api.task_group_events(GROUP_ID),
        _follow(f"{_G}/events", GROUP),
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
        "ingest_findall",
        lambda _: api.ingest_findall(_OBJECTIVE),
        _post(f"{_FINDALL}/ingest", Kind.QUERY),
    ),
    _flow(
        "create_findall_run",
        lambda _: api.create_findall_run(_FIND),
        _post(f"{_FINDALL}/runs", Kind.CREATE),
    ),
    _flow(
        "start_findall",
        lambda _: start_findall(_OBJECTIVE, generator="preview", match_limit=5),
        INGEST,
        LATER_FINDALL,
    ),
    _flow("retrieve_findall_run", lambda _: api.retrieve_findall_run(FINDALL_ID), _read(_F, FOUND)),
    _flow("findall_result", lambda _: api.findall_result(FINDALL_ID), _read(f"{_F}/result", FOUND)),
    _flow("findall_schema", lambda _: api.findall_schema(FINDALL_ID), _read(f"{_F}/schema", FOUND)),
    _stream(
        "findall_events", lambda _: api.findall_events(FINDALL_ID), _follow(f"{_F}/events", FOUND)
    ),
    _flow(
        "enrich_findall",
        lambda _: api.enrich_findall(FINDALL_ID, _ENRICH),
        _post(f"{_F}/enrich", Kind.CREATE, ids=FOUND),
    ),
    _flow(
        "extend_findall",
        lambda _: api.extend_findall(FINDALL_ID, ExtendFindallRequest(additional_match_limit=1)),
        _post(f"{_F}/extend", Kind.CREATE, ids=FOUND),
    ),
    _flow(
        "cancel_findall",
        lambda _: api.cancel_findall(FINDALL_ID),
        _post(f"{_F}/cancel", Kind.READ, Sort.NOTHING, FOUND),
    ),
    _flow(
        "run_findall",
        lambda at: api.run_findall(_FIND, enrich=_ENRICH, deadline_seconds=at.deadline_seconds),
        CREATE_FINDALL,
        Step("enrich", f"POST {_F}/enrich", Kind.CREATE, ids=FOUND, first=False),
        FOUND_STATUS,
        FOUND_RESULT,
    ),
    _flow(
        "wait_findall_run",
        lambda at: api.wait_findall_run(FINDALL_ID, deadline_seconds=at.deadline_seconds),
        _first(FOUND_STATUS),
        FOUND_RESULT,
    ),
    _flow(
        "entity_search",
        lambda _: api.entity_search(
            EntitySearchRequest(entity_type="companies", objective="Makers of compilers")
        ),
        _post(f"{_FINDALL}/(entity-search|candidates)", Kind.QUERY),
    ),
    _flow("create_monitor", lambda _: api.create_monitor(_MONITOR), _post(_MONITORS, Kind.CREATE)),
    _flow("list_monitors", lambda _: api.list_monitors(), _read(_MONITORS)),
    _stream("all_monitors", lambda _: api.all_monitors(), _read(_MONITORS)),
    _flow("retrieve_monitor", lambda _: api.retrieve_monitor(MONITOR_ID), _read(_M)),
    _flow(
        "update_monitor",
        lambda _: api.update_monitor(MONITOR_ID, UpdateMonitorRequest(frequency="2d")),
        _post(f"{_M}/update", Kind.READ),
    ),
    _flow(
        "cancel_monitor",
        lambda _: api.cancel_monitor(MONITOR_ID),
        _post(f"{_M}/cancel", Kind.READ),
    ),
    _flow(
        "trigger_monitor",
        lambda _: api.trigger_monitor(MONITOR_ID),
        _post(f"{_M}/trigger", Kind.CREATE, Sort.NOTHING),
    ),
    _flow("monitor_events", lambda _: api.monitor_events(MONITOR_ID), _read(f"{_M}/events")),
    _stream(
        "all_monitor_events", lambda _: api.all_monitor_events(MONITOR_ID), _read(f"{_M}/events")
    ),
    _flow(
        "retrieve_memory",
        lambda _: api.retrieve_memory(),
        _post("/v1beta/memory/retrieve", Kind.READ),
    ),
    _flow(
        "clear_memory",
        lambda _: api.clear_memory(),
        _post("/v1beta/memory/clear", Kind.READ, Sort.NOTHING),
    ),
    _flow(
        "evict_memory",
        lambda _: api.evict_memory(EvictMemoryRequest(kind="task", id=RUN_ID)),
        _post("/v1beta/memory/evict", Kind.READ, Sort.NOTHING),
    ),
)
