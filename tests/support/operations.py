"""Every operation of the API, and where the published document is not obeyed.

One row and one example for each operation. The contract test, the fault matrix, the fuzzer and the
live check read them here; `python -m pytest` prints the table at its end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from parallel_integrations import api, models
from parallel_integrations.models.findall import EVENTS
from parallel_integrations.models.response import RESPONSE_EVENTS
from parallel_integrations.models.task import TASK_EVENTS
from parallel_integrations.models.task_group import GROUP_EVENTS

Side: TypeAlias = Literal["request", "response"]
Repeat: TypeAlias = Literal["read", "query", "create"]

CHUNKS: Final[Mapping[str, type[models.ResponseModel]]] = {
    "chat.completion.chunk": models.ChatResponse
}
SHOWN_CHARACTERS: Final = 50
NEWER: Final = "newer than the document"
UNDOCUMENTED: Final = "in no document"
OLDER: Final = "of the older document"


@dataclass(frozen=True)
class Operation:
    """One operation of the API.

    Attributes:
        method: HTTP method.
        path: Path with its `{parameters}`.
        name: What it is called in `parallel_integrations.api`; twins have a suffix.
        response: Reads the body of its response; None where there is nothing to read.
        repeat: What a repetition costs: nothing, a request, or a second run, group or monitor.
        events: Reads its events by their type, or by the beginning of one ending in a dot.
        documented_as: The path it has in the document, where that differs.
        note: Why the current document does not have it.
    """

    method: str
    path: str
    name: str
    response: type[models.ResponseModel] | None = None
    repeat: Repeat = "read"
    events: Mapping[str, type[models.ResponseModel]] = field(default_factory=dict)
    documented_as: str = ""
    note: str = ""

    @property
    def place(self) -> str:
        """Method and path as the document has them."""
        return f"{self.method} {self.documented_as or self.path}"


_TASKS: Final = "/v1/tasks/runs"
_RUN: Final = "/v1/tasks/runs/{run_id}"
_GROUPS: Final = "/v1/tasks/groups"
_GROUP: Final = "/v1/tasks/groups/{taskgroup_id}"
_FINDALL: Final = "/v1beta/findall/runs"
_FOUND: Final = "/v1beta/findall/runs/{findall_id}"
_MONITORS: Final = "/v1/monitors"
_MONITOR: Final = "/v1/monitors/{monitor_id}"
_MEMORY: Final = "/v1beta/memory"
_CHAT: Final = "/v1beta/chat/completions"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("POST", "/v1/search", "search", models.SearchResponse, "query"),
    Operation("POST", "/v1/extract", "extract", models.ExtractResponse, "query"),
    Operation(
        "POST",
        "/chat/completions",
        "chat",
        models.ChatResponse,
        "query",
        CHUNKS,
        documented_as=_CHAT,
    ),
    Operation("POST", _CHAT, "chat_older_path", models.ChatResponse, "query", CHUNKS),
    Operation(
        "POST",
        "/v1/responses",
        "respond",
        models.RespondResponse,
        "create",
        RESPONSE_EVENTS,
        note=NEWER,
    ),
    Operation(
        "POST", "/v1/decisions", "decide", models.DecideResponse, "create", note=UNDOCUMENTED
    ),
    Operation("POST", _TASKS, "create_task_run", models.TaskRun, "create"),
    Operation("GET", _RUN, "retrieve_task_run", models.TaskRun),
    Operation("GET", f"{_RUN}/input", "retrieve_task_run_input", models.TaskRunInput),
    Operation("GET", f"{_RUN}/result", "wait_task_run", models.TaskRunResult),
    Operation("GET", f"{_RUN}/events", "task_run_events", events=TASK_EVENTS),
    Operation(
        "GET",
        "/v1beta/tasks/runs/{run_id}/events",
        "task_run_events_older_path",
        events=TASK_EVENTS,
    ),
    Operation("POST", _GROUPS, "create_task_group", models.TaskGroup, "create"),
    Operation("GET", _GROUP, "retrieve_task_group", models.TaskGroup),
    Operation("POST", f"{_GROUP}/runs", "add_task_group_runs", models.AddedTaskGroupRuns, "create"),
    Operation("GET", f"{_GROUP}/runs", "task_group_runs", events=GROUP_EVENTS),
    Operation("GET", f"{_GROUP}/runs/{{run_id}}", "retrieve_task_group_run", models.TaskRun),
    Operation("GET", f"{_GROUP}/events", "task_group_events", events=GROUP_EVENTS),
    Operation("POST", "/v1beta/findall/ingest", "ingest_findall", models.FindallSchema, "query"),
    Operation("POST", _FINDALL, "create_findall_run", models.FindallRun, "create"),
    Operation("GET", _FOUND, "retrieve_findall_run", models.FindallRun),
    Operation("GET", f"{_FOUND}/result", "findall_result", models.FindallResult),
    Operation("GET", f"{_FOUND}/schema", "findall_schema", models.FindallSchema),
    Operation("GET", f"{_FOUND}/events", "findall_events", events=EVENTS),
    Operation("POST", f"{_FOUND}/enrich", "enrich_findall", models.FindallSchema, "create"),
    Operation("POST", f"{_FOUND}/extend", "extend_findall", models.FindallSchema, "create"),
    Operation("POST", f"{_FOUND}/cancel", "cancel_findall"),
    Operation(
        "POST",
        "/v1beta/findall/candidates",
        "entity_search_older_path",
        models.EntitySearchResponse,
        "query",
    ),
    Operation("POST", _MONITORS, "create_monitor", models.Monitor, "create"),
    Operation("GET", _MONITORS, "list_monitors", models.MonitorPage),
    Operation("GET", _MONITOR, "retrieve_monitor", models.Monitor),
    Operation("GET", f"{_MONITOR}/events", "monitor_events", models.MonitorEventPage),
    Operation("POST", f"{_MONITOR}/update", "update_monitor", models.Monitor),
    Operation("POST", f"{_MONITOR}/cancel", "cancel_monitor", models.Monitor),
    Operation("POST", f"{_MONITOR}/trigger", "trigger_monitor", repeat="create"),
    Operation(
        "POST",
        "/v1beta/findall/entity-search",
        "entity_search",
        models.EntitySearchResponse,
        "query",
        note=NEWER,
    ),
    Operation(
        "POST", f"{_MEMORY}/retrieve", "retrieve_memory", models.RetrieveMemoryResponse, note=NEWER
    ),
    Operation("POST", f"{_MEMORY}/clear", "clear_memory", note=NEWER),
    Operation("POST", f"{_MEMORY}/evict", "evict_memory", note=NEWER),
    Operation(
        "POST",
        "/v1beta/tasks/suggest",
        "suggest_task",
        models.SuggestedTask,
        "query",
        note=UNDOCUMENTED,
    ),
    Operation(
        "POST",
        "/v1beta/tasks/suggest-processor",
        "suggest_processor",
        models.SuggestedProcessors,
        "query",
        note=UNDOCUMENTED,
    ),
    Operation(
        "POST",
        "/v1beta/search",
        "search_older_generation",
        models.SearchResponse,
        "query",
        note=OLDER,
    ),
    Operation(
        "POST",
        "/v1beta/extract",
        "extract_older_generation",
        models.ExtractResponse,
        "query",
        note=OLDER,
    ),
)


BY_NAME: Final = {each.name: each for each in OPERATIONS}
IDS: Final[Mapping[str, str]] = {
    "run_id": "trun_1",
    "taskgroup_id": "tgrp_1",
    "findall_id": "findall_1",
    "monitor_id": "monitor_1",
}
RUN_ID, GROUP_ID, FINDALL_ID, MONITOR_ID = IDS.values()
PAGE_URL: Final = "https://docs.python.org/3/reference/compound_stmts.html"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}
QUESTION: Final = models.ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])
RESPOND: Final = models.RespondRequest(input="What is a closure?", reasoning_effort="low")
DECISION: Final = models.DecideRequest(
    state="The with statement closes the file.",
    questions={"true": models.Noul(instructions="Is that so?")},
)
TASK: Final = models.CreateTaskRunRequest(input="What is a slot?", processor="lite")
OBJECTIVE: Final = models.IngestFindallRequest(objective="Python statements that bind names")
FINDALL: Final = models.CreateFindallRunRequest(
    objective="Python statements that bind names",
    entity_type="statements",
    match_conditions=[{"name": "binds", "description": "It binds a name."}],
    generator="preview",
    match_limit=5,
)
ENRICHMENT: Final = models.EnrichFindallRequest(output_schema=SCHEMA)
ENTITIES: Final = models.EntitySearchRequest(
    entity_type="companies", objective="Makers of compilers"
)
SUGGESTION: Final = models.SuggestTaskRequest(user_intent="founding year and headquarters")
MONITOR: Final = models.CreateMonitorRequest(
    type="event_stream", frequency="1d", settings=models.EventStreamSettings(query="new syntax")
)

EXAMPLES: Final[Mapping[str, Callable[[], Any]]] = {
    "search": lambda: api.search(models.SearchRequest(objective="What is a slot?")),
    "extract": lambda: api.extract(models.ExtractRequest(urls=[PAGE_URL])),
    "chat": lambda: api.chat(QUESTION),
    "respond": lambda: api.respond(RESPOND),
    "decide": lambda: api.decide(DECISION),
    "create_task_run": lambda: api.create_task_run(TASK),
    "retrieve_task_run": lambda: api.retrieve_task_run(RUN_ID),
    "retrieve_task_run_input": lambda: api.retrieve_task_run_input(RUN_ID),
    "wait_task_run": lambda: api.wait_task_run(RUN_ID, output_schema=SCHEMA),
    "task_run_events": lambda: api.task_run_events(RUN_ID, deadline_seconds=30),
    "create_task_group": lambda: api.create_task_group(),
    "retrieve_task_group": lambda: api.retrieve_task_group(GROUP_ID),
    "add_task_group_runs": lambda: api.add_task_group_runs(
        GROUP_ID, models.AddTaskGroupRunsRequest(inputs=[TASK])
    ),
    "retrieve_task_group_run": lambda: api.retrieve_task_group_run(GROUP_ID, RUN_ID),
    "task_group_runs": lambda: api.task_group_runs(GROUP_ID, include_output=True),
    "task_group_events": lambda: api.task_group_events(GROUP_ID),
    "ingest_findall": lambda: api.ingest_findall(OBJECTIVE),
    "create_findall_run": lambda: api.create_findall_run(FINDALL),
    "retrieve_findall_run": lambda: api.retrieve_findall_run(FINDALL_ID),
    "findall_result": lambda: api.findall_result(FINDALL_ID),
    "findall_schema": lambda: api.findall_schema(FINDALL_ID),
    "findall_events": lambda: api.findall_events(FINDALL_ID),
    "enrich_findall": lambda: api.enrich_findall(FINDALL_ID, ENRICHMENT),
    "extend_findall": lambda: api.extend_findall(
        FINDALL_ID, models.ExtendFindallRequest(additional_match_limit=1)
    ),
    "cancel_findall": lambda: api.cancel_findall(FINDALL_ID),
    "entity_search": lambda: api.entity_search(ENTITIES),
    "suggest_task": lambda: api.suggest_task(SUGGESTION),
    "suggest_processor": lambda: api.suggest_processor(
        models.SuggestProcessorRequest(output_schema=SCHEMA)
    ),
    "create_monitor": lambda: api.create_monitor(MONITOR),
    "list_monitors": lambda: api.list_monitors(),
    "retrieve_monitor": lambda: api.retrieve_monitor(MONITOR_ID),
    "update_monitor": lambda: api.update_monitor(
        MONITOR_ID, models.UpdateMonitorRequest(frequency="2d")
    ),
    "cancel_monitor": lambda: api.cancel_monitor(MONITOR_ID),
    "trigger_monitor": lambda: api.trigger_monitor(MONITOR_ID),
    "monitor_events": lambda: api.monitor_events(MONITOR_ID),
    "retrieve_memory": lambda: api.retrieve_memory(),
    "clear_memory": lambda: api.clear_memory(),
    "evict_memory": lambda: api.evict_memory(models.EvictMemoryRequest(kind="task", id=RUN_ID)),
}
"""Each operation of the client, carried out once."""
STREAMS: Final = tuple(
    name for name in EXAMPLES if BY_NAME[name].events and BY_NAME[name].response is None
)
"""Those of them that are event streams."""


@dataclass(frozen=True)
class Excuse:
    """Where the document is not obeyed, and why that is right.

    Attributes:
        places: Operations it is about, as `fnmatch` patterns for method and path.
        side: Whether it is about what we send or what the API responds.
        where: Regular expression for the place in the body (list indexes are `*`), or `?name` for
            a query parameter.
        rule: Regular expression for what is broken there: see `Violation`.
        reason: Why that is right.
        document: File name of the one document that it is about; empty: whichever.
    """

    places: tuple[str, ...]
    side: Side
    where: str
    rule: str
    reason: str
    document: str = ""

    def __str__(self) -> str:
        where = self.where.replace("\\", "") or "status"
        shown = where if len(where) <= SHOWN_CHARACTERS else f"{where[:SHOWN_CHARACTERS]}…"
        return f"{', '.join(self.places)}: {self.side} {shown} ({self.rule}): {self.reason}"


MAY, AUGUST = "openapi-v1.json", "openapi-2026-08.json"
_CHATS: Final = (f"POST {_CHAT}",)
_OPENAI_ONLY: Final = """
    function_call functions logit_bias logprobs max_completion_tokens parallel_tool_calls
    reasoning_effort seed service_tier stop store stream_options tool_choice tools top_logprobs user
