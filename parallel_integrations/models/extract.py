"""Extract: request and response (docs/reference/facts.md, 6)."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, AnyUrl, BeforeValidator, Field, model_validator

from parallel_integrations.models._bodies import flattened
from parallel_integrations.models.fields import FoundUrl, Items, Text
from parallel_integrations.models.notebook import pages_html
from parallel_integrations.models.pages import (
    OLDER_BETA,
    Objective,
    PageResult,
    PageSettings,
    PagesResponse,
    Queries,
)
from parallel_integrations.models.policies import one_as_list
from parallel_integrations.models.shared import ApiVersion, RequestModel, ResponseModel

MAX_URLS: Final = 20
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_EXCERPT_LIMITS: Final = {name: name for name in ("max_chars_per_result", "max_chars_total")}
_ADVANCED: Final = {name: name for name in ("fetch_policy", "excerpt_settings", "full_content")}


def _web_url(value: str) -> str:
    url = value.strip()
    scheme, separator, rest = url.partition("://")
    if scheme.lower() not in ("http", "https") or not separator or not rest.strip("/"):
        raise ValueError(
            f"{value!r} is not a web address; write it like 'https://example.com/page'"
        )
    if control := _CONTROL.search(url):
        raise ValueError(
            f"{value!r} holds {control[0]!r}, which stands in no web address; give several "
            "addresses as a list"
        )
    return url


def _url_object(value: Any) -> Any:
    return str(value) if isinstance(value, AnyUrl) else value


WebUrl = Annotated[str, BeforeValidator(_url_object), AfterValidator(_web_url)]


class FullContentSettings(RequestModel):
    """How much of a page's full text comes back."""

    max_chars_per_result: int | None = Field(default=None, ge=1)
    """Most characters of one page."""


class ExtractSettings(PageSettings):
    """Settings of extract that a developer fixes once for all requests."""

    full_content: bool | FullContentSettings = False
    """True for the whole page as markdown besides the excerpts, or how much of it."""


class ExtractRequest(ExtractSettings, RequestModel):
    """Pages to read.

    A body as documented is read too, of each generation: `advanced_settings={…}`, `excerpts={…}`.

    Raises:
        InvalidArgumentError: No URL, more than 20, something that is no URL, a limit passed.
    """

    older_path: ClassVar[str] = "/v1beta/extract"
    api_defaults: ClassVar[frozenset[str]] = frozenset({"full_content"})

    urls: Annotated[
        list[WebUrl], Field(min_length=1, max_length=MAX_URLS), BeforeValidator(one_as_list)
    ] = Field(description="1 to 20 web addresses to read.")
    """1 to 20 web addresses."""
    objective: Objective | None = Field(
        default=None, description="What you want to know from these pages."
    )
    """What is wanted from them; excerpts are chosen by it. At most 5000 characters."""
    search_queries: Queries | None = None
    """Keywords to choose excerpts by; at most 5 of 200 characters."""
    excerpts: bool | None = None
    """False for no excerpts, in the older generations only; v1 always gives some."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        values = flattened(values, "advanced_settings", _ADVANCED)
        values = flattened(values, "excerpt_settings", _EXCERPT_LIMITS)
        if isinstance(values, dict) and isinstance(values.get("excerpts"), dict):
            values = flattened(values, "excerpts", _EXCERPT_LIMITS)
        return values

    def betas(self, version: ApiVersion) -> tuple[str, ...]:
        """The older generations' own value."""
        return () if version == "v1" else (OLDER_BETA,)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body for one generation of the wire."""
        flat = self.dumped("excerpts")
        per_page = flat.pop("max_chars_per_result", None)
        excerpts = {} if per_page is None else {"max_chars_per_result": per_page}
        if version == "v1":
            advanced: dict[str, Any] = {"excerpt_settings": excerpts} if excerpts else {}
            for name in ("full_content", "fetch_policy"):
                if name in flat:
                    advanced[name] = flat.pop(name)
            return {**flat, "advanced_settings": advanced} if advanced else flat
        if "max_chars_total" in flat:
            excerpts["max_chars_total"] = flat.pop("max_chars_total")
        wanted = self.excerpts if self.excerpts is not None else excerpts or None
        return flat if wanted is None else {**flat, "excerpts": wanted}

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One for each URL."""
        return {"extract": len(self.urls)}


class ExtractResult(PageResult):
    """One page that could be read.

    Attributes:
        full_content: The whole page as markdown, where requested.
    """

    url: FoundUrl
    full_content: str | None = None

    @property
    def passages(self) -> Sequence[str]:
        """The whole page where it was requested, else its excerpts."""
        return [self.full_content] if self.full_content else self.excerpts


class ExtractError(ResponseModel):
    """One page that could not be read; the others are not affected.

    Attributes:
        error_type: Kind of failure, e.g. `fetch_error`.
        http_status_code: Status that the page's own server gave, where known.
        content: More about the failure, where given.
    """

    url: Text = ""
    error_type: Text = ""
    http_status_code: int | None = None
    content: str | None = None

    def __str__(self) -> str:
        status = f" (HTTP {self.http_status_code})" if self.http_status_code else ""
        why = f": {self.content}" if self.content else ""
        return f"{self.url}: {self.error_type or 'error'}{status}{why}"


class ExtractResponse(PagesResponse):
    """The response to an extract; a page is in `results` or in `errors`.

    Attributes:
        extract_id: The API's id of this call, where given.
    """

    main_lists = frozenset({"results", "errors"})

    results: Items[ExtractResult]
    errors: Items[ExtractError] = []
    extract_id: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every page could be read, and the whole response."""
        return self.is_readable and not self.errors

    def billed_skus(self, counted: Mapping[str, int]) -> Mapping[str, int]:
        """What `usage` reports; else what was counted, without the pages that failed."""
        if self.usage or not self.errors:
            return super().billed_skus(counted)
        return dict.fromkeys(counted, len(self.results))

    def _repr_html_(self) -> str:
        return pages_html(self.results, self.errors)
