"""Extract as a LangChain document loader."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from pydantic import BeforeValidator, Field

from parallel_integrations._documents.adapter import Adapter
from parallel_integrations._documents.evidence import Split, normalized_url, page_documents
from parallel_integrations.api import extract
from parallel_integrations.errors import ParallelError
from parallel_integrations.models.extract import (
    MAX_URLS,
    ExtractError,
    ExtractRequest,
    ExtractResponse,
    ExtractSettings,
)
from parallel_integrations.models.pages import Objective, Queries, one_as_list


def _warn(error: ExtractError) -> None:
    warnings.warn(f"A page could not be read: {error}", stacklevel=3)


class ParallelExtractLoader(Adapter, ExtractSettings, BaseLoader):
    """Reads any number of web pages as documents, 20 a call, several calls at once.

    A document's metadata is `url`, `title`, `published_at` and `source` (= url); its id depends on
    the url alone, so that indexing the same pages again changes nothing. A page that cannot be
    read is told to `on_error` and never ends the loading; an error of a whole call does.

    Besides the connection and the settings of an extract (`fetch_policy`, `max_chars_total`,
    `max_chars_per_result`, `session_id`, `client_model`) it takes:

    Attributes:
        urls: What to read, one or several; an address that comes twice is read once.
        objective: What is wanted from the pages; excerpts are chosen by it.
        search_queries: Keywords to choose excerpts by.
        full_content: True (the default here) for whole pages, False for excerpts.
        split: `"page"` for one document per page, `"excerpt"` for one per excerpt.
        max_concurrency: How many calls at once; 1 needs no threads.
        on_error: Called with the `ExtractError` of each page that cannot be read; a warning by
            default.

    Raises:
        ParallelError: From loading, when a whole call fails.
        pydantic.ValidationError: Something that is no URL, before anything is sent.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelExtractLoader

        urls = ["https://docs.python.org/3/reference/compound_stmts.html"]
        for document in ParallelExtractLoader(urls=urls).lazy_load():
            print(document.metadata["title"], len(document.page_content))
        ```
    """

    urls: Annotated[list[str], BeforeValidator(one_as_list)]
    objective: Objective | None = None
    search_queries: Queries | None = None
    full_content: Any = True
    split: Split = "page"
    max_concurrency: int = Field(default=4, ge=1)
    on_error: Callable[[ExtractError], object] = Field(default=_warn, repr=False)

    def lazy_load(self) -> Iterator[Document]:
        """Read the pages, in their order, as they are asked for.

        Yields:
            One document per page (or excerpt).
        """
        client = self.connection()
        requests = self._requests()
        if self.max_concurrency == 1 or len(requests) == 1:
            for request in requests:
                yield from self._documents(client.run(extract(request)))
            return
        with ThreadPoolExecutor(self.max_concurrency) as pool:
            waiting: list[Future[ExtractResponse]] = []
            for request in requests:
                try:
                    waiting.append(pool.submit(client.run, extract(request)))
                except RuntimeError as error:
                    pool.shutdown(cancel_futures=True)
                    raise ParallelError(
                        f"No thread can be started for reading pages ({error}): raise the "
                        "process's limit, or set max_concurrency=1, which needs none."
                    ) from error
                if len(waiting) >= self.max_concurrency:
                    yield from self._documents(waiting.pop(0).result())
            for one in waiting:
                yield from self._documents(one.result())

    async def alazy_load(self) -> AsyncIterator[Document]:
        """Read the pages, awaiting.

        Yields:
            One document per page (or excerpt).
        """
        client = self.connection()
        waiting: list[asyncio.Task[ExtractResponse]] = []
        try:
            for request in self._requests():
                waiting.append(asyncio.create_task(client.arun(extract(request))))
                if len(waiting) >= self.max_concurrency:
                    for document in self._documents(await waiting.pop(0)):
                        yield document
            while waiting:
                for document in self._documents(await waiting.pop(0)):
                    yield document
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _requests(self) -> list[ExtractRequest]:
        # An address that differs in its fragment alone is the same page, and has the same id.
        first: dict[str, str] = {}
        for url in self.urls:
            first.setdefault(normalized_url(url.strip()), url)
        distinct = list(first.values())
        return [
            ExtractRequest.from_settings(self, urls=distinct[start : start + MAX_URLS])
            for start in range(0, len(distinct), MAX_URLS)
        ]

    def _documents(self, response: ExtractResponse) -> Iterable[Document]:
        for error in response.errors:
            self.on_error(error)
        return [
            Document(id=item.id, page_content=item.text, metadata=item.metadata)
            for item in page_documents(response.results, self.split)
        ]
