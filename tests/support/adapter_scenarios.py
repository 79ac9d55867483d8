"""What adapters send, one cassette for each kind of call, about two invented pages.

The pages are short, so that what comes of them can be written down as a person reads it
(`tests/expected`), and do not depend on the Python whose documentation the sandbox serves.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from parallel_integrations import api, models
from parallel_integrations._documents.find_all import FindAllRequest, find_all, stream_find_all
from parallel_integrations._documents.research import look_up_research, start_research
from parallel_integrations.enrichment import enrich
from parallel_integrations.errors import AuthenticationError
from parallel_integrations.llama_index.selectors import INSTRUCTIONS
from parallel_integrations.sandbox import Corpus, Page
from tests.support.scenario import AS_IN_QUICKSTART, Scenario, Step, Talk, ask, said

BRIDGE: Final = "https://harbour.example/bridge"
NO_PAGE: Final = "https://nowhere.example/page"
QUESTION: Final = "How long is the harbour bridge?"
OBJECTIVE: Final = "The length of the harbour bridge in metres"
QUERIES: Final = ["harbour bridge length", "harbour bridge metres"]
"""What a query writer makes of the question."""
THINGS: Final = "Things in the harbour"
MAKERS: Final = "Builders of bridges"
SESSION: Final = "cassettes"
SCOPE: Final = "harbour"
NO_GATEWAY: Final = "it needs a gateway of yours"
TOOL_CHARS: Final = 36_000  # what a tool shows by default, less its frame
HARBOUR: Final = Corpus(
    [
        Page(
            BRIDGE,
            "The harbour bridge",
            "The harbour bridge is 412 metres long. It was opened in 1931.\n\n"
            "The bridge is painted green every seven years.",
            published=date(2024, 5, 1),
        ),
        Page(
            "https://harbour.example/ferry",
            "The harbour ferry",
            "The harbour ferry crosses the water in nine minutes. It carries 120 passengers.",
        ),
    ]
)
BRIDGE_SCHEMA: Final[dict[str, Any]] = {
    "description": "A bridge.",
    "required": ["length"],
    "type": "object",
    "properties": {"length": {"description": "How long the bridge is.", "type": "string"}},
    "additionalProperties": False,
}
WEAK_BRIDGE_SCHEMA: Final[dict[str, Any]] = {
    **{name: part for name, part in BRIDGE_SCHEMA.items() if name != "additionalProperties"},
    "title": "Bridge",
}
"""What LangChain makes of the same class."""
COMPANY_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"industry": {"type": "string", "description": "The company's industry."}},
    "required": ["industry"],
    "additionalProperties": False,
}

_LITE_USD: Final = 0.005
_BASE_USD: Final = 0.010
_CORE_USD: Final = 0.025


def _once(make: Callable[[], Any], usd: float = 0.0, *, stream: bool = False) -> Callable[[], Talk]:
    def talk() -> Talk:
        yield Step(make, usd, stream=stream)

    return talk


def _task(**settings: Any) -> models.CreateTaskRunRequest:
    return models.CreateTaskRunRequest(**{"input": QUESTION, "processor": "lite", **settings})


def remembered_task() -> Any:
    """What is in the memory."""
    return api.run_task(_task(output_schema="The length.", memory_scope_key=SCOPE))


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json", "json_schema": schema}


def _looked_up() -> Talk:
    run = yield Step(lambda: start_research(_task(output_schema="The length.")), _LITE_USD)
    yield Step(lambda: look_up_research(run.run_id))


def _enriched(row: Any) -> Callable[[], Talk]:
    settings = models.TaskSettings(processor="lite", output_schema=BRIDGE_SCHEMA)
    return _once(lambda: enrich([row], settings), _LITE_USD, stream=True)


def _find(**settings: Any) -> FindAllRequest:
    return FindAllRequest(objective=THINGS, match_limit=5, **settings)


def _watched() -> Talk:
    request = models.CreateMonitorRequest(
        type="event_stream",
        frequency="1d",
        settings=models.EventStreamSettings(query=OBJECTIVE, include_backfill=True),
    )
    monitor = yield Step(lambda: api.create_monitor(request), 0.003)
    yield Step(lambda: api.all_monitor_events(monitor.monitor_id), stream=True)
    yield Step(lambda: api.cancel_monitor(monitor.monitor_id))


def _remembered() -> Talk:
    yield Step(remembered_task, _LITE_USD)
    found = models.RetrieveMemoryRequest(query="harbour bridge", memory_scope_key=SCOPE)
    yield Step(lambda: api.retrieve_memory(found))


def _followed() -> Talk:
    request = _task(output_schema="The length.", enable_events=True, metadata={"row": "7"})
    run = yield Step(lambda: api.create_task_run(request), _LITE_USD)
    yield Step(lambda: api.retrieve_task_run(run.run_id))
    yield Step(lambda: api.task_run_events(run.run_id), stream=True)
    yield Step(lambda: api.retrieve_task_run_input(run.run_id))


def _grouped() -> Talk:
    request = models.CreateTaskGroupRequest(metadata={"purpose": "cassette"})
    group = yield Step(lambda: api.create_task_group(request))
    runs = models.AddTaskGroupRunsRequest(inputs=[_task(output_schema="The length.")])
    added = yield Step(lambda: api.add_task_group_runs(group.taskgroup_id, runs), _LITE_USD)
    yield Step(lambda: api.task_group_events(group.taskgroup_id), stream=True)
    yield Step(
        lambda: api.task_group_runs(group.taskgroup_id, include_input=True, include_output=True),
        stream=True,
    )
    yield Step(lambda: api.retrieve_task_group(group.taskgroup_id))
    yield Step(
        # An empty id is refused.
        lambda: api.retrieve_task_group_run(group.taskgroup_id, next(iter(added.run_ids), ""))
    )


def _managed_findall() -> Talk:
    ingest = models.IngestFindallRequest(objective=THINGS)
    schema = yield Step(lambda: api.ingest_findall(ingest))
    run = yield Step(
        lambda: api.create_findall_run(
            models.CreateFindallRunRequest.from_schema(schema, generator="base", match_limit=5)
        ),
        0.40,
    )
    yield Step(lambda: api.findall_events(run.findall_id), stream=True)
    more = models.ExtendFindallRequest(additional_match_limit=5)
    yield Step(lambda: api.extend_findall(run.findall_id, more), 0.15)
    enrichment = models.EnrichFindallRequest(output_schema=BRIDGE_SCHEMA, processor="lite")
    yield Step(lambda: api.enrich_findall(run.findall_id, enrichment), 5 * _LITE_USD)
    yield Step(lambda: api.findall_schema(run.findall_id))
    yield Step(lambda: api.cancel_findall(run.findall_id))
    yield Step(lambda: api.retrieve_findall_run(run.findall_id))


def _snapshot() -> Talk:
    result = yield Step(lambda: api.run_task(_task(output_schema=BRIDGE_SCHEMA)), _LITE_USD)

    def request() -> models.CreateMonitorRequest:
        settings = models.SnapshotSettings(task_run_id=result.run.run_id)
        return models.CreateMonitorRequest(type="snapshot", frequency="1w", settings=settings)

    monitor = yield Step(lambda: api.create_monitor(request()), 0.003)
    yield Step(lambda: api.list_monitors(limit=1))
    change = models.UpdateMonitorRequest(frequency="1d", metadata={"purpose": "cassette"})
    yield Step(lambda: api.update_monitor(monitor.monitor_id, change))
    yield Step(lambda: api.trigger_monitor(monitor.monitor_id), 0.003)
    yield Step(lambda: api.monitor_events(monitor.monitor_id, include_completions=True))
    yield Step(lambda: api.retrieve_monitor(monitor.monitor_id))
    yield Step(lambda: api.cancel_monitor(monitor.monitor_id))


def _decided(**question: Any) -> Callable[[], Talk]:
    return _once(lambda: api.decide(models.DecideRequest(**question)), 0.001)


def _structured(schema: dict[str, Any]) -> Callable[[], Talk]:
    form = {"type": "json_schema", "json_schema": {"name": "Bridge", "schema": schema}}
    return ask(said(QUESTION, model="lite", response_format=form))


def _responded() -> models.RespondRequest:
    return models.RespondRequest(input=QUESTION)


def _makers() -> models.EntitySearchRequest:
    return models.EntitySearchRequest(objective=MAKERS, entity_type="companies", match_limit=5)


def _about_harbour(name: str, talk: Callable[[], Talk], **more: Any) -> Scenario:
    # Slow enough to be followed from the queue on.
    waiting = (("task_seconds", 1.0), ("findall_seconds", 1.0))
    return Scenario(name, talk, sandbox=(("pages", HARBOUR), *waiting), **more)


_SEARCH: Final = models.SearchRequest(objective=QUESTION, mode="advanced", max_results=2)
_TASK_BODIES: Final[dict[str, dict[str, Any]]] = {
    "text": {
        "input": QUESTION,
        "processor": "base",
        "task_spec": {"output_schema": {"type": "text", "description": "The length in metres."}},
    },
    "json": {
        "input": QUESTION,
        "processor": "core",
        "task_spec": {"output_schema": _json(BRIDGE_SCHEMA)},
    },
    "input_schema": {
        "input": {"company_name": "Harbour Ferries", "company_website": "harbour.example"},
        "processor": "base",
        "task_spec": {
            "input_schema": _json(
                {
                    "type": "object",
                    "properties": {
                        "company_name": {"type": "string"},
                        "company_website": {"type": "string"},
                    },
                    "required": ["company_name", "company_website"],
                    "additionalProperties": False,
                }
            ),
            "output_schema": _json(COMPANY_SCHEMA),
        },
    },
}
"""Bodies of a task as the quickstart writes them: text, JSON, and with a schema of the input."""


def _documented_task(body: dict[str, Any]) -> Callable[[], Talk]:
    request = models.CreateTaskRunRequest.model_validate(body)
    usd = _CORE_USD if body["processor"] == "core" else _BASE_USD
    return _once(lambda: api.run_task(request), usd)


ADAPTER_SCENARIOS: Final = (
    _about_harbour("adapters/search", ask(_SEARCH)),
    _about_harbour(
        "adapters/written_search",
        ask(
            models.SearchRequest(
                objective=OBJECTIVE, search_queries=QUERIES, mode="advanced", max_results=2
            )
        ),
    ),
    Scenario(
        "adapters/search_with_offsets",
        ask(
            models.SearchRequest(
                objective=QUESTION,
                search_queries=["long harbour bridge", "long is the harbour bridge"],
                max_results=2,
            )
        ),
        sandbox=(("pages", HARBOUR), ("quickstart", True)),
        **AS_IN_QUICKSTART,
    ),
    _about_harbour(
        "adapters/tool_search",
        ask(
            models.SearchRequest(
                objective=QUESTION,
                mode="fast",
                max_results=2,
                max_chars_total=TOOL_CHARS,
                session_id=SESSION,
            )
        ),
    ),
    _about_harbour(
        "adapters/whole_pages",
        ask(models.ExtractRequest(urls=[BRIDGE, NO_PAGE], full_content=True)),
    ),
    _about_harbour(
        "adapters/tool_extract",
        ask(
            models.ExtractRequest(
                urls=[BRIDGE, NO_PAGE],
                objective=QUESTION,
                max_chars_total=TOOL_CHARS,
                session_id=SESSION,
            )
        ),
    ),
    _about_harbour("adapters/chat", ask(said(QUESTION, model="lite"))),
    _about_harbour("adapters/streamed_chat", ask(said(QUESTION, model="lite", stream=True))),
    _about_harbour("adapters/structured_langchain", _structured(WEAK_BRIDGE_SCHEMA)),
    _about_harbour("adapters/structured_llama_index", _structured(BRIDGE_SCHEMA)),
    _about_harbour("adapters/response", _once(lambda: api.respond(_responded()), 0.010)),
    _about_harbour(
        "adapters/streamed_response",
        _once(lambda: api.stream_response(_responded()), 0.010, stream=True),
    ),
    _about_harbour(
        "adapters/decision",
        _decided(
            state="The harbour bridge is closed.",
            questions={"closed": models.Noul(instructions="Is it closed?")},
        ),
    ),
    _about_harbour(
        "adapters/selection",
        _decided(
            state={"query": QUESTION},
            questions={
                "choice": models.Choice(
                    instructions=INSTRUCTIONS,
                    criteria={"choice_1": "About bridges.", "choice_2": "About ferries."},
                )
            },
        ),
    ),
    _about_harbour(
        "adapters/tool_task",
        _once(lambda: api.stream_task(_task(output_schema="The length.")), _LITE_USD, stream=True),
    ),
    _about_harbour(
        "adapters/research",
        _once(lambda: api.stream_task(_task(output_schema=BRIDGE_SCHEMA)), _LITE_USD, stream=True),
    ),
    _about_harbour(
        "adapters/task",
        _once(lambda: api.run_task(_task(output_schema={"type": "text"})), _LITE_USD),
    ),
    _about_harbour("adapters/research_looked_up", _looked_up),
    _about_harbour("adapters/enrichment", _enriched({"name": "The harbour bridge"})),
    _about_harbour("adapters/extractor", _enriched("The harbour bridge")),
    _about_harbour(
        "adapters/tool_find_all",
        _once(lambda: stream_find_all(_find(), 3600), 0.10, stream=True),
        full=True,
    ),
    _about_harbour("adapters/find_all", _once(lambda: find_all(_find(), 3600), 0.10), full=True),
    _about_harbour("adapters/entities", _once(lambda: api.entity_search(_makers()), 0.005)),
    _about_harbour("adapters/monitor", _watched, full=True),
    _about_harbour("adapters/memory", _remembered),
    _about_harbour("tasks/followed", _followed),
    _about_harbour("task_groups/followed", _grouped),
    _about_harbour("findall/managed", _managed_findall, full=True),
    _about_harbour("monitors/managed", _snapshot, full=True),
    *(
        _about_harbour(f"tasks/quickstart_{name}", _documented_task(body))
        for name, body in _TASK_BODIES.items()
    ),
    _about_harbour(
        "gateway/native",
        ask(models.SearchRequest(objective=QUESTION, max_results=2)),
        gateway=True,
        sandbox_only=NO_GATEWAY,
    ),
    _about_harbour(
        "gateway/oldest_generation",
        ask(models.SearchRequest(objective=QUESTION, processor="base", max_results=2)),
        client=(("api_version", "v1beta-processor"),),
        gateway=True,
        sandbox_only=NO_GATEWAY,
    ),
    _about_harbour(
        "gateway/compatible_chat", ask(said(QUESTION)), gateway=True, sandbox_only=NO_GATEWAY
    ),
    _about_harbour(
        "gateway/wrong_key",
        ask(said(QUESTION)),
        gateway=True,
        sandbox_only=NO_GATEWAY,
        wrong_key=True,
        error=AuthenticationError,
    ),
    _about_harbour(
        "errors/401_wrong_key",
        _once(lambda: api.create_task_run(_task())),
        wrong_key=True,
        error=AuthenticationError,
    ),
    _about_harbour(
        "findall/entity_search_older_path",
        _once(lambda: api.entity_search(_makers()), 0.005),
        faults=({"path": "/v1beta/findall/entity-search", "status": 404},),
        sandbox_only="the live API has both paths",
    ),
)
