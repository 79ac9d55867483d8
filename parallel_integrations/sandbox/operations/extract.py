"""Extract: ``/v1/extract`` and the older ``/v1beta/extract``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.search import MaxChars, OlderExcerptSettings
from parallel_integrations.sandbox.operations.shared import (
    ExcerptSettings,
    FetchPolicy,
    FullContentSettings,
    Loose,
    Objective,
    OlderQueries,
    Queries,
    SessionId,
    Strict,
    per_result,
    published,
    shares,
    warning,
)
from parallel_integrations.sandbox.state.ledger import EXTRACT_USD, Entry
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.domains import split_url
from parallel_integrations.sandbox.web.passages import Span, choose, cut_at

FOCUSED_CHARS = 3000
"""Characters of excerpts per page when an objective or queries say what matters."""
UNFOCUSED_CHARS = 10_000
"""Characters of the page's beginning that stand in for excerpts when nothing does."""


class AdvancedSettings(Strict):
    """``advanced_settings`` of a v1 extract."""

    fetch_policy: FetchPolicy | None = None
    excerpt_settings: ExcerptSettings | None = None
    full_content: bool | FullContentSettings = False


class ExtractBody(Strict):
    """Body of a v1 extract."""

    urls: Annotated[list[str], Field(min_length=1, max_length=20)]
    objective: Objective | None = None
    search_queries: Queries | None = None
    max_chars_total: MaxChars | None = None
    session_id: SessionId | None = None
    client_model: str | None = None
    advanced_settings: AdvancedSettings | None = None


class OlderExtractBody(Loose):
    """Body of a v1beta extract; keys it does not know are ignored."""

    urls: Annotated[list[str], Field(min_length=1, max_length=10)]
    objective: Annotated[str, StringConstraints(max_length=3000)] | None = None
    search_queries: OlderQueries | None = None
    fetch_policy: FetchPolicy | None = None
    excerpts: bool | OlderExcerptSettings = True
    full_content: bool | FullContentSettings = False
    session_id: SessionId | None = None
    client_model: str | None = None


@dataclass(frozen=True, slots=True)
class ExtractInput:
    """The input of an extract, the same for both generations."""

    urls: Sequence[str]
    texts: Sequence[str]
    chars_per_result: int | None
    chars_total: int | None
    excerpts: bool
    full_content: bool | FullContentSettings

    @property
    def focused(self) -> bool:
        """Whether the request says what matters."""
        return any(text.strip() for text in self.texts)


async def extract(call: Call) -> Result:
    """Handle ``POST /v1/extract``."""
    body = call.parse(ExtractBody)
    settings = body.advanced_settings or AdvancedSettings()
    given = ExtractInput(
        urls=body.urls,
        texts=[*(body.search_queries or []), body.objective or ""],
        chars_per_result=(settings.excerpt_settings or ExcerptSettings()).max_chars_per_result,
        chars_total=body.max_chars_total,
        excerpts=True,
        full_content=settings.full_content,
    )
    response = extracted(call.state, given)
    response["session_id"] = body.session_id or call.state.ids.next("session")
    return Result(response, bill=_bill(given))


async def older_extract(call: Call) -> Result:
    """Handle ``POST /v1beta/extract``."""
    body = call.parse(OlderExtractBody)
    settings = body.excerpts if isinstance(body.excerpts, OlderExcerptSettings) else None
    given = ExtractInput(
        urls=body.urls,
        texts=[*(body.search_queries or []), body.objective or ""],
        chars_per_result=settings.max_chars_per_result if settings else None,
        chars_total=settings.max_chars_total if settings else None,
        excerpts=body.excerpts is not False,
        full_content=body.full_content,
    )
    return Result(extracted(call.state, given), bill=_bill(given))


def extracted(state: State, given: ExtractInput) -> dict[str, Any]:
    """Return the pages of an extract and what could not be read, as v1 responses carry them."""
    pages: list[tuple[str, Page]] = []
    errors = []
    for url in given.urls:
        page = state.corpus.get(url)
        if page is None:
            # One page that is missing costs none of the others.
            errors.append(_error(url))
        else:
            pages.append((url, page))
    ranked = [_ranked(state, given, page) for _, page in pages]
    # An objective makes short excerpts; without one the excerpt is the beginning of the page.
    each = per_result(given.chars_per_result, FOCUSED_CHARS if given.focused else UNFOCUSED_CHARS)
    wanted = [sum(end - start for start, end in spans) for spans in ranked]
    results = []
    for (url, page), spans, limit in zip(
        pages, ranked, shares(given.chars_total, each, wanted), strict=True
    ):
        chosen = choose(page.text, spans, limit)
        result: dict[str, Any] = {
            "url": url,
            "title": page.title,
            "publish_date": published(page),
            "excerpts": [page.text[a:b] for a, b in chosen] if given.excerpts else None,
            "full_content": _full_content(page, given.full_content),
        }
        results.append(result)
    return {
        "extract_id": state.ids.next("extract"),
        "results": results,
        "errors": errors,
        "warnings": _warnings(given) or None,
        "usage": [{"name": "sku_extract_excerpts", "count": len(given.urls)}],
    }


def _ranked(state: State, given: ExtractInput, page: Page) -> Sequence[Span]:
    whole = ((0, len(page.text)),)
    if not given.focused:
        return whole
    # A page that says nothing about the objective is still the page that was requested.
    return state.index.passages(given.texts, page) or whole


def _full_content(page: Page, given: bool | FullContentSettings) -> str | None:  # noqa: FBT001
    if given is False:
        return None
    limit = given.max_chars_per_result if isinstance(given, FullContentSettings) else None
    return page.text if limit is None else page.text[: cut_at(page.text, 0, limit)]


def _error(url: str) -> dict[str, Any]:
    if not _is_web_address(url):
        status, content = None, "not an absolute http or https URL"
    else:
        status, content = 404, "the sandbox has no page at this address"
    return {
        "url": url,
        "error_type": "fetch_error",
        "http_status_code": status,
        "content": content,
    }


def _is_web_address(url: str) -> bool:
    parts = split_url(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _warnings(given: ExtractInput) -> list[dict[str, Any]]:
    if given.focused or not given.excerpts or given.full_content is False:
        return []
    return [warning("without objective and search_queries, excerpts only repeat the full content")]


def _bill(given: ExtractInput) -> Entry:
    count = len(given.urls)
    return Entry("extract", round(EXTRACT_USD * count, 6), units=count)


OPERATIONS = (
    Operation("extract", "POST", "/v1/extract", extract, ref_kind="extract"),
    Operation("extract", "POST", "/v1beta/extract", older_extract, ref_kind="extract"),
)
