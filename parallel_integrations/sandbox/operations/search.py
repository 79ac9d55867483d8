"""Search: ``/v1/search`` and the older ``/v1beta/search``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import (
    ExcerptSettings,
    FetchPolicy,
    Loose,
    Objective,
    OlderQueries,
    Queries,
    SessionId,
    SourcePolicy,
    Strict,
    per_result,
    policy_warnings,
    published,
    shares,
)
from parallel_integrations.sandbox.state.ledger import INCLUDED_RESULTS, Entry, search_usd
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.domains import allowed, split_url
from parallel_integrations.sandbox.web.index import Hit
from parallel_integrations.sandbox.web.passages import Span, choose

EXCERPT_CHARS = 1500
"""Characters of excerpts per result, unless the request says otherwise."""
SEED_BETA = "search-extract-2025-10-10"
"""With this `parallel-beta` header the older search responds in its first, richer shape."""

MaxResults = Annotated[int, Field(ge=1, le=40)]
MaxChars = Annotated[int, Field(ge=0)]


class AdvancedSettings(Strict):
    """``advanced_settings`` of a v1 search."""

    source_policy: SourcePolicy | None = None
    fetch_policy: FetchPolicy | None = None
    excerpt_settings: ExcerptSettings | None = None
    location: str | None = None
    max_results: MaxResults | None = None


class SearchBody(Strict):
    """Body of a v1 search."""

    search_queries: Queries
    objective: Objective | None = None
    mode: Literal["basic", "advanced", "turbo", "fast"] | None = None
    max_chars_total: MaxChars | None = None
    session_id: SessionId | None = None
    client_model: str | None = None
    advanced_settings: AdvancedSettings | None = None


class OlderExcerptSettings(Loose):
    """``excerpts`` of the older search and extract."""

    max_chars_per_result: int | None = None
    max_chars_total: MaxChars | None = None


class OlderSearchBody(Loose):
    """Body of a v1beta search; keys it does not know are ignored."""

    objective: Objective | None = None
    search_queries: OlderQueries | None = None
    mode: Literal["one-shot", "agentic", "fast"] | None = None
    processor: Literal["base", "pro"] | None = None
    max_results: MaxResults | None = None
    max_chars_per_result: int | None = None
    excerpts: OlderExcerptSettings = OlderExcerptSettings()
    source_policy: SourcePolicy | None = None
    fetch_policy: FetchPolicy | None = None
    location: str | None = None
    session_id: SessionId | None = None
    client_model: str | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "OlderSearchBody":
        if not (self.objective or "").strip() and not self.search_queries:
            raise ValueError("one of objective and search_queries is required")
        return self


@dataclass(frozen=True, slots=True)
class SearchInput:
    """The input of a search, the same for both generations."""

    texts: Sequence[str]
    mode: str
    max_results: int
    chars_per_result: int
    chars_total: int | None
    policy: SourcePolicy | None
    location: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A hit and the passages of it that fit the limits."""

    hit: Hit
    spans: Sequence[Span]


async def search(call: Call) -> Result:
    """Handle ``POST /v1/search``."""
    body = call.parse(SearchBody)
    settings = body.advanced_settings or AdvancedSettings()
    excerpts = settings.excerpt_settings or ExcerptSettings()
    given = SearchInput(
        texts=[*body.search_queries, body.objective or ""],
        mode=body.mode or "advanced",
        max_results=settings.max_results or INCLUDED_RESULTS,
        chars_per_result=per_result(excerpts.max_chars_per_result, EXCERPT_CHARS),
        chars_total=body.max_chars_total,
        policy=settings.source_policy,
        location=settings.location,
    )
    return Result(
        {
            "search_id": call.state.ids.next("search"),
            "results": [result(found) for found in find(call.state, given)],
            "session_id": body.session_id or call.state.ids.next("session"),
            **_remarks(given),
        },
        bill=_bill(given),
    )


async def older_search(call: Call) -> Result:
    """Handle ``POST /v1beta/search``, in the shape its `parallel-beta` header asks for."""
    body = call.parse(OlderSearchBody)
    given = SearchInput(
        texts=[*(body.search_queries or []), body.objective or ""],
        mode=body.mode or {"pro": "agentic"}.get(body.processor or "", "one-shot"),
        max_results=body.max_results or INCLUDED_RESULTS,
        chars_per_result=per_result(
            body.excerpts.max_chars_per_result or body.max_chars_per_result, EXCERPT_CHARS
        ),
        chars_total=body.excerpts.max_chars_total,
        policy=body.source_policy,
        location=body.location,
    )
    results = find(call.state, given)
    # The same path is documented with two response shapes; the header decides.
    betas = call.request.headers.get("parallel-beta", "").split(",")
    response: dict[str, Any]
    if SEED_BETA in (beta.strip() for beta in betas):
        response = {
            "objective": body.objective,
            "search_queries": body.search_queries,
            "results": [_seed_result(rank, each) for rank, each in enumerate(results, 1)],
        }
    else:
        response = {
            "search_id": call.state.ids.next("search"),
            "results": [result(found) for found in results],
            **_remarks(given),
        }
    return Result(response, bill=_bill(given))


def find(state: State, given: SearchInput) -> list[Found]:
    """Return the pages found and the excerpts that fit."""
    policy = given.policy or SourcePolicy()
    hits = state.index.search(
        given.texts,
        limit=given.max_results,
        accept=lambda page: allowed(
            page, policy.include_domains, policy.exclude_domains, policy.after
        ),
    )
    # What a page cannot use of its share goes to the others, so the total is used up.
    wanted = [sum(end - start for start, end in hit.passages) for hit in hits]
    limits = shares(given.chars_total, given.chars_per_result, wanted)
    return [
        Found(hit, choose(hit.page.text, hit.passages, limit))
        for hit, limit in zip(hits, limits, strict=True)
    ]


def result(found: Found) -> dict[str, Any]:
    """Return a page as v1 responses carry it."""
    page = found.hit.page
    return {
        "url": page.url,
        "title": page.title,
        "publish_date": published(page),
        "excerpts": [page.text[start:end] for start, end in found.spans],
    }


def _seed_result(rank: int, found: Found) -> dict[str, Any]:
    page = found.hit.page
    day = published(page)
    return {
        "rank": rank,
        "url": page.url,
        "title": page.title,
        "published_at": f"{day}T00:00:00Z" if day else None,
        "excerpts": [
            {"text": page.text[start:end], "source": page.url, "start_char": start, "end_char": end}
            for start, end in found.spans
        ],
        "metadata": {"site_name": split_url(page.url).hostname, "language": page.language},
    }


def _remarks(given: SearchInput) -> dict[str, Any]:
    usage = [{"name": "sku_search", "count": 1}]
    extra = given.max_results - INCLUDED_RESULTS
    if extra > 0:
        usage.append({"name": "sku_search_additional_results", "count": extra})
    return {"warnings": policy_warnings(given.policy, given.location) or None, "usage": usage}


def _bill(given: SearchInput) -> Entry:
    return Entry("search", search_usd(given.mode, given.max_results), given.mode)


OPERATIONS = (
    Operation("search", "POST", "/v1/search", search, ref_kind="search"),
    Operation("search", "POST", "/v1beta/search", older_search, ref_kind="search"),
)
