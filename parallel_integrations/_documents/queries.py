"""Keyword queries from a question, without any model: deterministic, in any script."""

import logging
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final
from unicodedata import category, normalize

from parallel_integrations._documents.stop_words import (
    ALWAYS_GUIDANCE,
    GUIDANCE,
    IMPERATIVES,
    JOINING,
    LINKS,
    OPENERS,
    QUESTIONS,
    REQUESTS,
    SOURCES,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models.pages import MAX_OBJECTIVE_CHARACTERS, MAX_QUERY_CHARACTERS

# The API advises three queries of 3 to 6 words: longer ones match fewer pages.
MAX_DERIVED: Final = 3
MAX_QUERY_WORDS: Final = 6
MIN_QUERY_WORDS: Final = 3
MAX_FACET_WORDS: Final = 3
"""What of one facet stands beside the topic: half of a query."""
MAX_TOPIC_FACETS: Final = 4
"""Of a long text, what it is about stands in its first sentences."""
MAX_FACETS: Final = 30
"""Of a text of pages, the beginning says what it is about."""

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = rf"[{_CJK}]+|[^\W_{_CJK}]+(?:['’.:+#/&_-]+[^\W_{_CJK}]+)*[+#]*"
_TOKEN = re.compile(rf"({_WORD})|([.!?;:\n()\[\]\"“”«»。！？；：؛؟।॥။]+)|([,，、،၊–—-]+)")
_CJK_WORD = re.compile(rf"[{_CJK}]+")
_CJK_GLUE = re.compile(
    "为什么|什么时候|什么样|有哪些|是什么|怎么样|怎么|怎样|如何|什么|哪些|哪个|哪里|多少|请问|可以|能否|是否|"
    "以及|的|是|在|和|与|或|吗|呢|了|把|被|对|于|"
    "とは|ですか|ますか|どのように|なぜ|は|が|を|に|の|で|と|へ|か"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_JOINERS: Final = "\u200c\u200d"
"""They part and join letters within words of Persian and of the scripts of India."""
_VOWELS = re.compile("[\u064b-\u065f\u0670]")

_NO_KEYWORDS: Final = OPENERS | LINKS | REQUESTS

log = logging.getLogger("parallel_integrations")

STOP: Final = "\n"
COMMA: Final = ","


def derive_queries(question: str) -> list[str]:
    """One to three keyword queries for a question, each of at most 6 words and 200 characters.

    The first holds the question's first keywords. The others put its topic beside its other
    facets, such as entities and time ranges, and differ from each other in their keywords.
    Guidance ("emphasizing official announcements") gives no keywords. A question without any
    keyword is its own query.

    Args:
        question: The question in any language; not blank.

    Returns:
        Distinct queries, best first. The same question gives the same queries.
    """
    question = normalize("NFC", readable(question))
    tokens = _subject(list(_tokens(question)))
    wanted = _without_guidance(tokens)
    facets = _facets(wanted) or _facets(tokens)
    keywords = _distinct(word for facet in facets for word in facet)
    if not keywords:
        words = [token for token in tokens if token not in (STOP, COMMA)]
        return [_fit(words) or shortened(" ".join(question.split()), MAX_QUERY_CHARACTERS)]
    chosen = _chosen(keywords, facets, _topic(tokens, facets))
    if len(chosen) == 1:
        chosen.append(_phrase(wanted))
    queries = _distinct(map(_fit, chosen))
    long_enough = [query for query in queries if len(query.split()) >= MIN_QUERY_WORDS]
    return long_enough or queries[:1]


def readable(text: str) -> str:
    """A text that JSON and every server can carry.

    Halves of a surrogate pair that stand together are joined; lone ones and U+0000 are replaced.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\ufffd") if "\0" in text else text


def shortened(text: str, max_chars: int) -> str:
    """At most `max_chars` characters of a text, cut between words where there are any."""
    text = text.strip()
    if len(text) <= max_chars:
        return text
    beginning = text[: max_chars + 1]
    # Half of the budget rather than half of a word; a script without blanks has none to cut at.
    at = max((match.start() for match in re.finditer(r"\s", beginning)), default=0)
    at = at if at > max_chars // 2 else max_chars
    while at > 1 and (category(text[at])[0] == "M" or text[at - 1] in _JOINERS):
        at -= 1  # a mark belongs to the letter before it
    return text[:at].strip() or text[:max_chars]


def as_objective(question: Any) -> Any:
    """A question of any length and script as an objective.

    Of one that is too long it is the beginning, with a warning in the log. What is no text stays as
    it is, for the request to refuse it.
    """
    if not isinstance(question, str):
        return question
    question = readable(question).strip()
    text = shortened(question, MAX_OBJECTIVE_CHARACTERS)
    if len(text) < len(question):
        log.warning(
            "a question of %d characters was shortened to its first %d; the API takes %d",
            len(question),
            len(text),
            MAX_OBJECTIVE_CHARACTERS,
        )
    return text


def as_queries(queries: Any) -> Any:
    """Queries of any script, as `as_objective`; what are no texts stay as they are."""
    if isinstance(queries, str):
        return readable(queries)
    if isinstance(queries, list | tuple):
        return [readable(each) if isinstance(each, str) else each for each in queries]
    return queries


def search_fields(
    question: Any, *, objective: Any = None, search_queries: Any = None
) -> dict[str, Any]:
    """`objective` and `search_queries` of a search for a question; given ones come first.

    Args:
        question: Of any length; may be blank where one of the others is given.
        objective: In place of the question, which then decides the queries alone.
        search_queries: In place of those that are derived from the question.

    Raises:
        InvalidArgumentError: The question is blank, and there is nothing else.
    """
    is_text = isinstance(question, str)
    is_question = is_text and bool(question.strip())
    if is_text and not is_question and objective is None and search_queries is None:
        raise InvalidArgumentError(
            "the question, which is the objective, is blank: there is nothing to search for",
            field="objective",
        )
    if search_queries is not None:
        search_queries = as_queries(search_queries)
    elif is_question:
        search_queries = derive_queries(question)
    if objective is None and (is_question or search_queries is None):
        objective = question
    return {"objective": as_objective(objective), "search_queries": search_queries}


def _tokens(question: str) -> Iterator[str]:
    """Words, `STOP` where a sentence ends, and `COMMA`."""
    # A mark is no letter for the regular expression, but belongs to the word: it is looked at as
    # a letter, and the word is taken from the question itself.
    letters, is_ascii = question, question.isascii()
    if not is_ascii:
        letters = "".join(
            "x" if category(each)[0] == "M" or each in _JOINERS else each for each in question
        )
    for match in _TOKEN.finditer(letters):
        word, stop, _ = match.groups()
        if word is None:
            yield STOP if stop else COMMA
            continue
        if is_ascii:  # then it is made of letters and digits, whatever stands between them
            yield word
            continue
        word = question[match.start() : match.end()].strip(_JOINERS)
        if _CJK_WORD.fullmatch(word):  # written without spaces: its particles part the words
            yield from [part for part in _CJK_GLUE.split(word) if part] or [word]
        elif any(map(str.isalnum, word)):
            yield word


def _subject(tokens: list[str]) -> list[str]:
    """The tokens from the question's first keyword on; all of them where it has none."""
    opening = [_plain(token) in OPENERS or _plain(token) in REQUESTS for token in tokens]
    for place, token in enumerate(tokens):
        if token in (STOP, COMMA):
            continue
        leads_on = _plain(token) in LINKS and any(opening[place + 1 : place + 2])  # "… to know"
        if not opening[place] and not leads_on:
            return tokens[place:]
    return tokens


def _without_guidance(tokens: list[str]) -> list[str]:
    """The tokens without clauses that say how to respond or which sources to take."""
    kept: list[str] = []
    has_keyword = False  # the first is what is wanted, whatever it is
    for sentence in _split(tokens, STOP):
        begins = True  # where an imperative may stand
        for place, token in enumerate(sentence):
            word = _plain(token)
            if has_keyword and (word in GUIDANCE or (begins and word in IMPERATIVES)):
                rest = sentence[place + 1 :]
                about_sources = any(_plain(each) in SOURCES for each in rest)
                if about_sources or word in ALWAYS_GUIDANCE:
                    kept += [each for each in rest if _YEAR.fullmatch(each)]
                    break
                token = COMMA  # "focusing on pricing": what follows is a facet
            is_keyword = token != COMMA and word not in _NO_KEYWORDS
            begins = token == COMMA or (begins and not is_keyword)
            has_keyword = has_keyword or is_keyword
            kept.append(token)
        kept.append(STOP)
    return kept


def _facets(tokens: list[str]) -> list[list[str]]:
    """The keywords, parted where other words or marks stand between them.

    What is only listed (`California, Texas and Germany`) is one facet.
    """
    facets: list[list[str]] = []
    between: set[str] = {STOP}
    for token in tokens:
        word = _plain(token)
        if token in (STOP, COMMA) or word in OPENERS or word in LINKS:
            between.add(word)
            continue
        listed = between <= JOINING and facets and len(facets[-1]) < MAX_FACET_WORDS
        if listed or not between:
            facets[-1].append(token)
        else:
            facets.append([token])
        between = set()
    return facets[:MAX_FACETS]


def _topic(tokens: list[str], facets: list[list[str]]) -> list[str]:
    """The facet after a question word within the text ("I wonder which …"), or the longest."""
    interior = [place for place, token in enumerate(tokens) if _plain(token) in QUESTIONS]
    for token in tokens[interior[0] + 1 :] if interior else ():
        if found := next((facet for facet in facets if token in facet), None):
            return found
    return max(facets[:MAX_TOPIC_FACETS], key=len)


def _chosen(keywords: list[str], facets: list[list[str]], topic: list[str]) -> list[list[str]]:
    """Up to three lists of keywords: the first ones, then the topic beside what is left."""
    chosen = [keywords[:MAX_QUERY_WORDS]]
    others = [facet for facet in facets if facet is not topic]
    candidates = [_beside(topic, facet, facets) for facet in others]
    candidates += [
        [*one[:MAX_FACET_WORDS], *two[:MAX_FACET_WORDS]] for one, two in pairwise(others)
    ]
    if not others:  # one long phrase: what it ends with is the wider subject
        candidates = [topic[-MAX_QUERY_WORDS:], topic[-MIN_QUERY_WORDS:]]
    candidates = [_distinct(each) for each in candidates]
    about = _plain_words(topic)
    while len(chosen) < MAX_DERIVED:
        sets = list(map(_plain_words, chosen))
        known = frozenset[str]().union(*sets)
        usable = [
            each
            for each in candidates
            if len(each) >= MIN_QUERY_WORDS and _plain_words(each) not in sets
        ]
        if not usable:
            break
        chosen.append(max(usable, key=lambda each: _gain(_plain_words(each), known, about)))
    return chosen


def _gain(words: frozenset[str], known: frozenset[str], topic: frozenset[str]) -> int:
    """How much a query adds: its new words, and that it is about the topic."""
    return len(words - known) + bool(words & topic)


def _plain_words(words: list[str]) -> frozenset[str]:
    return frozenset(map(_plain, words))


@lru_cache(maxsize=4096)  # each word is looked up several times, and most come again
def _plain(word: str) -> str:
    """A word as lists of stop words have it: in lower case, without the vowel marks of Arabic."""
    return word.lower() if word.isascii() else _VOWELS.sub("", word.lower())


def _beside(topic: list[str], facet: list[str], facets: list[list[str]]) -> list[str]:
    """The topic's names, or its last words, and those of one facet, in the question's order."""
    few = facet[:MAX_FACET_WORDS]
    num_words = MAX_QUERY_WORDS - len(few)
    named = [word for word in topic if any(each.isdigit() or each.isupper() for each in word)]
    about = named[:num_words] if len(named) > 1 else topic[-num_words:]
    return [*few, *about] if facets.index(facet) < facets.index(topic) else [*about, *few]


def _phrase(tokens: list[str]) -> list[str]:
    """The words that the keywords stand in, to the end of the sentence."""
    words = [token for token in next(_split(tokens, STOP), []) if token != COMMA]
    phrase = words[:MAX_QUERY_WORDS]
    while phrase and (_plain(phrase[-1]) in LINKS or _plain(phrase[-1]) in OPENERS):
        phrase.pop()
    return phrase


def _split(tokens: list[str], mark: str) -> Iterator[list[str]]:
    part: list[str] = []
    for token in [*tokens, mark]:
        if token != mark:
            part.append(token)
        elif part:
            yield part
            part = []


def _fit(words: list[str]) -> str:
    whole = " ".join(words[:MAX_QUERY_WORDS])
    if whole and len(whole) <= MAX_QUERY_CHARACTERS:
        return whole
    kept: list[str] = []
    for word in words[:MAX_QUERY_WORDS]:
        if len(" ".join([*kept, word])) > MAX_QUERY_CHARACTERS:
            break
        kept.append(word)
    return " ".join(kept) or shortened(" ".join(words), MAX_QUERY_CHARACTERS)


def _distinct(items: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    for item in items:
        if item:
            first.setdefault(item.lower(), item)
    return list(first.values())
