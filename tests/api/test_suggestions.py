"""From words to a task and its processor."""

from typing import Any

import pytest
from pydantic import BaseModel

from parallel_integrations import (
    ParallelClient,
    SuggestedTask,
    SuggestProcessorRequest,
    SuggestTaskRequest,
)
from parallel_integrations.api import suggest_processor, suggest_task
from parallel_integrations.sandbox import Sandbox
from tests.support.scripted_operation import BOTH, run


class Company(BaseModel):
    """What goes in."""

    name: str


@BOTH
async def test_a_task_and_its_processor(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    request = SuggestTaskRequest(
        user_intent="founding year and the headquarters", input_schema=Company
    )
    task = await run(client, suggest_task(request), awaiting=awaiting)
    assert list(task.output_schema["properties"]) == ["founding_year", "headquarters"]
    assert list(task.input_schema["properties"]) == ["name"]
    settings = task.settings("core")
    assert settings.processor == "core"
    assert settings.output_schema == task.output_schema
    wanted = SuggestProcessorRequest(output_schema=task.output_schema, input_schema=Company)
    found = await run(client, suggest_processor(wanted), awaiting=awaiting)
    assert found.recommended_processors[0] == "lite"
    first, second = (each.body for each in sandbox.requests)
    assert first["previous_task"]["input_schema"]["type"] == "object"
    assert second["task_spec"]["output_schema"]["type"] == "json"
    assert client.usage.counts == {}
    assert sandbox.ledger.usd == 0


def test_documented_bodies_are_read() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body: dict[str, Any] = {"user_intent": "x", "previous_task": {"input_schema": schema}}
    assert SuggestTaskRequest(**body).body("v1") == body
    frame = {"type": "json", "json_schema": schema}
    spec: dict[str, Any] = {"task_spec": {"output_schema": frame, "input_schema": frame}}
    assert SuggestProcessorRequest(**spec).body("v1") == spec


@pytest.mark.parametrize("intent", ["", None, 5])
def test_refused(intent: Any) -> None:
    with pytest.raises(ValueError, match="user_intent"):
        SuggestTaskRequest(user_intent=intent)


def test_what_may_be_missing() -> None:
    task = SuggestedTask.model_validate({"warnings": None, "title": None})
    assert (task.title, task.warnings) == ("", [])
    with pytest.raises(ValueError, match="output_schema"):
        task.settings("lite")
    framed = SuggestedTask.model_validate(
        {"output_schema": {"type": "json", "json_schema": {"type": "object", "properties": {}}}}
    )
    assert framed.settings("lite").output_schema == {"type": "object", "properties": {}}
