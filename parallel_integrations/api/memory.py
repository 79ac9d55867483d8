"""Memory of earlier tasks, monitors and FindAll runs (beta; docs/reference/facts.md, 12)."""

from parallel_integrations._protocol.flow import Flow, Send, call, order
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.models.memory import (
    ClearMemoryRequest,
    EvictMemoryRequest,
    RetrieveMemoryRequest,
    RetrieveMemoryResponse,
)
from parallel_integrations.models.shared import RequestModel


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
    """
    EvictMemoryRequest.expect(request)
    return order(_send("evict", request))


def _send(what: str, request: RequestModel) -> Send:
    return Send("POST", f"/v1beta/memory/{what}", request, retry=RetryPolicy.READ)
