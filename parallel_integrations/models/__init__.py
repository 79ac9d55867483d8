"""Requests and responses of Parallel's APIs, and the types they share.

A request is checked when it is built, before anything is sent. What `client.run(…)` returns and
`client.stream(…)` emits are classes of this package.

Example:
    ```python
    from parallel_integrations import CreateTaskRunRequest, ParallelClient
    from parallel_integrations.api import stream_task
    from parallel_integrations.models import FieldBasis, TaskRunProgressMessageEvent, TaskRunResult

    def sources(basis: list[FieldBasis]) -> list[str]:
        return [citation.url for field in basis for citation in field.citations]

    with ParallelClient() as client:
        for event in client.stream(stream_task(CreateTaskRunRequest(input="What is a closure?"))):
            if isinstance(event, TaskRunProgressMessageEvent):
                print(event.message)
            elif isinstance(event, TaskRunResult):
                print(event.output.content, sources(event.output.basis))
    ```
"""

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__)
