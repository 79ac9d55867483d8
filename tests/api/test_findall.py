"""FindAll: from an objective to a schema, to a run, to entities with their evidence."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from parallel_integrations import (
    ConflictError,
    CreateFindallRunRequest,
    EnrichFindallRequest,
    EntitySearchRequest,
    ExtendFindallRequest,
    IngestFindallRequest,
    InvalidRequestError,
    McpServer,
    NotFoundError,
    ParallelClient,
    ParallelError,
    TaskFailedError,
    TaskTimeoutError,
    UnexpectedAnswerError,
    Webhook,
)
from parallel_integrations._protocol import events, polling
from parallel_integrations.api import (
    cancel_findall,
    create_findall_run,
    enrich_findall,
    entity_search,
    extend_findall,
    findall_events,
    findall_result,
    findall_schema,
    ingest_findall,
    retrieve_findall_run,
    run_findall,
    wait_findall_run,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models import (
    EntitySearchResponse,
    ExcludedEntity,
    FindallCandidate,
    FindallCandidateEvent,
    FindallResult,
    FindallRun,
    FindallStatusEvent,
    MatchCondition,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import Connected, connected
from tests.support.scripted_operation import (
    BOTH,
    ScriptPlayer,
    check_repetitions,
    listen,
    not_found,
    run,
)

OBJECTIVE = IngestFindallRequest(objective="Python statements that bind names")
CONDITION = MatchCondition(name="binds", description="It binds a name.")
BETA = "findall-2025-09-15"


class Facts(BaseModel):
    """What is to be found out."""

    keyword: str | None


def findall_request(**changes: Any) -> CreateFindallRunRequest:
    """A request for a run."""
    plain: dict[str, Any] = {
        "objective": OBJECTIVE.objective,
        "entity_type": "statements",
        "match_conditions": [CONDITION],
        "generator": "base",
        "match_limit": 5,
    }
    return CreateFindallRunRequest(**plain | changes)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants of ours; how pauses grow is tested without a clock."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.02)
    monkeypatch.setattr(events, "RECONNECT_SECONDS", 0.01)


@pytest.fixture
def slow() -> Iterator[Connected]:
    """A sandbox whose runs take a while, and its client."""
    with connected(findall_seconds=0.3) as both:
        yield both


# ------------------------------------------------------------------------------ on the sandbox


@BOTH
async def test_from_a_objective_to_its_matches(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    schema = await run(client, ingest_findall(OBJECTIVE), awaiting=awaiting)
    assert schema.match_conditions
    request = CreateFindallRunRequest.from_schema(schema, generator="base", match_limit=5)
    found = await run(
        client,
        run_findall(request, enrich=EnrichFindallRequest(output_schema=Facts, processor="lite")),
        awaiting=awaiting,
    )
    assert found.matches
    assert found.run.is_over
    for match in found.matches:
        assert match.url.startswith("https://docs.python.org/")
        assert "keyword" in (match.output or {})
        assert match.basis
    assert {BETA in each.headers["parallel-beta"] for each in sandbox.requests} == {True}
    assert sandbox.ledger.count("create_findall_run") == 1
    assert sandbox.ledger.count("findall_match") == len(found.matches)
    again = await run(client, wait_findall_run(found.run.findall_id), awaiting=awaiting)
    assert again.candidates == found.candidates


@BOTH
async def test_a_run_by_hand(slow: Connected, awaiting: bool) -> None:
    _, client = slow
    created = await run(
        client, create_findall_run(findall_request(metadata={"n": 1})), awaiting=awaiting
    )
    findall_id = created.findall_id
    assert not created.is_over
    snapshot = await run(client, findall_result(findall_id), awaiting=awaiting)
    assert snapshot.run.findall_id == findall_id
    enriched = await run(
        client,
        enrich_findall(findall_id, EnrichFindallRequest(output_schema=Facts, processor="lite")),
        awaiting=awaiting,
    )
    assert len(enriched.enrichments) == 1
    extended = await run(
        client,
        extend_findall(findall_id, ExtendFindallRequest(additional_match_limit=2)),
        awaiting=awaiting,
    )
    assert extended.match_limit == 7
    schema = await run(client, findall_schema(findall_id), awaiting=awaiting)
    assert (schema.match_limit, len(schema.enrichments)) == (7, 1)
    assert await run(client, cancel_findall(findall_id), awaiting=awaiting) is None
    stopped = await run(client, retrieve_findall_run(findall_id), awaiting=awaiting)
    assert stopped.is_over
    assert stopped.status.termination_reason == "user_cancelled"
    assert stopped.metadata == {"n": 1}
    # Stopping it again changes nothing: a repeat after a lost response looks the same.
    assert await run(client, cancel_findall(findall_id), awaiting=awaiting) is None


@BOTH
@pytest.mark.parametrize("fault", [None, "fin", "reset"])
async def test_a_run_is_followed_to_its_end(slow: Connected, awaiting: bool, fault: Any) -> None:
    sandbox, client = slow
    created = await run(client, create_findall_run(findall_request()), awaiting=awaiting)
    if fault:
        sandbox.faults.add(path="*/events", cut_after_events=2, cut=fault)
        sandbox.faults.add(path="*/events", cut_after_bytes=700, cut=fault)
    seen = await listen(client, findall_events(created.findall_id), awaiting=awaiting)
    ids = [event.event_id for event in seen]
    assert len(ids) == len(set(ids))
    assert isinstance(seen[-1], FindallStatusEvent)
    assert seen[-1].data.is_over
    matched = [event.data.name for event in seen if event.type == "findall.candidate.matched"]
    result = await run(client, findall_result(created.findall_id), awaiting=awaiting)
    assert matched == [match.name for match in result.matches]
    assert any(isinstance(event, FindallCandidateEvent) for event in seen)
    rest = findall_events(created.findall_id, last_event_id=seen[2].event_id)
    assert await listen(client, rest, awaiting=awaiting) == seen[3:]
    nothing_left = findall_events(created.findall_id, last_event_id=result.last_event_id)
    late = await listen(client, nothing_left, awaiting=awaiting)
    assert all(isinstance(event, FindallStatusEvent) for event in late)


@BOTH
async def test_entities_are_listed_at_once(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    request = EntitySearchRequest(
        entity_type="companies", objective="with statement", match_limit=5
    )
    found = await run(client, entity_search(request), awaiting=awaiting)
    assert found.entity_set_id
    assert found.entities
    assert len(found.entities) <= 5
    sandbox.reset()
    sandbox.faults.add(path="/v1beta/findall/entity-search", status=404)
    older = await run(client, entity_search(request), awaiting=awaiting)
    assert [entity.name for entity in older.entities] == [one.name for one in found.entities]
    assert older.entity_set_id
    sent = [(each.path.rpartition("/")[2], each.body["entity_type"]) for each in sandbox.requests]
    assert sent == [("entity-search", "companies"), ("candidates", "company")]


@BOTH
async def test_what_a_preview_cannot_is_said_with_its_id(
    client: ParallelClient, awaiting: bool
) -> None:
    preview = await run(
        client, create_findall_run(findall_request(generator="preview")), awaiting=awaiting
    )
    findall_id = preview.findall_id
    for operation in (
        extend_findall(findall_id, ExtendFindallRequest(additional_match_limit=1)),
        enrich_findall(findall_id, EnrichFindallRequest(output_schema=Facts)),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            await run(client, operation, awaiting=awaiting)
        assert caught.value.findall_id == findall_id


@BOTH
async def test_an_unknown_run_is_not_found(client: ParallelClient, awaiting: bool) -> None:
    operations = (
        retrieve_findall_run,
        findall_result,
        findall_schema,
        cancel_findall,
        wait_findall_run,
    )
    calls = [each("findall_none") for each in operations]
    errors = await not_found(client, calls, findall_events("findall_none"), awaiting=awaiting)
    assert [error.findall_id for error in errors] == ["findall_none"] * 6


# ------------------------------------------------------------------------------ scripted


def wire(status: str = "completed", *, active: Any = False, **more: Any) -> dict[str, Any]:
    return {"findall_id": "f1", "status": {"status": status, "is_active": active, **more}}


RESULT = {"run": wire(), "candidates": [], "last_event_id": "e9"}


@pytest.mark.parametrize("reason", ["error_occurred", "insufficient_funds"])
def test_a_run_that_failed_says_so(reason: str) -> None:
    player = ScriptPlayer([wire("failed", termination_reason=reason)])
    with pytest.raises(TaskFailedError, match=f"{reason}.*findall_result") as caught:
        player.play(wait_findall_run("f1"))
    assert caught.value.findall_id == "f1"


@pytest.mark.parametrize(
    "reason", ["match_limit_met", "low_match_rate", "timeout", "user_cancelled", None, "new"]
)
def test_any_other_end_gives_what_was_found(reason: str | None) -> None:
    player = ScriptPlayer([wire(termination_reason=reason), RESULT])
    assert player.play(wait_findall_run("f1")).last_event_id == "e9"


def test_an_end_is_seen_where_only_the_word_says_so() -> None:
    player = ScriptPlayer([wire("running", active=None), wire("completed", active=None), RESULT])
    player.play(wait_findall_run("f1"))
    assert len(player.sends) == 3
    assert not FindallRun(findall_id="f1").is_over


def test_the_run_can_be_resumed_after_the_deadline() -> None:
    player = ScriptPlayer([{"findall_id": "f1"}, wire("running", active=True)])
    with pytest.raises(TaskTimeoutError, match=r"wait_findall_run\('f1'\)") as caught:
        player.play(run_findall(findall_request(), deadline_seconds=30))
    assert (caught.value.findall_id, player.clock) == ("f1", 30)


def test_every_error_after_the_create_carries_the_id() -> None:
    enrich = EnrichFindallRequest(output_schema=Facts)
    scripts = (
        [{"findall_id": "f1"}, httpx.Response(402)],
        [{"findall_id": "f1"}, httpx.ReadError("x")],
        [{"findall_id": "f1"}, {}, httpx.Response(401)],
        [{"findall_id": "f1"}, {}, wire(), httpx.Response(200, text="?")],
    )
    for script in scripts:
        with pytest.raises(ParallelError) as caught:
            ScriptPlayer(script).play(run_findall(findall_request(), enrich=enrich))
        assert caught.value.findall_id == "f1"


def test_a_malformed_response_to_the_create_does_not_cost_the_id() -> None:
    player = ScriptPlayer([{"findall_id": "f1", "status": "running"}])
    run = player.play(create_findall_run(findall_request()))
    assert (run.findall_id, run.status) == ("f1", None)
    assert run.warnings[0].message == "status was left out: it is a string"


def test_a_schema_that_cannot_be_sent_is_refused_before_a_run_is_paid_for() -> None:
    class Loop(BaseModel):
        inner: "Loop | None" = None

    Loop.model_rebuild(_types_namespace={"Loop": Loop})
    with pytest.raises(InvalidArgumentError, match="contains itself"):
        EnrichFindallRequest(output_schema=Loop)


def test_both_entity_searches_missing_is_not_found() -> None:
    player = ScriptPlayer([httpx.Response(404)])
    request = EntitySearchRequest(entity_type="people", objective="x")
    with pytest.raises(NotFoundError):
        player.play(entity_search(request))
    assert player.calls == [
        "POST /v1beta/findall/entity-search",
        "POST /v1beta/findall/candidates",
    ]
    assert player.sends[1].request is not None
    assert player.sends[1].request.body("v1")["entity_type"] == "people"


# ------------------------------------------------------------------------------ responses


def test_a_flat_result_is_read_like_a_nested_one() -> None:
    flat = {**wire(), "candidates": [{"name": "Acme"}], "last_event_id": "e1", "run": None}
    for body in (flat, {name: flat[name] for name in flat if name != "run"}):
        result = FindallResult.model_validate_json(json.dumps(body))
        assert result.run.findall_id == "f1"
        assert result.run.is_over
        assert (result.candidates[0].name, result.last_event_id) == ("Acme", "e1")


@pytest.mark.parametrize("run", [None, {}, {"findall_id": None}, "findall_1", "absent"])
def test_candidates_do_not_need_what_is_said_of_their_run(run: Any) -> None:
    body = {"run": run, "candidates": [{"name": "Acme", "match_status": "matched"}]}
    if run == "absent":
        del body["run"]
    result = ScriptPlayer([httpx.Response(200, json=body)]).play(findall_result("findall_1"))
    assert result.run.findall_id == "findall_1"
    assert [match.name for match in result.matches] == ["Acme"]


@pytest.mark.parametrize("body", [{"last_event_id": "e"}, {"run": None, "candidates": None}])
def test_neither_run_nor_candidates_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswerError, match="neither a run nor candidates"):
        ScriptPlayer([httpx.Response(200, json=body)]).play(findall_result("findall_1"))


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ({"a": {"value": "yes", "type": "match_condition", "is_matched": True}}, "yes"),
        ({"a": "yes"}, "yes"),
        ({"a": {"other": 1}}, {"other": 1}),
        ({"a": {"value": None}}, None),
        ({"b": 1}, None),
        (None, None),
    ],
)
def test_a_value_is_read_in_each_of_its_forms(output: Any, value: Any) -> None:
    assert FindallCandidate(output=output).value("a") == value


def test_older_names_of_entities_are_read() -> None:
    body = {"candidate_set_id": "s1", "candidates": [{"name": "A"}], "notes": [1]}
    found = EntitySearchResponse.model_validate(body)
    assert (found.entity_set_id, found.entities[0].name) == ("s1", "A")
    assert found.model_extra == {"notes": [1]}
    assert EntitySearchResponse.model_validate({"entity_set_id": "s", "entities": None})


# ------------------------------------------------------------------------------ what is sent


def test_a_full_request_is_rendered() -> None:
    request = findall_request(
        exclude_list=[ExcludedEntity(name="A", url="https://a.example")],
        metadata={"n": 1},
        webhook=Webhook(url="https://a.example", event_types=["findall.run.completed"]),
        memory_scope_key="team",
    )
    assert request.body("v1") == {
        "objective": "Python statements that bind names",
        "entity_type": "statements",
        "match_conditions": [{"name": "binds", "description": "It binds a name."}],
        "generator": "base",
        "match_limit": 5,
        "exclude_list": [{"name": "A", "url": "https://a.example"}],
        "metadata": {"n": 1},
        "webhook": {"url": "https://a.example", "event_types": ["findall.run.completed"]},
        "memory_scope_key": "team",
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"match_limit": 4}, "match_limit"),
        ({"match_limit": 1001}, "match_limit"),
        ({"generator": "preview", "match_limit": 11}, "preview"),
        ({"generator": ""}, "generator"),
        ({"match_conditions": []}, "match_conditions"),
        ({"objective": ""}, "objective"),
        ({"entity_type": ""}, "entity_type"),
        ({"exclude_list": [{"name": "a", "url": "b"}] * 10_001}, "exclude_list"),
        ({"exclude_list": [{"name": "", "url": "b"}]}, "name"),
        ({"metadata": {"k" * 17: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"memory_scope_key": "a b"}, "memory_scope_key"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        findall_request(**changes)


def test_limits_themselves_are_allowed() -> None:
    assert findall_request(match_limit=1000).match_limit == 1000
    assert findall_request(generator="preview", match_limit=10)
    assert findall_request(generator="not_invented_yet", match_limit=11)
    assert EntitySearchRequest(entity_type="people", objective="x", match_limit=1000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EntitySearchRequest(entity_type="people", objective="x", match_limit=4),
        lambda: EntitySearchRequest(entity_type="people", objective="x", match_limit=1001),
        lambda: EntitySearchRequest(entity_type="animals", objective="x"),
        lambda: ExtendFindallRequest(additional_match_limit=0),
        lambda: EnrichFindallRequest(output_schema="words"),
        lambda: EnrichFindallRequest(output_schema={"type": "text"}),
        lambda: EnrichFindallRequest(
            output_schema=Facts,
            mcp_servers=[McpServer(name=str(n), url="https://a.example") for n in range(11)],
        ),
        lambda: IngestFindallRequest(objective=""),
    ],
)
def test_other_requests_refuse_what_cannot_be_right(make: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        make()


@pytest.mark.parametrize("findall_id", ["", ".", ".."])
def test_what_is_no_id_is_refused_before_anything_is_sent(findall_id: str) -> None:
    extend = ExtendFindallRequest(additional_match_limit=1)
    for operation in (
        lambda: retrieve_findall_run(findall_id),
        lambda: findall_result(findall_id),
        lambda: findall_schema(findall_id),
        lambda: findall_events(findall_id),
        lambda: cancel_findall(findall_id),
        lambda: wait_findall_run(findall_id),
        lambda: extend_findall(findall_id, extend),
        lambda: enrich_findall(findall_id, EnrichFindallRequest(output_schema=Facts)),
    ):
        player = ScriptPlayer([])
        with pytest.raises(ValueError, match="is not an id"):
            player.play(operation())
        assert not player.sends
    assert next(findall_result("a/b")).path == "/v1beta/findall/runs/a%2Fb/result"


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (lambda: create_findall_run(findall_request()), "create"),
        (lambda: run_findall(findall_request()), "create"),
        (lambda: enrich_findall("f1", EnrichFindallRequest(output_schema=Facts)), "create"),
        (lambda: extend_findall("f1", ExtendFindallRequest(additional_match_limit=1)), "create"),
        (lambda: ingest_findall(OBJECTIVE), "ask"),
        (lambda: entity_search(EntitySearchRequest(entity_type="people", objective="x")), "ask"),
        (lambda: retrieve_findall_run("f1"), "read"),
        (lambda: findall_result("f1"), "read"),
        (lambda: findall_schema("f1"), "read"),
        (lambda: findall_events("f1"), "read"),
        (lambda: cancel_findall("f1"), "read"),
    ],
)
def test_what_is_repeated(operation: Any, kind: str) -> None:
    check_repetitions(operation, kind)
    player = ScriptPlayer([httpx.Response(401)])
    with pytest.raises(ParallelError):
        player.play(operation())
    assert player.sends[0].betas == (BETA,)


def test_a_cancel_whose_response_was_lost_is_a_cancel() -> None:
    with connected(findall_seconds=60) as (sandbox, client):
        made = client.run(create_findall_run(findall_request(match_limit=40)))
        sandbox.faults.add(path="*/cancel", reset="headers")
        client.run(cancel_findall(made.findall_id))
        client.run(cancel_findall(made.findall_id))
        status = client.run(retrieve_findall_run(made.findall_id)).status
    assert status is not None
    assert status.termination_reason == "user_cancelled"


def test_a_run_that_ended_by_itself_cannot_be_cancelled(client: ParallelClient) -> None:
    ended = client.run(run_findall(findall_request()))
    with pytest.raises(ConflictError) as caught:
        client.run(cancel_findall(ended.run.findall_id))
    assert caught.value.findall_id == ended.run.findall_id


@pytest.mark.parametrize("run", [None, "lost", {"findall_id": None}, {"findall_id": 5}])
def test_a_result_that_lost_its_run_is_that_of_the_run_requested(run: Any) -> None:
    body = {"run": run, "candidates": [{"name": "One", "url": "https://a.example/"}]}
    result = ScriptPlayer([httpx.Response(200, json=body)]).play(findall_result("findall_1"))
    assert result.run.findall_id == "findall_1"
    assert [candidate.name for candidate in result.candidates] == ["One"]
