import json
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox

QUESTION = "What does the with statement do?"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"statement": {"type": "string"}}}


def post(http: httpx.Client, **more: Any) -> httpx.Response:
    return http.post("/v1/responses", json={"model": "parallel", "input": QUESTION, **more})


def test_a_response_is_stored_and_its_openai_fields_are_defaults(http: httpx.Client) -> None:
    body = post(
        http, model="PARALLEL", reasoning={"effort": "high"}, temperature=1, metadata={"a": "b"}
    ).json()
    assert (body["object"], body["status"], body["model"]) == ("response", "completed", "parallel")
    assert body["metadata"] == {"a": "b"}
    assert body["reasoning"] is body["temperature"] is body["text"] is None
    [message] = body["output"]
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert post(http, input="And why?", previous_response_id=body["id"]).is_success


def test_a_structured_answer_annotates_each_value(http: httpx.Client) -> None:
    form = {"type": "json_schema", "name": "n", "schema": SCHEMA}
    body = post(http, text={"format": form}).json()
    [part] = body["output"][0]["content"]
    value = json.loads(part["text"])["statement"]
    [annotation, *_] = part["annotations"]
    span = part["text"][annotation["start_index"] : annotation["end_index"]]
    assert json.loads(span) == value
    # The same value of the same name stands within the field before.
    inner = {"about": {**SCHEMA, "required": ["statement"]}, **SCHEMA["properties"]}
    form = {**form, "schema": {"type": "object", "properties": inner}}
    [part] = post(http, text={"format": form}).json()["output"][0]["content"]
    values = json.loads(part["text"])
    assert values["about"]["statement"] == values["statement"]
    last = part["annotations"][-1]["start_index"]
    assert last == part["text"].rindex(json.dumps(value, ensure_ascii=False))


def test_a_json_object_is_answered_in_plain_text_and_nothing_found_is_said(
    http: httpx.Client,
) -> None:
    plain = post(http).json()["output"][0]["content"]
    assert (
        post(http, text={"format": {"type": "json_object"}}).json()["output"][0]["content"] == plain
    )
    [part] = post(http, input="zxqv?").json()["output"][0]["content"]
    assert "found nothing" in part["text"]
    assert part["annotations"] == []


def test_events_come_in_the_documented_order(http: httpx.Client) -> None:
    frames = [frame.split("\n") for frame in post(http, stream=True).text.strip().split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name.removeprefix("event: ") for name, _ in frames] == [e["type"] for e in events]
    order = list(dict.fromkeys(event["type"].removeprefix("response.") for event in events))
    assert order == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "output_text.annotation.added",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": "gpt"}, None),
        ({"input": []}, "input"),
        ({"input": [{"role": "system", "content": "x"}]}, None),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
        ({"input": "x" * 20_001}, None),
        ({"background": True}, None),
        ({"reasoning": {"effort": "max"}}, "reasoning.effort"),
        ({"previous_response_id": "resp_other"}, "previous_response_id"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": 7}}}},
            "text.format.schema",
        ),
    ],
)
def test_errors_are_in_openais_envelope_and_cost_nothing(
    http: httpx.Client, sandbox: Sandbox, wrong: dict[str, Any], param: str | None
) -> None:
    response = post(http, **wrong)
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert (error["param"] or "").startswith(param or "")
    assert sandbox.ledger.count() == 0
