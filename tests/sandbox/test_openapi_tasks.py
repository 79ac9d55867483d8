"""Tasks and groups against the vendor's OpenAPI document; see `test_openapi`."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from tests.sandbox.test_openapi import DOCUMENTS, check
from tests.sandbox.test_task_groups import GROUPS, add, events, new_group, runs
from tests.sandbox.test_tasks import RUNS, SCHEMA, asked, create, frames, json_spec

pytestmark = pytest.mark.skipif(not DOCUMENTS, reason="PARALLEL_OPENAPI names no document")

NAMES = {
    "task_run.state": "TaskRunEvent",
    "task_run.progress_stats": "TaskRunProgressStatsEvent",
    "task_group_status": "TaskGroupStatusEvent",
}
SPECS = [None, {"output_schema": "x"}, json_spec(SCHEMA)]
FAILING = {"metadata": {"sandbox": "fail"}}


def check_frames(told: list[dict[str, Any]]) -> None:
    for each in told:
        check(NAMES.get(each["type"], "TaskRunProgressMessageEvent"), each)


@pytest.mark.parametrize("spec", SPECS)
def test_runs(http: httpx.Client, spec: Any) -> None:
    run = create(http, task_spec=spec, enable_events=True, metadata={"a": 1, "b": True})
    url = f"{RUNS}/{run['run_id']}"
    check("TaskRun", run)
    check_frames(frames(http.get(f"{url}/events")))
    answer = http.get(f"{url}/result").json()
    check("TaskRunResult", answer)
    check("TaskRun", http.get(url).json())
    check("TaskRunInput", http.get(f"{url}/input").json())
    if answer["output"]["type"] == "json":
        schema = SCHEMA if spec else answer["output"]["output_schema"]
        jsonschema.validate(answer["output"]["content"], schema)


def test_failures(http: httpx.Client) -> None:
    run = create(http, **FAILING, task_spec=json_spec({**SCHEMA, "required": []}))
    url = f"{RUNS}/{run['run_id']}"
    check("TaskRun", run)
    check("ErrorResponse", http.get(f"{url}/result").json())
    check("TaskRun", http.get(url).json())
    check_frames(frames(http.get(f"{url}/events")))
    check("ErrorResponse", http.post(RUNS, json={}).json())
    check("ErrorResponse", http.post(RUNS, json=asked(processor="x")).json())
    check("ErrorResponse", http.get(f"{RUNS}/x").json())


def test_groups(http: httpx.Client) -> None:
    group = new_group(http, metadata={"a": 1})
    check("TaskGroupResponse", http.get(f"{GROUPS}/{group}").json())
    inputs = [asked(task_spec=spec) for spec in SPECS[1:]]
    check("TaskGroupRunResponse", add(http, group, [*inputs, asked(**FAILING)]))
    check_frames(events(http, group))
    check_frames(runs(http, group, include_input="true", include_output="true"))
    check("TaskGroupRunResponse", add(http, group, inputs))
    check("TaskGroupResponse", http.get(f"{GROUPS}/{group}").json())
    check("HTTPValidationError", http.post(f"{GROUPS}/{group}/runs", json={}).json())
    check("ErrorResponse", http.get(f"{GROUPS}/x").json())


def test_the_names_are_those_of_the_document() -> None:
    text = json.dumps([json.loads(path.read_text()) for path in DOCUMENTS])
    assert all(name in text for name in NAMES.values())
