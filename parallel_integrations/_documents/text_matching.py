"""Numbers, dates, names and words of texts in a form in which they can be compared."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug"
        "|september sep sept|october oct|november nov|december dec".split("|"),
        1,
    )
    for name in names.split()
}
_NUMBER_WORDS: Final = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SCALES: Final = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_STOP_WORDS: Final = frozenset(
    "a an and are as at be been but by did do does for from had has have he her his how in into is "
    "it its of on or she that the their them there they this to was were what when where which who "
    "whom whose why will with would".split()
)
NEGATIONS: Final = frozenset("no not never none neither nor without cannot".split())

_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_TOKEN: Final = re.compile(
    rf"""
    (?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}}\b)
    |(?P<day_first>\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{_MONTH})\.?,?\s+\d{{4}}\b)
    |(?P<month_first>\b(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}\b)
    |(?P<number>\d{{1,3}}(?:[,\u00a0\u202f\u2009]\d{{3}})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?)
    |(?P<percent>%|\bper\s?cent\b)
    |(?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)*)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+|\n+|(?<=[。！？])")  # noqa: RUF001
_DIGITS: Final = re.compile(r"\d+")
# Scripts that put no blanks between words: a word of one is a whole clause to `_TOKEN`.
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)


class Token(NamedTuple):
    """A word, number or date of a text.

    Attributes:
        value: What it is compared by.
        start: Where it begins in the text.
        end: Where it ends.
        kind: `word`, `number` or `date`.
        is_name: Whether it is a word with a capital that does not begin its sentence.
    """

    value: str
    start: int
    end: int
    kind: str
    is_name: bool = False


@lru_cache(maxsize=256)  # a passage is compared with every fact of its question
def tokens(text: str) -> tuple[Token, ...]:
    """The words, numbers and dates of a text, in order.

    `1,200`, `1200.0` and `1.2 thousand` are one number, `3 May 2024` and `2024-05-03` one date,
    `twelve` and `12` one number; case, accents of Latin letters and a final `'s` do not count.
    """
    found = list(_tokens(text))
    merged: list[Token] = []
    for token in found:
        scale = _SCALES.get(token.value)
        if (
            scale
            and merged
            and merged[-1].kind == "number"
            and not text[merged[-1].end : token.start].strip(" -\u00a0")
        ):
            last = merged.pop()
            merged.append(
                Token(_number(float(last.value) * scale), last.start, token.end, "number")
            )
        else:
            merged.append(token)
    return tuple(merged)