""".split()

EXCUSES: Final[tuple[Excuse, ...]] = (
    Excuse(
        _CHATS,
        "response",
        r"choices\.\*\.delta",
        "required",
        "a whole response is documented with the stream's choice; on the wire it has a message",
    ),
    Excuse(
        _CHATS,
        "response",
        "object",
        "const",
        "documented in prose as always empty, though the schema demands a constant",
    ),
    Excuse(
        _CHATS,
        "request",
        r"response_format\.json_schema\.schema\.\w+",
        "unknown",
        "the document's schema of a JSON schema admits no keyword at all",
    ),
    Excuse(
        _CHATS,
        "request",
        "|".join(_OPENAI_ONLY),
        "unknown",
        "parameters of OpenAI that Chat is documented in prose to ignore",
    ),
    Excuse(
        _CHATS,
        "request",
        "[ab]",
        "unknown",
        "made-up fields: extra_body hands on whatever it is given",
    ),
    Excuse(
        ("POST /v1/search",),
        "request",
        "mode",
        "enum",
        "the modes turbo and fast are newer than the document",
        document=MAY,
    ),
    Excuse(
        ("POST /v1/search",),
        "request",
        r"\?[ab]",
        "unknown",
        "made-up parameters: a test of what the sandbox records",
    ),
    Excuse(
        ("POST /v1/tasks/*", "POST /v1beta/findall/runs", "POST /v1/monitors"),
        "request",
        r"(inputs\.\*\.)?memory_scope_key",
        "unknown",
        "memory is newer than the document",
        document=MAY,
    ),
    Excuse(
        ("GET /v1/tasks/*",),
        "response",
        r"(input\.)?memory_scope_key",
        "unknown",
        "memory is newer than the document; a run's request is shown as it was sent",
        document=MAY,
    ),
    Excuse(
        ("POST /v1/tasks/*",),
        "request",
        r"(inputs\.\*\.)?advanced_settings\.data_sources",
        "unknown",
        "data sources are newer than the document",
    ),
    Excuse(
        ("GET /v1/tasks/*",),
        "response",
        r"(input\.)?advanced_settings\.data_sources",
        "unknown",
        "data sources are newer than the document; a run's request is shown as it was sent",
    ),
    Excuse(
        ("POST /v1beta/findall/ingest",),
        "request",
        "query|objective",
        "unknown|required",
        "the page about gateways shows this body",
    ),
    Excuse(
        ("POST /v1beta/findall/runs",),
        "request",
        r"webhook\.event_types\.\*",
        "enum",
        "the document's schema knows the events of task runs alone; its prose those of FindAll",
    ),
    Excuse(
        ("POST /v1/monitors/{monitor_id}/update",),
        "request",
        r"processor|settings\.query",
        "unknown",
        "a monitor's processor and query can be updated since the document was written",
    ),
    Excuse(
        ("GET /v1/monitors",),
        "request",
        r"\?(status|type)",
        "enum",
        "the vendor's own client joins the values by commas, which the sandbox takes, too; ours "
        "repeats the parameter, as documented",
    ),
    Excuse(
        ("GET /v1/monitors/{monitor_id}/events",),
        "response",
        r"events\.\*\.monitor_group_id",
        "required",
        "a slip of the document: the wire has event_group_id, as later documents say",
        document=MAY,
    ),
    Excuse(
        ("GET /v1/monitors/{monitor_id}/events",),
        "response",
        r"events\.\*\.event_group_id",
        "unknown",
        "a slip of the document, which has monitor_group_id",
        document=MAY,
    ),
    Excuse(
        ("POST /v1beta/findall/runs/{findall_id}/cancel",),
        "response",
        r"|error|type",
        "status|required",
        "204 in the document of August 2026, 200 in the one before, which the sandbox follows; "
        "the client reads either",
        document=AUGUST,
    ),
    Excuse(
        ("POST /v1/responses",),
        "request",
        "temperature|top_p",
        "unknown",
        "a parameter of OpenAI that is documented in prose to have no effect",
    ),
    Excuse(
        ("POST /v1/responses",),
        "response",
        "error",
        "unknown",
        "errors are in OpenAI's envelope, as the vendor's pages say; the document declares the "
        "framework's",
    ),
    Excuse(
        ("POST /v1beta/search",),
        "response",
        r"search_id|objective|search_queries|results\.\*\.(rank|metadata|published_at|excerpts\.\*)",
        "required|type|unknown",
        "the oldest generation is as its quickstart shows it, which no document has",
    ),
    Excuse(
        ("POST /v1beta/search", "POST /v1beta/extract"),
        "request",
        "unknown|surprise",
        "unknown",
        "made-up fields: unlike the current generation, the oldest takes any",
    ),
    Excuse(
        ("*",),
        "response",
        "",
        "error status",
        "errors of key, credit, rate and path can occur everywhere, declared or not; their body "
        "is held against the common error",
    ),
)
