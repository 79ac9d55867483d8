"""Memory: what earlier tasks, monitors and FindAll runs left behind (beta, API facts 12)."""

from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field

from parallel_integrations.api.flow import Flow, Send, call, order
from parallel_integrations.api.models import AnswerModel, Items, RequestModel
from parallel_integrations.api.policies import MemoryScopeKey
from parallel_integrations.api.retries import Repeat

MOST_QUERY_CHARACTERS: Final = 500
MOST_MEMORIES: Final = 25


class RetrieveMemoryRequest(RequestModel):
    """Which memories to look up.

    Attributes:
        query: What about; left out, the most recent. At most 500 characters.
        limit: How many, 1 to 25.
        kind: Only of this kind.
        since: Only those changed after this moment, with a time zone.
        memory_scope_key: In which scope.
    """

    query: str | None = Field(default=None, max_length=MOST_QUERY_CHARACTERS)
    limit: int | None = Field(default=None, ge=1, le=MOST_MEMORIES)
    kind: Literal["task", "monitor", "findall"] | None = None
    since: AwareDatetime | None = None
    memory_scope_key: MemoryScopeKey | None = None


class ClearMemoryRequest(RequestModel):
    """Which scope to clear.

    Attributes:
        memory_scope_key: The scope; left out, the personal one.
    """

    memory_scope_key: MemoryScopeKey | None = None


class EvictMemoryRequest(RequestModel):
    """Which memory to drop.

    Attributes:
        kind: Its kind.
        id: Its id.
        memory_scope_key: In which scope.
    """

    kind: Literal["task", "monitor", "findall"]
    id: str = Field(min_length=1)
    memory_scope_key: MemoryScopeKey | None = None


class Memory(AnswerModel):
    """One memory; which fields are filled depends on `kind`.

    Attributes:
        kind: `task`, `monitor` or `findall`.
        id: Its id.
        updated_at: When it last changed.
        input_excerpt: Task: the beginning of what was asked.
        output_excerpt: Task: the beginning of what was found.
        status: Monitor and FindAll: how it stands.
        matched_events: Monitor: events that fit the query.
        matched_count: FindAll: how many matched.
    """

    kind: str = ""
    id: str = ""
    updated_at: str | None = None
    input_excerpt: str | None = None
    output_excerpt: str | None = None
    status: str | None = None
    matched_events: Items[dict[str, Any]] = []
    matched_count: int | None = None


class RetrieveMemoryResponse(AnswerModel):
    """Memories, best first.

    Attributes:
        results: The memories.
    """

    results: Items[Memory]


def retrieve_memory(
    request: RetrieveMemoryRequest | None = None,
) -> Flow[RetrieveMemoryResponse]:
    """Look memories up.

    Args:
        request: Which; left out, the most recent.

    Returns:
        A flow whose result is the `RetrieveMemoryResponse`.

    Example:
        ```python
        from parallel_integrations import ParallelClient, RetrieveMemoryRequest
        from parallel_integrations.api import retrieve_memory

        request = RetrieveMemoryRequest(query="closures", kind="task", limit=5)
        with ParallelClient() as client:
            for memory in client.run(retrieve_memory(request)).results:
                print(memory.kind, memory.input_excerpt)
        ```
    """
    request = request or RetrieveMemoryRequest()
    RetrieveMemoryRequest.expect(request)
    return call(_send("retrieve", request), RetrieveMemoryResponse)


def clear_memory(request: ClearMemoryRequest | None = None) -> Flow[None]:
    """Forget a whole scope; the tasks, monitors and runs themselves stay.

    Args:
        request: Which scope.

    Returns:
        A flow without a result.

    Example:
        ```python
        from parallel_integrations import ClearMemoryRequest, ParallelClient
        from parallel_integrations.api import clear_memory

        with ParallelClient() as client:
            client.run(clear_memory(ClearMemoryRequest(memory_scope_key="my-project")))
        ```
    """
    request = request or ClearMemoryRequest()
    ClearMemoryRequest.expect(request)
    return order(_send("clear", request))


def evict_memory(request: EvictMemoryRequest) -> Flow[None]:
    """Forget one memory; what it is about stays.

    Args:
        request: Which.

    Returns:
        A flow without a result.

    Example:
        ```python
        from parallel_integrations import (
            CreateTaskRunRequest,
            EvictMemoryRequest,
            ParallelClient,
            RetrieveMemoryRequest,
        )
        from parallel_integrations.api import evict_memory, retrieve_memory, run_task

        scope = "my-project"
        with ParallelClient() as client:
            task = CreateTaskRunRequest(input="with", processor="lite", memory_scope_key=scope)
            client.run(run_task(task))
            found = client.run(retrieve_memory(RetrieveMemoryRequest(memory_scope_key=scope)))
            for memory in found.results:
                request = EvictMemoryRequest(kind="task", id=memory.id, memory_scope_key=scope)
                client.run(evict_memory(request))
        ```
    """
    EvictMemoryRequest.expect(request)
    return order(_send("evict", request))


def _send(what: str, request: RequestModel) -> Send:
    return Send("POST", f"/v1beta/memory/{what}", request, repeat=Repeat.READ)
