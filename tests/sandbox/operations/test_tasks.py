import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Corpus, Page, Sandbox
from tests.sandbox.ids import numbered

RUNS = "/v1/tasks/runs"
TEXT = {"output_schema": "What the statement does."}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "description": "What the statement does."},
        "since": {"type": ["integer", "null"], "description": "The zxqv of it."},
        "rules": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["summary", "since", "rules"],
    "additionalProperties": False,
}


def run_body(
    text: Any = "nonlocal statement", processor: str = "base", **more: Any
) -> dict[str, Any]:
    return {"input": text, "processor": processor, **more}


def json_spec(schema: Any) -> dict[str, Any]:
    return {"output_schema": {"type": "json", "json_schema": schema}}


def create(http: httpx.Client, *args: Any, **more: Any) -> dict[str, Any]:
    response = http.post(RUNS, json=run_body(*args, **more))
    assert response.status_code == 202, response.text
    run: dict[str, Any] = response.json()
    return run


def result(http: httpx.Client, *args: Any, **more: Any) -> dict[str, Any]:
    run = create(http, *args, **more)
    response = http.get(f"{RUNS}/{run['run_id']}/result", params={"timeout": 10})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def frames(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("\n\n")
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.fixture(scope="module")
def slow() -> Iterator[httpx.Client]:
    """A client of a sandbox whose runs never end."""
    with Sandbox(task_seconds=1000) as sandbox:
        headers = {"x-api-key": sandbox.api_key}
        with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as client:
            yield client


def test_a_run_goes_from_queued_to_completed(http: httpx.Client) -> None:
    run = create(http, metadata={"row": "7", "n": 1, "on": True}, task_spec=TEXT)
    url = f"{RUNS}/{run['run_id']}"

    assert run == {
        "run_id": numbered("trun"),
        "interaction_id": numbered("trun"),
        "status": "queued",
        "is_active": True,
        "processor": "base",
        "metadata": {"row": "7", "n": 1, "on": True},
        "created_at": "2026-05-02T10:00:00.000000Z",
        "modified_at": "2026-05-02T10:00:00.000000Z",
    }
    seen = []
    while not seen or seen[-1] in ("queued", "running"):
        seen.append(http.get(url).json()["status"])
    assert list(dict.fromkeys(seen)) in (
        ["queued", "running", "completed"],
        ["running", "completed"],
    )
    done = http.get(url).json()
    assert done["is_active"] is False
    assert done["modified_at"] == "2026-05-02T10:00:00.050000Z"


def test_a_result_is_waited_for(http: httpx.Client, sandbox: Sandbox) -> None:
    began = time.perf_counter()
    payload = result(http, {"statement": "nonlocal"}, task_spec=TEXT)

    assert time.perf_counter() - began > 0.04
    assert set(payload) == {"run", "output"}
    assert payload["run"]["status"] == "completed"
    output = payload["output"]
    assert output["type"] == "text"
    assert "nonlocal" in output["content"]
    [basis] = output["basis"]
    assert basis["field"] == "output"
    for citation in basis["citations"]:
        page = sandbox.corpus.get(citation["url"])
        assert page is not None
        assert all(excerpt in page.text for excerpt in citation["excerpts"])


def test_an_active_run_has_no_result_yet(slow: httpx.Client) -> None:
    run = create(slow)
    for seconds in ("0", "1"):
        response = slow.get(f"{RUNS}/{run['run_id']}/result?timeout={seconds}")
        assert response.status_code == 408
        assert response.json()["type"] == "error"
        assert set(response.json()["error"]) == {"ref_id", "message", "detail"}
    assert slow.get(f"{RUNS}/{run['run_id']}").json()["is_active"] is True


@pytest.mark.parametrize("seconds", ["-1", "soon", "1.5", ""])
def test_a_wrong_wait_is_refused(http: httpx.Client, seconds: str) -> None:
    response = http.get(f"{RUNS}/{create(http)['run_id']}/result?timeout={seconds}")

    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith("timeout: ")


@pytest.mark.parametrize("path", ["", "/result", "/input", "/events"])
def test_unknown_runs(http: httpx.Client, path: str) -> None:
    response = http.get(f"{RUNS}/trun_nowhere{path}")

    assert response.status_code == 404
    assert response.json()["type"] == "error"


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": {"sandbox": "fail"}},
        {"text": {"sandbox": "fail"}},
        {"text": "word " * 6000},
    ],
)
def test_a_run_can_fail_and_costs_nothing(
    http: httpx.Client, sandbox: Sandbox, more: dict[str, Any]
) -> None:
    run = create(http, **more)
    response = http.get(f"{RUNS}/{run['run_id']}/result")
    failed = http.get(f"{RUNS}/{run['run_id']}").json()

    assert response.status_code == 404
    assert (failed["status"], failed["is_active"]) == ("failed", False)
    assert response.json()["error"]["message"] == "Run failed.", "the reason is in the run alone"
    assert failed["error"]["message"]
    assert len(failed["error"]["ref_id"]) == 32
    assert sandbox.ledger.count("create_task_run") == 1
    assert sandbox.ledger.count("task_run") == sandbox.ledger.usd == 0


