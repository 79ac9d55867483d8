"""Reading many pages: each page once, 20 to a call, several calls at once."""

import asyncio
import warnings
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, Field, WithJsonSchema

from parallel_integrations._documents.adapter import (
    NO_JSON,
    PacedAdapter,
    refuse_unknown_fields,
)
from parallel_integrations._documents.evidence import (
    DocumentSettings,
    PageDocument,
    normalized_url,
    one_line,
    truncated,
)
from parallel_integrations._documents.queries import as_queries
from parallel_integrations.api import extract
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import InvalidArgumentError, ParallelError
from parallel_integrations.models.extract import (
    MAX_URLS,
    ExtractError,
    ExtractRequest,
    ExtractResponse,
    ExtractSettings,
    FullContentSettings,
)

MAX_CONCURRENCY: Final = 4
NO_TEXT: Final = "no_text"


def distinct_urls(urls: Iterable[str]) -> list[str]:
    """The first URL of each page; URLs that `normalized_url` makes equal are one page."""
    first: dict[str, str] = {}
    for url in urls:
        # What is no string is kept, so that the request refuses it by name.
        first.setdefault(normalized_url(str(url).strip()), url)
    return list(first.values())


def extract_request(settings: BaseModel, **fields: Any) -> ExtractRequest:
    """The request of one call, each page once."""
    request = _bounded(ExtractRequest.from_settings(settings, **fields))
    return request.model_copy(update={"urls": distinct_urls(request.urls)})


def extract_requests(settings: "PageReader", urls: Any, **fields: Any) -> list[ExtractRequest]:
    """Requests for any number of URLs; all are valid before the first is sent."""
    given = urls if isinstance(urls, Iterable) and not isinstance(urls, str) else [urls]
    distinct = distinct_urls(given)
    refuse_unknown_fields("an extract", ExtractRequest, fields)
    if "search_queries" in fields:
        fields["search_queries"] = as_queries(fields["search_queries"])
    requests = [
        ExtractRequest.from_settings(settings, urls=distinct[start : start + MAX_URLS], **fields)
        for start in range(0, max(1, len(distinct)), MAX_URLS)  # without any URL: refused
    ]
    total = requests[0].max_chars_total
    if total is not None and requests[0].full_content and settings.split == "page":
        raise InvalidArgumentError(
            f"max_chars_total={total} bounds excerpts, not whole pages: give "
            "max_chars_per_result=, or full_content=False",
            field="max_chars_total",
        )
    return [_bounded(request) for request in requests]


def _bounded(request: ExtractRequest) -> ExtractRequest:
    """The request with its limit for a page's excerpts as that for the whole page, too.

    Of a page that is read whole nothing else is shown.
    """
    limit = request.max_chars_per_result
    if request.full_content is not True or limit is None:
        return request
    whole = FullContentSettings(max_chars_per_result=limit)
    return request.model_copy(update={"full_content": whole})


@dataclass(frozen=True)
class FailedCall:
    """One call of several that failed, for which none of the others is given up."""

    request: ExtractRequest
    error: ParallelError

    @property
    def errors(self) -> list[ExtractError]:
        """The failure, of each page that the call was to read."""
        kind = type(self.error).__name__
        return [
            ExtractError(url=url, error_type=kind, content=str(self.error))
            for url in self.request.urls
        ]


CallOutcome: TypeAlias = ExtractResponse | FailedCall


def read_pages(
    client: ParallelClient, requests: Sequence[ExtractRequest], max_concurrency: int
) -> Iterator[CallOutcome]:
    """Send extracts in threads, at most `max_concurrency` ahead; give the outcomes in order.

    Raises:
        ParallelError: No thread can be started.
    """

    def read(request: ExtractRequest) -> CallOutcome:
        try:
            return client.run(extract(request))
        except ParallelError as error:
            return FailedCall(request, error)

    if max_concurrency == 1 or len(requests) == 1:
        yield from map(read, requests)
        return
    with ThreadPoolExecutor(max_concurrency) as pool:
        waiting: list[Future[CallOutcome]] = []
        for request in requests:
            try:
                waiting.append(pool.submit(read, request))
            except RuntimeError as error:
                pool.shutdown(cancel_futures=True)
                raise ParallelError(
                    f"No thread can be started for reading pages ({error}): raise the "
                    "process's limit, or set max_concurrency=1, which needs none."
                ) from error
            if len(waiting) >= max_concurrency:
                yield waiting.pop(0).result()
        for one in waiting:
            yield one.result()


