"""Sources as a terminal shows them: title, address, date and the sentences that matter."""

import re
from collections.abc import Iterable
from textwrap import shorten
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from parallel_integrations._cli.terminal import printable
from parallel_integrations._documents.text_matching import closest_window
from parallel_integrations.models.basis import Citation
from parallel_integrations.models.page_facts import page_title

MIN_WORDS: Final = 4
EXCERPT_CHARACTERS: Final = 160
# What a page's text has besides sentences: headings, section marks, grammar, code, tables.
_NO_PROSE: Final = re.compile(r"^\s*(?:#|\||```|>>>|[=*~^+-]{3,}|Section Title:|Content:)|::=")
# Not the operators that Python's manual quotes: "*", "**kwargs".
_EMPHASIS: Final = re.compile(r"(?:(?<![\"'])|(?=\*+\w))(\*{1,3})(?=\S)([^*\n]*[^*\s])\1(?![*\w])")
_MARKUP: Final = re.compile(r"`+|^\s*(?:[>*+-]|\d+\.)\s+|!?\[([^\]]*)\]\([^)]*\)|¶")

_ASCII: Final = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-"}  # noqa: RUF001
)


def show(console: Console, text: str, **options: Any) -> None:
    """Print a text without control sequences, cut at words."""
    if not console.encoding.lower().startswith("utf"):
        text = text.translate(_ASCII)
    console.print(printable(text), **options)


def show_source(
    console: Console, number: int, title: str, url: str, text: str = "", date: str | None = None
) -> None:
    """Print one numbered source.

    Args:
        console: Where to print.
        number: Its number.
        title: Its title, on one line.
        url: Its address, which is not broken.
        text: What is shown of it, on one line.
        date: When it was published; nothing is shown where that is not known.
    """
    when = f" ({date[:10]})" if date else ""
    heading = f"[bold]{escape(f'[{number}] ')}{escape(' '.join(title.split()))}[/bold]"
    show(console, f"{heading}{escape(when)}")
    show(console, f"    [cyan]{escape(url)}[/cyan]", soft_wrap=True)
    if text:
        # Rich would begin the second line at the margin.
        width = max(20, console.width - 4)
        for line in console.render_str(escape(printable(text))).wrap(console, width):
            show(console, f"    {line.plain}", style="dim", markup=False, soft_wrap=True)


def show_citations(console: Console, question: str, citations: Iterable[Citation]) -> None:
    """Print cited pages, numbered, with the words of each that matter."""
    for number, each in enumerate(citations, 1):
        excerpt = readable_excerpt(question, "\n".join(each.excerpts))
        show_source(console, number, page_title(each), each.url, excerpt)


def readable_excerpt(question: str, text: str) -> str:
    """The sentences of a page that come closest to a question, without markup, cut at a word."""
    lines = ("" if _NO_PROSE.search(line) else _plain(line) for line in text.splitlines())
    # Paragraphs may be broken into lines; a short one is a heading or a link.
    paragraphs = [" ".join(each.split()) for each in "\n".join(lines).split("\n\n")]
    prose = " ".join(each for each in paragraphs if len(each.split()) > MIN_WORDS)
    prose = prose or " ".join(" ".join(paragraphs).split())
    found = closest_window(question, prose)
    chosen = prose[found.start : found.end] if found.end else prose
    return shorten(chosen, EXCERPT_CHARACTERS, placeholder=" …")


def without_emphasis(text: str) -> str:
    """A text without the stars of Markdown that set words in bold or italics."""
    return _EMPHASIS.sub(r"\2", text)


def _plain(line: str) -> str:
    return _MARKUP.sub(lambda match: match[1] or "", without_emphasis(line)).strip()
