"""Facts of a page beside its text: title, date, address."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from parallel_integrations.models.basis import Citation
    from parallel_integrations.models.pages import PageResult

UNTITLED: Final = "Untitled page"
MIN_SECONDS: Final = 100_000_000
"""Of a number of seconds since 1970 (here in 1973); a smaller one is something else."""
MIN_MILLISECONDS: Final = 100_000_000_000
MAX_MILLISECONDS: Final = 1000 * MIN_MILLISECONDS
_YEAR_OR_MONTH: Final = re.compile(r"[12][0-9]{3}(-(0[1-9]|1[0-2]))?")
_YEAR_FIRST: Final = re.compile("([12][0-9]{3})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")
_MONTH_FIRST: Final = re.compile(
    "(?:[A-Za-z]+,? )?([A-Za-z]{3,9})[.]? ([0-9]{1,2})(?:st|nd|rd|th)?,? ([12][0-9]{3})"
)
_DAY_FIRST: Final = re.compile(
    "(?:[A-Za-z]+,? )?([0-9]{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3,9})[.,]?[ -]([12][0-9]{3})"
)
_OF_MAIL: Final = re.compile("(?:[A-Za-z]{3,9}, ?)?[0-9]{1,2} [A-Za-z]{3} [12][0-9]{3} [0-9]{1,2}:")
_MONTHS: Final = (
    "january february march april may june july august september october november december".split()
)


def page_title(page: "PageResult | Citation") -> str:
    """The title; host and path of the url where there is none, or words where that is blank."""
    if page.title and (title := page.title.strip()):
        return title
    if not page.url.strip():
        return UNTITLED
    parts = url_parts(page.url)
    if parts is None:
        return page.url
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/") or page.url


def published_at(value: str | None) -> str | None:
    """A date or datetime in ISO 8601, also a year, or a year and a month; None for what is none.

    Besides ISO 8601 itself, which stays as it is, dates are read that have the year first, or the
    month's English name, and those of e-mail and feeds: nothing that may mean two days.
    """
    text = (value or "").strip()
    if not text:
        return None
    try:
        if text[4::3] == "--":  # almost every date is a day, written as it shall be
            date.fromisoformat(text)
            return text
        if _YEAR_OR_MONTH.fullmatch(text):
            return text
        if len(text) <= len("YYYY-MM-DD"):
            return date.fromisoformat(text).isoformat()
        datetime.fromisoformat(text)
    except ValueError:
        return _written_out(text)
    return text


def _written_out(text: str) -> str | None:
    """A date that is not in ISO 8601, in ISO 8601; None where it is none."""
    try:
        if _OF_MAIL.match(text):
            return parsedate_to_datetime(text).isoformat()
        if found := _YEAR_FIRST.fullmatch(text):
            return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
        if found := _MONTH_FIRST.fullmatch(text):
            return date(int(found[3]), _month(found[1]), int(found[2])).isoformat()
        if found := _DAY_FIRST.fullmatch(text):
            return date(int(found[3]), _month(found[2]), int(found[1])).isoformat()
    except ValueError:
        pass
    return None


def _month(name: str) -> int:
    """The number of a month by its English name, which may be cut.

    Raises:
        ValueError: It is none.
    """
    found = [at for at, full in enumerate(_MONTHS, 1) if full.startswith(name.lower())]
    if len(found) != 1:
        raise ValueError("no month")
    return found[0]


def published_day(value: str | None) -> int:
    """The day of a date that `published_at` gave, as a number such as 20240501; 0 for None."""
    if value is None:
        return 0
    try:
        day = datetime.fromisoformat(value)
    except ValueError:  # a year, or a year and a month: its first day
        day = datetime.fromisoformat(f"{value}-01-01"[: len("YYYY-MM-DD")])
    return day.year * 10_000 + day.month * 100 + day.day


def date_text(value: Any) -> str:
    """A date as a text: a number is a year, `20260501`, or (milli)seconds since 1970.

    Raises:
        ValueError: It is none of them.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = str(value)
        if _YEAR_OR_MONTH.fullmatch(digits):
            return digits
        with suppress(ValueError):
            return date.fromisoformat(digits).isoformat()
        # Not `value / 1000` at once: an integer may be too large for a float.
        seconds = value / 1000 if MIN_MILLISECONDS <= value < MAX_MILLISECONDS else value
        if MIN_SECONDS <= seconds < MIN_MILLISECONDS:
            return datetime.fromtimestamp(seconds, UTC).isoformat()
    raise ValueError("no date")


def page_key(url: str) -> str:
    """What two spellings of one page's address have in common; for comparing alone.

    Scheme, `www.`, a slash at the end and a fragment that does not route make no difference.
    """
    parts = url_parts(url.strip())
    if parts is None:
        return url
    host = (parts.hostname or "").removeprefix("www.")
    fragment = parts.fragment if parts.fragment.startswith(("/", "!")) else ""
    return f"{host} {parts.path.rstrip('/')} {parts.query} {fragment}"


def url_parts(url: str) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
