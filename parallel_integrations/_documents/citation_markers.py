"""Follows the citation markers in any model's answer to the documents that it was given."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from parallel_integrations._documents.text_matching import closest_window
from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.models.page_facts import page_key

_NUMBERS: Final = r"\d{1,3}(?:\s*[-–]\s*\d{1,3})?"  # noqa: RUF001 - models write ranges with it
# Some models write 【1†source】, or escape the brackets for Markdown.
_MARKER: Final = re.compile(
    rf"(?:\\?\[|【)\^?({_NUMBERS}(?:\s*[,;]\s*\^?{_NUMBERS})*)(?:†[^\[\]【】\n]*)?(?:\\?\]|】)(?!\()"
)
_LINK: Final = re.compile(r"\[([^\[\]]*)\]\((https?://[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)\)")
_URL: Final = re.compile(r"https?://[^\s<>\[\]\"'`]+")
# A list of sources at the end of an answer cites nothing; what it lists is not said there.
_LIST: Final = re.compile(
    r"\n\s*(?:#+\s*|\*\*)?(?:sources|references|citations)(?:\*\*)?:?(?:\*\*)?\s*\n", re.IGNORECASE
)
_LISTED: Final = re.compile(r"^\s*(?:[-*]\s+)?\[\^?\d{1,3}\]:?\s", re.MULTILINE)
_SENTENCE_START: Final = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+|\n+")  # noqa: RUF001
MAX_RANGE: Final = 50
MIN_OVERLAP: Final = 0.5


@dataclass(frozen=True)
class MarkerCitation:
    """One citation that a marker makes.

    Attributes:
        number: Which of the documents, from 0.
        start: Where the sentence that carries the marker begins in the answer.
        end: Where it ends.
        marker: The marker as it is written.
        quote_start: Where the document states that sentence; None where no place was found.
        quote_end: Where that place ends.
    """

    number: int
    start: int
    end: int
    marker: str
    quote_start: int | None = None
    quote_end: int | None = None


@dataclass
class Markers:
    """What the markers of an answer point to.

    Attributes:
        citations: In the order of the answer.
        dangling: Markers that point to no document, each once.
    """

    citations: list[MarkerCitation] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)


def resolve_markers(answer: object, documents: Sequence[tuple[str, str, str]]) -> Markers:
    """Find the documents that an answer's markers name.

    Read are `[1]`, `[1, 3]`, `[2-4]`, `[^2]`, `【1†source】`, links `[text](url)` and bare urls.
    `[1]` is the first document. Code, and a list of sources at the end, cite nothing.

    Args:
        answer: A model's answer.
        documents: Url, text and title of each document, in the order the model was given them.

    Raises:
        ArgumentTypeError: The answer is no text.
    """
    if not isinstance(answer, str):
        kind = type(answer).__name__
        raise ArgumentTypeError(f"answer must be a text, not {kind}; of a message, give its text")
    body = _LIST.split(answer)[0] if _is_list(answer) else answer
    body = re.sub(
        r"```.*?(?:```|\Z)|`[^`\n]*`", lambda code: " " * len(code[0]), body, flags=re.DOTALL
    )
    by_url: dict[str, list[int]] = {}
    for number, (url, _, _) in enumerate(documents):
        by_url.setdefault(page_key(url), []).append(number)
    found: list[tuple[int, str, list[int], list[str]]] = []
    links = list(_LINK.finditer(body))
    found += [(link.start(), link[0], *_known(by_url, link[2])) for link in links]
    for match in [*_MARKER.finditer(body), *_URL.finditer(body)]:
        if any(link.start() <= match.start() < link.end() for link in links):
            continue
        if match.re is _URL:
            url = match[0].rstrip(".,;:!?)*_")
            found.append((match.start(), url, *_known(by_url, url)))
        else:
            numbers = _numbers(match[1])
            inside = [n - 1 for n in numbers if 1 <= n <= len(documents)]
            outside = [f"[{n}]" for n in numbers if not 1 <= n <= len(documents)]
            found.append((match.start(), match[0], inside, outside))
    result = Markers()
    plain = _MARKER.sub(lambda marker: " " * len(marker[0]), body)
    spans = _sentences(plain)
    for at, marker, numbers, dangling in sorted(found):
        begin, end = _sentence(plain, spans, at)
        result.citations += [
            MarkerCitation(n, begin, end, marker, *_place(plain[begin:end], documents[n]))
            for n in dict.fromkeys(numbers)
        ]
        result.dangling += [each for each in dangling if each not in result.dangling]
    return result


def _place(sentence: str, document: tuple[str, str, str]) -> tuple[int | None, int | None]:
    """Where a document states a sentence: by its numbers and names, and half of its words."""
    _, text, title = document
    found = closest_window(sentence, text, title)
    if found.exact < 1 or found.words < MIN_OVERLAP:
        return None, None
    return found.start, found.end


def _is_list(answer: str) -> bool:
    heading = _LIST.search(answer)
    if heading is None:
        return False
    return bool(_LISTED.search(answer, heading.end() - 1) or _URL.search(answer, heading.end()))


def _known(by_url: dict[str, list[int]], url: str) -> tuple[list[int], list[str]]:
    numbers = by_url.get(page_key(url), [])
    return (numbers, []) if numbers else ([], [url])


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in re.split(r"[,;]", text):
        ends = [int(each) for each in re.findall(r"\d+", part)]
        last = min(ends[-1], ends[0] + MAX_RANGE)
        numbers += range(ends[0], max(last, ends[0]) + 1)
    return numbers


def _sentences(text: str) -> list[tuple[int, int]]:
    starts = [0, *(gap.end() for gap in _SENTENCE_START.finditer(text))]
    stops = [*starts[1:], len(text)]
    spans = [(a, a + len(text[a:b].rstrip())) for a, b in zip(starts, stops, strict=True)]
    return [(start, stop) for start, stop in spans if stop > start]


def _sentence(text: str, spans: Sequence[tuple[int, int]], marker: int) -> tuple[int, int]:
    """The sentence that a marker stands in, behind (`It is. [1]`), or before on its line."""
    place = bisect_right(spans, marker, key=lambda span: span[0])
    before, after = spans[place - 1 : place], spans[place : place + 1]
    for start, end in before:
        if marker < end or "\n" not in text[end:marker]:
            return start, end
    for start, end in after:
        if "\n" not in text[marker:start]:
            return start, end
    return next(iter((*before, *after)), (marker, marker))
