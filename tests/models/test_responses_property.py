"""No response, however broken or new, raises anything but this package's own errors."""

import copy
import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parallel_integrations import (
    ChatResponse,
    ExtractResponse,
    SearchResponse,
    UnexpectedAnswerError,
)
from parallel_integrations._protocol.response_reading import read_response
from parallel_integrations.models import (
    AddedTaskGroupRuns,
    DecideResponse,
    EntitySearchResponse,
    FindallResult,
    FindallRun,
    FindallSchema,
    Monitor,
    MonitorEventPage,
    MonitorPage,
    RespondResponse,
    ResponseModel,
    ResponsePartEvent,
    RetrieveMemoryResponse,
    StreamEvent,
    SuggestedProcessors,
    SuggestedTask,
    TaskGroup,
    TaskRun,
    TaskRunInput,
    TaskRunResult,
    WebhookPayload,
)
from parallel_integrations.models.findall import EVENTS
from parallel_integrations.models.response import RESPONSE_EVENTS
from parallel_integrations.models.task_group import GROUP_EVENTS

WARNING = {"type": "warning", "message": "m", "detail": {"n": 1}}
BASIS = {
    "field": "a",
    "reasoning": "r",
    "citations": [{"url": "https://a.example", "title": "t", "excerpts": ["e"]}],
    "confidence": "high",
}
OUTPUT = {
    "type": "json",
    "content": {"a": 1},
    "basis": [BASIS],
    "mcp_tool_calls": [
        {
            "tool_call_id": "c",
            "server_name": "s",
            "tool_name": "t",
            "arguments": "{}",
            "content": "x",
            "error": "",
        }
    ],
    "output_schema": {"type": "object"},
}
RUN = {
    "run_id": "trun_1",
    "interaction_id": "trun_1",
    "status": "completed",
    "is_active": False,
    "processor": "lite",
    "metadata": {"row": 7},
    "taskgroup_id": "tg_1",
    "warnings": [WARNING],
    "error": {"ref_id": "r", "message": "m", "detail": None},
    "created_at": "2026-05-02T10:00:00Z",
    "modified_at": "2026-05-02T10:00:00Z",
}
GROUP_STATUS = {
    "num_task_runs": 1,
    "task_run_status_counts": {"queued": 1},
    "is_active": True,
    "status_message": None,
    "modified_at": None,
}
FINDALL_RUN = {
    "findall_id": "f1",
    "generator": "base",
    "status": {
        "status": "running",
        "is_active": True,
        "metrics": {"generated_candidates_count": 1, "matched_candidates_count": 1},
        "termination_reason": None,
    },
    "metadata": None,
    "created_at": "2026-05-02T10:00:00Z",
    "modified_at": None,
}
SCHEMA = {
    "objective": "o",
    "entity_type": "e",
    "match_conditions": [{"name": "n", "description": "d"}],
    "enrichments": [{"processor": "core", "output_schema": {}}],
    "generator": "core",
    "match_limit": 10,
}
CANDIDATE = {
    "candidate_id": "c",
    "name": "n",
    "url": "u",
    "match_status": "matched",
    "description": "d",
    "output": {"n": {"value": "yes", "type": "match_condition", "is_matched": True}},
    "basis": [BASIS],
}
MONITOR = {
    "monitor_id": "m",
    "type": "snapshot",
    "status": "active",
    "frequency": "1d",
    "processor": "lite",
    "settings": {"query": "q"},
    "output": {"latest_snapshot": OUTPUT},
    "webhook": {"url": "u", "event_types": []},
    "metadata": {"k": "v"},
    "created_at": "t",
    "last_run_at": "t",
}
PAGE = {"url": "https://a.example", "title": "t", "publish_date": "2026-05-02", "excerpts": ["e"]}
USAGE = [{"name": "sku_search", "count": 1}]

ANNOTATION = {
    "type": "url_citation",
    "url": "https://a.example",
    "title": "t",
    "start_index": 0,
    "end_index": 1,
}
PART = {"type": "output_text", "text": "c", "annotations": [ANNOTATION], "logprobs": None}
ITEM = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [PART],
    "phase": "commentary",
}
RESPONSE = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "model": "parallel",
    "output": [ITEM],
    "usage": {
        "input_tokens": 1,
        "output_tokens": 1,
        "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    "error": {"code": "server_error", "message": "m"},
    "incomplete_details": {"reason": "max_output_tokens"},
    "instructions": "i",
    "metadata": {"k": "v"},
    "previous_response_id": "q",
    "created_at": 1,
    "completed_at": 2,
    "reasoning": {"effort": "low"},
    "temperature": 1,
    "top_p": 1,
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
}

