"""The core as a user writes it; what is no use of it is an error for the type checker already."""

from collections.abc import AsyncIterator, Iterator

from parallel_integrations import (
    ChatMessage,
    ChatRequest,
    CreateTaskRunRequest,
    ParallelClient,
    SearchRequest,
)
from parallel_integrations.api import run_task, search, stream_chat, stream_task

SEARCH = SearchRequest(objective="What is a closure?")
CHAT = ChatRequest(messages=[ChatMessage(role="user", content="What is a closure?")])
TASK = CreateTaskRunRequest(input="What is a closure?")


def results(client: ParallelClient) -> list[str]:
    """A result has its own type."""
    return [page.url for page in client.run(search(SEARCH)).results]


def words(client: ParallelClient) -> Iterator[str]:
    """Events have theirs."""
    for chunk in client.stream(stream_chat(CHAT)):
        yield chunk.text


async def awaited(client: ParallelClient) -> AsyncIterator[str]:
    """Both, awaiting."""
    yield (await client.arun(search(SEARCH))).results[0].url
    async for chunk in client.astream(stream_chat(CHAT)):
        yield chunk.text


# Each ignored error has to be there: mypy's strict mode refuses an ignore that is not needed.
async def mistakes(client: ParallelClient) -> None:
    """A stream that is run, and an operation without events that is iterated."""
    client.run(stream_chat(CHAT))  # type: ignore[arg-type]
    await client.arun(stream_task(TASK))  # type: ignore[arg-type]
    client.stream(search(SEARCH))  # type: ignore[arg-type]
    client.astream(run_task(TASK))  # type: ignore[arg-type]