def test_json_output_is_filled_with_basis_for_fields_and_elements(http: httpx.Client) -> None:
    output = result(http, task_spec=json_spec(SCHEMA))["output"]

    assert output["type"] == "json"
    content = output["content"]
    assert set(content) == {"summary", "since", "rules"}
    assert "nonlocal" in content["summary"]
    assert content["since"] is None
    assert content["rules"]
    fields = [each["field"] for each in output["basis"]]
    elements = [f"rules.{n}" for n in range(len(content["rules"]))]
    assert fields == ["summary", "since", "rules", *elements]
    for number, rule in enumerate(content["rules"]):
        [basis] = [each for each in output["basis"] if each["field"] == f"rules.{number}"]
        excerpts = [e for citation in basis["citations"] for e in citation["excerpts"]]
        assert rule in [" ".join(excerpt.split()) for excerpt in excerpts]


AUTO = pytest.mark.parametrize("spec", [None, {"output_schema": {"type": "auto"}}])


@AUTO
def test_auto_output_is_one_text_of_a_small_processor(http: httpx.Client, spec: Any) -> None:
    output = result(http, **({"task_spec": spec} if spec else {}))["output"]

    assert (output["type"], output["output_schema"]) == ("json", {})
    assert list(output["content"]) == ["output"]
    assert [each["field"] for each in output["basis"]] == ["output"]
    excerpts = [each["excerpts"] for each in output["basis"][0]["citations"]]
    assert all(excerpts[:2])
    assert not any(excerpts[2:]), "later sources are only named"


@AUTO
def test_auto_output_is_a_report_in_sections_of_a_large_one(http: httpx.Client, spec: Any) -> None:
    more = {"processor": "ultra", **({"task_spec": spec} if spec else {})}
    output = result(http, "How do generators and exceptions work?", **more)["output"]
    content, basis = output["content"], {each["field"]: each for each in output["basis"]}

    first, *sections, last = content
    assert (first, last) == ("executive_summary", "synthesis")
    assert len(sections) > 2
    assert basis[first] == {"field": first, "reasoning": "", "citations": [], "confidence": ""}
    assert last not in basis
    assert set(sections) == set(basis) - {first}
    assert {"high", "medium", ""} <= {basis[name]["confidence"] for name in sections}
    for name in sections:
        assert content[name].startswith("### ")
        assert f"[{name}[0]] [" in content[name]
        assert re.fullmatch("[a-z0-9_]+", name)
    assert sum(map(len, content.values())) > 5_000


def test_a_text_of_a_large_processor_is_a_report_with_its_own_references(
    http: httpx.Client,
) -> None:
    question = "How do generators and exceptions work?"
    output = result(http, question, processor="pro", task_spec=TEXT)["output"]
    [basis] = output["basis"]
    report, references = output["content"].split("## References\n\n")
    listed = re.findall(r"^(\d+)\. .*? (https://\S+)$", references, re.M)

    assert report.startswith(f"# {question}\n\n## Executive Summary\n\n")
    assert len(report) > 5_000
    assert [int(number) for number, _ in listed] == list(range(1, len(listed) + 1))
    assert set(re.findall(r"\[(\d+)\]", report)) == {number for number, _ in listed}
    urls = [citation["url"] for citation in basis["citations"]]
    assert set(urls) == {url for _, url in listed}
    assert urls != [url for _, url in listed], "its numbers are not those of the citations"


@pytest.mark.parametrize(
    "form", ["A text.", {"type": "text"}, {"type": "text", "description": "x"}, {}]
)
def test_the_forms_of_a_text(http: httpx.Client, form: Any) -> None:
    assert result(http, task_spec={"output_schema": form})["output"]["type"] == "text"


def test_nothing_found_is_said(http: httpx.Client) -> None:
    text = result(http, "zxqv", task_spec=TEXT)["output"]
    filled = result(http, "zxqv", task_spec=json_spec(SCHEMA))["output"]
    auto = result(http, "zxqv")["output"]

    assert text["content"] == "The sandbox found nothing about this in its pages."
    assert filled["content"] == {"summary": "", "since": None, "rules": []}
    assert auto["content"] == {"output": text["content"]}
    assert all(each["citations"] == [] for each in text["basis"] + filled["basis"] + auto["basis"])


