"""The cassettes: each is replayed, each can be recorded again, none holds what it must not."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]

from parallel_integrations import ParallelClient, PermissionDeniedError, SearchRequest
from parallel_integrations.api import search
from parallel_integrations.sandbox import Sandbox
from tests.support.cassettes import (
    CASSETTES,
    HIDDEN_KEY,
    REPLAY_KEY,
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    CassetteFormat,
    parsed,
    recording,
    replaying,
)
from tests.support.record import WRONG_KEY, main, record_from_sandbox
from tests.support.scenario import Scenario, arun, price_usd, run
from tests.support.scenarios import BY_NAME, MAX_CHARS, OBJECTIVE, SCENARIOS

OpenCassette = Callable[..., AbstractContextManager[Any]]
FILES = sorted(CASSETTES.glob("**/*.*"))
EVERY_SCENARIO = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda each: each.stem)


@EVERY_SCENARIO
async def test_the_bare_client_replays_every_cassette(
    scenario: Scenario, cassette: OpenCassette
) -> None:
    """Blocking and awaiting give the same, from the public address, with nothing sent."""
    async with scenario.set_up(api_key=REPLAY_KEY) as client:
        with cassette(scenario.name):
            blocking = run(scenario, client)
        with cassette(scenario.name):
            awaiting = await arun(scenario, client)
    assert len(blocking) == len(awaiting) > 0
    for one, other in zip(blocking, awaiting, strict=True):
        assert type(one) is type(other)
        assert str(one) == str(other) if scenario.error else one == other
        assert scenario.error is None or isinstance(one, scenario.error)


def test_every_cassette_has_a_scenario_and_every_scenario_its_cassette() -> None:
    names = {str(path.relative_to(CASSETTES).with_suffix("")) for path in FILES}
    assert names == set(BY_NAME)
    assert {path.suffix for path in FILES} == {".yaml"}
    assert len(BY_NAME) == len(SCENARIOS)


@EVERY_FILE
def test_a_cassette_says_where_it_was_recorded_and_holds_only_allowed_headers(path: Path) -> None:
    data = parsed(path.read_text("utf-8"))
    assert data["recorded_from"] in ("sandbox", "live")
    for interaction in data["interactions"]:
        assert set(interaction["request"]["headers"]) <= set(REQUEST_HEADERS)
        assert set(interaction["response"]["headers"]) <= set(RESPONSE_HEADERS)
        assert interaction["request"]["path"].startswith("/")


@EVERY_FILE
def test_a_cassette_holds_no_key_and_no_host_of_ours(path: Path) -> None:
    text = path.read_text("utf-8").lower()
    for secret in (
        Sandbox().api_key,
        WRONG_KEY,
        "bearer",
        "x-api-key",
        "authorization",
        "127.0.0.1",
    ):
        assert secret not in text
    assert "!!" not in text  # nothing binary


@EVERY_FILE
def test_a_cassette_is_written_as_it_is_read(path: Path) -> None:
    """What a person edits in a cassette by hand is in the form that recording gives it."""
    text = path.read_text("utf-8")
    form = CassetteFormat(parsed(text)["recorded_from"])
    assert form.serialize(form.deserialize(text)) == text


@pytest.mark.parametrize(
    "name",
    [
        "search/by_objective",
        "extract/two_pages_one_missing",
        "chat/streamed_research",
        "tasks/text",
        "findall/from_words_to_result",
        "monitors/watched_query",
        "memory/found_and_forgotten",
    ],
)
def test_recording_twice_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    texts = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        record_from_sandbox(BY_NAME[name], folder)
        texts.append((folder / f"{name}.yaml").read_bytes())
    assert texts[0] == texts[1]


def test_what_is_requested_still_is_what_was_recorded(tmp_path: Path) -> None:
    """Responses depend on the Python whose documentation the sandbox serves; requests do not."""
    for name in (
        "search/older_generation",
        "chat/json_schema",
        "task_groups/runs_with_outputs",
        "findall/enriched",
        "monitors/watched_task",
    ):
        record_from_sandbox(BY_NAME[name], tmp_path)
        now, then = (
            parsed((folder / f"{name}.yaml").read_text("utf-8"))["interactions"]
            for folder in (tmp_path, CASSETTES)
        )
        assert [each["request"] for each in now] == [each["request"] for each in then]


def test_a_task_waits_through_a_408_and_comes_with_its_basis(cassette: OpenCassette) -> None:
    name = "tasks/json_after_a_wait"
    statuses = [each["response"]["status"] for each in _interactions(name)]
    assert statuses == [202, 408, 200]
    with BY_NAME[name].set_up(api_key=REPLAY_KEY) as client, cassette(name):
        [result] = run(BY_NAME[name], client)
    assert set(result.output.content) == {"statement", "explanation"}
    assert {each.field for each in result.output.basis} == set(result.output.content)
    assert any(each.citations[0].excerpts for each in result.output.basis)


def test_a_failed_task_says_why(cassette: OpenCassette) -> None:
    name = "tasks/failed_run"
    with BY_NAME[name].set_up(api_key=REPLAY_KEY) as client, cassette(name):
        [error] = run(BY_NAME[name], client)
    assert error.run_id
    assert "failed" in str(error)


def test_the_newer_cassettes_show_what_they_are_for(cassette: OpenCassette) -> None:
    results = {}
    for name in (
        *("tasks/events", "task_groups/runs_with_outputs", "findall/enriched"),
        *("findall/extended_and_cancelled", "monitors/watched_query", "monitors/watched_task"),
        *("findall/from_words_to_result", "memory/found_and_forgotten"),
    ):
        with BY_NAME[name].set_up(api_key=REPLAY_KEY) as client, cassette(name):
            results[name] = run(BY_NAME[name], client)
    events = results["tasks/events"][1]
    assert [each.run.status for each in events if hasattr(each, "run")] == ["queued", "completed"]
    assert events[-1].output.content
    dump = results["task_groups/runs_with_outputs"][3]
    assert [bool(each.input and each.output) for each in dump] == [True, True]
    result = results["findall/from_words_to_result"][-1]
    assert len(result.matches) == 5
    enriched = results["findall/enriched"][-1]
    assert all(one.value("statement") for one in enriched.matches)
    *_, cancelled = results["findall/extended_and_cancelled"]
    assert cancelled.status.termination_reason == "user_cancelled"
    watched = results["monitors/watched_query"]
    assert watched[4].events
    assert watched[-1].status == "cancelled"
    assert results["monitors/watched_task"][1].output is not None
    _, found, _, _, after = results["memory/found_and_forgotten"]
    assert len(found.results) == 1
    assert after.results == []


def _interactions(name: str) -> Any:
    return parsed((CASSETTES / f"{name}.yaml").read_text("utf-8"))["interactions"]


def _ask(client: ParallelClient, **question: Any) -> None:
    client.run(search(SearchRequest(**question)))


def test_a_request_that_is_not_in_the_cassette_fails(cassette: OpenCassette) -> None:
    with (
        ParallelClient(api_key=REPLAY_KEY) as client,
        pytest.raises(CannotOverwriteExistingCassetteException, match="recorded"),
        cassette("search/by_objective"),
    ):
        _ask(client, objective=OBJECTIVE, max_chars_total=MAX_CHARS, max_results=11)


def test_an_response_is_given_once(cassette: OpenCassette) -> None:
    with ParallelClient(api_key=REPLAY_KEY) as client, cassette("search/by_objective"):
        _ask(client, objective=OBJECTIVE, max_chars_total=MAX_CHARS)
        with pytest.raises(CannotOverwriteExistingCassetteException):
            _ask(client, objective=OBJECTIVE, max_chars_total=MAX_CHARS)


def test_an_response_nobody_requested_for_fails(cassette: OpenCassette) -> None:
    with (
        pytest.raises(AssertionError, match="never requested: POST /v1/search"),
        cassette("search/by_objective"),
    ):
        pass


def test_a_missing_cassette_fails(cassette: OpenCassette) -> None:
    with pytest.raises(AssertionError, match="make record"), cassette("search/by_magic"):
        pass


def test_the_key_is_scrubbed_wherever_the_server_puts_it(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add(status=403, echo_key=True)
    with (
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        recording("echo", folder=tmp_path, secret=sandbox.api_key),
        pytest.raises(PermissionDeniedError),
    ):
        _ask(client, objective=OBJECTIVE)
    text = tmp_path.joinpath("echo.yaml").read_text("utf-8")
    assert HIDDEN_KEY in text
    assert sandbox.api_key not in text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"b":1,"a":["ä",null,1.5,true,"x\\n y "]}'),
        ("application/json", '{"broken":'),
        ("text/html", "<html>\n  trailing blanks  \n</html>"),
        ("text/event-stream", 'event: e\nid: 1\ndata: {"a":1}\n\ndata: [DONE]\n\n'),
        ("text/event-stream", ": a comment\n\ndata: x\n\n"),
        ("text/event-stream", "data: a\ndata: b\n\n"),
        ("text/plain", ""),
    ],
)
def test_every_kind_of_body_survives_the_form(content_type: str, body: str) -> None:
    form = CassetteFormat("live")
    interaction = {
        "request": {
            "method": "POST",
            "uri": "https://api.parallel.ai/p?q=1",
            "headers": {},
            "body": "{}",
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": [content_type]},
            "body": {"string": body},
        },
    }
    read = form.deserialize(form.serialize({"version": 1, "interactions": [interaction]}))
    assert read["interactions"][0]["request"]["uri"] == "https://api.parallel.ai/p?q=1"
    assert read["interactions"][0]["response"]["body"]["string"] == body


def test_recording_live_says_what_it_costs_and_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVE", "1")
    assert main(["search/by_objective"]) == 2
    monkeypatch.setenv("PARALLEL_API_KEY", "not-used")
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["search/by_objective", "extract/full_content"]) == 1
    assert "0.006 USD  altogether" in capsys.readouterr().out
    assert main(["search/by_magic"]) == 2


def test_recording_live_omits_what_is_dear_and_what_only_the_sandbox_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVE", "1")
    monkeypatch.setenv("PARALLEL_API_KEY", "not-used")
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["findall/enriched", "monitors/watched_query", "tasks/failed_run"]) == 1
    out = capsys.readouterr().out
    assert "left out  findall/enriched: 0.425 USD, only with FULL=1" in out
    assert "left out  tasks/failed_run: the live API cannot be made to fail" in out
    assert "0.000 USD  altogether" in out
    monkeypatch.setenv("FULL", "1")
    assert main(["findall/enriched", "monitors/watched_query", "tasks/failed_run"]) == 1
    assert "0.431 USD  altogether" in capsys.readouterr().out


LIVE = (
    *("search/by_objective", "search/wrong_key", "extract/full_content", "chat/streamed_research"),
    *("responses/cited_text", "responses/streamed", "responses/unknown_effort"),
    *("decisions/three_kinds", "tasks/text", "tasks/events", "tasks/suggested"),
    *("task_groups/runs_with_outputs", "findall/enriched", "findall/entity_search"),
    *("monitors/watched_query", "memory/found_and_forgotten"),
)
"""Of each topic what the live API can be recorded for, and a sandbox in its place as it is."""


@pytest.fixture
def live(at_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox in the place of the live API, by its address."""
    monkeypatch.setenv("LIVE", "1")
    monkeypatch.setenv("YES", "1")
    return at_sandbox


