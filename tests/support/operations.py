"""Every operation of the API with what answers it, and where the published document is not obeyed.

`python -m pytest` prints the table of these operations at its end: see `tests/support/contract.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from parallel_integrations.models import (
    AddedTaskGroupRuns,
    ChatResponse,
    EntitySearchResponse,
    ExtractResponse,
    FindallResult,
    FindallRun,
    FindallSchema,
    Monitor,
    MonitorEventPage,
    MonitorPage,
    ResponseModel,
    RetrieveMemoryResponse,
    SearchResponse,
    TaskGroup,
    TaskRun,
    TaskRunInput,
    TaskRunResult,
)
from parallel_integrations.models.findall import EVENTS
from parallel_integrations.models.task import TASK_EVENTS
from parallel_integrations.models.task_group import GROUP_EVENTS

Side: TypeAlias = Literal["request", "answer"]

CHUNKS: Final[Mapping[str, type[ResponseModel]]] = {"chat.completion.chunk": ChatResponse}
SHOWN_CHARACTERS: Final = 50
NEWER: Final = "newer than the document"
OLDER: Final = "of the older document"


@dataclass(frozen=True)
class Operation:
    """One operation of the API.

    Attributes:
        method: HTTP method.
        path: Path with its `{parameters}`.
        name: What it is called in `parallel_integrations.api`; twins have a suffix.
        answer: Reads the body of its answer; None where there is nothing to read.
        events: Reads its events by their type, or by the beginning of one ending in a dot.
        documented_as: The path it has in the document, where that differs.
        note: Why the current document does not have it.
    """

    method: str
    path: str
    name: str
    answer: type[ResponseModel] | None = None
    events: Mapping[str, type[ResponseModel]] = field(default_factory=dict)
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
    Operation("POST", "/v1/search", "search", SearchResponse),
    Operation("POST", "/v1/extract", "extract", ExtractResponse),
    Operation("POST", "/chat/completions", "chat", ChatResponse, CHUNKS, documented_as=_CHAT),
    Operation("POST", _CHAT, "chat_older_path", ChatResponse, CHUNKS),
    Operation("POST", _TASKS, "create_task_run", TaskRun),
    Operation("GET", _RUN, "retrieve_task_run", TaskRun),
    Operation("GET", f"{_RUN}/input", "retrieve_task_run_input", TaskRunInput),
    Operation("GET", f"{_RUN}/result", "wait_task_run", TaskRunResult),
    Operation("GET", f"{_RUN}/events", "task_run_events", events=TASK_EVENTS),
    Operation(
        "GET",
        "/v1beta/tasks/runs/{run_id}/events",
        "task_run_events_older_path",
        events=TASK_EVENTS,
    ),
    Operation("POST", _GROUPS, "create_task_group", TaskGroup),
    Operation("GET", _GROUP, "retrieve_task_group", TaskGroup),
    Operation("POST", f"{_GROUP}/runs", "add_task_group_runs", AddedTaskGroupRuns),
    Operation("GET", f"{_GROUP}/runs", "task_group_runs", events=GROUP_EVENTS),
    Operation("GET", f"{_GROUP}/runs/{{run_id}}", "retrieve_task_group_run", TaskRun),
    Operation("GET", f"{_GROUP}/events", "task_group_events", events=GROUP_EVENTS),
    Operation("POST", "/v1beta/findall/ingest", "ingest_findall", FindallSchema),
    Operation("POST", _FINDALL, "create_findall_run", FindallRun),
    Operation("GET", _FOUND, "retrieve_findall_run", FindallRun),
    Operation("GET", f"{_FOUND}/result", "findall_result", FindallResult),
    Operation("GET", f"{_FOUND}/schema", "findall_schema", FindallSchema),
    Operation("GET", f"{_FOUND}/events", "findall_events", events=EVENTS),
    Operation("POST", f"{_FOUND}/enrich", "enrich_findall", FindallSchema),
    Operation("POST", f"{_FOUND}/extend", "extend_findall", FindallSchema),
    Operation("POST", f"{_FOUND}/cancel", "cancel_findall"),
    Operation(
        "POST", "/v1beta/findall/candidates", "entity_search_older_path", EntitySearchResponse
    ),
    Operation("POST", _MONITORS, "create_monitor", Monitor),
    Operation("GET", _MONITORS, "list_monitors", MonitorPage),
    Operation("GET", _MONITOR, "retrieve_monitor", Monitor),
    Operation("GET", f"{_MONITOR}/events", "monitor_events", MonitorEventPage),
    Operation("POST", f"{_MONITOR}/update", "update_monitor", Monitor),
    Operation("POST", f"{_MONITOR}/cancel", "cancel_monitor", Monitor),
    Operation("POST", f"{_MONITOR}/trigger", "trigger_monitor"),
    Operation(
        "POST",
        "/v1beta/findall/entity-search",
        "entity_search",
        EntitySearchResponse,
        note=NEWER,
    ),
    Operation("POST", f"{_MEMORY}/retrieve", "retrieve_memory", RetrieveMemoryResponse, note=NEWER),
    Operation("POST", f"{_MEMORY}/clear", "clear_memory", note=NEWER),
    Operation("POST", f"{_MEMORY}/evict", "evict_memory", note=NEWER),
    Operation("POST", "/v1beta/search", "search_older_generation", SearchResponse, note=OLDER),
    Operation("POST", "/v1beta/extract", "extract_older_generation", ExtractResponse, note=OLDER),
)


@dataclass(frozen=True)
class Excuse:
    """Where the document is not obeyed, and why that is right.

    Attributes:
        places: Operations it is about, as `fnmatch` patterns for method and path.
        side: Whether it is about what we send or what the API answers.
        where: Regular expression for the place in the body (list indexes are `*`), or `?name` for
            a query parameter.
        rule: Regular expression for what is broken there: see `Violation`.
        reason: Why that is right.
    """

    places: tuple[str, ...]
    side: Side
    where: str
    rule: str
    reason: str

    def __str__(self) -> str:
        where = self.where.replace("\\", "") or "status"
        shown = where if len(where) <= SHOWN_CHARACTERS else f"{where[:SHOWN_CHARACTERS]}…"
        return f"{', '.join(self.places)}: {self.side} {shown} ({self.rule}): {self.reason}"


_CHATS: Final = (f"POST {_CHAT}",)
_OPENAI_ONLY: Final = """
    function_call functions logit_bias logprobs max_completion_tokens parallel_tool_calls
    reasoning_effort seed service_tier stop store stream_options tool_choice tools top_logprobs user