RESPONSES: dict[type[ResponseModel], dict[str, Any]] = {
    SearchResponse: {
        "search_id": "s",
        "session_id": "s",
        "results": [PAGE],
        "warnings": [WARNING],
        "usage": USAGE,
    },
    ExtractResponse: {
        "extract_id": "e",
        "session_id": "s",
        "results": [{**PAGE, "full_content": "f"}],
        "errors": [
            {"url": "u", "error_type": "fetch_error", "http_status_code": 404, "content": None}
        ],
        "warnings": [WARNING],
        "usage": USAGE,
    },
    ChatResponse: {
        "id": "",
        "model": "",
        "created": 1,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "c"}}
        ],
        "basis": [BASIS],
        "interaction_id": "i",
        "usage": None,
    },
    RespondResponse: RESPONSE,
    SuggestedTask: {
        "title": "t",
        "output_schema": {"type": "object"},
        "input_schema": {"type": "object"},
        "warnings": [WARNING],
    },
    SuggestedProcessors: {"recommended_processors": ["core"]},
    DecideResponse: {
        "decision_id": "d",
        "mode": "fast",
        "answers": {
            "a": {"type": "noul", "noul": 0.5},
            "b": {"type": "choice", "choice": "x", "probabilities": {"x": 1}, "confidence": 1},
            "c": {
                "type": "score",
                "score": 0.5,
                "legend": {"0": "low"},
                "probabilities": {"0": 1},
                "confidence": None,
            },
            "d": {"type": "refusal", "refusal": "no"},
        },
        "citations": BASIS["citations"],
    },
    TaskRun: RUN,
    TaskRunResult: {"run": RUN, "output": OUTPUT},
    TaskRunInput: {"input": "q", "processor": "lite", "task_spec": {}, "metadata": {"a": 1}},
    TaskGroup: {"taskgroup_id": "tg_1", "status": GROUP_STATUS, "metadata": {}, "created_at": "t"},
    AddedTaskGroupRuns: {
        "run_ids": ["a"],
        "status": GROUP_STATUS,
        "run_cursor": "c",
        "event_cursor": "c",
    },
    FindallSchema: SCHEMA,
    FindallRun: FINDALL_RUN,
    FindallResult: {"run": FINDALL_RUN, "candidates": [CANDIDATE], "last_event_id": "e"},
    EntitySearchResponse: {
        "entity_set_id": "s",
        "entities": [{"name": "n", "url": "u", "description": "d"}],
    },
    Monitor: MONITOR,
    MonitorPage: {"monitors": [MONITOR], "next_cursor": "c"},
    MonitorEventPage: {
        "events": [
            {
                "event_type": "snapshot",
                "event_id": "e",
                "event_group_id": "g",
                "event_date": "2026-05",
                "output": OUTPUT,
                "changed_output": OUTPUT,
                "previous_output": OUTPUT,
                "timestamp": "t",
                "error_message": "m",
            }
        ],
        "next_cursor": None,
        "warnings": [WARNING],
    },
    RetrieveMemoryResponse: {
        "results": [
            {
                "kind": "monitor",
                "id": "i",
                "updated_at": "t",
                "input_excerpt": "i",
                "output_excerpt": "o",
                "status": "active",
                "matched_events": [{"event_id": "e"}],
                "matched_count": 1,
            }
        ]
    },
    WebhookPayload: {"type": "task_run.status", "timestamp": "t", "data": RUN},
}
STATE = {"type": "task_run.state", "event_id": "e", "run": RUN, "output": OUTPUT, "input": None}
STATS = {
    "source_stats": {
        "num_sources_considered": 9,
        "num_sources_read": 2,
        "sources_read_sample": ["u"],
    },
    "progress_meter": 40,
}
EVENT_BODIES: dict[str, dict[str, Any]] = {
    "task_run.state": STATE,
    "task_run.progress_stats": STATS,
    "task_run.progress_msg.": {"message": "m", "timestamp": "t"},
    "task_group_status": {"event_id": "e", "status": GROUP_STATUS},
    "findall.status": {"event_id": "e", "timestamp": "t", "data": FINDALL_RUN},
    "findall.schema.updated": {"event_id": "e", "timestamp": "t", "data": SCHEMA},
    "findall.candidate.": {"event_id": "e", "timestamp": "t", "data": CANDIDATE},
}
EVENT_BODIES |= {
    "response.": {"response": RESPONSE},
    "response.output_text.delta": {"delta": "c", "logprobs": []},
    "response.output_text.annotation.": {"annotation": ANNOTATION, "annotation_index": 0},
    **{
        kind: {"item": ITEM, "part": PART, "text": "c"}
        for kind, event in RESPONSE_EVENTS.items()
        if event is ResponsePartEvent
    },
}
for _kind, _cls in {**GROUP_EVENTS, **EVENTS, **RESPONSE_EVENTS}.items():
    RESPONSES[_cls] = {"type": _kind, **EVENT_BODIES[_kind]}

