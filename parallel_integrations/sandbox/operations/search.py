"""Search: ``/v1/search`` and the older ``/v1beta/search``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import (
    ExcerptSettings,
    FetchPolicy,
    Objective,
    OlderExcerptSettings,
    OlderPagesBody,
    PagesBody,
    Queries,
    SourcePolicy,
    Strict,
    per_result,
    policy_warnings,
    published,
    shares,
)
from parallel_integrations.sandbox.server.responses import RequestError
from parallel_integrations.sandbox.state.ledger import INCLUDED_RESULTS, Entry, search_usd
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.crawled import excerpt
from parallel_integrations.sandbox.web.domains import allowed, split_url
from parallel_integrations.sandbox.web.index import Hit
from parallel_integrations.sandbox.web.passages import Span, choose

LEADING_CHARS, FURTHER_CHARS = 10_000, 4_000
"""Characters of the excerpt of a leading result and of a further one, unless the request says
otherwise."""
LEADING_RESULTS = 5
PLAIN_CHARS = 1500
"""Characters of the excerpts of a result where pages are clean."""
QUICKSTART_BETA = "search-extract-2025-10-10"
"""With this header the older search responds in the quickstart's shape, where that is chosen."""

EMPTY_SEARCH = "Either 'objective' or 'search_queries' must be provided and non-empty"

MaxResults = Annotated[int, Field(ge=1, le=40)]


class AdvancedSettings(Strict):
    """``advanced_settings`` of a v1 search."""

    source_policy: SourcePolicy | None = None
    fetch_policy: FetchPolicy | None = None
    excerpt_settings: ExcerptSettings | None = None
    location: str | None = None
    max_results: MaxResults | None = None


class SearchBody(PagesBody):
    """Body of a v1 search."""

    search_queries: Queries
    mode: Literal["basic", "advanced", "turbo", "fast"] | None = None
    advanced_settings: AdvancedSettings | None = None


