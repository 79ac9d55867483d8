"""Pages and the corpus they make up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the sandbox's web.

    Attributes:
        url: Where the page is published.
        title: What it is called.
        text: What the page says, as Markdown-like text. It is all that search and chat look at.
        published: The day it was published, None when unknown.
        language: Language tag such as ``en``, None when unknown.
        aliases: Other addresses for which `Corpus.get` returns this page.
        before: What a crawler reads above the text, such as navigation and cookie notes. It is part
            of the full content and comes along with excerpts that begin the page.
        after: What it reads below the text.
    """

    url: str
    title: str
    text: str
    published: date | None = None
    language: str | None = None
    aliases: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


OTHER_NAMES: Final = {
    **dict.fromkeys(("content", "page_content"), "text"),
    **dict.fromkeys(("published_at", "publish_date", "published_date", "date"), "published"),
}
"""What a page's fields are called elsewhere, for pages that are dicts."""


class Corpus:
    """An ordered, unchanging set of pages, found by address.

    Args:
        pages: Each a `Page`, or a dict of its fields: `url` and `text` (or `content`), and where
            known `title`, `published` (or `published_at`, `publish_date`; a date or ISO 8601),
            `language` and `aliases`. A dict without a title is called by its address.

    Raises:
        TypeError: If `pages` is no iterable of pages, or a field of a dict is of another kind.
        ValueError: If there is no page, a dict lacks a field, has an unknown or an impossible one,
            or two pages have the same address.

    Example:
        ```python
        from parallel_integrations.sandbox import Corpus, Page

        page = {"url": "https://sandbox.example/b", "content": "More.", "published": "2026-05-01"}
        corpus = Corpus([Page("https://sandbox.example/a", "A", "Some text."), page])
        assert corpus.get("HTTPS://sandbox.example:443/a").title == "A"
        assert corpus.get("https://sandbox.example/b").published.year == 2026
        assert corpus.get("https://sandbox.example/c") is None
        ```
    """

    def __init__(self, pages: Iterable[Page | Mapping[str, Any]]) -> None:
        if isinstance(pages, str | bytes | Mapping | Page) or not isinstance(pages, Iterable):
            raise TypeError(f"pages={pages!r:.100} must be an iterable of pages, such as [Page(…)]")
        self.pages = tuple(as_page(f"pages[{at}]", each) for at, each in enumerate(pages))
        if not self.pages:
            raise ValueError("pages is empty: a sandbox needs at least one page")
        self._by_url: dict[str, Page] = {}
        for page in self.pages:
            # Found by identity below: two equal pages at one address are a mistake of the folder as
            # well.
            taken = self._by_url.setdefault(normal(page.url), page)
            if taken is not page:
                raise ValueError(f"two pages have the address {page.url}")
        for page in self.pages:
            for alias in page.aliases:
                self._by_url.setdefault(normal(alias), page)
        self._sites = {_site(address) for address in self._by_url} - {""}

    def __len__(self) -> int:
        return len(self.pages)

    def __iter__(self) -> Iterator[Page]:
        return iter(self.pages)

    def get(self, url: str) -> Page | None:
        """Return the page published at `url`, or None.

        A fragment that names no page of its own is ignored, as a web server never sees it.
        """
        found = self._by_url.get(normal(url))
        # The fragment is tried first: topics of the Python reference differ in nothing else.
        return found or self._by_url.get(normal(url.partition("#")[0]))

    def has_site(self, url: str) -> bool:
        """Return whether a page is published on the host of `url`."""
        return _site(normal(url)) in self._sites

    @classmethod
    def python_reference(cls, *, clean: bool = False) -> "Corpus":
        """Return the Python language reference that ships inside the running CPython.

        Args:
            clean: Whether every page is nothing but its text and has a date. The default is as a
                crawler finds pages: most have no date, headings end in ``¶``, and a part of them
                has navigation and cookie notes around the text.
        """
        from parallel_integrations.sandbox.web.python_reference import crawled, pages

        return cls(pages() if clean else crawled())

    @classmethod
    def folder(cls, directory: str | Path) -> "Corpus":
        """Return the Markdown, HTML and text files below `directory`, in the order of their paths.

        Args:
            directory: A folder with ``.md``, ``.markdown``, ``.html``, ``.htm``, ``.txt`` or
                ``.rst`` files. Hidden files and folders are left out.

        Raises:
            FileNotFoundError: If there is no such folder.
            NotADirectoryError: If it is a file.
            ValueError: If it holds no page with text, or two pages claim one address.
        """
        from parallel_integrations.sandbox.web.folder import pages

        return cls(pages(Path(directory)))


def as_page(where: str, given: Any) -> Page:
    """A page that was given as such or as a dict of its fields.

    Args:
        where: What it is called in an error.
        given: The page.

    Raises:
        TypeError: It is neither, or a field is of another kind.
        ValueError: A field is missing, unknown or cannot be right.
    """
    if isinstance(given, Page):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{where}={given!r:.100} is a {type(given).__name__}: give a Page, or a dict with url "
            "and content"
        )
    known = {each.name for each in fields(Page)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        field = OTHER_NAMES.get(name, name)
        if field not in known:
            names = ", ".join([*sorted(known), *OTHER_NAMES])
            raise ValueError(f"{where}[{name!r}]: a page has no such field; it has {names}")
        if field in values:
            raise ValueError(f"{where}[{name!r}]: {field} is given twice; leave one out")
        values[field] = _field(f"{where}[{name!r}]", field, value)
    for field, name in (("url", "url"), ("text", "content")):
        if not values.get(field, "").strip():
            raise ValueError(f"{where} has no {name}: a page needs url and content")
    values["title"] = values.get("title") or values["url"]
    return Page(**values)


def _field(where: str, field: str, value: Any) -> Any:
    """A field of a page that was given as a dict."""
    if field == "published":
        return _day(where, value)
    if field == "aliases":
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise TypeError(f"{where}={value!r:.100} must be a list of addresses")
    if field in ("title", "language") and value is None:
        return None if field == "language" else ""
    if not isinstance(value, str):
        raise TypeError(f"{where}={value!r:.100} must be a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} holds half of a surrogate pair, at {error.start}") from error
    if field == "url" and not value.strip().lower().startswith(("http://", "https://")):
        raise ValueError(
            f"{where}={value!r:.100} must be an address, such as https://sandbox.example/a"
        )
    return value.strip() if field == "url" else value


def _day(where: str, value: Any) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip()).date()
        except ValueError as error:
            raise ValueError(
                f"{where}={value!r:.100} must be a date in ISO 8601, such as 2026-05-01"
            ) from error
    raise TypeError(f"{where}={value!r:.100} must be a date, a text such as 2026-05-01, or None")


def _site(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


def normal(url: str) -> str:
    """Return `url` as a key: one scheme, lower-case host, no default port, no trailing slash."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    host = (parts.hostname or "") + (f":{port}" if port not in (None, 80, 443) else "")
    # People write either scheme for the same page.
    scheme = "https" if parts.scheme in ("http", "https") else parts.scheme
    return urlunsplit((scheme, host, parts.path.rstrip("/"), parts.query, parts.fragment))