def test_recording_live_makes_cassettes_that_replay(
    live: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FULL", "1")
    assert main(LIVE, tmp_path) == 0
    out = capsys.readouterr().out
    assert out.index("altogether, billed to your account") < out.index("recorded")
    for name in LIVE:
        assert f"recorded {name}" in out
        text = (tmp_path / f"{name}.yaml").read_text("utf-8")
        assert text.startswith("recorded_from: elsewhere")
        assert live.api_key not in text
        assert "127.0.0.1" not in text
        scenario = BY_NAME[name]
        with scenario.set_up(api_key=REPLAY_KEY) as client, replaying(name, folder=tmp_path):
            assert run(scenario, client)


def test_a_scenario_that_fails_keeps_its_cassette_and_costs_no_other(
    live: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = tmp_path / "decisions" / "three_kinds.yaml"
    before.parent.mkdir()
    before.write_text("as it was")
    live.faults.add(path="/v1/decisions", status=403, echo_key=True)
    assert main(["decisions/three_kinds", "responses/cited_text"], tmp_path) == 1
    out = capsys.readouterr().out
    assert "FAILED   decisions/three_kinds: PermissionDeniedError" in out
    assert "recorded responses/cited_text" in out
    assert live.api_key not in out
    assert before.read_text() == "as it was"


def test_prices_are_the_published_ones() -> None:
    prices = {name: round(price_usd(scenario), 3) for name, scenario in BY_NAME.items()}
    expected = {
        "search/by_objective": 0.005,
        "search/wrong_key": 0,
        "extract/two_pages_one_missing": 0.003,
        "chat/continued_research": 0.01,
        "tasks/json_after_a_wait": 0.005,
        "tasks/failed_run": 0,
        "task_groups/runs_with_outputs": 0.01,
        "findall/from_words_to_result": 0.4,
        "findall/extended_and_cancelled": 0.55,
        "findall/entity_search": 0.005,
        "monitors/watched_query": 0.006,
        "memory/found_and_forgotten": 0.005,
    }
    assert prices.items() >= expected.items()
    assert sum(prices[name] for name in BY_NAME if not BY_NAME[name].full) < 1