""".split()

EXCUSES: Final[tuple[Excuse, ...]] = (
    Excuse(
        _CHATS,
        "answer",
        r"choices\.\*\.delta",
        "required",
        "a whole answer is documented with the stream's choice; on the wire it has a message",
    ),
    Excuse(
        _CHATS,
        "answer",
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
    ),
    Excuse(
        ("GET /v1/tasks/*",),
        "answer",
        r"(input\.)?memory_scope_key",
        "unknown",
        "memory is newer than the document; a run's request is shown as it was sent",
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
        "answer",
        r"(input\.)?advanced_settings\.data_sources",
        "unknown",
        "data sources are newer than the document; a run's request is shown as it was sent",
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
        "answer",
        r"events\.\*\.monitor_group_id",
        "required",
        "a slip of the document: the wire has event_group_id, as later documents say",
    ),
    Excuse(
        ("GET /v1/monitors/{monitor_id}/events",),
        "answer",
        r"events\.\*\.event_group_id",
        "unknown",
        "a slip of the document, which has monitor_group_id",
    ),
    Excuse(
        ("POST /v1beta/search",),
        "answer",
        r"search_id|objective|search_queries|results\.\*\.(rank|metadata|published_at|excerpts\.\*)",
        "required|type|unknown",
        "the sandbox plays the oldest generation as its quickstart shows it, which no document has",
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
        "answer",
        "",
        "error status",
        "errors of key, credit, rate and path can occur everywhere, declared or not; their body "
        "is held against the common error",
    ),
)
