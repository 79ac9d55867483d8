"""Extract as a LangChain document loader."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Annotated, Any

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from pydantic import BeforeValidator

from parallel_integrations._documents.queries import as_objective
from parallel_integrations._documents.reading import PageReader, extract_requests
from parallel_integrations.langchain.retrievers import as_document
from parallel_integrations.models.extract import ExtractRequest
from parallel_integrations.models.pages import Objective, Queries
from parallel_integrations.models.policies import one_as_list


class ParallelExtractLoader(PageReader, BaseLoader):
    """Reads any number of web pages as documents, 20 a call, several calls at once.

    A document's metadata is `url`, `title`, `published_at` and `source` (= url); its id depends on
    the url alone (with `split="excerpt"` on url and text), so that indexing the same pages again
    changes nothing. Every page is given or reported to `on_error`: one that cannot be read, one
    without text, one of a call that failed beside others. Where no page at all can be read that is
    an error.

    Besides the connection and the settings of an extract (`fetch_policy`, `max_chars_total`,
    `max_chars_per_result`, `session_id`, `client_model`) it takes:

    Attributes:
        urls: One or several; URLs of the same page (`…#a`, `…#b`) are read and billed once.
        objective: What you want to know from the pages; excerpts are chosen by it. Of more than
            5000 characters the first are sent, with a warning in the log.
        search_queries: Keywords to choose excerpts by.
        full_content: True (the default here) for whole pages, False for excerpts.
        split: `"page"` for one document per page, `"excerpt"` for one per excerpt.
        published_day: True adds the day of publication as a number (20240501, 0 where unknown).
        constant_keys: True gives every document the same metadata keys.
        max_concurrency: How many calls at once, 4 by default; 1 needs no threads.
        rate_limiter: LangChain's, as on chat models: waited for before each call.
        on_error: Called with the `ExtractError` of each page that is not given; a warning by
            default.

    Raises:
        ParallelError: From loading, when every call fails or no page can be read.
        InvalidArgumentError: Something that is no URL, before anything is sent.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelExtractLoader

        urls = ["https://docs.python.org/3/reference/compound_stmts.html"]
        for document in ParallelExtractLoader(urls=urls).lazy_load():
            print(document.metadata["title"], len(document.page_content))
        ```
    """

    urls: Annotated[list[str] | str, BeforeValidator(one_as_list)]
    """One or several; URLs of the same page (`…#a`, `…#b`) are read and billed once."""
    objective: Annotated[Objective | None, BeforeValidator(as_objective)] = None
    """What you want to know from the pages; excerpts are chosen by it. Of more than 5000 characters
    the first are sent, with a warning in the log.
    """
    search_queries: Queries | None = None
    """Keywords to choose excerpts by."""
    full_content: Any = True
    """True (the default here) for whole pages, False for excerpts."""

    def lazy_load(self) -> Iterator[Document]:
        """Read the pages, in their order; at most `max_concurrency` calls go ahead.

        Yields:
            One document per page (or excerpt).
        """
        yield from map(as_document, self.pages(self._requests()))

    async def alazy_load(self) -> AsyncIterator[Document]:
        """Read the pages, awaiting; everything else as in `lazy_load`.

        Yields:
            One document per page (or excerpt).
        """
        async with aclosing(self.apages(self._requests())) as pages:
            async for page in pages:
                yield as_document(page)

    def _requests(self) -> list[ExtractRequest]:
        return extract_requests(self, self.urls) if self.urls else []
