"""A healthy API, canned: one response for every operation, always the same."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from tests.support.operations import FINDALL_ID, GROUP_ID, MONITOR_ID, PAGE_URL, RUN_ID

Json = dict[str, Any]


@dataclass(frozen=True)
class CannedResponse:
    """A healthy response.

    Attributes:
        body: The JSON body; empty where the API sends none.
        events: The events of a stream instead, one SSE frame each.
    """

    body: bytes = b""
    events: tuple[bytes, ...] | None = None

    def after(self, last_event_id: str) -> "CannedResponse":
        """What is left of a stream after an event."""
        mark = f'"event_id": "{last_event_id}"'.encode()
        for number, event in enumerate(self.events or ()):
            if last_event_id and mark in event:
                return CannedResponse(events=(self.events or ())[number + 1 :])
        return self


_PAGE: Json = {
    "url": PAGE_URL,
    "title": "Compound statements",
    "publish_date": "2026-01-31",
    "excerpts": ["The with statement wraps a block.", "It calls __enter__ and __exit__."],
}
_BASIS: Json = {
    "field": "output",
    "reasoning": "It says so.",
    "citations": [{"url": PAGE_URL, "title": "Compound statements", "excerpts": ["with"]}],
    "confidence": "high",
}


def _run(status: str, **more: Any) -> Json:
    return {
        "run_id": RUN_ID,
        "interaction_id": RUN_ID,
        "status": status,
        "is_active": status in ("queued", "running"),
        "processor": "lite",
        "warnings": None,
        "error": None,
        **more,
    }


_OUTPUT: Json = {"type": "text", "content": "It wraps a block.", "basis": [_BASIS]}
_GROUP_STATUS: Json = {
    "num_task_runs": 2,
    "task_run_status_counts": {"completed": 2},
    "is_active": False,
    "status_message": None,
    "modified_at": None,
}
_SCHEMA: Json = {
    "objective": "Python statements that bind names",
    "entity_type": "statements",
    "match_conditions": [{"name": "binds", "description": "It binds a name."}],
    "generator": "preview",
    "match_limit": 5,
}
_FOUND: Json = {
    "findall_id": FINDALL_ID,
    "generator": "preview",
    "status": {
        "status": "completed",
        "is_active": False,
        "metrics": {"generated_candidates_count": 1, "matched_candidates_count": 1},
        "termination_reason": "match_limit_met",
    },
}
_CANDIDATE: Json = {
    "candidate_id": "candidate_1",
    "name": "with",
    "url": PAGE_URL,
    "match_status": "matched",
    "output": {"binds": {"value": "yes", "type": "match_condition", "is_matched": True}},
    "basis": [{**_BASIS, "field": "binds"}],
}
_MONITOR: Json = {
    "monitor_id": MONITOR_ID,
    "type": "event_stream",
    "status": "active",
    "frequency": "1d",
    "processor": "lite",
    "settings": {"query": "new syntax"},
    "created_at": "2026-05-02T10:00:00Z",
}


def _chat(text: str) -> Json:
    message = {"role": "assistant", "content": text}
    return {
        "id": "",
        "object": "",
        "model": "",
        "created": 1777716000,
        "choices": [{"index": 0, "finish_reason": None, "message": message}],
        "basis": [_BASIS],
        "interaction_id": "interaction_1",
    }


def _frame(data: Any) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def _frames(*events: Json) -> tuple[bytes, ...]:
    return tuple(map(_frame, events))


def _chunk(text: str, **more: Any) -> Json:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"choices": [choice], "basis": [], "interaction_id": None, **more}


def _chunks(*texts: str) -> tuple[bytes, ...]:
    frames = [f"data: {json.dumps(_chunk(text))}\n\n".encode() for text in texts]
    return (*frames, b"data: [DONE]\n\n")


CHAT_TEXT: Final = ("It ", "wraps ", "a ", "block.")
OBJECT_TEXT: Final = ('{"title": ', '"The with ', 'statement"}')


def _response(text: str) -> Json:
    annotation = {
        "type": "url_citation",
        "url": PAGE_URL,
        "title": "",
        "start_index": 0,
        "end_index": 2,
    }
    part = {"type": "output_text", "text": text, "annotations": [annotation]}
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1777716000,
        "status": "completed",
        "model": "parallel",
        "output": [item],
        "usage": {"input_tokens": 4, "output_tokens": 5, "total_tokens": 9},
    }


def _response_events(*texts: str) -> tuple[bytes, ...]:
    whole = _response("".join(texts))
    return _frames(
        *({"type": "response.output_text.delta", "delta": text} for text in texts),
        {
            "type": "response.output_text.annotation.added",
            "annotation": whole["output"][0]["content"][0]["annotations"][0],
        },
        {"type": "response.completed", "response": whole},
    )


_GROUP_RUNS: Final = _frames(
    *(
        {
            "type": "task_run.state",
            "event_id": f"event_{number}",
            "run": _run(
                "completed",
                run_id=f"trun_{number}",
                taskgroup_id=GROUP_ID,
                metadata={"parallel_index": number},
            ),
            "input": None,
            "output": {**_OUTPUT, "content": f"Output {number}."},
        }
        for number in range(2)
    )
)
_GROUP_EVENTS: Final = (
    *_GROUP_RUNS,
    *_frames({"type": "task_group_status", "event_id": "event_2", "status": _GROUP_STATUS}),
)
_RUN_EVENTS: Final = _frames(
    {"type": "task_run.state", "event_id": None, "run": _run("running")},
    {
        "type": "task_run.progress_msg.plan",
        "message": "Reading the reference.",
        "timestamp": "2026-05-02T10:00:02Z",
    },
    {
        "type": "task_run.progress_stats",
        "source_stats": {
            "num_sources_considered": 9,
            "num_sources_read": 2,
            "sources_read_sample": [PAGE_URL],
        },
        "progress_meter": 40,
    },
    {"type": "task_run.state", "event_id": None, "run": _run("completed"), "output": _OUTPUT},
)
_FINDALL_EVENTS: Final = _frames(
    {
        "type": "findall.candidate.matched",
        "event_id": "event_0",
        "timestamp": "2026-05-02T10:00:05Z",
        "data": _CANDIDATE,
    },
    {
        "type": "findall.status",
        "event_id": "event_1",
        "timestamp": "2026-05-02T10:00:06Z",
        "data": _FOUND,
    },
)
_EXTRACTED: Json = {**_PAGE, "full_content": "# Compound statements\n\nThe with statement."}

_JSON: Final[dict[str, Any]] = {
    "POST /v1/search": {
        "search_id": "search_1",
        "session_id": "session_1",
        "results": [_PAGE],
        "warnings": None,
        "usage": [{"name": "sku_search", "count": 1}],
    },
    "POST /v1/extract": {
        "extract_id": "extract_1",
        "session_id": "session_1",
        "results": [_EXTRACTED],
        "errors": [],
        "warnings": None,
        "usage": None,
    },
    "POST /v1/decisions": {
        "decision_id": "decision_1",
        "mode": "fast",
        "answers": {
            "true": {"type": "noul", "noul": 0.9},
            "choice": {"type": "choice", "choice": "choice_1", "probabilities": {}},
        },
        "citations": [],
    },
    "POST /v1/tasks/runs": _run("queued"),
    "GET /v1/tasks/runs/[^/]+": _run("completed"),
    "GET /v1/tasks/runs/[^/]+/input": {"input": "What is a slot?", "processor": "lite"},
    "GET /v1/tasks/runs/[^/]+/result": {"run": _run("completed"), "output": _OUTPUT},
    "POST /v1/tasks/groups": {"taskgroup_id": GROUP_ID, "status": _GROUP_STATUS},
    "GET /v1/tasks/groups/[^/]+": {"taskgroup_id": GROUP_ID, "status": _GROUP_STATUS},
    "POST /v1/tasks/groups/[^/]+/runs": {
        "status": _GROUP_STATUS,
        "run_ids": ["trun_0", "trun_1"],
        "run_cursor": None,
        "event_cursor": None,
    },
    "GET /v1/tasks/groups/[^/]+/runs/[^/]+": _run("completed"),
    "POST /v1beta/findall/ingest": _SCHEMA,
    "POST /v1beta/findall/runs": _FOUND,
    "GET /v1beta/findall/runs/[^/]+": _FOUND,
    "GET /v1beta/findall/runs/[^/]+/result": {"run": _FOUND, "candidates": [_CANDIDATE]},
    "GET /v1beta/findall/runs/[^/]+/schema": _SCHEMA,
    "POST /v1beta/findall/runs/[^/]+/(enrich|extend)": _SCHEMA,
    "POST /v1beta/findall/entity-search": {
        "entity_set_id": "set_1",
        "entities": [{"name": "with", "url": PAGE_URL, "description": "A statement."}],
    },
    "POST /v1beta/findall/candidates": {
        "candidate_set_id": "set_1",
        "candidates": [{"name": "with", "url": PAGE_URL, "description": "A statement."}],
    },
    "POST /v1beta/tasks/suggest": {
        "title": "Statements",
        "output_schema": {"type": "object", "properties": {"title": {"type": "string"}}},
        "input_schema": None,
        "warnings": [],
    },
    "POST /v1beta/tasks/suggest-processor": {"recommended_processors": ["lite"]},
    "POST /v1/monitors": _MONITOR,
    "GET /v1/monitors": {"monitors": [_MONITOR], "next_cursor": None},
    "GET /v1/monitors/[^/]+": _MONITOR,
    "POST /v1/monitors/[^/]+/(update|cancel)": _MONITOR,
    "GET /v1/monitors/[^/]+/events": {
        "events": [
            {
                "event_type": "event_stream",
                "event_id": "event_1",
                "event_group_id": "group_1",
                "event_date": "2026-05",
                "output": _OUTPUT,
            }
        ],
        "next_cursor": None,
        "warnings": None,
    },
    "POST /v1beta/memory/retrieve": {
        "results": [{"kind": "task", "id": RUN_ID, "updated_at": "2026-05-02T10:00:00Z"}]
    },
}
_EVENTS: Final[dict[str, tuple[bytes, ...]]] = {
    "GET /v1/tasks/runs/[^/]+/events": _RUN_EVENTS,
    "GET /v1/tasks/groups/[^/]+/runs": _GROUP_RUNS,
    "GET /v1/tasks/groups/[^/]+/events": _GROUP_EVENTS,
    "GET /v1beta/findall/runs/[^/]+/events": _FINDALL_EVENTS,
}
_NOTHING: Final = (
    "POST /v1beta/findall/runs/[^/]+/cancel",
    "POST /v1/monitors/[^/]+/trigger",
    "POST /v1beta/memory/(clear|evict)",
)

_RESPONSES: Final[tuple[tuple[re.Pattern[str], CannedResponse], ...]] = tuple(
    (re.compile(place), response)
    for responses in (
        {place: CannedResponse(json.dumps(body).encode()) for place, body in _JSON.items()},
        {place: CannedResponse(events=events) for place, events in _EVENTS.items()},
        {place: CannedResponse() for place in _NOTHING},
    )
    for place, response in responses.items()
)


def healthy(place: str, body: bytes, last_event_id: str = "") -> CannedResponse:
    """The healthy response to a request.

    Args:
        place: Method and path.
        body: Its body.
        last_event_id: The event after which a stream is to be resumed.
    """
    if place == "POST /chat/completions":
        request = json.loads(body)
        structured = request.get("response_format") is not None
        texts = OBJECT_TEXT if structured else CHAT_TEXT
        if request.get("stream"):
            return CannedResponse(events=_chunks(*texts))
        return CannedResponse(json.dumps(_chat("".join(texts))).encode())
    if place == "POST /v1/responses":
        request = json.loads(body)
        texts = OBJECT_TEXT if request.get("text") else CHAT_TEXT
        if request.get("stream"):
            return CannedResponse(events=_response_events(*texts))
        return CannedResponse(json.dumps(_response("".join(texts))).encode())
    for pattern, response in _RESPONSES:
        if pattern.fullmatch(place):
            return response.after(last_event_id)
    raise LookupError(f"no response is canned for {place}")
