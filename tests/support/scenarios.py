"""What the cassettes show. One list drives recording, replaying and the price of recording live."""

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations import (
    AuthenticationError,
    InvalidRequestError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TaskFailedError,
    api,
    models,
)
from tests.support.adapter_scenarios import ADAPTER_SCENARIOS
from tests.support.scenario import AS_IN_QUICKSTART, Scenario, Step, Talk, ask, said

OBJECTIVE: Final = "How does the with statement handle exceptions?"
QUERIES: Final = ["statement handle exceptions", "with statement handle exceptions"]
"""What adapters derive from the objective."""
READABLE_PAGE: Final = "https://docs.python.org/3/reference/compound_stmts.html"
MISSING_PAGE: Final = "https://no-such-site.example/page.html"
SOFT_404: Final = "https://docs.python.org/3/no-such-page.html"
FULL_PAGE: Final = "https://docs.python.org/3/reference/simple_stmts.html?topic=nonlocal#nonlocal"
MAX_CHARS: Final = 20_000  # a third of what a search returns by default
QUESTION: Final = "What does the nonlocal statement do?"
FOLLOW_UP: Final = "And how does it differ from the global statement?"
ANSWER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "statement": {"type": "string", "description": "The statement that is explained."},
        "explanation": {"type": "string", "description": "What it does, in one sentence."},
    },
    "required": ["statement", "explanation"],
    "additionalProperties": False,
}


class Explained(BaseModel):
    """An explained statement."""

    statement: str
    explanation: str


TASK_INPUT: Final = {"statement": "nonlocal"}
FINDALL_OBJECTIVE: Final = "Python statements that bind names"
SCOPE: Final = "cassettes"

_RESPONSE_USD: Final = 0.010  # at low effort
_DECISION_USD: Final = 0.001
_LITE_USD: Final = 0.005  # one task run, and one enrichment of one match
_FINDALL_USD: Final = 0.25  # a FindAll run of the generator `base`
_MATCH_USD: Final = 0.03
_ENTITIES_USD: Final = 0.005
_MONITOR_USD: Final = 0.003  # one execution by `lite`
_MATCHES: Final = 5


def _conversation() -> Talk:
    results: list[models.ChatResponse] = yield said(QUESTION)
    yield models.ChatRequest(
        messages=[
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": results[0].text},
            {"role": "user", "content": FOLLOW_UP},
        ]
    )


def _continued_research() -> Talk:
    results: list[models.ChatResponse] = yield said(QUESTION, model="lite")
    yield said(FOLLOW_UP, model="lite", previous_interaction_id=results[0].interaction_id)


def _respond(stream: bool = False, **settings: Any) -> Callable[[], Talk]:
    def talk() -> Talk:
        request = models.RespondRequest(
            **{"input": QUESTION, "reasoning_effort": "low", **settings}
        )
        make = api.stream_response if stream else api.respond
        yield Step(lambda: make(request), _RESPONSE_USD, stream=stream)

    return talk


def _continued_response() -> Talk:
    first = models.RespondRequest(input=QUESTION, reasoning_effort="low")
    response = yield Step(lambda: api.respond(first), _RESPONSE_USD)

    def second() -> models.RespondRequest:
        return models.RespondRequest(
            input=FOLLOW_UP, reasoning_effort="low", previous_response_id=response.id
        )

    yield Step(lambda: api.respond(second()), _RESPONSE_USD)


def _decided() -> Talk:
    request = models.DecideRequest(
        state={"message": "The nonlocal statement raised a SyntaxError."},
        questions={
            "is_error": models.Noul(
                instructions="Is an error reported?",
                criteria={"true": "An error was raised.", "false": "All went well."},
            ),
            "topic": models.Choice(
                instructions="What is it about?",
                criteria={"scopes": "Names and the nonlocal statement.", "imports": None},
            ),
            "severity": models.Score(
                instructions="How bad is it?", criteria=["A question.", "An error.", "A crash."]
            ),
        },
    )
    yield Step(lambda: api.decide(request), _DECISION_USD)


def _task(**settings: Any) -> models.CreateTaskRunRequest:
    return models.CreateTaskRunRequest(input=TASK_INPUT, processor="lite", **settings)


def _run_task(**settings: Any) -> Callable[[], Talk]:
    def talk() -> Talk:
        yield Step(lambda: api.run_task(_task(**settings)), _LITE_USD)

    return talk


