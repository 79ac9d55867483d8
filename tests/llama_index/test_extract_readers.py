"""The extract reader, alone and in an ingestion pipeline."""

import asyncio
from functools import partial
from typing import Any

import pytest
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document
from pydantic import HttpUrl

from parallel_integrations import ServerError
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.llama_index import ParallelExtractReader, ParallelReader
from parallel_integrations.models import ExtractError
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.support import check_failure, ingestion
from tests.support.connected import connection, made

PAGES = [
    "https://docs.python.org/3/reference/compound_stmts.html",
    "https://docs.python.org/3/reference/executionmodel.html",
]
MISSING = "https://no-such-site.example/no_such_page.html"
EXTRACT = "/v1/extract"


make = partial(made, ParallelExtractReader)


def page(number: int) -> dict[str, Any]:
    return {"url": f"https://example.com/{number}", "title": "T", "excerpts": [f"Text {number}."]}


async def test_four_code_paths_to_the_same_documents_of_an_extract_reader(sandbox: Sandbox) -> None:
    reader = make(sandbox)
    loaded = await asyncio.to_thread(reader.load_data, PAGES)
    assert [each.metadata["url"] for each in loaded] == PAGES
    for others in (
        await asyncio.to_thread(lambda: list(reader.lazy_load_data(PAGES))),
        await reader.aload_data(PAGES),
        list(await reader.alazy_load_data(PAGES)),
    ):
        assert [each.to_dict() for each in others] == [each.to_dict() for each in loaded]
    assert len({request.content for request in sandbox.requests}) == 1
    assert sandbox.ledger.count("extract") == 4


def test_the_fields_of_a_document_of_an_extract_reader(clean_sandbox: Sandbox) -> None:
    sandbox = clean_sandbox  # whose pages are dated
    (document,) = make(sandbox).load_data(PAGES[0])
    assert list(document.metadata) == ["url", "title", "published_at", "source"]
    assert len(document.text) > 10_000  # the whole page
    excerpts = make(sandbox, full_content=False).load_data(PAGES[0], "How does with work?")
    assert excerpts[0].id_ == document.id_
    assert len(excerpts[0].text) < len(document.text)


def test_a_reader_gives_one_document_per_excerpt(clean_sandbox: Sandbox) -> None:
    reader = make(clean_sandbox, full_content=False, split="excerpt")
    documents = reader.load_data(PAGES, objective="How does the with statement work?")
    assert len(documents) > 2
    assert len({each.id_ for each in documents}) == len(documents)


def test_settings_of_the_instance_and_of_the_call_of_an_extract_reader(sandbox: Sandbox) -> None:
    reader = make(sandbox, max_chars_per_result=2000, session_id="s")
    reader.load_data(PAGES, "A", ["b"], full_content=False)
    body = sandbox.requests[0].body
    assert body["objective"] == "A"
    assert body["search_queries"] == ["b"]
    assert body["session_id"] == "s"
    assert body["advanced_settings"] == {"excerpt_settings": {"max_chars_per_result": 2000}}


def test_limits_of_an_extract_reader_bound_whole_pages_or_are_refused(sandbox: Sandbox) -> None:
    for document in make(sandbox, max_chars_per_result=500).load_data(PAGES):
        assert 0 < len(document.text) <= 500
    with pytest.raises(InvalidArgumentError, match="max_chars_total=900 bounds excerpts"):
        make(sandbox).load_data(PAGES, max_chars_total=900)
    assert len(sandbox.requests) == 1


async def test_any_number_of_pages_twenty_a_call_each_once(sandbox: Sandbox) -> None:
    urls = [f"https://example.com/{number}" for number in range(45)]
    for start in (0, 20, 40) * 2:
        results = [page(number) for number in range(start, min(start + 20, 45))]
        sandbox.faults.add(path=EXTRACT, body={"extract_id": "e", "results": results})
    reader = make(sandbox, max_concurrency=1)  # the scripted responses have an order
    documents = await reader.aload_data([*urls, *urls[:3]])
    assert [each.metadata["url"] for each in documents] == urls
    assert [len(request.body["urls"]) for request in sandbox.requests] == [20, 20, 5]
    taken = iter(reader.lazy_load_data(urls))
    next(taken)
    assert len(sandbox.requests) == 4  # the next twenty wait until they are wanted
    assert len(list(taken)) == 44


async def test_a_page_that_cannot_be_read_costs_no_other(sandbox: Sandbox) -> None:
    failed: list[ExtractError] = []
    reader = make(sandbox, on_error=failed.append)
    documents = reader.load_data([PAGES[0], MISSING])
    assert [each.metadata["url"] for each in documents] == PAGES[:1]
    await reader.aload_data([MISSING, PAGES[0]])
    assert [each.url for each in failed] == [MISSING] * 2
    with pytest.warns(UserWarning, match="no_such_page"):
        make(sandbox).load_data([PAGES[0], MISSING])


def test_a_failed_call_of_an_extract_reader_is_an_error(sandbox: Sandbox) -> None:
    sandbox.faults.add(path=EXTRACT, times=None, status=500)
    with pytest.raises(ServerError):
        make(sandbox, max_retries=0).load_data(PAGES)


@pytest.mark.parametrize("urls", [[], [""], ["python.org"], ["ftp://example.com"]])
async def test_invalid_urls_are_not_sent(sandbox: Sandbox, urls: list[str]) -> None:
    await check_failure(InvalidArgumentError, "urls", make(sandbox), "load_data", urls)
    assert not sandbox.requests


def test_an_extract_reader_is_a_llama_index_reader(sandbox: Sandbox) -> None:
    reader = make(sandbox)
    assert BasePydanticReader in ParallelExtractReader.__mro__
    assert reader.is_remote
    assert reader.class_name() == "ParallelExtractReader"
    written = reader.to_dict()
    assert "on_error" not in written
    assert ParallelExtractReader.from_dict(written).to_dict() == written


def test_ids_are_those_of_a_search(sandbox: Sandbox) -> None:
    settings = connection(sandbox)
    found: list[Document] = ParallelReader(**settings, max_results=2).load_data("with statement")
    read = make(sandbox).load_data([each.metadata["url"] for each in found])
    assert [each.id_ for each in read] == [each.id_ for each in found]


async def test_a_second_read_by_an_extract_reader_indexes_nothing(sandbox: Sandbox) -> None:
    pipeline, counted = ingestion(make(sandbox), urls=PAGES)
    assert pipeline.run()
    first = counted._count
    assert not pipeline.run()
    assert not await pipeline.arun()
    assert counted._count == first > len(PAGES)


def test_urls_of_pydantic_are_urls(sandbox: Sandbox) -> None:
    url = HttpUrl("https://docs.python.org/3/reference/compound_stmts.html")
    reader = ParallelExtractReader(api_key=sandbox.api_key, base_url=sandbox.url)
    [document] = reader.load_data([url])  # type: ignore[list-item]
    assert document.metadata["url"] == str(url)