def test_the_input_is_shown_again_without_secrets(http: httpx.Client) -> None:
    server = {"name": "s", "url": "https://mcp.example", "headers": {"authorization": "hidden"}}
    body = run_body({"a": 1}, task_spec=TEXT, mcp_servers=[server], enable_events=True)
    run = http.post(RUNS, json=body).json()
    response = http.get(f"{RUNS}/{run['run_id']}/input")

    assert response.json() == {
        **body,
        "mcp_servers": [{"name": "s", "url": "https://mcp.example"}],
    }
    assert "calls none" in run["warnings"][0]["message"]


def test_tasks_and_chats_continue_each_other(http: httpx.Client) -> None:
    chat = {"model": "lite", "messages": [{"role": "user", "content": "lambda expressions"}]}
    interaction = http.post("/chat/completions", json=chat).json()["interaction_id"]
    task = result(http, "And why?", task_spec=TEXT, previous_interaction_id=interaction)
    assert "lambda" in task["output"]["content"].lower()

    chat["messages"][0]["content"] = "And then?"  # type: ignore[index]
    chat["previous_interaction_id"] = task["run"]["interaction_id"]
    later = http.post("/chat/completions", json=chat).json()
    assert "lambda" in later["choices"][0]["message"]["content"].lower()


def test_a_source_policy_is_kept() -> None:
    pages = [
        Page("https://a.example/1", "One", "The zebra statement is explained on this first page."),
        Page("https://b.example/2", "Two", "The zebra statement is explained on this other page."),
    ]
    with Sandbox(Corpus(pages)) as sandbox, httpx.Client(base_url=sandbox.url) as client:
        client.headers["x-api-key"] = sandbox.api_key
        policy = {"include_domains": ["b.example"], "exclude_domains": ["a.example"]}
        payload = result(client, "zebra statement", task_spec=TEXT, source_policy=policy)

    [citation] = payload["output"]["basis"][0]["citations"]
    assert citation["url"] == "https://b.example/2"
    assert "exclude_domains" in payload["run"]["warnings"][0]["message"]


@pytest.mark.parametrize(
    ("processor", "usd"),
    [("lite", 0.005), ("base-fast", 0.01), ("core2x", 0.05), ("ultra8x-fast", 2.4)],
)
def test_a_completed_run_is_billed_once(
    http: httpx.Client, sandbox: Sandbox, processor: str, usd: float
) -> None:
    run = create(http, processor=processor)
    http.get(f"{RUNS}/{run['run_id']}/result")

    assert sandbox.ledger.usd == usd
    assert [(e.operation, e.usd, e.detail) for e in sandbox.ledger.entries] == [
        ("create_task_run", 0, processor),
        ("task_run", usd, processor),
    ]


def test_a_run_that_goes_on_is_not_billed() -> None:
    with Sandbox(task_seconds=1000) as sandbox:
        with httpx.Client(base_url=sandbox.url, headers={"x-api-key": sandbox.api_key}) as http:
            create(http)
        assert [(e.operation, e.usd) for e in sandbox.ledger.entries] == [("create_task_run", 0)]


def test_the_ledger_knows_what_nobody_looked_at(http: httpx.Client, sandbox: Sandbox) -> None:
    create(http)
    time.sleep(0.06)
    http.post("/v1/search", json={"search_queries": ["with"]})

    billed = [entry.operation for entry in sandbox.ledger.entries]
    assert billed == ["create_task_run", "task_run", "search"]
    sandbox.reset()
    assert sandbox.ledger.entries == ()


def test_a_lost_response_keeps_the_run(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(path=RUNS, reset="headers")
    with pytest.raises(httpx.TransportError):
        http.post(RUNS, json=run_body())

    assert http.get(f"{RUNS}/{numbered('trun')}").status_code == 200
    sandbox.faults.add(path=RUNS, status=503)
    assert http.post(RUNS, json=run_body()).status_code == 503
    assert sandbox.ledger.count("create_task_run") == 1


def test_nothing_remains_of_an_abandoned_stream_or_wait(slow: httpx.Client) -> None:
    run = create(slow, enable_events=True)
    with slow.stream("GET", f"{RUNS}/{run['run_id']}/events") as response:
        assert b"queued" in next(response.iter_raw())
    with pytest.raises(httpx.ReadTimeout):
        slow.get(f"{RUNS}/{run['run_id']}/result", timeout=0.05)
    assert slow.get(f"{RUNS}/{run['run_id']}").status_code == 200


def test_a_run_takes_the_configured_time() -> None:
    with pytest.raises(ValueError, match="task_seconds"):
        Sandbox(task_seconds=-1)
    with Sandbox(task_seconds=0) as sandbox, httpx.Client(base_url=sandbox.url) as client:
        client.headers["x-api-key"] = sandbox.api_key
        run = create(client)
        assert run["status"] == "queued"
        assert client.get(f"{RUNS}/{run['run_id']}/result?timeout=0").status_code == 200
