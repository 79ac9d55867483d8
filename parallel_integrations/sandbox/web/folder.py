"""A folder of Markdown, HTML and text files, as web pages."""

import logging
import os
import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

from parallel_integrations.sandbox.web.corpus import Page

_log = logging.getLogger(__name__)

ROOT = "https://sandbox.example/"
HTML_SUFFIXES = {".html", ".htm"}
SUFFIXES = HTML_SUFFIXES | {".md", ".markdown", ".rst", ".txt"}

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"([\w:.-]+)[ \t]*:(.*)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)
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

    Links that lead out of the folder, special files and what cannot be read are left out, each with
    a warning in the log.

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
    for relative in sorted(_files(directory), key=lambda each: each.parts):
        try:
            raw = _read(directory, relative)
        except (OSError, RuntimeError, ValueError) as error:
            # RuntimeError is how older Pythons report a link that leads to itself.
            _skipped(relative, error)
            continue
        page = as_page(raw, relative)
        if page.text:
            found = True
            yield page
    if not found:
        kinds = " ".join(sorted(SUFFIXES))
        raise ValueError(f"the folder {str(directory)!r} holds no page with text ({kinds})")


def _files(directory: Path) -> Iterator[Path]:
    """Yield what is named like a page and not hidden, relative to `directory`."""
    for parent, folders, names in os.walk(directory, onerror=_unreadable):
        where = Path(parent).relative_to(directory)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(parent, name).is_symlink():
                _skipped(where / name, "it is a link to a folder")
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield where / name


def _read(directory: Path, relative: Path) -> str:
    """Return the text of a file.

    Raises:
        OSError, RuntimeError: If it cannot be read.
        ValueError: If it is no regular file, or a link leads out of the folder.
    """
    path = (directory / relative).resolve(strict=True)
    if not path.is_relative_to(directory.resolve()):
        raise ValueError("it is a link that leads out of the folder")
    if not path.is_file():
        # Opening a FIFO waits for somebody who writes into it, and a device may never end.
        raise ValueError("it is no regular file")
    return path.read_bytes().decode("utf-8-sig", errors="replace")


def _unreadable(error: OSError) -> None:
    _skipped(error.filename, error)


def _skipped(path: object, reason: object) -> None:
    # Names are quoted: one may hold an escape sequence, and the log may be a terminal.
    _log.warning("the page %r was left out: %s", str(path), reason)


def as_page(raw: str, relative: Path) -> Page:
    """Return a file's text as a page; `relative` gives its address when it names none."""
    raw = raw.replace("\r\n", "\n").replace("\r", "\n")
    if relative.suffix.lower() in HTML_SUFFIXES:
        reader = _HtmlReader()
        # Without close(), which reads what follows an unfinished tag again for each of its "<".
        # The line break completes a last character reference.
        reader.feed(raw + "\n")
        text, fields, heading = reader.text(), reader.fields, reader.title
    else:
        text, fields = _split_front_matter(raw)
        underlined, marked = _UNDERLINED.search(text), _HEADING.search(text)
        heading = underlined[1] if underlined else marked[1].rstrip(" \t#") if marked else ""
    published = (_day(fields[name]) for name in DATE_FIELDS if fields.get(name))
    # A name that is not UTF-8 comes with surrogates in it, which no text may hold.
    stem = os.fsencode(relative.stem).decode("utf-8", errors="replace")
    return Page(
        url=next((fields[n] for n in URL_FIELDS if _absolute(fields.get(n))), None)
        or ROOT + quote(os.fsencode(relative.as_posix())),
        title=fields.get("title") or heading.strip() or stem,
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
            fields[field[1].lower()] = field[2].strip(" \t").strip("\"'")
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
        self._skipping: str | None = None
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
            # A `<head>` that was never closed must not swallow the page.
            self._skipping = None
        elif tag in SKIPPED_TAGS:
            self._skipping = self._skipping or tag
        elif tag in BLOCK_TAGS:
            self._pre += tag == "pre"
            self._parts.append("\n\n" if tag not in LINE_TAGS else "\n")
            if tag == "li":
                self._parts.append("- ")
        elif re.fullmatch("h[1-6]", tag):
            self._parts.append("\n\n" + "#" * int(tag[1]) + " ")
            self._collecting = self._collecting or "heading"

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipping:
            self._skipping = None
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
        lines = (line.rstrip(" \t") for line in "".join(self._parts).split("\n"))
        # One space before a word is what is left of a line break in the source.
        alone = re.compile(r" (?=\S)")
        text = "\n".join(line[bool(alone.match(line)) :] for line in lines)
        return re.sub(r"\n{3,}", "\n\n", text).strip()
