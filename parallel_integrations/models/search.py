"""Search: request and response (docs/reference/facts.md, 5)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import Field, model_validator

from parallel_integrations._documents.queries import derive_queries
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._bodies import flattened
from parallel_integrations.models.fields import FoundUrl, Items
from parallel_integrations.models.notebook import pages_html
from parallel_integrations.models.pages import (
    OLDER_BETA,
    Objective,
    PageResult,
    PageSettings,
    PagesResponse,
    Queries,
)
from parallel_integrations.models.policies import Country, SourcePolicy
from parallel_integrations.models.prices import search_skus
from parallel_integrations.models.shared import ApiVersion, RequestModel

MAX_RESULTS: Final = 40
DEFAULT_RESULTS: Final = 10
NumResults: TypeAlias = Annotated[int, Field(ge=1, le=MAX_RESULTS)]

_V1_MODES: Final = {"one-shot": "basic", "agentic": "advanced"}
_V1BETA_MODES: Final = {"turbo": "fast", "basic": "one-shot", "advanced": "agentic"}
_CHEAPER_MODES: Final = frozenset({"basic", "fast", "turbo", "one-shot"})
_PROCESSOR_MODES: Final = {"base": "basic", "pro": "advanced"}
_EXCERPT_LIMITS: Final = {name: name for name in ("max_chars_per_result", "max_chars_total")}
_ADVANCED: Final = {
    name: name
    for name in ("max_results", "location", "source_policy", "fetch_policy", "excerpt_settings")
}
_OF_BODIES: Final = frozenset({"advanced_settings", "excerpt_settings", "excerpts", "processor"})


class SearchSettings(PageSettings):
    """Settings of search that a developer fixes once for all requests."""

    mode: str | None = Field(default=None, min_length=1)
    """`basic`, `advanced` (the API's default), `turbo` or `fast`; newer ones pass through."""
    location: Country | None = None
    """ISO 3166 alpha-2 code of the country to search from, e.g. `us`."""
    source_policy: SourcePolicy | None = None
    """Which sources may be used, and how old they may be."""


class SearchRequest(SearchSettings, RequestModel):
    """One search. Given only an objective, the queries are derived from it without any model.

    A body as documented is read too, of each generation: `advanced_settings={…}`, `excerpts={…}`,
    `processor="base"`.

    Raises:
        InvalidArgumentError: Neither objective nor queries, or a value past its limit.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SearchRequest
        from parallel_integrations.api import search

        response = ParallelClient().run(search(SearchRequest(objective="What is a decorator?")))
        print(response.results[0].url)
        ```
    """

    older_path: ClassVar[str] = "/v1beta/search"
    api_defaults: ClassVar[frozenset[str]] = frozenset({"max_results"})

    objective: Objective | None = Field(
        default=None,
        description="What you want to find out, in natural language, with any guidance on sources "
        "or freshness.",
    )
    """What is wanted, in natural language; at most 5000 characters."""
    search_queries: Queries | None = Field(
        default=None,
        description="Three different keyword queries of 3-6 words each that together cover the "
        "objective.",
    )
    """1 to 5 keyword queries of 3-6 words, at most 200 characters each."""
    max_results: NumResults = DEFAULT_RESULTS
    """1 to 40 results; 10 are included in a search's price."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not _OF_BODIES & values.keys():
            return values
        values = flattened(values, "advanced_settings", _ADVANCED)
        values = flattened(values, "excerpt_settings", _EXCERPT_LIMITS)
        values = flattened(values, "excerpts", _EXCERPT_LIMITS)
        values = dict(values)
        if (processor := values.pop("processor", None)) is None:
            return values
        if not isinstance(processor, str) or processor not in _PROCESSOR_MODES:
            raise InvalidArgumentError(
                f"processor={processor!r:.100} must be 'base' or 'pro', as in the oldest bodies; "
                "newer ones have mode= instead",
                field="processor",
            )
        mode = values.get("mode")
        if mode is None:
            return {**values, "mode": _PROCESSOR_MODES[processor]}
        if isinstance(mode, str) and _processor(mode) != processor:
            raise ValueError(
                f"mode={mode!r} and processor={processor!r} are two names of one field and differ: "
                "give one of them"
            )
        return values

    @model_validator(mode="after")
    def _something_is_given(self) -> "SearchRequest":
        if self.search_queries is None:
            if self.objective is None:
                raise ValueError(
                    "give an objective, search_queries, or both: there is nothing to search for"
                )
            self.search_queries = derive_queries(self.objective)
            # The older generations demand none, and get what was given.
            self.model_fields_set.discard("search_queries")
        return self

    def betas(self, version: ApiVersion) -> tuple[str, ...]:
        """The older generations' own value."""
        return () if version == "v1" else (OLDER_BETA,)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body for one generation of the wire."""
        flat = self.dumped()
        if version == "v1":
            return _v1_body(flat)
        if "search_queries" not in self.model_fields_set:
            del flat["search_queries"]
        return _v1beta_body(flat) if version == "v1beta" else _processor_body(flat)

    def skus(self, version: ApiVersion) -> Mapping[str, int]:
        """A search by its mode, and the results beyond those that its price includes."""
        mode = None if version == "v1beta-processor" else self.mode  # only newer ones know `fast`
        return search_skus(mode, self.max_results)


class SearchResult(PageResult):
    """One ranked page of a search.

    Attributes:
        rank: Its place among the results, from 1, where the wire says so: only the older
            quickstart's responses do (docs/reference/facts.md, 20); the results are in that order.
        metadata: What those responses say about the page besides, such as `site_name` and
            `language`.
    """

    url: FoundUrl
    rank: int | None = None
    metadata: dict[str, Any] | None = None


class SearchResponse(PagesResponse):
    """The response to a search.

    Attributes:
        results: Pages, best first.
        search_id: The API's id of this search, where given.
        objective: The request's objective, where the wire repeats it, as the older quickstart's
            responses do.
        search_queries: The request's queries, where the wire repeats them.
    """

    results: Items[SearchResult]
    search_id: str | None = None
    objective: str | None = None
    search_queries: list[str] | None = None

    def _repr_html_(self) -> str:
        return pages_html(self.results)


def _v1_body(flat: dict[str, Any]) -> dict[str, Any]:
    advanced = _moved(flat, "max_results", "location", "source_policy", "fetch_policy")
    if "max_chars_per_result" in flat:
        advanced["excerpt_settings"] = _moved(flat, "max_chars_per_result")
    if advanced:
        flat["advanced_settings"] = advanced
    return _with_mode(flat, _V1_MODES)


def _v1beta_body(flat: dict[str, Any]) -> dict[str, Any]:
    excerpts = _moved(flat, "max_chars_per_result", "max_chars_total")
    if excerpts:
        flat["excerpts"] = excerpts
    return _with_mode(flat, _V1BETA_MODES)


def _with_mode(flat: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    if "mode" in flat:  # a newer one passes through
        flat["mode"] = names.get(flat["mode"], flat["mode"])
    return flat


def _processor_body(flat: dict[str, Any]) -> dict[str, Any]:
    flat["processor"] = _processor(flat.pop("mode", None))
    return flat


def _processor(mode: str | None) -> str:
    return "base" if mode in _CHEAPER_MODES else "pro"


def _moved(flat: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: flat.pop(name) for name in names if name in flat}
