"""Extract: ``/v1/extract`` and the older ``/v1beta/extract``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import (
    ExcerptSettings,
    FetchPolicy,
    FullContentSettings,
    OlderExcerptSettings,
    OlderPagesBody,
    PagesBody,
    Queries,
    Strict,
    per_result,
    published,
    shares,
    warning,
)
from parallel_integrations.sandbox.state.ledger import EXTRACT_USD, Entry
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.crawled import excerpt, full_text, missing
from parallel_integrations.sandbox.web.passages import Span, choose, cut_at

FOCUSED_CHARS = 20_000
"""Characters of an excerpt when an objective or queries say what matters."""
UNFOCUSED_CHARS = 200_000
"""Characters of the whole page, which is the excerpt when nothing does."""
PLAIN_FOCUSED_CHARS, PLAIN_UNFOCUSED_CHARS = 3000, 10_000
"""The same where pages are clean."""
UNFOCUSED = (
    "Neither objective nor search_queries were provided, provide at least one to increase the "
    "relevance of excerpts."
)


class AdvancedSettings(Strict):
    """``advanced_settings`` of a v1 extract."""

    fetch_policy: FetchPolicy | None = None
    excerpt_settings: ExcerptSettings | None = None
    full_content: bool | FullContentSettings = False


class ExtractBody(PagesBody):
    """Body of a v1 extract."""

    urls: Annotated[list[str], Field(min_length=1, max_length=20)]
    search_queries: Queries | None = None
    advanced_settings: AdvancedSettings | None = None


class OlderExtractBody(OlderPagesBody):
    """Body of a v1beta extract."""

    urls: Annotated[list[str], Field(min_length=1, max_length=10)]
    objective: Annotated[str, StringConstraints(max_length=3000)] | None = None
    excerpts: bool | OlderExcerptSettings = True
    full_content: bool | FullContentSettings = False


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
        chars_per_result=per_result(
            (settings.excerpt_settings or ExcerptSettings()).max_chars_per_result
        ),
        chars_total=body.max_chars_total,
        excerpts=True,
        full_content=settings.full_content,
    )
    response = extracted(call.state, given)
    response["session_id"] = body.session_id or call.state.ids.next("session")
    await call.pause(call.state.waiting.extract_seconds)
    return Result(response, bill=_bill(len(response["results"])))


async def older_extract(call: Call) -> Result:
    """Handle ``POST /v1beta/extract``."""
    body = call.parse(OlderExtractBody)
    settings = body.excerpts if isinstance(body.excerpts, OlderExcerptSettings) else None
    given = ExtractInput(
        urls=body.urls,
        texts=[*(body.search_queries or []), body.objective or ""],
        chars_per_result=per_result(settings.max_chars_per_result) if settings else None,
        chars_total=settings.max_chars_total if settings else None,
        excerpts=body.excerpts is not False,
        full_content=body.full_content,
    )
    response = extracted(call.state, given)
    await call.pause(call.state.waiting.extract_seconds)
    return Result(response, bill=_bill(len(response["results"])))


def extracted(state: State, given: ExtractInput) -> dict[str, Any]:
    """Return the pages of an extract and what could not be read, as v1 responses carry them."""
    pages: list[tuple[str, Page]] = []
    errors = []
    for url in given.urls:
        page = state.corpus.get(url)
        # A site that is there has something to show at every address, with status 200.
        if page is None and not state.clean and state.corpus.has_site(url):
            page = missing(url)
        if page is None:
            # One page that is missing costs none of the others.
            errors.append(_error(url))
        else:
            pages.append((url, page))
    ranked = [_ranked(state, given, page) for _, page in pages]
    each = given.chars_per_result or _chars(focused=given.focused, plain=state.clean)
    wanted = [
        len(page.before) + len(page.after) + sum(end - start for start, end in spans)
        for (_, page), spans in zip(pages, ranked, strict=True)
    ]
    # Titles of sections add to the passages.
    wanted = [2 * want for want in wanted]
    results = []
    for (url, page), spans, limit in zip(
        pages, ranked, shares(given.chars_total, each, wanted), strict=True
    ):
        result: dict[str, Any] = {
            "url": url,
            "title": page.title,
            "publish_date": published(page),
            "excerpts": _excerpts(page, spans, limit, plain=state.clean)
            if given.excerpts
            else None,
            "full_content": _full_content(page, given.full_content),
        }
        results.append(result)
    return {
        "extract_id": state.ids.next("extract"),
        "results": results,
        "errors": errors,
        "warnings": None if given.focused else [warning(UNFOCUSED, "warning")],
        "usage": _usage(given, len(results)),
    }


def _chars(*, focused: bool, plain: bool) -> int:
    if plain:
        return PLAIN_FOCUSED_CHARS if focused else PLAIN_UNFOCUSED_CHARS
    return FOCUSED_CHARS if focused else UNFOCUSED_CHARS


def _ranked(state: State, given: ExtractInput, page: Page) -> tuple[Span, ...]:
    whole = ((0, len(page.text)),)
    # A site's page for what it does not have is in no index.
    if not given.focused or page not in state.corpus:
        return whole
    # A page that says nothing about the objective is still the page that was requested.
    return state.index.passages(given.texts, page) or whole


def _excerpts(page: Page, spans: tuple[Span, ...], limit: int, *, plain: bool) -> list[str]:
    if plain:
        return [page.text[start:end] for start, end in choose(page.text, spans, limit)]
    text = excerpt(page, spans, limit)
    return [text] if text else []


def _full_content(page: Page, given: bool | FullContentSettings) -> str | None:  # noqa: FBT001
    if given is False:
        return None
    limit = given.max_chars_per_result if isinstance(given, FullContentSettings) else None
    text = full_text(page)
    return text if limit is None else text[: cut_at(text, 0, limit)]


def _error(url: str) -> dict[str, Any]:
    return {"url": url, "error_type": "fetch_error", "http_status_code": None, "content": None}


def _usage(given: ExtractInput, count: int) -> list[dict[str, Any]]:
    # What could not be read costs nothing.
    names = ["sku_extract_excerpts"] if given.excerpts else []
    names += ["sku_extract_full"] if given.full_content is not False else []
    return [{"name": name, "count": count} for name in names if count]


def _bill(count: int) -> Entry | None:
    return Entry("extract", round(EXTRACT_USD * count, 6), units=count) if count else None


OPERATIONS = (
    Operation("extract", "POST", "/v1/extract", extract),
    Operation("extract", "POST", "/v1beta/extract", older_extract),
)
