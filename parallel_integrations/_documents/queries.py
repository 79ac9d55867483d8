"""Keyword queries from a question, without any model: deterministic, in any script."""

import re
from collections.abc import Iterable
from typing import Final

from parallel_integrations._documents.stop_words import LINKS, OPENERS, REQUESTS
from parallel_integrations.models.pages import MAX_QUERY_CHARACTERS

MAX_QUERY_WORDS: Final = 6
MIN_QUERY_WORDS: Final = 3

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:['’.:+#/&_-]+[^\W_{_CJK}]+)*[+#]*")
_CJK_WORD = re.compile(rf"[{_CJK}]+")
_CJK_GLUE = re.compile(
    "为什么|什么时候|什么样|有哪些|是什么|怎么样|怎么|怎样|如何|什么|哪些|哪个|哪里|多少|请问|可以|能否|是否|"
    "以及|的|是|在|和|与|或|吗|呢|了|把|被|对|于|"
    "とは|ですか|ますか|どのように|なぜ|は|が|を|に|の|で|と|へ|か"
)


def derive_queries(question: str) -> list[str]:
    """One to three keyword queries for a question, each of at most 6 words and 200 characters.

    The first holds the question's keywords, the second the phrase they stand in or the later
    keywords, the third the most specific ones. A question without any keyword is its own query.

    Args:
        question: The question in any language; not blank.

    Returns:
        Distinct queries, best first. The same question gives the same queries.
    """
    words = _subject(_words(question))
    keywords = _distinct(
        word for word in words if word.lower() not in OPENERS and word.lower() not in LINKS
    )
    if not keywords:
        return [_fit(words) or _cut(" ".join(question.split()))]
    candidates = [keywords[:MAX_QUERY_WORDS]]
    if len(keywords) > MAX_QUERY_WORDS:
        candidates += [keywords[-MAX_QUERY_WORDS:], _most_specific(keywords)]
    else:
        candidates.append(_phrase([word for word in words if word.lower() not in OPENERS]))
        candidates.append(keywords[1:] if len(keywords) > MIN_QUERY_WORDS else _phrase(words))
    queries = _distinct(_fit(candidate) for candidate in candidates)
    long_enough = [q for q in queries if len(q.split()) >= MIN_QUERY_WORDS]
    return (long_enough or queries[:1])[:3]


def _words(question: str) -> list[str]:
    matches: list[str] = _WORD.findall(question)
    if question.isascii():
        return matches
    words: list[str] = []
    for match in matches:
        if _CJK_WORD.fullmatch(match):  # written without spaces: its particles part the words
            words += [part for part in _CJK_GLUE.split(match) if part] or [match]
        else:
            words.append(match)
    return words


def _subject(words: list[str]) -> list[str]:
    """The words from the question's first keyword on; all of them where it has none."""
    opening = [word.lower() in OPENERS or word.lower() in REQUESTS for word in words]
    for place, word in enumerate(words):
        leads_on = word.lower() in LINKS and any(opening[place + 1 : place + 2])  # "… to know"
        if not opening[place] and not leads_on:
            return words[place:]
    return words


def _phrase(words: list[str]) -> list[str]:
    phrase = words[:MAX_QUERY_WORDS]
    while phrase and (phrase[-1].lower() in OPENERS or phrase[-1].lower() in LINKS):
        phrase.pop()
    return phrase


def _most_specific(keywords: list[str]) -> list[str]:
    def weight(item: tuple[int, str]) -> tuple[bool, int, int]:
        place, word = item
        named = any(c.isdigit() or c.isupper() for c in word)
        return (not named, -len(word), place)

    chosen = sorted(sorted(enumerate(keywords), key=weight)[:MAX_QUERY_WORDS])
    return [word for _, word in chosen]


def _fit(words: list[str]) -> str:
    kept: list[str] = []
    for word in words[:MAX_QUERY_WORDS]:
        if len(" ".join([*kept, word])) > MAX_QUERY_CHARACTERS:
            break
        kept.append(word)
    return " ".join(kept) or _cut(" ".join(words))


def _cut(text: str) -> str:
    return text[:MAX_QUERY_CHARACTERS].strip()


def _distinct(items: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    for item in items:
        if item:
            first.setdefault(item.lower(), item)
    return list(first.values())