def _followed_task() -> Talk:
    request = _task(output_schema="What it does.", enable_events=True, metadata={"row": "7"})
    run = yield Step(lambda: api.create_task_run(request), _LITE_USD)
    yield Step(lambda: api.task_run_events(run.run_id), stream=True)
    yield Step(lambda: api.retrieve_task_run(run.run_id))
    yield Step(lambda: api.retrieve_task_run_input(run.run_id))


def _group() -> Talk:
    request = models.CreateTaskGroupRequest(metadata={"purpose": "cassette"})
    group = yield Step(lambda: api.create_task_group(request))
    inputs = [
        models.CreateTaskRunRequest(input=one, processor="lite", metadata={"number": number})
        for number, one in enumerate(("the with statement", "the nonlocal statement"))
    ]
    runs = models.AddTaskGroupRunsRequest(
        inputs=inputs, output_schema="What it does, in one sentence."
    )
    added = yield Step(
        lambda: api.add_task_group_runs(group.taskgroup_id, runs), len(inputs) * _LITE_USD
    )
    yield Step(lambda: api.task_group_events(group.taskgroup_id), stream=True)
    yield Step(
        lambda: api.task_group_runs(group.taskgroup_id, include_input=True, include_output=True),
        stream=True,
    )
    yield Step(lambda: api.retrieve_task_group(group.taskgroup_id))
    yield Step(lambda: api.retrieve_task_group_run(group.taskgroup_id, added.run_ids[0]))


def _findall(**changes: Any) -> models.CreateFindallRunRequest:
    return models.CreateFindallRunRequest(
        objective=FINDALL_OBJECTIVE,
        entity_type="statements",
        match_conditions=[{"name": "binds_names", "description": "The statement binds a name."}],
        match_limit=_MATCHES,
        **changes,
    )


def _ingested() -> Talk:
    schema = yield Step(
        lambda: api.ingest_findall(models.IngestFindallRequest(objective=FINDALL_OBJECTIVE))
    )
    run = yield Step(
        lambda: api.create_findall_run(
            models.CreateFindallRunRequest.from_schema(
                schema, generator="base", match_limit=_MATCHES
            )
        ),
        _FINDALL_USD + _MATCHES * _MATCH_USD,
    )
    yield Step(lambda: api.findall_events(run.findall_id), stream=True)
    yield Step(lambda: api.findall_schema(run.findall_id))
    yield Step(lambda: api.findall_result(run.findall_id))


def _enriched() -> Talk:
    run = yield Step(
        lambda: api.create_findall_run(_findall(generator="base", metadata={"purpose": "demo"})),
        _FINDALL_USD + _MATCHES * _MATCH_USD,
    )
    yield Step(lambda: api.findall_events(run.findall_id), stream=True)
    known = yield Step(lambda: api.findall_result(run.findall_id))
    enrichment = models.EnrichFindallRequest(output_schema=ANSWER_SCHEMA, processor="lite")
    yield Step(lambda: api.enrich_findall(run.findall_id, enrichment), _MATCHES * _LITE_USD)
    yield Step(
        lambda: api.findall_events(run.findall_id, last_event_id=known.last_event_id), stream=True
    )
    yield Step(lambda: api.findall_result(run.findall_id))


def _extended_and_cancelled() -> Talk:
    run = yield Step(
        lambda: api.create_findall_run(_findall(generator="base")),
        _FINDALL_USD + _MATCHES * _MATCH_USD,
    )
    yield Step(lambda: api.findall_events(run.findall_id), stream=True)
    more = models.ExtendFindallRequest(additional_match_limit=_MATCHES)
    yield Step(lambda: api.extend_findall(run.findall_id, more), _MATCHES * _MATCH_USD)
    yield Step(lambda: api.cancel_findall(run.findall_id))
    yield Step(lambda: api.retrieve_findall_run(run.findall_id))


def _entities() -> Talk:
    request = models.EntitySearchRequest(
        entity_type="companies", objective=FINDALL_OBJECTIVE, match_limit=_MATCHES
    )
    yield Step(lambda: api.entity_search(request), _ENTITIES_USD)


def _suggested() -> Talk:
    wanted = models.SuggestTaskRequest(user_intent="founding year and headquarters")
    task = yield Step(lambda: api.suggest_task(wanted))

    def schemas() -> models.SuggestProcessorRequest:
        return models.SuggestProcessorRequest(
            output_schema=task.output_schema, input_schema=task.input_schema
        )

    yield Step(lambda: api.suggest_processor(schemas()))


