"""Suggestions: from words to a task and its processor (docs/reference/facts.md, 18.4).

Experimental: what is known of these operations comes from one client of the vendor's.
"""

from typing import Final

from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.models.suggestion import (
    SuggestedProcessors,
    SuggestedTask,
    SuggestProcessorRequest,
    SuggestTaskRequest,
)

SUGGEST_TIMEOUT_SECONDS: Final = 120.0


def suggest_task(request: SuggestTaskRequest) -> Flow[SuggestedTask]:
    """Turn a description in words into the schemas of a task. Experimental.

    Args:
        request: What is to be found out.

    Returns:
        A flow whose result is the `SuggestedTask`; its `settings` are for tasks.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SuggestTaskRequest
        from parallel_integrations.api import suggest_task

        request = SuggestTaskRequest(user_intent="founding year and headquarters")
        with ParallelClient() as client:
            print(client.run(suggest_task(request)).output_schema)
        ```
    """
    SuggestTaskRequest.expect(request)
    return call(_send("/v1beta/tasks/suggest", request), SuggestedTask)


def suggest_processor(request: SuggestProcessorRequest) -> Flow[SuggestedProcessors]:
    """Recommend processors for a task, best first. Experimental.

    Args:
        request: The task's schemas.

    Returns:
        A flow whose result is the `SuggestedProcessors`.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SuggestProcessorRequest
        from parallel_integrations.api import suggest_processor

        schema = {"type": "object", "properties": {"founded": {"type": "integer"}}}
        request = SuggestProcessorRequest(output_schema=schema)
        with ParallelClient() as client:
            print(client.run(suggest_processor(request)).recommended_processors)
        ```
    """
    SuggestProcessorRequest.expect(request)
    return call(_send("/v1beta/tasks/suggest-processor", request), SuggestedProcessors)


def _send(path: str, request: SuggestTaskRequest | SuggestProcessorRequest) -> Send:
    return Send(
        "POST",
        path,
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=SUGGEST_TIMEOUT_SECONDS,
    )
