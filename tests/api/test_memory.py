"""Memory: looked up, cleared, evicted; never more than was requested."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from parallel_integrations import (
    ClearMemoryRequest,
    CreateTaskRunRequest,
    EvictMemoryRequest,
    ParallelClient,
    RetrieveMemoryRequest,
    UnexpectedAnswerError,
)
from parallel_integrations.api import clear_memory, evict_memory, retrieve_memory, run_task
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.sandbox import Sandbox
from tests.support.scripted_operation import BOTH, ScriptPlayer, check_repetitions, run


@BOTH
async def test_what_a_task_left_behind_is_found_and_forgotten(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    for question in ("What does nonlocal do?", "What does with do?"):
        task = CreateTaskRunRequest(input=question, processor="lite", memory_scope_key="team")
        await run(client, run_task(task), awaiting=awaiting)
    retrieval = RetrieveMemoryRequest(memory_scope_key="team")
    found = await run(client, retrieve_memory(retrieval), awaiting=awaiting)
    assert [memory.kind for memory in found.results] == ["task", "task"]
    assert {memory.input_excerpt for memory in found.results} == {
        "What does nonlocal do?",
        "What does with do?",
    }
    gone = found.results[0]
    request = EvictMemoryRequest(kind="task", id=gone.id, memory_scope_key="team")
    assert await run(client, evict_memory(request), awaiting=awaiting) is None
    left = await run(client, retrieve_memory(retrieval), awaiting=awaiting)
    assert [memory.id for memory in left.results] == [found.results[1].id]
    clear = ClearMemoryRequest(memory_scope_key="team")
    assert await run(client, clear_memory(clear), awaiting=awaiting) is None
    assert not (await run(client, retrieve_memory(retrieval), awaiting=awaiting)).results
    assert await run(client, clear_memory(), awaiting=awaiting) is None
    assert sandbox.requests[-1].body == {}


def test_a_full_request_is_rendered() -> None:
    request = RetrieveMemoryRequest(
        query="with",
        limit=5,
        kind="monitor",
        since=datetime(2026, 5, 2, 12, tzinfo=timezone(timedelta(hours=2))),
        memory_scope_key="team_1",
    )
    body = request.body("v1")
    assert datetime.fromisoformat(body.pop("since")) == datetime(2026, 5, 2, 10, tzinfo=UTC)
    assert body == {"query": "with", "limit": 5, "kind": "monitor", "memory_scope_key": "team_1"}
    assert RetrieveMemoryRequest().body("v1") == {}
    evict = EvictMemoryRequest(kind="findall", id="a/b")
    assert evict.body("v1") == {"kind": "findall", "id": "a/b"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"query": "q" * 501}, "query"),
        ({"limit": 0}, "limit"),
        ({"limit": 26}, "limit"),
        ({"kind": "chat"}, "kind"),
        ({"since": datetime(2026, 5, 2)}, "since"),  # noqa: DTZ001 - a time without zone
        ({"since": "2026-05-02T10:00:00"}, "since"),
        ({"memory_scope_key": ""}, "memory_scope_key"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        RetrieveMemoryRequest(**values)


def test_limits_themselves_are_allowed() -> None:
    assert RetrieveMemoryRequest(query="q" * 500, limit=25, since="2026-05-02T10:00:00Z")
    for values in ({"kind": "task", "id": ""}, {"kind": "chat", "id": "x"}):
        with pytest.raises(InvalidArgumentError):
            EvictMemoryRequest(**values)


def test_memories_are_read_whatever_they_are_of() -> None:
    body = {
        "results": [
            {"kind": "task", "id": "t", "updated_at": "u", "input_excerpt": "i"},
            {
                "kind": "monitor",
                "id": "m",
                "status": "active",
                "matched_events": [{"event_id": "e", "excerpt": "x"}],
            },
            {"kind": "findall", "id": "f", "matched_count": 3},
            {"kind": "not_invented_yet", "more": 1},
        ]
    }
    found = ScriptPlayer([body]).play(retrieve_memory()).results
    assert [memory.kind for memory in found] == ["task", "monitor", "findall", "not_invented_yet"]
    assert found[1].matched_events[0]["event_id"] == "e"
    assert found[2].matched_count == 3
    assert found[3].model_extra == {"more": 1}
    assert ScriptPlayer([{"results": None}]).play(retrieve_memory()).results == []
    with pytest.raises(UnexpectedAnswerError):
        ScriptPlayer([{}]).play(retrieve_memory())


@pytest.mark.parametrize(
    "operation",
    [
        retrieve_memory,
        clear_memory,
        lambda: evict_memory(EvictMemoryRequest(kind="task", id="t")),
    ],
)
def test_memory_is_requested_again_like_a_status(operation: Any) -> None:
    check_repetitions(operation, "read")