def _monitored() -> Talk:
    request = models.CreateMonitorRequest(
        type="event_stream",
        frequency="1d",
        settings=models.EventStreamSettings(
            query="Changes of the with statement", include_backfill=True
        ),
        metadata={"purpose": "cassette"},
    )
    monitor = yield Step(lambda: api.create_monitor(request), _MONITOR_USD)
    # One only: who records live has monitors of their own, which are nobody's business.
    yield Step(lambda: api.list_monitors(limit=1))
    change = models.UpdateMonitorRequest(frequency="1w", metadata=None)
    yield Step(lambda: api.update_monitor(monitor.monitor_id, change))
    yield Step(lambda: api.trigger_monitor(monitor.monitor_id), _MONITOR_USD)
    yield Step(lambda: api.monitor_events(monitor.monitor_id, include_completions=True))
    yield Step(lambda: api.cancel_monitor(monitor.monitor_id))
    yield Step(lambda: api.retrieve_monitor(monitor.monitor_id))


def _snapshot() -> Talk:
    result = yield Step(lambda: api.run_task(_task(output_schema=ANSWER_SCHEMA)), _LITE_USD)
    monitor = yield Step(
        lambda: api.create_monitor(
            models.CreateMonitorRequest(
                type="snapshot",
                frequency="1w",
                settings=models.SnapshotSettings(task_run_id=result.run.run_id),
            )
        ),
        _MONITOR_USD,
    )
    yield Step(lambda: api.monitor_events(monitor.monitor_id))
    yield Step(lambda: api.cancel_monitor(monitor.monitor_id))


def _remembered() -> Talk:
    request = _task(output_schema="What it does.", memory_scope_key=SCOPE)
    result = yield Step(lambda: api.run_task(request), _LITE_USD)
    query = models.RetrieveMemoryRequest(query="nonlocal", kind="task", memory_scope_key=SCOPE)
    yield Step(lambda: api.retrieve_memory(query))
    yield Step(
        lambda: api.evict_memory(
            models.EvictMemoryRequest(kind="task", id=result.run.run_id, memory_scope_key=SCOPE)
        )
    )
    yield Step(lambda: api.clear_memory(models.ClearMemoryRequest(memory_scope_key=SCOPE)))
    yield Step(lambda: api.retrieve_memory(models.RetrieveMemoryRequest(memory_scope_key=SCOPE)))


_STILL_RUNNING: Final = {"path": "/v1/tasks/runs/*/result", "status": 408}

