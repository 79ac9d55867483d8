"""The reader, alone and in an ingestion pipeline."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.span import SimpleSpan
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.postprocessor import FixedRecencyPostprocessor
from llama_index.core.readers.base import BasePydanticReader, BaseReader
from llama_index.core.schema import Document, MetadataMode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore

from parallel_integrations import (
    FetchPolicy,
    SourcePolicy,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.llama_index import ParallelReader, ParallelRetriever
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.support import check_failure, ingestion
from tests.support.connected import made
from tests.support.requests import QUESTION

make = partial(made, ParallelReader)


def seen(documents: Sequence[Document]) -> list[Any]:
    return [(each.id_, each.text, each.metadata, each.hash) for each in documents]


async def test_four_code_paths_to_the_same_documents_of_a_search_reader(sandbox: Sandbox) -> None:
    reader = make(sandbox)
    loaded = await asyncio.to_thread(reader.load_data, QUESTION)
    assert loaded
    for others in (
        await asyncio.to_thread(lambda: list(reader.lazy_load_data(QUESTION))),
        await reader.aload_data(QUESTION),
        list(await reader.alazy_load_data(QUESTION)),
    ):
        assert seen(others) == seen(loaded)
    assert len(sandbox.requests) == 4
    assert len({request.content for request in sandbox.requests}) == 1


def test_the_fields_of_a_document_of_a_search_reader(sandbox: Sandbox) -> None:
    document = make(sandbox).load_data(query=QUESTION)[0]
    url = document.metadata["url"]
    assert list(document.metadata) == ["url", "title", "published_at", "source"]
    assert document.metadata["source"] == url
    assert document.text.strip()
    assert url in document.get_content(MetadataMode.LLM)
    assert document.get_content(MetadataMode.LLM).count(url) == 1
    assert url not in document.get_content(MetadataMode.EMBED)
    assert document.metadata["title"] in document.get_content(MetadataMode.EMBED)


def test_unknown_metadata_is_not_rendered_as_none(sandbox: Sandbox) -> None:
    body = {
        "search_id": "s",
        "results": [
            {"url": "https://example.com/a", "title": None, "excerpts": ["Text."]},
            {"url": "https://example.com/b", "title": "Empty", "excerpts": []},
        ],
    }
    sandbox.faults.add(path="/v1/search", body=body)
    (document,) = make(sandbox).load_data(QUESTION)
    assert document.metadata == {
        "url": "https://example.com/a",
        "title": "example.com/a",
        "source": "https://example.com/a",
    }
    assert "None" not in document.get_content(MetadataMode.ALL)


def test_one_document_per_excerpt(sandbox: Sandbox) -> None:
    excerpt = {"text": "One.", "start_char": 3, "end_char": 7}
    page = {"url": "https://example.com/a", "title": "A", "excerpts": [excerpt, "Two."]}
    sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": [page]})
    one, two = make(sandbox, split="excerpt").load_data(QUESTION)
    assert (one.text, two.text) == ("One.", "Two.")
    assert one.id_ != two.id_
    assert (one.metadata["start_char"], one.metadata["end_char"]) == (3, 7)
    assert "start_char" not in two.metadata
    assert "start_char" not in one.get_content(MetadataMode.LLM)
    assert "start_char" not in one.get_content(MetadataMode.EMBED)


def test_settings_of_the_instance_and_of_the_call_of_a_search_reader(sandbox: Sandbox) -> None:
    reader = make(
        sandbox,
        mode="basic",
        location="us",
        max_results=4,
        max_chars_total=9000,
        source_policy=SourcePolicy(include_domains=["docs.python.org"]),
        fetch_policy=FetchPolicy(max_age_seconds=600),
    )
    reader.load_data(QUESTION, ["context manager"], mode="turbo", max_results=3)
    reader.load_data(search_queries=["context manager", "with statement"])
    one, two = (request.body for request in sandbox.requests)
    assert one["objective"] == QUESTION
    assert one["search_queries"] == ["context manager"]
    assert one["mode"] == "turbo"
    assert one["max_chars_total"] == 9000
    assert one["advanced_settings"] == {
        "location": "us",
        "source_policy": {"include_domains": ["docs.python.org"]},
        "fetch_policy": {"max_age_seconds": 600},
        "max_results": 3,
    }
    assert "objective" not in two
    assert two["mode"] == "basic"
    assert two["advanced_settings"]["max_results"] == 4


@pytest.mark.parametrize(
    ("tool_input", "named"),
    [
        ({}, "objective"),
        ({"query": ""}, "objective"),
        ({"query": " \n"}, "objective"),
        ({"search_queries": []}, "search_queries"),
        ({"query": "x", "max_results": 41}, "max_results"),
        ({"query": "x", "modus": "basic"}, "modus"),
    ],
)
async def test_invalid_searches_of_a_search_reader_are_not_sent(
    sandbox: Sandbox, tool_input: dict[str, Any], named: str
) -> None:
    await check_failure(InvalidArgumentError, named, make(sandbox), "load_data", **tool_input)
    assert not sandbox.requests


def test_lazy_load_data_sends_nothing_before_it_is_read(sandbox: Sandbox) -> None:
    documents = iter(make(sandbox).lazy_load_data(QUESTION))
    assert not sandbox.requests
    next(documents)
    assert len(sandbox.requests) == 1


def test_a_search_reader_is_a_llama_index_reader(sandbox: Sandbox) -> None:
    names = [base.__name__ for base in ParallelReader.__mro__]
    assert BasePydanticReader.__name__ in names
    assert BaseReader.__name__ in names
    reader = make(sandbox)
    assert reader.is_remote
    assert reader.class_name() == "ParallelReader"
    assert reader.max_results == 10


async def test_one_span_for_each_read(sandbox: Sandbox) -> None:
    handler = SimpleSpanHandler()
    root = get_dispatcher()
    root.add_span_handler(handler)
    try:
        reader = make(sandbox)
        reader.load_data(QUESTION)
        list(reader.lazy_load_data(QUESTION))
        await reader.aload_data(QUESTION)
        await reader.alazy_load_data(QUESTION)
    finally:
        root.span_handlers.remove(handler)
    spans: list[SimpleSpan] = handler.completed_spans
    names = [span.id_.partition("-")[0] for span in spans]
    assert names == [
        "ParallelReader.load_data",
        "ParallelReader.load_data",
        "ParallelReader.aload_data",
        "ParallelReader.aload_data",
    ]


@pytest.mark.parametrize("split", ["page", "excerpt"])
def test_a_second_read_by_a_search_reader_indexes_nothing(sandbox: Sandbox, split: Any) -> None:
    pipeline, counted = ingestion(make(sandbox, split=split), query=QUESTION, max_results=3)
    assert pipeline.run()
    first = counted._count
    assert first >= 3
    assert not pipeline.run()
    assert counted._count == first
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize(
    ("split", "kept"),
    [("excerpt", ["both", "one", "two"]), ("page", ["both\n\ntwo"])],
)
def test_what_ingesting_two_questions_keeps_of_a_page(
    sandbox: Sandbox, split: Any, kept: list[str]
) -> None:
    docstore, vectors = SimpleDocumentStore(), SimpleVectorStore()
    pipeline = IngestionPipeline(
        transformations=[MockEmbedding(embed_dim=8)],
        docstore=docstore,
        vector_store=vectors,
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    for excerpts in (["one", "both"], ["both", "two"]):
        found = [{"url": "https://a.example/", "excerpts": excerpts}]
        sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": found})
        pipeline.run(documents=make(sandbox, split=split).load_data(QUESTION))
    texts = [each.get_content(MetadataMode.NONE) for each in docstore.docs.values()]
    assert sorted(texts) == kept
    assert len(vectors.data.embedding_dict) == len(kept)


def test_pages_without_a_date_are_the_oldest_for_a_recency_postprocessor(sandbox: Sandbox) -> None:
    dates = [None, "2024-05-01", "2026-01-31T10:00:00Z", "2025-12-31", "someday"]
    found = [
        {"url": f"https://a.example/{n}", "publish_date": date, "excerpts": [str(date)]}
        for n, date in enumerate(dates)
    ]
    sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": found})
    retriever = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url, published_day=True)
    nodes = retriever.retrieve(QUESTION)
    newest_first = FixedRecencyPostprocessor(date_key="published_day", top_k=5)
    order = [each.text for each in newest_first.postprocess_nodes(nodes, query_str=QUESTION)]
    assert order[:3] == ["2026-01-31T10:00:00Z", "2025-12-31", "2024-05-01"]
    assert "published_day" not in nodes[0].get_content(MetadataMode.LLM)
