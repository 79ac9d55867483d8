"""Questions as people write them, and queries of their own, through retrievers and readers."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.schema import QueryBundle

from parallel_integrations import InvalidArgumentError, ParallelClient
from parallel_integrations.langchain import (
    ParallelEntityRetriever as LangChainEntityRetriever,
)
from parallel_integrations.langchain import ParallelExtractLoader, ParallelSearchRetriever
from parallel_integrations.llama_index import (
    ParallelEntityRetriever,
    ParallelExtractReader,
    ParallelMonitor,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

URL = "https://docs.python.org/3/reference/compound_stmts.html"
LONG = "Which permits do delivery robots need in Texas? " * 125  # 6000 characters
LONG_HINDI = "छात्रों के लिए बैंक खाता कैसे खोलें? " * 170
LONG_THAI = "วิธีเปิดบัญชีธนาคารสำหรับนักเรียน" * 190  # no blank anywhere


def langchain_retriever(client: ParallelClient, question: str) -> Any:
    return ParallelSearchRetriever(client=client).invoke(question)


def langchain_retriever_awaiting(client: ParallelClient, question: str) -> Any:
    return asyncio.run(ParallelSearchRetriever(client=client).ainvoke(question))


def langchain_loader(client: ParallelClient, question: str) -> Any:
    return ParallelExtractLoader(client=client, urls=URL, objective=question).load()


def llama_index_retriever(client: ParallelClient, question: str) -> Any:
    return ParallelRetriever(client=client).retrieve(question)


def llama_index_reader(client: ParallelClient, question: str) -> Any:
    return ParallelReader(client=client).load_data(question)


def llama_index_extract_reader(client: ParallelClient, question: str) -> Any:
    return ParallelExtractReader(client=client).load_data(URL, question)


PATHS = [
    langchain_retriever,
    langchain_retriever_awaiting,
    langchain_loader,
    llama_index_retriever,
    llama_index_reader,
    llama_index_extract_reader,
]
Search = Callable[[ParallelClient, str], Any]


@pytest.mark.parametrize("ask", PATHS)
@pytest.mark.parametrize("question", [LONG, LONG_HINDI, LONG_THAI], ids=["en", "hi", "th"])
def test_a_long_question_is_shortened_and_that_is_logged(
    sandbox: Sandbox,
    client: ParallelClient,
    caplog: pytest.LogCaptureFixture,
    ask: Search,
    question: str,
) -> None:
    with caplog.at_level(logging.WARNING, "parallel_integrations"):
        ask(client, question)
    [request] = sandbox.requests
    objective = request.body["objective"]
    assert 2500 < len(objective) <= 5000
    assert question.startswith(objective)
    [line] = [record.getMessage() for record in caplog.records]
    assert f"{len(question.strip())} characters was shortened to its first {len(objective)}" in line
    assert question[:20] not in line
    assert all(len(query) <= 200 for query in request.body.get("search_queries", ()))


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, text: ParallelQueryEngine(client=client).query(text),
        lambda client, text: ParallelQueryEngine(client=client, processor="lite").query(text),
        lambda client, text: ParallelEntityRetriever(client=client).retrieve(text),
        lambda client, text: LangChainEntityRetriever(client=client).invoke(text),
        lambda client, text: ParallelReader(client=client).load_data("with", [text]),
        lambda client, text: ParallelExtractReader(client=client).load_data(URL, None, [text]),
        lambda client, text: ParallelMonitor(client=client).create(text),
    ],
    ids=["chat", "task", "entities", "langchain_entities", "queries", "extract", "monitor"],
)
def test_half_an_emoji_is_replaced_wherever_a_question_goes(
    sandbox: Sandbox, client: ParallelClient, ask: Search
) -> None:
    ask(client, "closures \ud83d")
    assert "closures \\ufffd" in json.dumps(sandbox.requests[0].body)


@pytest.mark.parametrize("ask", PATHS)
def test_half_an_emoji_in_a_question_is_replaced(
    sandbox: Sandbox, client: ParallelClient, caplog: pytest.LogCaptureFixture, ask: Search
) -> None:
    ask(client, "closures \ud83d in Python\x00")
    assert sandbox.requests[-1].body["objective"] == "closures \ufffd in Python\ufffd"
    assert not caplog.records


@pytest.mark.parametrize("ask", PATHS)
@pytest.mark.parametrize("blank", ["", "  \n", "\x1c\x1f"])
def test_a_blank_question_is_refused(
    sandbox: Sandbox, client: ParallelClient, ask: Search, blank: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="objective"):
        ask(client, blank)
    assert sandbox.requests == []


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.text(alphabet=st.characters(), min_size=1, max_size=300))
def test_any_text_is_a_question(sandbox: Sandbox, client: ParallelClient, question: str) -> None:
    """Whatever is typed, half a surrogate pair too, is searched for, or refused as blank."""
    sandbox.reset()
    if not question.strip():
        with pytest.raises(InvalidArgumentError):
            ParallelSearchRetriever(client=client, k=1).invoke(question)
        return
    ParallelSearchRetriever(client=client, k=1).invoke(question)
    ParallelReader(client=client, max_results=1).load_data(question)
    one, other = (request.body for request in sandbox.requests)
    assert one["objective"] == other["objective"]
    assert one["search_queries"] == other["search_queries"]
    assert all(query.strip() for query in one["search_queries"])


OWN = ["__exit__ return value", "with statement traceback"]


@pytest.mark.parametrize(
    ("ask", "objective"),
    [
        (
            lambda client: ParallelSearchRetriever(client=client).invoke("q", search_queries=OWN),
            "q",
        ),
        (
            lambda client: ParallelSearchRetriever(client=client, objective="fixed").invoke(
                "q", search_queries=OWN, objective="own"
            ),
            "own",
        ),
        (
            lambda client: asyncio.run(
                ParallelSearchRetriever(client=client).ainvoke(
                    "q", search_queries=OWN, objective="own"
                )
            ),
            "own",
        ),
        (lambda client: ParallelReader(client=client).load_data("q", OWN), "q"),
        (
            lambda client: ParallelReader(client=client).load_data("q", OWN, objective="own"),
            "own",
        ),
        (lambda client: ParallelReader(client=client).load_data(search_queries=OWN), None),
        (
            lambda client: ParallelRetriever(client=client).retrieve(
                QueryBundle("q", custom_embedding_strs=OWN)
            ),
            "q",
        ),
        (
            lambda client: asyncio.run(
                ParallelRetriever(client=client, objective="fixed").aretrieve(
                    QueryBundle("q", custom_embedding_strs=OWN)
                )
            ),
            "fixed",
        ),
    ],
)
def test_a_call_brings_its_own_queries(
    sandbox: Sandbox, client: ParallelClient, ask: Callable[[ParallelClient], Any], objective: str
) -> None:
    ask(client)
    [request] = sandbox.requests
    assert request.body.get("objective") == objective
    assert request.body["search_queries"] == OWN


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: ParallelSearchRetriever(client=client).invoke(
            "closures in Python", objective="own"
        ),
        lambda client: ParallelReader(client=client).load_data(
            "closures in Python", objective="own"
        ),
        lambda client: ParallelReader(client=client, objective="own").load_data(
            "closures in Python"
        ),
        lambda client: ParallelRetriever(client=client, objective="own").retrieve(
            "closures in Python"
        ),
    ],
)
def test_beside_an_objective_the_question_decides_the_queries(
    sandbox: Sandbox, client: ParallelClient, ask: Callable[[ParallelClient], Any]
) -> None:
    ask(client)
    [request] = sandbox.requests
    assert request.body["objective"] == "own"
    assert request.body["search_queries"] == ["closures in Python"]


def test_own_queries_cost_no_call_of_the_query_writer(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    calls = []
    writer = RunnableLambda(lambda question: calls.append(question))
    retriever = ParallelSearchRetriever(client=client, query_writer=writer)
    retriever.invoke("q", search_queries=OWN)
    assert calls == []


@pytest.mark.parametrize("include_original", [True, False])
def test_what_hyde_adds_is_no_query(
    sandbox: Sandbox, client: ParallelClient, include_original: bool
) -> None:
    passage = ChatMessage(role="assistant", content="A closure is … " * 40)
    llm = MockFunctionCallingLLM(response_generator=lambda *_, **__: passage, is_chat_model=True)
    bundle = HyDEQueryTransform(llm=llm, include_original=include_original)(QUESTION)
    assert passage.content in (bundle.custom_embedding_strs or ())
    retriever = ParallelRetriever(client=client)
    retriever.retrieve(QUESTION)
    retriever.retrieve(bundle)
    plain, with_hyde = sandbox.requests
    assert with_hyde.body == plain.body
    assert QUESTION not in plain.body["search_queries"]


def test_too_many_own_queries_are_refused(sandbox: Sandbox, client: ParallelClient) -> None:
    with pytest.raises(InvalidArgumentError, match="search_queries"):
        ParallelSearchRetriever(client=client).invoke("q", search_queries=["a"] * 6)
    with pytest.raises(InvalidArgumentError, match="search_queries"):
        ParallelReader(client=client).load_data("q", ["x" * 201])
    assert sandbox.requests == []
