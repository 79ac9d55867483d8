"""The retriever, as a RAG chain uses it."""

import asyncio
from functools import partial
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore

from parallel_integrations import (
    AuthenticationError,
    FetchPolicy,
    MissingKeyError,
    RateLimitError,
    ServerError,
    SourcePolicy,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import ParallelSearchRetriever
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import made
from tests.support.requests import QUESTION

make = partial(made, ParallelSearchRetriever)


def test_a_question_becomes_documents_with_sources(sandbox: Sandbox) -> None:
    documents = make(sandbox, k=3).invoke(QUESTION)

    assert len(documents) == 3
    for document in documents:
        assert document.page_content.strip()
        assert list(document.metadata) == ["url", "title", "published_at", "source"]
        assert document.metadata["source"] == document.metadata["url"]
        assert document.id
    [request] = sandbox.requests
    assert request.body["objective"] == QUESTION
    assert request.body["search_queries"] == [
        "statement handle exceptions",
        "with statement handle exceptions",
    ]


async def test_blocking_and_awaiting_retrieval_give_the_same_documents(sandbox: Sandbox) -> None:
    retriever = make(sandbox)
    awaited = await retriever.ainvoke(QUESTION)
    blocking = await asyncio.to_thread(retriever.invoke, QUESTION)
    assert awaited == blocking


@pytest.mark.parametrize(
    ("fixed", "called", "sent"),
    [
        ({}, {}, None),  # the API's own default is not sent
        ({"k": 3}, {}, 3),
        ({"max_results": 3}, {}, 3),
        ({"k": 3}, {"k": 2}, 2),
        ({"k": 3}, {"max_results": 2}, 2),
        ({"k": 3, "max_results": 3}, {"k": 1, "max_results": 1}, 1),
    ],
)
def test_the_number_of_results_by_both_names(
    sandbox: Sandbox, fixed: dict[str, int], called: dict[str, int], sent: int | None
) -> None:
    make(sandbox, **fixed).invoke(QUESTION, **called)
    advanced = sandbox.requests[0].body.get("advanced_settings", {})
    assert advanced.get("max_results") == sent


def test_two_different_numbers_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="k=3 and max_results=4"):
        make(sandbox, k=3, max_results=4)
    with pytest.raises(InvalidArgumentError, match="k=3 and max_results=4"):
        make(sandbox).invoke(QUESTION, k=3, max_results=4)
    assert sandbox.requests == []


def test_settings_fixed_on_the_instance_are_sent(sandbox: Sandbox) -> None:
    make(
        sandbox,
        mode="basic",
        location="us",
        source_policy=SourcePolicy(include_domains=["docs.python.org"]),
        fetch_policy=FetchPolicy(max_age_seconds=3600),
        max_chars_per_result=2000,
        max_chars_total=8000,
        session_id="session-1",
        client_model="some-model",
    ).invoke(QUESTION)
    body = sandbox.requests[0].body
    assert body["mode"] == "basic"
    assert body["max_chars_total"] == 8000
    assert body["session_id"] == "session-1"
    assert body["client_model"] == "some-model"
    assert body["advanced_settings"] == {
        "location": "us",
        "source_policy": {"include_domains": ["docs.python.org"]},
        "fetch_policy": {"max_age_seconds": 3600},
        "excerpt_settings": {"max_chars_per_result": 2000},
    }


def test_documents_per_excerpt(sandbox: Sandbox) -> None:
    pages = make(sandbox, k=3).invoke(QUESTION)
    excerpts = make(sandbox, k=3, split="excerpt").invoke(QUESTION)
    assert len(excerpts) >= len(pages)
    assert len({document.id for document in excerpts}) == len(excerpts)
    assert {d.metadata["url"] for d in excerpts} == {d.metadata["url"] for d in pages}


@pytest.mark.parametrize("blank", ["", "   ", "\n"])
def test_a_blank_question_is_refused_before_anything_is_sent(sandbox: Sandbox, blank: str) -> None:
    with pytest.raises(InvalidArgumentError, match="objective"):
        make(sandbox).invoke(blank)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (429, RateLimitError), (500, ServerError)]
)
async def test_errors_are_raised_never_an_empty_list(
    sandbox: Sandbox, status: int, error: type[Exception]
) -> None:
    sandbox.faults.add(times=None, status=status)
    retriever = make(sandbox, max_retries=0)
    with pytest.raises(error):
        retriever.invoke(QUESTION)
    with pytest.raises(error):
        await retriever.ainvoke(QUESTION)


def test_without_a_key_the_first_call_says_what_to_do(sandbox: Sandbox) -> None:
    retriever = ParallelSearchRetriever(base_url=sandbox.url)
    with pytest.raises(MissingKeyError, match="PARALLEL_API_KEY"):
        retriever.invoke(QUESTION)


def test_unknown_arguments_are_refused_with_a_hint() -> None:
    with pytest.raises(TypeError, match="'mx_results'; did you mean 'max_results'"):
        ParallelSearchRetriever(mx_results=3)
    with pytest.raises(TypeError, match="'mx_results'; did you mean 'max_results'"):
        ParallelSearchRetriever(api_key="test").invoke(QUESTION, mx_results=3)


def test_indexing_a_retriever_twice_adds_nothing(sandbox: Sandbox) -> None:
    retriever = make(sandbox, k=5)
    manager = InMemoryRecordManager("pages")
    manager.create_schema()
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))

    def run() -> Any:
        return index(
            retriever.invoke(QUESTION),
            manager,
            store,
            cleanup="incremental",
            source_id_key="source",
            key_encoder="sha256",
        )

    assert run()["num_added"] == 5
    again = run()
    assert (again["num_added"], again["num_updated"], again["num_skipped"]) == (0, 0, 5)


@pytest.mark.parametrize(
    ("split", "cleanup", "kept"),
    [
        ("excerpt", None, ["both", "one", "two"]),
        ("page", "incremental", ["both\n\ntwo"]),  # the page as the last question saw it
    ],
)
def test_what_indexing_two_questions_keeps_of_a_page(
    sandbox: Sandbox, split: Any, cleanup: Any, kept: list[str]
) -> None:
    retriever = make(sandbox, split=split)
    manager = InMemoryRecordManager("pages")
    manager.create_schema()
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    for excerpts in (["one", "both"], ["both", "two"]):
        found = [{"url": "https://a.example/", "excerpts": excerpts}]
        sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": found})
        index(
            retriever.invoke(QUESTION),
            manager,
            store,
            cleanup=cleanup,
            source_id_key="source",
            key_encoder="sha256" if cleanup else lambda document: str(document.id),
        )
    assert sorted(each["text"] for each in store.store.values()) == kept


def test_a_batch_of_retrievals_keeps_its_order(sandbox: Sandbox) -> None:
    retriever = make(sandbox, k=1)
    questions = ["What is a decorator?", QUESTION, "What is a lambda expression?"]
    batched = retriever.batch(questions, config={"max_concurrency": 2})
    assert batched == [retriever.invoke(question) for question in questions]
    assert all(isinstance(document, Document) for [document] in batched)


def test_adapters_with_equal_settings_share_their_connections(sandbox: Sandbox) -> None:
    before = sandbox.connections
    for _ in range(5):
        make(sandbox).invoke(QUESTION)
    # Each retriever is gone before the next is made, but this one holds the shared client.
    keeper = make(sandbox)
    keeper.invoke(QUESTION)
    used = sandbox.connections - before
    for _ in range(5):
        make(sandbox).invoke(QUESTION)
    assert sandbox.connections - before == used
