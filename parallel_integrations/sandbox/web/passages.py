"""Passages and sentences of a page, as (start, end) offsets into its text."""

import re
from collections.abc import Iterable

Span = tuple[int, int]

PASSAGE_CHARS = 700
"""Length a passage grows to, in characters, unless one paragraph is longer."""
MAX_PASSAGE_CHARS = 1000

_SPACES = re.compile(r"\s*")
_GAP = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)\]]*\s+|(?<=[。！？])\s*|\n[ \t]*\n\s*")  # noqa: RUF001
_BREAKS = ("\n\n", ". ", ".\n", "。", "\n", " ")


def passages(text: str) -> list[Span]:
    """Return consecutive passages of whole paragraphs; a heading begins a new one.

    Example:
        ```python
        from parallel_integrations.sandbox.web.passages import passages

        text = "# A  One.  # B  Two.".replace("  ", chr(10) * 2)
        assert [text[start:end].split() for start, end in passages(text)] == [
            ["#", "A", "One."],
            ["#", "B", "Two."],
        ]
        ```
    """
    found: list[Span] = []
    for start, end in _paragraphs(text):
        heading = text.startswith("#", start)
        # A heading begins a passage: an excerpt that ends with the next heading says nothing.
        if found and not heading and end - found[-1][0] <= PASSAGE_CHARS:
            found[-1] = (found[-1][0], end)
        elif end - start > MAX_PASSAGE_CHARS:
            found += _split(text, start, end)
        else:
            found.append((start, end))
    return found


def _paragraphs(text: str) -> Iterable[Span]:
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    for gap in _GAP.finditer(text, start, end):
        yield start, gap.start()
        start = gap.end()
    if start < end:
        yield start, end


def _split(text: str, start: int, end: int) -> Iterable[Span]:
    while end - start > MAX_PASSAGE_CHARS:
        cut = cut_at(text, start, start + PASSAGE_CHARS)
        yield start, cut
        start = _SPACES.match(text, cut, end).end()  # type: ignore[union-attr]
    if start < end:
        yield start, end


def cut_at(text: str, start: int, limit: int) -> int:
    """Return where to end a slice from `start` of at most `limit - start` characters.

    Prefers the end of a line, a sentence or a word in the slice's second half.
    """
    if limit >= len(text):
        return len(text.rstrip())
    half = start + (limit - start) // 2
    # From the best place to the worst; in the first half of a slice even a good one wastes space.
    for mark in _BREAKS:
        at = text.rfind(mark, half, limit)
        if at > start:
            kept = at + len(mark.rstrip())
            return kept - (len(text[start:kept]) - len(text[start:kept].rstrip()))
    return limit


def sentences(text: str, start: int, end: int) -> list[Span]:
    """Return the sentences of `text[start:end]` as offsets into `text`."""
    found = []
    at = start
    for gap in _SENTENCE_END.finditer(text, start, end):
        if gap.end() <= at:
            continue
        stop = gap.start() + len(gap[0].rstrip())
        if stop > at:
            found.append((at, stop))
        at = gap.end()
    if at < end:
        found.append((at, end))
    return found


def choose(text: str, ranked: Iterable[Span], limit: int, *, most: int = 4) -> list[Span]:
    """Return the best passages that fit `limit` characters, in reading order.

    Neighbours are joined; the last one that does not fit whole is cut at a sentence or word.

    Args:
        text: The page.
        ranked: Its passages, best first.
        limit: Characters all of them may have together.
        most: How many passages to take.
    """
    chosen: list[Span] = []
    left = limit
    for start, end in ranked:
        if left <= 0 or len(chosen) == most:
            break
        stop = end if end - start <= left else cut_at(text, start, start + left)
        # A stub of a passage says nothing, unless no more of it fits.
        if stop - start < min(80, end - start) and chosen:
            continue
        chosen.append((start, stop))
        left -= stop - start
    joined: list[Span] = []
    used = sum(end - start for start, end in chosen)
    # In reading order, and joined: two halves of one text read badly the wrong way round.
    for start, end in sorted(chosen):
        gap = start - joined[-1][1] if joined else 0
        if (
            joined
            and 0 <= gap <= 4
            and used + gap <= limit
            and not text[start - gap : start].strip()
        ):
            joined[-1] = (joined[-1][0], end)
            used += gap
        else:
            joined.append((start, end))
    return joined
