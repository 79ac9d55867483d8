"""Words, search terms and stems of texts."""

import re
from collections.abc import Iterable
from itertools import pairwise

_STOP_WORDS = """
a about above after again against all also am an and any are as at be because been before being
below between both but by can could did do does doing down during each few for from further had has
have having he her here hers him his how i if in into is it its itself just me more most my no nor
not now of off on once only or other our ours out over own please same she should so some such than
that the their theirs them then there these they this those through to too under until up us very
was we were what when where which while who whom why will with would you your yours
tell explain describe find know want
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
MAX_TERMS = 64
"""Terms looked for at most; a longer objective says the rest twice."""

# Scripts written without spaces: Thai to Khmer, kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002fa1f]"
)
_RUN = re.compile(f"{_UNSPACED.pattern}+|(?:(?!{_UNSPACED.pattern})[^\\W_])+")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "ly", "s", "e")


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case; a run without spaces becomes its letter pairs.

    Example:
        ```python
        from parallel_integrations.sandbox.web.words import words

        assert words("What is __enter__()?") == ["what", "is", "enter"]
        assert words("東京都 2020") == ["東 京", "京 都", "2020"]
        ```
    """
    found: list[str] = []
    for match in _RUN.finditer(text.lower()):
        run = match[0]
        # Pairs stand for words where nothing separates them; single letters would match everywhere.
        if _UNSPACED.match(run):
            found += [f"{a} {b}" for a, b in pairwise(run)] or [run]
        else:
            found.append(run)
    return found


def terms(texts: Iterable[str]) -> list[str]:
    """Return what to look for: the distinct words of `texts` without those that say nothing.

    When they say nothing at all ("if not"), all of them are kept.
    """
    every = list(dict.fromkeys(word for text in texts for word in words(text)))
    significant = [word for word in every if word not in STOP_WORDS]
    return (significant or every)[:MAX_TERMS]


def match_expression(looked_for: Iterable[str]) -> str:
    """Return an FTS5 expression for any of the terms, quoted so that none is an operator."""
    return " OR ".join(f'"{term}"' for term in looked_for)


def spaced(text: str) -> str:
    """Return `text` as the index reads it: letters of unspaced scripts stand alone."""
    return text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)


def stem(word: str) -> str:
    """Return a crude stem, so that "managers" and "manager" meet."""
    for suffix in _SUFFIXES:
        # At least four letters remain, or "red" and "rings" would become the same.
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word.removesuffix(suffix)
    return word


def stems(text: str) -> set[str]:
    """Return the stems of the words of `text`."""
    return {stem(word) for word in words(text)}
