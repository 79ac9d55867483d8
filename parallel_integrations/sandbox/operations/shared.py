"""Request parts, response parts and warnings that several operations share."""

import json
import math
import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from parallel_integrations.sandbox.operations.operation import Call
from parallel_integrations.sandbox.server.responses import invalid, invalid_parameter
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.domains import check_domain

MIN_CHARS_PER_RESULT = 1000
MAX_DOMAINS = 200
POLL_SECONDS = 0.02
"""How often an open stream looks whether a request has changed what it is about."""
# Codes ISO 3166-1 leaves to users name no country, and the United Kingdom's is "gb".
_NO_COUNTRY = re.compile(r"aa|q[m-z]|x[a-z]|zz|uk")


def _calendar_day(text: str) -> str:
    # fromisoformat also reads 20240501 and 2024-W01-1, which the API does not document.
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError("a date is written YYYY-MM-DD")
    date.fromisoformat(text)
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
Day = Annotated[str, AfterValidator(_calendar_day)]
Domain = Annotated[str, AfterValidator(check_domain)]
Query = Annotated[str, StringConstraints(max_length=200), AfterValidator(_not_blank)]
Queries = Annotated[list[Query], Field(min_length=1, max_length=5)]
OlderQueries = Annotated[list[Query], Field(max_length=5)]
Objective = Annotated[str, StringConstraints(max_length=5000)]
SessionId = Annotated[str, StringConstraints(max_length=1000)]
MaxChars = Annotated[int, Field(ge=0)]


class Loose(BaseModel):
    """A request part that ignores keys it does not know."""


class Strict(BaseModel):
    """A request part that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid")


class SourcePolicy(Loose):
    """Which domains and days results come from."""

    include_domains: list[Domain] = []
    exclude_domains: list[Domain] = []
    after_date: Day | None = None

    @model_validator(mode="after")
    def _few_enough(self) -> "SourcePolicy":
        if len(self.include_domains) + len(self.exclude_domains) > MAX_DOMAINS:
            raise ValueError(
                f"include_domains and exclude_domains together hold more than {MAX_DOMAINS}"
            )
        return self

    @property
    def after(self) -> date | None:
        """The first day that is let through."""
        return date.fromisoformat(self.after_date) if self.after_date else None


class FetchPolicy(Loose):
    """How fresh pages must be. The sandbox's pages never age, so it only checks the values."""

    max_age_seconds: Annotated[int, Field(ge=600)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None
    disable_cache_fallback: bool = False


class ExcerptSettings(Strict):
    """How long excerpts may be, in v1."""

    max_chars_per_result: int | None = None


class FullContentSettings(Loose):
    """How long the whole page may be."""

    max_chars_per_result: Annotated[int, Field(ge=1)] | None = None


class PagesBody(Strict):
    """What the bodies of v1 search and extract have in common."""

    objective: Objective | None = None
    max_chars_total: MaxChars | None = None
    session_id: SessionId | None = None
    client_model: str | None = None


class OlderPagesBody(Loose):
    """What the bodies of v1beta have in common; keys they do not know are ignored."""

    search_queries: OlderQueries | None = None
    fetch_policy: FetchPolicy | None = None
    session_id: SessionId | None = None
    client_model: str | None = None


class OlderExcerptSettings(Loose):
    """``excerpts`` of the older search and extract."""

    max_chars_per_result: int | None = None
    max_chars_total: MaxChars | None = None


def per_result(given: int | None) -> int | None:
    """Return the excerpt characters of one result: less than 1000 is raised to 1000."""
    return None if given is None else max(given, MIN_CHARS_PER_RESULT)


def as_text(value: Any) -> str:
    """Return a text as it is, and any other JSON value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def earlier_questions(state: State, kind: str, earlier: str | None) -> Sequence[str]:
    """Return the questions of an earlier interaction or response and of those before it."""
    if earlier is None:
        return ()
    if earlier not in state.interactions:
        raise invalid(f"previous_{kind}_id", f"Unknown {kind} {earlier!r}")
    return state.interactions[earlier]


def seconds_of(call: Call, default: float) -> float:
    """Return the `timeout` of a call that is a stream."""
    given = call.request.query_params.get("timeout")
    if given is None:
        return default
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise invalid_parameter("query", "timeout", f"{given!r} is no number of seconds")
    return seconds


def warning(message: str, kind: str = "input_validation_warning") -> dict[str, Any]:
    """Return a warning as responses carry it."""
    return {"type": kind, "message": message, "detail": None}


def policy_warnings(
    policy: SourcePolicy | None, location: str | None = None
) -> list[dict[str, Any]]:
    """Return what is to be said about a source policy and a location."""
    found = []
    if location is not None and not _is_country(location):
        found.append(warning(f"location {location!r} is not supported and was ignored"))
    if policy and policy.include_domains and policy.exclude_domains:
        found.append(warning("exclude_domains was ignored because include_domains is set"))
    named = [*policy.include_domains, *policy.exclude_domains] if policy else []
    if any(domain.startswith("www.") for domain in named):
        found.append(warning("domains are named without 'www.'; it was left out"))
    return found


def _is_country(code: str) -> bool:
    code = code.lower()
    return bool(re.fullmatch("[a-z]{2}", code)) and not _NO_COUNTRY.fullmatch(code)


def published(page: Page) -> str | None:
    """Return a page's date as YYYY-MM-DD, or None."""
    return page.published.isoformat() if page.published else None


def shares(total: int | None, each: int, wanted: Sequence[int]) -> list[int]:
    """Divide `total` characters among results.

    Every result may have `each`; what one leaves over goes to those after it.

    Args:
        total: Characters of all results together, None for no bound.
        each: Characters of one result at most.
        wanted: How many characters each result could use.

    Example:
        ```python
        from parallel_integrations.sandbox.operations.shared import shares

        assert shares(1000, 600, [100, 900, 900]) == [100, 450, 450]
        ```
    """
    if total is None:
        return [min(each, want) for want in wanted]
    given = [0] * len(wanted)
    left = total
    # From the smallest need to the largest, so that leftovers reach those that can use them.
    order = sorted(range(len(wanted)), key=lambda n: (wanted[n], n))
    for done, number in enumerate(order):
        given[number] = min(each, wanted[number], left // (len(wanted) - done))
        left -= given[number]
    return given