def occurrences(phrase: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a phrase stands in a text, word by word: `1,412` holds no `412`."""
    wanted = [token.value for token in tokens(phrase)]
    if _UNSPACED.search(phrase) or not wanted:
        at = text.find(phrase) if phrase else -1
        while at >= 0:
            yield at, at + len(phrase)
            at = text.find(phrase, at + 1)
        return
    found = tokens(text)
    for start in range(len(found) - len(wanted) + 1):
        stretch = found[start : start + len(wanted)]
        if all(_equal(token.value, value) for token, value in zip(stretch, wanted, strict=True)):
            yield stretch[0].start, stretch[-1].end


@lru_cache(maxsize=256)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Start and end of each sentence; a line break ends one, too."""
    spans = []
    start = 0
    for end in [*_SENTENCE_END.finditer(text), None]:
        stop = len(text) if end is None else end.start()
        if text[start:stop].strip():
            spans.append((start, stop))
        start = len(text) if end is None else end.end()
    return tuple(spans)


def content_words(text: str) -> set[str]:
    """The stems of a text's words that carry meaning, and its numbers and dates."""
    return {stem(token.value) for token in tokens(text) if token.value not in _STOP_WORDS}


def overlap(wanted: set[str], text: str) -> float:
    """The share of words that a text has, from 0 to 1; 1 where none are wanted."""
    return len(wanted & content_words(text)) / len(wanted) if wanted else 1.0


def exact_parts(text: str) -> list[str]:
    """What must not be worded differently: numbers, dates, names and what stands in quotes."""
    parts = [token.value for token in tokens(text) if token.kind != "word" or token.is_name]
    return parts + re.findall(r"[\"“]([^\"”]{2,200})[\"”]", text)


def negated(text: str) -> bool:
    """Whether a text has a word such as `not`."""
    return any(token.value in NEGATIONS or token.value.endswith("n't") for token in tokens(text))


def stem(word: str) -> str:
    """A word without the ending of its plural, its past or its participle."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word.removesuffix("e") if len(word) > 3 else word


def _tokens(text: str) -> Iterator[Token]:
    last_end = None
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        kind = match.lastgroup or ""
        if kind in ("iso", "day_first", "month_first"):
            day = _date(match[0], kind)
            if day:
                yield Token(day, start, end, "date")
                continue
            for part in _DIGITS.finditer(match[0]):
                yield Token(part[0], start + part.start(), start + part.end(), "number")
        elif kind == "number":
            plain = re.sub(r"[^\d.]", "", match[0])
            yield Token(_number(float(plain)), start, end, "number")
        elif kind == "percent":
            yield Token("%", start, end, "word")
        else:
            word = _plain(match[0])
            if word in _NUMBER_WORDS:
                yield Token(_number(_NUMBER_WORDS[word]), start, end, "number")
            else:
                begins = last_end is None or any(c in ".!?\n" for c in text[last_end:start])
                yield Token(word, start, end, "word", match[0][0].isupper() and not begins)
        last_end = end


def _date(text: str, kind: str) -> str:
    if kind == "iso":
        year, month, day = (int(part) for part in text.split("-"))
    else:
        numbers = [int(part) for part in _DIGITS.findall(text)]
        day, year = numbers[0], numbers[1]
        names = re.findall(_MONTH, text.casefold())  # as `_TOKEN` matches letters, a long s too
        month = _MONTHS[names[0]]
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""


def _number(value: float) -> str:
    return f"{value:.12g}"


def _plain(word: str) -> str:
    folded = word.casefold().replace("\u2019", "'").removesuffix("'s")
    if folded.isascii():
        return folded
    parts = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", folded))
    # Accents of Latin letters only: in other scripts marks are vowels.
    kept = [
        c
        for before, c in zip(f" {parts}", parts, strict=False)
        if not (unicodedata.combining(c) and before.isascii())
    ]
    return unicodedata.normalize("NFC", "".join(kept))


def _equal(one: str, other: str) -> bool:
    return one == other or (one.isalpha() and other.isalpha() and plural(one) == plural(other))


def plural(word: str) -> str:
    """A word without the `s` of a plural, so that `metre` and `metres` are one."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def share(parts: Sequence[str], text: str) -> float:
    """The share of exact parts that stand in a text; 1 where there are none."""
    if not parts:
        return 1.0
    values = {token.value for token in tokens(text)}
    held = sum(part in values or any(occurrences(part, text)) for part in parts)
    return held / len(parts)


NEIGHBORS: Final = 1
"""Sentences before and after one that are read with it: "The bridge … It is 412 metres long."."""


def window_at(passage: str, at: int) -> tuple[int, int]:
    """The sentence at a place, with its neighbors."""
    spans = sentences(passage)
    return _window(spans, sentence_number(spans, at))


def _window(spans: Sequence[tuple[int, int]], number: int) -> tuple[int, int]:
    return spans[max(0, number - NEIGHBORS)][0], spans[min(len(spans) - 1, number + NEIGHBORS)][1]


def sentence_number(spans: Sequence[tuple[int, int]], at: int) -> int:
    """Which of a text's sentences a place is in, or behind."""
    return max(0, bisect_right(spans, at, key=lambda span: span[0]) - 1)


class Window(NamedTuple):
    """The sentences of a passage that come closest to a statement.

    Attributes:
        exact: The share of the statement's numbers, dates, names and quotes that they have.
        words: The share of its words.
        start: Where they begin.
        end: Where they end.
    """

    exact: float
    words: float
    start: int
    end: int


def closest_window(statement: str, passage: str, around: str = "") -> Window:
    """Find the sentences of a passage that come closest to a statement.

    Args:
        statement: A sentence of its own.
        passage: Where it is looked for.
        around: What is read with every sentence, such as a title.
    """
    exact, words = exact_parts(statement), content_words(statement)
    best = Window(0.0, 0.0, 0, 0)
    # The statement may stand in one sentence, or begin in one and end in the next.
    spans = sentences(passage)
    for number in range(len(spans)):
        first, last = _window(spans, number)
        text = f"{around}\n{passage[first:last]}"
        found = Window(share(exact, text), overlap(words, text), first, last)
        if found[:2] > best[:2]:
            best = found
    end = best.start + len(passage[best.start : best.end].rstrip())
    return best._replace(end=end)
