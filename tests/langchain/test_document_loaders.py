"""Any number of pages as documents: chunks of 20, several at once, failures page by page."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore

from parallel_integrations import AuthenticationError, ServerError
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import ParallelExtractLoader
from parallel_integrations.models import ExtractError
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection

MISSING = "https://no-such-site.example/page.html"


def urls_of(sandbox: Sandbox, count: int) -> list[str]:
    found = [page.url for page in sandbox.corpus.pages][:count]
    assert len(found) == count
    return found


def make(sandbox: Sandbox, urls: list[str], **settings: Any) -> ParallelExtractLoader:
    return ParallelExtractLoader(**connection(sandbox), urls=urls, **settings)


async def test_45_pages_are_3_calls_and_stay_in_order(sandbox: Sandbox) -> None:
    urls = urls_of(sandbox, 45)
    documents = await asyncio.to_thread(make(sandbox, urls).load)
    assert [document.metadata["url"] for document in documents] == urls
    assert sorted(len(each.body["urls"]) for each in sandbox.requests) == [5, 20, 20]
    assert await make(sandbox, urls).aload() == documents
    for document in documents:
        assert list(document.metadata) == ["url", "title", "published_at", "source"]
        assert document.page_content.strip()
        assert document.id
    assert sandbox.requests[0].body["advanced_settings"] == {"full_content": True}


def test_a_loader_reads_excerpts_by_objective(sandbox: Sandbox) -> None:
    [url] = urls_of(sandbox, 1)
    [whole] = make(sandbox, [url]).load()
    [some] = make(
        sandbox, [url], full_content=False, objective="assignment", max_chars_per_result=1000
    ).load()
    assert len(some.page_content) < len(whole.page_content)
    assert some.id == whole.id
    parts = make(sandbox, [url], objective="assignment", split="excerpt").load()
    assert len({part.id for part in parts}) == len(parts) >= 1
    assert sandbox.requests[1].body["objective"] == "assignment"


def test_a_limit_for_a_page_bounds_a_whole_page(sandbox: Sandbox) -> None:
    [url] = urls_of(sandbox, 1)
    [whole] = make(sandbox, [url]).load()
    for settings in ({}, {"full_content": {"max_chars_per_result": 300}}):
        [short] = make(sandbox, [url], max_chars_per_result=500, **settings).load()
        assert short.page_content
        assert len(short.page_content) <= 500 < len(whole.page_content)
    assert sandbox.requests[-1].body["advanced_settings"]["full_content"] == {
        "max_chars_per_result": 300
    }


def test_a_limit_that_whole_pages_do_not_have_is_refused_unsent(sandbox: Sandbox) -> None:
    [url] = urls_of(sandbox, 1)
    sent = len(sandbox.requests)
    with pytest.raises(InvalidArgumentError, match="max_chars_total=900 bounds excerpts"):
        make(sandbox, [url], max_chars_total=900).load()
    assert len(sandbox.requests) == sent
    for settings in ({"full_content": False}, {"split": "excerpt"}):
        assert make(sandbox, [url], max_chars_total=900, **settings).load()


async def test_pages_that_fail_are_reported_and_end_nothing(sandbox: Sandbox) -> None:
    urls = urls_of(sandbox, 2)
    failed: list[ExtractError] = []
    loader = make(sandbox, [urls[0], MISSING, urls[1]], on_error=failed.append)
    documents = await asyncio.to_thread(loader.load)
    assert [document.metadata["url"] for document in documents] == urls
    assert await loader.aload() == documents
    assert [error.url for error in failed] == [MISSING, MISSING]
    assert failed[0].error_type == "fetch_error"


async def test_an_unreadable_page_is_a_warning_by_default(sandbox: Sandbox) -> None:
    loader = make(sandbox, [MISSING, *urls_of(sandbox, 1)])
    with pytest.warns(UserWarning, match=f"could not be read: {MISSING}"):
        assert len(await asyncio.to_thread(loader.load)) == 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(await loader.aload()) == 1
    assert len(caught) == 1


def test_what_on_error_raises_ends_the_loading(sandbox: Sandbox) -> None:
    def strict(error: ExtractError) -> None:
        raise LookupError(error.url)

    with pytest.raises(LookupError, match="no-such-site"):
        make(sandbox, [MISSING], on_error=strict).load()


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (500, ServerError)])
async def test_an_error_of_a_whole_call_is_raised(
    sandbox: Sandbox, status: int, error: type[Exception]
) -> None:
    sandbox.faults.add(times=None, status=status)
    loader = make(sandbox, urls_of(sandbox, 45), max_retries=0)
    with pytest.raises(error):
        await asyncio.to_thread(loader.load)
    with pytest.raises(error):
        await loader.aload()


def test_what_is_no_url_is_refused_before_anything_is_sent(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="not a web address"):
        make(sandbox, [*urls_of(sandbox, 30), "nonsense"]).load()
    assert make(sandbox, []).load() == []
    assert sandbox.requests == []


async def test_lazy_load_sends_calls_as_pages_are_taken(sandbox: Sandbox) -> None:
    loader = make(sandbox, urls_of(sandbox, 75), max_concurrency=1)
    pages = loader.lazy_load()
    await asyncio.to_thread(next, pages)
    assert len(sandbox.requests) == 1
    pages.close()
    apages = loader.alazy_load()
    await anext(apages)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_closing_a_lazy_load_ends_its_tasks(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    loader = make(sandbox, urls_of(sandbox, 75), max_concurrency=3)
    client = loader.resolved_client()
    arun, calls, before = client.arun, [], asyncio.all_tasks()

    async def slow_but_the_first(flow: Any) -> Any:
        calls.append(flow)
        if len(calls) > 1:
            await asyncio.sleep(50)
        return await arun(flow)

    monkeypatch.setattr(client, "arun", slow_but_the_first)
    pages = loader.alazy_load()
    await anext(pages)
    assert asyncio.all_tasks() != before
    if how == "cancelled":
        rest = asyncio.ensure_future(_all(pages))
        await asyncio.sleep(0.05)
        rest.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rest
    await pages.aclose()
    assert asyncio.all_tasks() == before
    assert len(calls) == (4 if how == "cancelled" else 3)


async def _all(pages: AsyncIterator[Document]) -> list[Document]:
    return [page async for page in pages]


def indexes() -> tuple[InMemoryRecordManager, InMemoryVectorStore]:
    manager = InMemoryRecordManager("pages")
    manager.create_schema()
    return manager, InMemoryVectorStore(DeterministicFakeEmbedding(size=8))


def indexing(cleanup: str) -> dict[str, Any]:
    return {"cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256"}


async def test_indexing_a_loader_twice_adds_nothing(sandbox: Sandbox) -> None:
    loader = make(sandbox, urls_of(sandbox, 25))
    manager, store = indexes()
    how = indexing("incremental")
    first = await asyncio.to_thread(index, loader, manager, store, **how)
    assert (first["num_added"], first["num_skipped"]) == (25, 0)
    for again in (
        await asyncio.to_thread(index, loader, manager, store, **how),
        await aindex(loader, manager, store, **how),
    ):
        assert again == {"num_added": 0, "num_updated": 0, "num_skipped": 25, "num_deleted": 0}


def test_a_changed_page_is_replaced() -> None:
    url = "https://example.com/page"
    manager, store = indexes()
    with Sandbox() as sandbox:
        sandbox.publish(url=url, title="A page", text="The first text of the page.")
        other = urls_of(sandbox, 1)
        loader = make(sandbox, [url, *(one for one in other if one != url)])
        how = indexing("incremental")
        index(loader, manager, store, **how)
        sandbox.publish(url=url, title="A page", text="Quite another text.")
        again = index(loader, manager, store, **how)
    assert again["num_added"] == 1
    assert again["num_deleted"] == 1
    assert again["num_skipped"] == len(loader.urls) - 1


def test_a_page_that_cannot_be_read_stays_in_the_store_where_that_is_an_error(
    sandbox: Sandbox,
) -> None:
    class UnreadError(Exception):
        """A page was not given."""

    def refuse(error: ExtractError) -> None:
        raise UnreadError(error.url)

    urls = urls_of(sandbox, 3)
    manager, store = indexes()
    how = indexing("full")
    index(make(sandbox, urls), manager, store, **how)
    today = [*urls[:2], "https://gone.example/page"]
    with pytest.raises(UnreadError, match=r"gone\.example"):
        index(make(sandbox, today, on_error=refuse), manager, store, **how)
    assert len(store.store) == 3
    index(make(sandbox, today, on_error=lambda _: None), manager, store, **how)
    assert len(store.store) == 2