async def aread_pages(
    client: ParallelClient, requests: Sequence[ExtractRequest], max_concurrency: int
) -> AsyncGenerator[CallOutcome, None]:
    """Send extracts as tasks, at most `max_concurrency` ahead; give the outcomes in order."""

    async def read(request: ExtractRequest) -> CallOutcome:
        try:
            return await client.arun(extract(request))
        except ParallelError as error:
            return FailedCall(request, error)

    waiting: list[asyncio.Task[CallOutcome]] = []
    try:
        for request in requests:
            waiting.append(asyncio.create_task(read(request)))
            if len(waiting) >= max_concurrency:
                yield await waiting.pop(0)
        while waiting:
            yield await waiting.pop(0)
    finally:
        # A task that nobody awaits would go on, be billed, and log its error at exit.
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def warn_unread(error: ExtractError) -> None:
    """Issue a warning for a page that could not be read: the default of `on_error`."""
    warnings.warn(f"A page could not be read: {error}", stacklevel=2)


class PageReading:
    """Turns the outcomes of one reading into documents, and accounts for every page."""

    def __init__(
        self, settings: DocumentSettings, on_error: Callable[[ExtractError], object]
    ) -> None:
        self._settings = settings
        self._on_error = on_error
        self._names: set[str] = set()
        self._failed: list[ExtractError] = []
        self._failed_calls: list[FailedCall] = []
        self._has_response = False

    def documents(self, outcome: CallOutcome) -> Iterator[PageDocument]:
        """Report what could not be read to `on_error`, then give the documents of a call."""
        if isinstance(outcome, FailedCall):
            self._failed_calls.append(outcome)
            if self._has_response:
                self._report(outcome.errors)
            return
        if not self._has_response:
            # Only now is the failure of the calls before one of some pages, and not of all.
            self._has_response = True
            for failed in self._failed_calls:
                self._report(failed.errors)
        self._report(outcome.errors)
        documents = list(self._settings.documents_of(outcome.results))
        with_text = {normalized_url(document.metadata["url"]) for document in documents}
        self._report(
            ExtractError(url=page.url, error_type=NO_TEXT, content="the page holds no text")
            for page in outcome.results
            if normalized_url(page.url) not in with_text
        )
        for document in documents:
            if document.name not in self._names:
                self._names.add(document.name)
                yield document

    def finish(self) -> None:
        """Raise a `ParallelError` if there is no document: the calls' own where each failed."""
        if self._failed_calls and not self._has_response:
            raise self._failed_calls[0].error
        if self._failed and not self._names:
            raise unreadable(self._failed)

    def _report(self, errors: Iterable[ExtractError]) -> None:
        for error in errors:
            self._failed.append(error)
            self._on_error(error)


class PageReader(PacedAdapter, ExtractSettings, DocumentSettings):
    """What reads any number of pages, in both frameworks."""

    max_concurrency: int = Field(default=MAX_CONCURRENCY, ge=1)
    """How many calls at once, 4 by default; 1 needs no threads."""
    on_error: Annotated[Callable[[ExtractError], object], WithJsonSchema(NO_JSON)] = Field(
        default_factory=lambda: warn_unread, exclude=True, repr=False
    )
    """Called with the `ExtractError` of each page that is not given; a warning by default. Not part
    of serialization.
    """

    def pages(self, requests: Sequence[ExtractRequest]) -> Iterator[PageDocument]:
        """The pages of some requests, in their order, as they are read."""
        reading = PageReading(self, self.on_error)
        for outcome in read_pages(self.resolved_client(), requests, self.max_concurrency):
            yield from reading.documents(outcome)
        reading.finish()

    async def apages(
        self, requests: Sequence[ExtractRequest]
    ) -> AsyncGenerator[PageDocument, None]:
        """The pages of some requests, awaiting."""
        reading = PageReading(self, self.on_error)
        outcomes = aread_pages(self.resolved_client(), requests, self.max_concurrency)
        # Closed here: left to the collector, calls that nobody awaits would go on and be billed.
        async with aclosing(outcomes):
            async for outcome in outcomes:
                for document in reading.documents(outcome):
                    yield document
        reading.finish()


def unreadable(failed: Sequence[ExtractError], max_chars: int | None = None) -> ParallelError:
    """The error for pages none of which could be read."""
    reasons = "; ".join(one_line(str(each)) for each in failed)
    reasons = reasons if max_chars is None else truncated(reasons, max_chars)
    return ParallelError(
        f"No page could be read: {reasons}. Try other URLs, or search for the content."
    )