NEEDED = {
    SearchResponse: {"results"},
    ExtractResponse: {"results"},
    TaskRun: {"run_id"},
    TaskRunResult: {"output"},
    TaskGroup: {"taskgroup_id"},
    FindallRun: {"findall_id"},
    Monitor: {"monitor_id"},
    RetrieveMemoryResponse: {"results"},
    SuggestedProcessors: {"recommended_processors"},
}
"""Without these there is no response at all; everything else may be absent."""


def read(cls: type[ResponseModel], body: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = httpx.Request("GET", "https://api.example/v1/x")
    return read_response(httpx.Response(200, content=content, request=request), cls)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body, as the keys that lead there."""
    inner = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


JSON: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
ALL = pytest.mark.parametrize("cls", RESPONSES, ids=lambda cls: cls.__name__)
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 10_000), st.sampled_from(["omit", "null", "new", "word", "replace"]), JSON
    ),
    min_size=1,
    max_size=4,
)


def changed(body: dict[str, Any], changes: list[tuple[int, str, Any]]) -> dict[str, Any]:
    """A body with parts omitted, set to null, added, renamed or replaced."""
    body = copy.deepcopy(body)
    for number, what, value in changes:
        found = places(body)[1:]
        if not found:
            return body
        *way, last = found[number % len(found)]
        node: Any = body
        for key in way:
            node = node[key]
        if what == "new" and isinstance(node, dict):
            node["not_invented_yet"] = value
        elif what == "omit":
            del node[last]
        else:
            node[last] = {"null": None, "word": "not_invented_yet"}.get(what, value)
    return body


@ALL
def test_every_model_has_a_response_that_it_reads_whole(cls: type[ResponseModel]) -> None:
    response = read(cls, RESPONSES[cls])
    assert not response.model_extra
    assert set(RESPONSES[cls]) <= set(cls.model_fields)


@ALL
@settings(max_examples=30)  # of each class; `make fuzz` tries thousands
@given(changes=CHANGES)
def test_no_change_raises_anything_but_our_error(
    cls: type[ResponseModel], changes: list[tuple[int, str, Any]]
) -> None:
    try:
        response = read(cls, changed(RESPONSES[cls], changes))
    except UnexpectedAnswerError:
        return
    assert json.loads(response.model_dump_json())


@ALL
@settings(max_examples=30)
@given(body=JSON | st.binary(max_size=40))
def test_no_body_raises_anything_but_our_error(cls: type[ResponseModel], body: Any) -> None:
    with suppress(UnexpectedAnswerError):
        read(cls, body)


@ALL
def test_an_error_does_not_drag_the_response_along(cls: type[ResponseModel]) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        read(cls, b"[]")
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert caught.value.status == 200


@ALL
def test_what_may_be_absent_may_be_absent(cls: type[ResponseModel]) -> None:
    for name in RESPONSES[cls].keys() - {"type", "data", "status"} - NEEDED.get(cls, set()):
        if issubclass(cls, StreamEvent) and name == "run":
            continue
        body = {key: value for key, value in RESPONSES[cls].items() if key != name}
        read(cls, body)


@ALL
def test_what_is_unknown_is_kept_everywhere(cls: type[ResponseModel]) -> None:
    """Also inside of lists and objects of objects."""
    count = 0
    for place in places(RESPONSES[cls]):
        body = copy.deepcopy(RESPONSES[cls])
        node: Any = body
        for key in place:
            node = node[key]
        if (
            isinstance(node, dict)
            and "usage" not in place
            and "task_run_status_counts" not in place
        ):
            node["not_invented_yet"] = "kept"
            assert '"kept"' in read(cls, body).model_dump_json(), place
            count += 1
    assert count


WORDS = {"status", "type", "match_status", "event_type", "kind", "processor", "confidence"}


@ALL
def test_new_words_are_read(cls: type[ResponseModel]) -> None:
    for place in places(RESPONSES[cls]):
        if place and place[-1] in WORDS:
            body = copy.deepcopy(RESPONSES[cls])
            node: Any = body
            for key in place[:-1]:
                node = node[key]
            if isinstance(node[place[-1]], str):
                node[place[-1]] = "not_invented_yet"
                read(cls, body)