SCENARIOS: Final = (
    Scenario(
        "search/by_objective",
        ask(models.SearchRequest(objective=OBJECTIVE, max_chars_total=MAX_CHARS)),
    ),
    Scenario(
        "search/by_queries",
        ask(
            models.SearchRequest(
                search_queries=["import system finders loaders"], mode="basic", max_results=2
            )
        ),
    ),
    Scenario(
        "search/with_source_policy",
        ask(
            models.SearchRequest(
                objective=OBJECTIVE,
                max_results=2,
                max_chars_per_result=2000,
                max_chars_total=MAX_CHARS,
                source_policy=models.SourcePolicy(
                    include_domains=["docs.python.org"], after_date="2020-01-01"
                ),
            )
        ),
    ),
    Scenario(
        "search/excerpt_limits",
        ask(
            models.SearchRequest(
                objective=OBJECTIVE, max_results=3, max_chars_per_result=1000, max_chars_total=2000
            )
        ),
    ),
    Scenario(
        "search/older_generation",
        ask(
            models.SearchRequest(
                objective=OBJECTIVE,
                search_queries=QUERIES,
                max_results=3,
                max_chars_per_result=2000,
                max_chars_total=MAX_CHARS,
            )
        ),
        client=(("api_version", "v1beta"),),
    ),
    Scenario(
        "search/quickstart_shape",
        ask(models.SearchRequest(objective=OBJECTIVE, max_results=3)),
        sandbox=(("quickstart", True), ("clean", True)),
        **AS_IN_QUICKSTART,
    ),
    Scenario(
        "search/oldest_generation",
        ask(
            models.SearchRequest(
                objective=OBJECTIVE,
                search_queries=QUERIES,
                max_results=3,
                max_chars_per_result=1500,
            )
        ),
        client=(("api_version", "v1beta-processor"),),
    ),
    Scenario(
        "search/invalid_request",
        ask(
            models.SearchRequest(objective=OBJECTIVE, mode="clairvoyant", max_chars_total=MAX_CHARS)
        ),
        error=InvalidRequestError,
    ),
    Scenario(
        "search/wrong_key",
        ask(models.SearchRequest(objective=OBJECTIVE, max_chars_total=MAX_CHARS)),
        wrong_key=True,
        error=AuthenticationError,
    ),
    Scenario(
        "extract/two_pages_one_missing",
        ask(
            models.ExtractRequest(
                urls=[READABLE_PAGE, MISSING_PAGE, SOFT_404],
                objective=OBJECTIVE,
                max_chars_total=MAX_CHARS,
                max_chars_per_result=3000,
            )
        ),
    ),
    Scenario(
        "extract/no_page_read",
        ask(models.ExtractRequest(urls=[MISSING_PAGE], objective=OBJECTIVE)),
    ),
    *(
        Scenario(
            f"errors/{status}_{name}",
            ask(models.SearchRequest(objective=OBJECTIVE, max_results=2)),
            error=error,
            faults=({"path": "/v1/search", "status": status},),
            sandbox_only="the live API cannot be made to refuse",
        )
        for status, name, error in (
            (402, "no_credit", PaymentRequiredError),
            (403, "forbidden", PermissionDeniedError),
            (429, "too_many_requests", RateLimitError),
            (503, "unavailable", ServerError),
        )
    ),
    Scenario(
        "extract/full_content",
        ask(
            models.ExtractRequest(
                urls=[FULL_PAGE],
                full_content={"max_chars_per_result": 4000},
                max_chars_per_result=2000,
                max_chars_total=MAX_CHARS,
            )
        ),
    ),
    Scenario(
        "extract/older_generation",
        ask(
            models.ExtractRequest(
                urls=[READABLE_PAGE],
                objective=OBJECTIVE,
                max_chars_per_result=3000,
                max_chars_total=MAX_CHARS,
            )
        ),
        client=(("api_version", "v1beta"),),
    ),
    Scenario("chat/plain_answer", ask(said(QUESTION))),
    Scenario("chat/streamed_answer", ask(said(QUESTION, stream=True))),
    Scenario(
        "chat/json_schema",
        ask(
            said(
                QUESTION,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "explained", "schema": ANSWER_SCHEMA},
                },
            )
        ),
    ),
    Scenario("chat/research_with_basis", ask(said(QUESTION, model="lite"))),
    Scenario("chat/streamed_research", ask(said(QUESTION, model="lite", stream=True))),
    Scenario(
        "chat/older_path",
        ask(said(QUESTION)),
        client=(("chat_path", "/v1beta/chat/completions"),),
    ),
    Scenario("chat/conversation", _conversation),
    Scenario("chat/continued_research", _continued_research),
    Scenario(
        "chat/unknown_model",
        ask(said(QUESTION, model="oracle")),
        error=InvalidRequestError,
    ),
    Scenario("responses/cited_text", _respond()),
    Scenario("responses/streamed", _respond(stream=True)),
    Scenario(
        "responses/json_schema",
        _respond(
            text_format={"type": "json_schema", "name": "explained", "schema": ANSWER_SCHEMA},
            instructions="Answer in one sentence.",
            metadata={"purpose": "cassette"},
        ),
    ),
    Scenario("responses/continued", _continued_response),
    Scenario(
        "responses/unknown_effort",
        _respond(extra_body={"reasoning": {"effort": "extreme"}}),
        error=InvalidRequestError,
    ),
    Scenario("decisions/three_kinds", _decided),
    Scenario(
        "tasks/json_after_a_wait", _run_task(output_schema=ANSWER_SCHEMA), faults=(_STILL_RUNNING,)
    ),
    Scenario("tasks/text", _run_task(output_schema="What the statement does.")),
    Scenario(
        "tasks/failed_run",
        _run_task(metadata={"sandbox": "fail"}),
        error=TaskFailedError,
        sandbox_only="the live API cannot be made to fail",
    ),
    # Slow enough to be followed from its queue on.
    Scenario("tasks/events", _followed_task, sandbox=(("task_seconds", 1.0),)),
    Scenario("task_groups/runs_with_outputs", _group),
    Scenario(
        "findall/from_words_to_result",
        _ingested,
        sandbox=(("findall_seconds", 1.0),),  # so that it is queued still when that is sent
        full=True,
    ),
    Scenario("findall/enriched", _enriched, full=True),
    Scenario(
        "findall/extended_and_cancelled",
        _extended_and_cancelled,
        sandbox=(("findall_seconds", 1.0),),  # so that it is cancelled in the middle
        full=True,
    ),
    Scenario("findall/entity_search", _entities),
    Scenario("tasks/suggested", _suggested),
    Scenario("monitors/watched_query", _monitored, full=True),
    Scenario("monitors/watched_task", _snapshot, full=True),
    Scenario("memory/found_and_forgotten", _remembered),
    *ADAPTER_SCENARIOS,
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
