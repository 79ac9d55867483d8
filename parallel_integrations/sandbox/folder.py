"""A folder of Markdown, HTML and text files, as web pages."""

import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

from parallel_integrations.sandbox.page import Page

ROOT = "https://sandbox.example/"
HTML_SUFFIXES = {".html", ".htm"}
SUFFIXES = HTML_SUFFIXES | {".md", ".markdown", ".rst", ".txt"}

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^([\w:.-]+)[ \t]*:[ \t]*(.*?)[ \t]*$")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_UNDERLINED = re.compile(r"\A\s*(\S[^\n]*)\n(?:={3,}|-{3,}|\*{3,})[ \t]*$", re.MULTILINE)

DATE_FIELDS = ("date", "published_at", "publish_date", "published", "article:published_time")
URL_FIELDS = ("url", "source", "canonical", "og:url")
SKIPPED_TAGS = {"script", "style", "template", "noscript", "svg", "head"}
BLOCK_TAGS = {
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure"),
    *("footer", "form", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section"),
    *("table", "tr", "ul"),
}

LINE_TAGS = {"br", "li", "tr"}


def pages(directory: Path) -> Iterator[Page]:
    """Yield a page for every readable file below `directory`, in the order of their paths.

    Raises:
        FileNotFoundError: If there is no such folder.
        NotADirectoryError: If it is a file.
        ValueError: If no file below it is a page with text.
    """
    if not directory.exists():
        raise FileNotFoundError(f"there is no folder {str(directory)!r} to take pages from")
    if not directory.is_dir():
        raise NotADirectoryError(f"{str(directory)!r} is a file; pages are taken from a folder")
    found = False
    for path in sorted(directory.rglob("*"), key=lambda each: each.relative_to(directory).parts):
        relative = path.relative_to(directory)
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if any(part.startswith(".") for part in relative.parts):
            continue
        page = read_page(path, relative)
        if page.text:
            found = True
            yield page
    if not found:
        kinds = " ".join(sorted(SUFFIXES))
        raise ValueError(f"the folder {str(directory)!r} holds no page with text ({kinds})")


def read_page(path: Path, relative: Path) -> Page:
    """Return the file at `path` as a page; `relative` gives its address when it names none."""
    raw = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix.lower() in HTML_SUFFIXES:
        reader = _HtmlReader()
        reader.feed(raw)
        reader.close()
        text, fields, heading = reader.text(), reader.fields, reader.title
    else:
        text, fields = _split_front_matter(raw)
        first = _UNDERLINED.search(text) or _HEADING.search(text)
        heading = first[1].strip() if first else ""
    published = (_day(fields[name]) for name in DATE_FIELDS if fields.get(name))
    return Page(
        url=next((fields[n] for n in URL_FIELDS if _absolute(fields.get(n))), None)
        or ROOT + quote(relative.as_posix()),
        title=fields.get("title") or heading or path.stem,
        text=text,
        published=next((day for day in published if day), None),
        language=fields.get("language") or fields.get("lang"),
    )


def _split_front_matter(raw: str) -> tuple[str, dict[str, str]]:
    match = _FRONT_MATTER.match(raw)
    if match is None:
        return raw.strip(), {}
    fields = {}
    for line in match[1].splitlines():
        field = _FIELD.match(line)
        if field:
            fields[field[1].lower()] = field[2].strip("\"'")
    return raw[match.end() :].strip(), fields


def _absolute(url: str | None) -> bool:
    return bool(url) and str(url).startswith(("http://", "https://"))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


class _HtmlReader(HTMLParser):
    """Collects the visible text of a page as Markdown-like paragraphs, and its metadata."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.fields: dict[str, str] = {}
        self.title = ""
        self._first_heading = ""
        self._parts: list[str] = []
        self._skipping: list[str] = []
        self._pre = 0
        self._collecting: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "html" and values.get("lang"):
            self.fields["lang"] = values["lang"]
        elif tag == "meta":
            name = values.get("property") or values.get("name") or values.get("itemprop")
            if name and values.get("content"):
                self.fields.setdefault(name.lower(), values["content"].strip())
        elif tag == "link" and values.get("rel", "").lower() == "canonical":
            self.fields.setdefault("canonical", values.get("href", "").strip())
        elif tag == "title":
            self._collecting = "title"
        elif tag == "body":
            # A head that was never closed must not swallow the page.
            self._skipping.clear()
        elif tag in SKIPPED_TAGS:
            self._skipping.append(tag)
        elif tag in BLOCK_TAGS:
            self._pre += tag == "pre"
            self._parts.append("\n\n" if tag not in LINE_TAGS else "\n")
            if tag == "li":
                self._parts.append("- ")
        elif re.fullmatch("h[1-6]", tag):
            self._parts.append("\n\n" + "#" * int(tag[1]) + " ")
            self._collecting = self._collecting or "heading"

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
        elif tag == "title":
            self._collecting = None
        elif tag in BLOCK_TAGS or re.fullmatch("h[1-6]", tag):
            self._pre -= tag == "pre" and self._pre > 0
            self._parts.append("\n\n" if tag not in LINE_TAGS else "")
            if tag[0] == "h" and self._first_heading.strip():
                self._collecting = None
        elif tag in ("td", "th"):
            self._parts.append(" ")

    def handle_data(self, data: str) -> None:
        if self._collecting == "title":
            self.title += data
            return
        if self._skipping:
            return
        if self._collecting == "heading":
            self._first_heading += data
        self._parts.append(data if self._pre else re.sub(r"\s+", " ", data))

    def text(self) -> str:
        """Return the text read, after settling the title."""
        self.title = " ".join((self.title or self._first_heading).split())
        text = re.sub(r"[ \t]*\n[ \t]*(?=\n)|[ \t]+(?=\n)", "\n", "".join(self._parts))
        return re.sub(r"\n{3,}", "\n\n", re.sub(r"\n (?=\S)", "\n", text)).strip()
