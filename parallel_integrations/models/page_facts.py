"""Facts of a page beside its text: title, date, address."""

from datetime import date, datetime
from urllib.parse import SplitResult, urlsplit

from parallel_integrations.models.basis import Citation
from parallel_integrations.models.pages import PageResult


def page_title(page: PageResult | Citation) -> str:
    """The title; host and path of the url where there is none."""
    if page.title and (title := page.title.strip()):
        return title
    parts = url_parts(page.url)
    if parts is None:
        return page.url
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/") or page.url


def published_at(value: str | None) -> str | None:
    """An ISO 8601 date or datetime as it is; None for anything else."""
    if not value:
        return None
    text = value.strip()
    try:
        if len(text) <= len("YYYY-MM-DD"):
            date.fromisoformat(text)
        else:
            datetime.fromisoformat(text)
    except ValueError:
        return None
    return text


def published_day(value: str | None) -> int:
    """The day of a date that `published_at` gave, as a number such as 20240501; 0 for None."""
    if value is None:
        return 0
    try:
        day = datetime.fromisoformat(value)
    except ValueError:  # a year, or a year and a month: its first day
        day = datetime.fromisoformat(f"{value}-01-01"[: len("YYYY-MM-DD")])
    return day.year * 10_000 + day.month * 100 + day.day


def url_parts(url: str) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
