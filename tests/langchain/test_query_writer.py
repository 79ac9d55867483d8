"""Queries written by a model, volatile facts in callbacks, and offsets of excerpts."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel

from parallel_integrations import ParallelClient
from parallel_integrations.langchain import ChatParallel, ParallelSearchRetriever
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import AsyncListener, Listener, answer
from tests.support.connected import connection
from tests.support.requests import QUESTION

OBJECTIVE = "Find how with reacts to exceptions."
QUERIES = ["with statement exceptions", "context manager __exit__"]
WRITTEN = {"objective": OBJECTIVE, "search_queries": QUERIES}


class Wording(BaseModel):
    objective: str
    search_queries: list[str]


def make(sandbox: Sandbox, **settings: Any) -> ParallelSearchRetriever:
    return ParallelSearchRetriever(**connection(sandbox), k=2, **settings)


def saying(text: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(text)] * 2))


def giving(value: Any) -> Runnable[Any, Any]:
    return RunnableLambda(lambda _: value)


@pytest.mark.parametrize(
    "make_writer",
    [
        lambda: saying(json.dumps(WRITTEN)),
        lambda: saying(f"Sure!\n```json\n{json.dumps(WRITTEN, indent=1)}\n```"),
        lambda: giving(WRITTEN),
        lambda: giving(Wording(**WRITTEN)),
        lambda: giving(json.dumps(WRITTEN)),
        lambda: giving(AIMessage(json.dumps(WRITTEN))),
    ],
    ids=["chat model", "chatty chat model", "dict", "object", "text", "message"],
)
async def test_the_outputs_that_a_query_writer_may_give(sandbox: Sandbox, make_writer: Any) -> None:
    retriever = make(sandbox, query_writer=make_writer())
    assert await asyncio.to_thread(retriever.invoke, QUESTION)
    assert await retriever.ainvoke(QUESTION)
    for request in sandbox.requests:
        assert request.body["objective"] == OBJECTIVE
        assert request.body["search_queries"] == QUERIES


def test_a_model_gets_the_prompt_and_other_runnables_the_question(sandbox: Sandbox) -> None:
    tool_input: list[Any] = []

    def noting(value: Any) -> Any:
        tool_input.append(value)
        return WRITTEN

    make(sandbox, query_writer=RunnableLambda(noting)).invoke(QUESTION)
    assert tool_input == [QUESTION]
    sandbox.faults.add("/chat/completions", **answer(json.dumps(WRITTEN)))
    make(sandbox, query_writer=ChatParallel(**connection(sandbox))).invoke(QUESTION)
    prompt = sandbox.requests[-2].body["messages"][0]["content"]
    assert QUESTION in prompt
    assert "search_queries" in prompt
    assert sandbox.requests[-1].body["objective"] == OBJECTIVE


def _fail(_: Any) -> Any:
    raise RuntimeError("no model today")


@pytest.mark.parametrize(
    "make_writer",
    [
        lambda: RunnableLambda(_fail),
        lambda: saying("I would search for context managers."),
        lambda: saying('{"objective": 3, "search_queries": []}'),
        lambda: saying("{broken"),
        lambda: giving(None),
        lambda: giving({"search_queries": ["x" * 500]}),
        lambda: giving({"objective": "x" * 6000}),
        lambda: ChatParallel(base_url="http://127.0.0.1:9", api_key="k", max_retries=0),
    ],
    ids=["raises", "chats", "nonsense", "broken", "None", "too long", "past a limit", "no network"],
)
async def test_a_failed_query_writer_is_a_warning_and_queries_are_derived(
    sandbox: Sandbox, make_writer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "parallel_integrations")
    expected = make(sandbox).invoke(QUESTION)
    retriever = make(sandbox, query_writer=make_writer())
    assert await asyncio.to_thread(retriever.invoke, QUESTION) == expected
    assert await retriever.ainvoke(QUESTION) == expected
    bodies = [request.body for request in sandbox.requests]
    assert bodies[0] == bodies[1] == bodies[2]
    logged = [record.getMessage() for record in caplog.records]
    assert [text.startswith("the query writer failed (") for text in logged] == [True] * 2
    assert not any(QUESTION in text for text in logged)


def test_queries_without_an_objective_are_completed(sandbox: Sandbox) -> None:
    make(sandbox, query_writer=giving({"search_queries": QUERIES})).invoke(QUESTION)
    assert sandbox.requests[0].body["objective"] == QUESTION
    assert sandbox.requests[0].body["search_queries"] == QUERIES


def test_an_objective_for_all_questions(sandbox: Sandbox) -> None:
    make(sandbox, objective=OBJECTIVE).invoke(QUESTION)
    make(sandbox).invoke(QUESTION)
    first, second = (request.body for request in sandbox.requests)
    assert first["objective"] == OBJECTIVE
    assert first["search_queries"] == second["search_queries"]


async def test_volatile_facts_of_a_search_reach_callbacks(sandbox: Sandbox) -> None:
    listener, alistener = Listener(), AsyncListener()
    retriever = make(sandbox, location="zz")
    retriever.invoke(QUESTION, {"callbacks": [listener]})
    await retriever.ainvoke(QUESTION, {"callbacks": [alistener]})
    for events in (listener.events, alistener.events):
        [(name, facts)] = events
        assert name == "parallel_search"
        assert facts["search_id"].startswith("search_")
        assert facts["session_id"]
        assert facts["usage"] == [{"name": "sku_search", "count": 1}]
        assert facts["warnings"][0]["message"]
        assert "results" not in facts
    streamed = [
        event["data"]
        async for event in retriever.astream_events(QUESTION, version="v2")
        if event["event"] == "on_custom_event"
    ]
    assert streamed[0]["search_id"]


def older(sandbox: Sandbox) -> ParallelClient:
    return ParallelClient(**connection(sandbox), api_version="v1beta")


def test_excerpt_offsets_become_metadata(sandbox: Sandbox) -> None:
    found = {
        "results": [
            {
                "url": "https://docs.python.org/3/",
                "published_at": "2026-01-31T10:00:00Z",
                "excerpts": [
                    {"text": "first", "start_char": 0, "end_char": 5},
                    {"text": "second", "start_char": 20, "end_char": 26},
                ],
            }
        ]
    }
    sandbox.faults.add(times=2, body=found)
    retriever = ParallelSearchRetriever(client=older(sandbox), split="excerpt")
    first, second = retriever.invoke(QUESTION)
    assert (first.metadata["start_char"], first.metadata["end_char"]) == (0, 5)
    assert (second.metadata["start_char"], second.metadata["end_char"]) == (20, 26)
    assert first.metadata["published_at"] == "2026-01-31T10:00:00Z"
    assert first.metadata["title"] == "docs.python.org/3"
    assert first.id != second.id
    [page] = ParallelSearchRetriever(client=older(sandbox)).invoke(QUESTION)
    assert page.page_content == "first\n\nsecond"
    assert "start_char" not in page.metadata
    assert sandbox.requests[0].path == "/v1beta/search"
