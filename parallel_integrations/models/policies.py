"""Where the API may look, how fresh a page must be, and how much of it comes back."""

import re
from datetime import date
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from parallel_integrations.models.shared import RequestModel

MAX_DOMAINS: Final = 200
MIN_MAX_AGE_SECONDS: Final = 600

_DOMAIN: Final = re.compile(
    r"(?:https?://)?(?P<wildcard>\*\.)?(?:www\.(?=[^/]*[^/.]\.[^/.]))?"
    r"(?P<host>\.?[^\s./?#:@,;*]+(?:\.[^\s./?#:@,;*]+)*)\.?(?P<path>/[^\s?#*]*)?",
    re.IGNORECASE,
)
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")


def _domain(value: str) -> str:
    """A domain as people write it, as the API takes it: no scheme, no `www.`, no wildcard."""
    found = _DOMAIN.fullmatch(value.strip())
    if found is None:
        raise ValueError(
            f"{value!r} is not a domain: write it without port and query, like 'python.org', "
            "'.gov' or 'docs.python.org/3', each as an item of the list"
        )
    host = found["host"].lower()
    if found["wildcard"] and "." not in host:
        host = f".{host}"  # a suffix; any other domain covers its subdomains anyway
    return host + (found["path"] or "").rstrip("/")


def _country(value: str) -> str:
    if not _COUNTRY.fullmatch(value):
        raise ValueError(
            f"location={value!r} is not a country: write its code of two letters (ISO 3166 "
            "alpha-2), like 'us' or 'gb'"
        )
    return value


def one_as_list(value: Any) -> Any:
    """A single string as a list of one: language models often leave the brackets out."""
    return [value] if isinstance(value, str) else value


Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"}),
]
Domain = Annotated[str, AfterValidator(_domain)]
Domains = Annotated[list[Domain], BeforeValidator(one_as_list)]


class SourcePolicy(RequestModel):
    """Which sources may be used (docs/reference/facts.md, 4).

    Example:
        ```python
        from parallel_integrations import SourcePolicy

        policy = SourcePolicy(include_domains=["docs.python.org"], after_date="2024-01-01")
        ```
    """

    include_domains: Domains | None = None
    """Only these; a domain covers its subdomains, `.gov` is a suffix, a path prefix
    (`docs.python.org/3`) is allowed. A scheme, `www.`, `*.` and capitals are understood and left
    out. When set, `exclude_domains` is ignored by the API. At most 200 together with
    `exclude_domains`.
    """
    exclude_domains: Domains | None = None
    """All but these."""
    after_date: date | None = None
    """Only pages published on or after this day (`YYYY-MM-DD`)."""

    @field_validator("after_date", mode="before")
    @classmethod
    def _a_day(cls, value: Any) -> Any:
        """Refuse what pydantic would guess at, like seconds since 1970."""
        if value is None or isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            text = f"after_date={value!r:.100} is not a day: write it as 'YYYY-MM-DD'"
            raise ValueError(text) from None

    @model_validator(mode="after")
    def _few_enough(self) -> "SourcePolicy":
        count = len(self.include_domains or ()) + len(self.exclude_domains or ())
        if count > MAX_DOMAINS:
            raise ValueError(
                f"include_domains and exclude_domains hold {count} domains; the API takes at most "
                f"{MAX_DOMAINS} together"
            )
        return self


class FetchPolicy(RequestModel):
    """When a page is fetched live instead of taken from the index (docs/reference/facts.md, 4)."""

    max_age_seconds: int | None = Field(default=None, ge=MIN_MAX_AGE_SECONDS)
    """Fetch live what is older than this many seconds; at least 600."""
    timeout_seconds: FiniteFloat | None = Field(default=None, gt=0)
    """Timeout of a live fetch, in seconds."""
    disable_cache_fallback: bool | None = None
    """True makes a failed live fetch an error instead of an older copy."""


class McpServer(RequestModel):
    """A tool server that a task may use (docs/reference/facts.md, 4).

    Streamable HTTP, and tools only.
    """

    type: Literal["url"] = "url"
    """Always `url`."""
    name: str = Field(min_length=1)
    """How the task calls it."""
    url: str = Field(min_length=1)
    """Address of the server."""
    headers: dict[str, str] | None = Field(default=None, repr=False)
    """Sent to it, tokens included; never part of repr."""
    allowed_tools: list[str] | None = None
    """Only these of its tools."""


WEBHOOK_EVENTS: Final = (
    "task_run.status",
    *(f"findall.candidate.{each}" for each in ("generated", "matched", "unmatched", "enriched")),
    *(f"findall.run.{each}" for each in ("completed", "cancelled", "failed")),
    *(f"monitor.{each}" for each in ("event.detected", "execution.completed", "execution.failed")),
)


class Webhook(RequestModel):
    """Where the API reports to (docs/reference/facts.md, 13)."""

    url: str = Field(min_length=1)
    """Receives a signed POST per event; see `parallel_integrations.api.webhooks`."""
    event_types: list[str] = Field(min_length=1)
    """Which events (docs/reference/facts.md, 13). At least one: the API's default, none, reports
    nothing. A name that is new passes; one that resembles a known one is refused: nothing would
    ever be reported.
    """

    @field_validator("event_types")
    @classmethod
    def _without_misspelling(cls, names: list[str]) -> list[str]:
        for name in names:
            # With a misspelled name, nothing would ever be reported.
            near = get_close_matches(name, WEBHOOK_EVENTS, n=1)
            if name not in WEBHOOK_EVENTS and (near or "." not in name):
                meant = f"did you mean {near[0]!r}" if near else ", ".join(WEBHOOK_EVENTS)
                raise ValueError(f"{name!r} is no event type: {meant}")
        return names


MAX_KEY_CHARACTERS: Final = 16
MAX_VALUE_CHARACTERS: Final = 512

MetadataKey = Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARACTERS)]
MetadataText = Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS)]
Metadata: TypeAlias = dict[MetadataKey, MetadataText | bool | int | FiniteFloat]
"""Labels on a task, group or FindAll run: keys of 16 characters, values of 512 at most."""

MemoryScopeKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
"""Name of a memory scope: 1 to 128 letters, digits, `_` or `-`."""
