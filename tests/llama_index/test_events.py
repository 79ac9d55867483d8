"""What a search said of itself reaches LlamaIndex's dispatcher."""

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler

from parallel_integrations import ParallelClient
from parallel_integrations.llama_index import (
    ParallelReader,
    ParallelRetriever,
    ParallelSearchEvent,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION


class Kept(BaseEventHandler):
    events: list[Any] = []

    def handle(self, event: Any, **kwargs: Any) -> None:
        if isinstance(event, ParallelSearchEvent):
            self.events.append(event)


@pytest.fixture
def kept() -> Iterator[list[ParallelSearchEvent]]:
    handler = Kept()
    get_dispatcher().add_event_handler(handler)
    yield handler.events
    get_dispatcher().event_handlers.remove(handler)


async def test_each_search_of_a_retriever_or_reader_is_an_event(
    kept: list[ParallelSearchEvent], client: ParallelClient, sandbox: Sandbox
) -> None:
    ParallelRetriever(client=client).retrieve(QUESTION)
    session_id = kept[0].session_id
    assert session_id
    assert kept[0].search_id
    assert kept[0].usage
    await ParallelRetriever(client=client, session_id=session_id).aretrieve(QUESTION)
    reader = ParallelReader(client=client, session_id=session_id)
    reader.load_data(QUESTION)
    await reader.aload_data(QUESTION)
    assert [event.session_id for event in kept] == [session_id] * 4
    assert [each.body.get("session_id") for each in sandbox.requests[1:]] == [session_id] * 3
