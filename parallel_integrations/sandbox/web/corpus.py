"""Pages and the corpus they make up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
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


class Corpus:
    """An ordered, unchanging set of pages, found by address.

    Raises:
        ValueError: If there is no page, or two pages have the same address.

    Example:
        ```python
        from parallel_integrations.sandbox import Corpus, Page

        corpus = Corpus([Page("https://sandbox.example/a", "A", "Some text.")])
        assert corpus.get("HTTPS://sandbox.example:443/a").title == "A"
        assert corpus.get("https://sandbox.example/b") is None
        ```
    """

    def __init__(self, pages: Iterable[Page]) -> None:
        self.pages = tuple(pages)
        if not self.pages:
            raise ValueError("a sandbox needs at least one page")
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
