"""Search results as plain dicts, in the shape that other search tools gave and agents expect."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from parallel_integrations._documents.evidence import (
    PAGES,
    merged,
    normalized_url,
    truncated,
    web_address,
)
from parallel_integrations._protocol.flow import Flow
from parallel_integrations.api import extract, search
from parallel_integrations.errors import ArgumentTypeError, ParallelError
from parallel_integrations.models.extract import MAX_URLS, ExtractRequest, ExtractResponse
from parallel_integrations.models.pages import EXCERPT_SEPARATOR, PageResult
from parallel_integrations.models.search import SearchRequest, SearchResponse
from parallel_integrations.models.shared import ApiVersion


def as_results(
    response: SearchResponse | ExtractResponse | Iterable[PageResult], max_chars: int | None = None
) -> dict[str, Any]:
    """The pages of a search or an extract as `{"results": [...]}`, best first.

    Each result has `title` (host and path of the url where the page has none), `url`, `content`
    (the excerpts), `raw_content` (the whole page where it was read, else None), `score`
    (1 / (1 + rank): which came first, not how similar it is) and `published_at` (ISO 8601 or None).
    Pages without text are left out; two hits on a page are one result.

    Args:
        response: What `search` or `extract` gave, or its pages.
        max_chars: Most characters of `content` and `raw_content` together; each result gets an
            equal share.

    Raises:
        ArgumentTypeError: It is something else.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SearchRequest, as_results
        from parallel_integrations.api import search

        with ParallelClient() as client:
            found = as_results(client.run(search(SearchRequest(objective="What is a closure?"))))
        for result in found["results"]:
            print(result["title"], result["url"], result["content"][:60])
        ```
    """
    given = response.results if isinstance(response, SearchResponse | ExtractResponse) else response
    pages = [*given] if isinstance(given, Iterable) else [given]
    if not all(isinstance(page, PageResult) for page in pages):
        raise ArgumentTypeError(
            "response must be what a search or an extract gave, or its results, not "
            f"{type(response).__name__}"
        )
    results: list[dict[str, Any]] = []
    for url, hits in merged(pages).items():
        excerpts = _joined(excerpt for page in hits for excerpt in page.excerpts)
        whole = _joined(filter(None, (getattr(page, "full_content", None) for page in hits)))
        if not (excerpts or whole).strip():
            continue
        metadata = PAGES.metadata_of(hits)
        results.append(
            {
                "title": metadata["title"] or url,
                "url": metadata["url"],
                "content": excerpts or whole,
                "raw_content": whole or None,
                "score": 1 / (1 + len(results)),
                "published_at": metadata["published_at"],
            }
        )
    if max_chars is not None:
        _fit(results, max_chars)
    return {"results": results}


def search_results(
    query: str, *, include_raw_content: bool = False, **settings: Any
) -> Flow[dict[str, Any]]:
    """Search, as an operation whose result is that of `as_results` with the query beside it.

    Args:
        query: The question, at most 5000 characters.
        include_raw_content: True reads the pages found as a whole (an extract each) and puts them
            into `raw_content`. What cannot be read stays None and is named, with the reason, in
            `failed_results`: the results of the search are paid for.
        **settings: `search_queries`, `max_results` and the other fields of `SearchRequest`.

    Raises:
        ParallelError: From the client, when the search fails.
        InvalidArgumentError: A value past its limit, before anything is sent.

    Example:
        ```python
        from parallel_integrations import ParallelClient, search_results

        client = ParallelClient()


        def internet_search(query: str, max_results: int = 5, include_raw_content: bool = False):
            operation = search_results(
                query, max_results=max_results, include_raw_content=include_raw_content
            )
            return client.run(operation)  # await client.arun(operation) where it must not block


        print(internet_search("What is a closure?")["results"][0]["title"])
        ```
    """
    fields = {"objective": query, "include_raw_content": include_raw_content, **settings}
    return _search(_ResultsRequest(**fields))


class _ResultsRequest(SearchRequest):
    """A search after which the pages may be read."""

    include_raw_content: bool = Field(default=False, exclude=True)

    def max_skus(self, version: ApiVersion) -> dict[str, int]:
        """The search, and an extract of each page that it may find."""
        reading = {"extract": self.max_results} if self.include_raw_content else {}
        return {**self.skus(version), **reading}


def _search(request: _ResultsRequest) -> Flow[dict[str, Any]]:
    pages: list[PageResult] = [*(yield from search(request)).results]
    query, found = request.objective, as_results(pages)
    if not request.include_raw_content:
        return {"query": query, **found}
    urls = [each["url"] for each in found["results"] if web_address(each["url"])]
    reasons: dict[str, str] = {}
    for start in range(0, len(urls), MAX_URLS):
        batch = urls[start : start + MAX_URLS]
        reading = ExtractRequest.from_settings(request, urls=batch, full_content=True)
        try:
            response = yield from extract(reading)
        except ParallelError as error:
            reasons |= dict.fromkeys(batch, str(error))
        else:
            reasons |= {error.url: str(error) for error in response.errors}
            wanted = set(map(normalized_url, batch))
            pages += [
                # The search has given the excerpts already.
                page.model_copy(update={"excerpts": []})
                for page in response.results
                if normalized_url(page.url) in wanted
            ]
    found = as_results(pages)
    failed = [
        {"url": each["url"], "error": reasons.get(each["url"], "No text of the page came back.")}
        for each in found["results"]
        if each["raw_content"] is None
    ]
    return {"query": query, **found, "failed_results": failed}


def _joined(texts: Iterable[str]) -> str:
    return EXCERPT_SEPARATOR.join(dict.fromkeys(texts))


def _fit(results: list[dict[str, Any]], max_chars: int) -> None:
    texts = [(each, name) for each in results for name in ("content", "raw_content") if each[name]]
    left = max_chars
    for number, (result, name) in enumerate(texts):
        # A text that needs less than its share leaves the rest to those after it.
        result[name] = truncated(result[name], left // (len(texts) - number))
        left -= len(result[name])