class OlderSearchBody(OlderPagesBody):
    """Body of a v1beta search."""

    objective: Objective | None = None
    mode: Literal["one-shot", "agentic", "fast"] | None = None
    processor: Literal["base", "pro"] | None = None
    max_results: MaxResults | None = None
    max_chars_per_result: int | None = None
    excerpts: OlderExcerptSettings = OlderExcerptSettings()
    source_policy: SourcePolicy | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class SearchInput:
    """The input of a search, the same for both generations."""

    texts: Sequence[str]
    mode: str
    max_results: int
    chars_per_result: int | None
    chars_total: int | None
    policy: SourcePolicy | None
    location: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A hit and what of it fits the limits.

    Attributes:
        spans: The passages of the excerpts, where each is an excerpt of its own.
    """

    hit: Hit
    excerpts: Sequence[str]
    spans: Sequence[Span] = ()


async def search(call: Call) -> Result:
    """Handle ``POST /v1/search``."""
    body = call.parse(SearchBody)
    settings = body.advanced_settings or AdvancedSettings()
    excerpts = settings.excerpt_settings or ExcerptSettings()
    given = SearchInput(
        texts=[*body.search_queries, body.objective or ""],
        mode=body.mode or "advanced",
        max_results=settings.max_results or INCLUDED_RESULTS,
        chars_per_result=per_result(excerpts.max_chars_per_result),
        chars_total=body.max_chars_total,
        policy=settings.source_policy,
        location=settings.location,
    )
    results = find(call.state, given)
    await call.pause(call.state.waiting.search_seconds(given.mode))
    response = {
        "search_id": call.state.ids.next("search"),
        "results": [result(found) for found in results],
        "session_id": body.session_id or call.state.ids.next("session"),
        "warnings": policy_warnings(given.policy, given.location) or None,
        "usage": _usage("sku_search_additional_results", len(results)),
    }
    return Result(response, bill=_bill(given, results))


async def older_search(call: Call) -> Result:
    """Handle ``POST /v1beta/search``."""
    body = call.parse(OlderSearchBody)
    if not (body.objective or "").strip() and not body.search_queries:
        raise RequestError(422, EMPTY_SEARCH)
    given = SearchInput(
        texts=[*(body.search_queries or []), body.objective or ""],
        mode=body.mode or {"pro": "agentic"}.get(body.processor or "", "one-shot"),
        max_results=body.max_results or INCLUDED_RESULTS,
        chars_per_result=per_result(
            body.excerpts.max_chars_per_result or body.max_chars_per_result
        ),
        chars_total=body.excerpts.max_chars_total,
        policy=body.source_policy,
        location=body.location,
    )
    await call.pause(call.state.waiting.search_seconds(given.mode))
    response: dict[str, Any]
    if call.state.quickstart and call.has_beta(QUICKSTART_BETA):
        results = find(call.state, given, plain=True)
        response = {
            "objective": body.objective,
            "search_queries": body.search_queries,
            "results": [_quickstart_result(rank, each) for rank, each in enumerate(results, 1)],
        }
    else:
        results = find(call.state, given)
        response = {
            "search_id": call.state.ids.next("search"),
            "results": [_older_result(found) for found in results],
            "usage": _usage("sku_extract_excerpts", len(results)),
        }
        # This generation leaves out what it has nothing to say in.
        if warnings := policy_warnings(given.policy, given.location):
            response["warnings"] = warnings
    return Result(response, bill=_bill(given, results))


def find(state: State, given: SearchInput, *, plain: bool = False) -> list[Found]:
    """Return the pages found and the excerpts that fit.

    Args:
        state: Holds the pages.
        given: What is searched for.
        plain: Whether the excerpts are passages of the pages' texts, whatever the pages are.
    """
    policy = given.policy or SourcePolicy()
    hits = state.index.search(
        given.texts,
        limit=given.max_results,
        accept=lambda page: allowed(
            page, policy.include_domains, policy.exclude_domains, policy.after
        ),
    )
    plain = plain or state.clean
    most = [_chars_of(rank, given.chars_per_result, plain=plain) for rank in range(len(hits))]
    # What a page cannot use of its share goes to the others, so the total is used up.
    wanted = [
        min(each, len(hit.page.after) + sum(end - start for start, end in hit.passages))
        for each, hit in zip(most, hits, strict=True)
    ]
    limits = shares(given.chars_total, max(most, default=0), wanted)
    return [_found(hit, limit, plain) for hit, limit in zip(hits, limits, strict=True)]


def _chars_of(rank: int, given: int | None, *, plain: bool) -> int:
    if given is not None:
        return given
    if plain:
        return PLAIN_CHARS
    return LEADING_CHARS if rank < LEADING_RESULTS else FURTHER_CHARS


def _found(hit: Hit, limit: int, plain: bool) -> Found:  # noqa: FBT001
    if plain:
        spans = choose(hit.page.text, hit.passages, limit)
        return Found(hit, [hit.page.text[start:end] for start, end in spans], spans)
    text = excerpt(hit.page, hit.passages, limit)
    return Found(hit, [text] if text else [])


def result(found: Found) -> dict[str, Any]:
    """Return a page as v1 responses carry it."""
    page = found.hit.page
    return {
        "url": page.url,
        "title": page.title,
        "publish_date": published(page),
        "excerpts": found.excerpts,
    }


def _older_result(found: Found) -> dict[str, Any]:
    return {name: value for name, value in result(found).items() if value is not None}


def _quickstart_result(rank: int, found: Found) -> dict[str, Any]:
    page = found.hit.page
    day = published(page)
    return {
        "rank": rank,
        "url": page.url,
        "title": page.title,
        "published_at": f"{day}T00:00:00Z" if day else None,
        "excerpts": [
            {"text": text, "source": "body", "start_char": start, "end_char": end}
            for text, (start, end) in zip(found.excerpts, found.spans, strict=True)
        ],
        "metadata": {"site_name": split_url(page.url).hostname, "language": page.language},
    }


def _usage(extra: str, results: int) -> list[dict[str, Any]]:
    usage = [{"name": "sku_search", "count": 1}]
    if results > INCLUDED_RESULTS:
        usage.append({"name": extra, "count": results - INCLUDED_RESULTS})
    return usage


def _bill(given: SearchInput, results: Sequence[Found]) -> Entry:
    return Entry("search", search_usd(given.mode, len(results)), given.mode)


OPERATIONS = (
    Operation("search", "POST", "/v1/search", search),
    Operation("search", "POST", "/v1beta/search", older_search),
)
