"""Sentences of pages as evidence: they are quoted word for word, never made up."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.index import Index
from parallel_integrations.sandbox.web.passages import Span, sentences
from parallel_integrations.sandbox.web.words import stem, stems, terms

PAGES = 5
THOROUGH_PAGES, THOROUGH_PASSAGES = 12, 10
"""From how many pages, and how many passages of each, a long report quotes."""
NOTHING_FOUND = "The sandbox found nothing about this in its pages."
PASSAGES_PER_PAGE = 4
QUOTES_PER_PAGE = 2
SENTENCE_CHARS = range(20, 500)
NEARLY_AS_GOOD = 0.4
"""A page that scores less than this share of the best one is not quoted."""
MIN_TERMS = 3
"""With fewer distinctive words than this a question is read together with what came before it."""

# Headings, grammar rules, console sessions, tables and "as follows:" are no prose to quote.
_NO_PROSE = re.compile(
    r"\A\s*(#|\*\*)|::=|>>>|^[^\S\n]*[|+][-=|+ ]|:\Z|\A(New|Changed) in version", re.MULTILINE
)


@dataclass(frozen=True)
class Quote:
    """One sentence of a page."""

    page: Page
    start: int
    end: int

    @property
    def excerpt(self) -> str:
        """The sentence exactly as the page has it, line breaks included."""
        return self.page.text[self.start : self.end]

    @cached_property
    def text(self) -> str:
        """The sentence on one line."""
        return " ".join(self.excerpt.split())

    @cached_property
    def stems(self) -> set[str]:
        """The stems of its words."""
        return stems(self.excerpt)


class Evidence:
    """What the pages say about a question.

    Attributes:
        question: The texts that were searched for.
        quotes: Sentences of the pages found, those of better pages first.
    """

    def __init__(self, question: Sequence[str], quotes: Sequence[Quote]) -> None:
        self.question = question
        self.quotes = quotes
        self._wanted = {stem(term) for term in terms(question)}
        count = len(quotes)
        self._weights = {
            # A word that is in every sentence says nothing about which one to quote (inverse
            # frequency).
            word: math.log(1 + count / (1 + sum(word in quote.stems for quote in quotes)))
            for word in self._wanted
        }

    def __bool__(self) -> bool:
        return bool(self.quotes)

    @cached_property
    def pages(self) -> list[Page]:
        """The pages, best first."""
        return list(dict.fromkeys(quote.page for quote in self.quotes))

    def only(self, page: Page) -> "Evidence":
        """Return the evidence of one page."""
        return Evidence(self.question, [q for q in self.quotes if q.page == page])

    def ranked(self, hint: str = "") -> list[Quote]:
        """Return the quotes, best first for the question and, above all, the words of `hint`."""
        hinted = {stem(term) for term in terms([hint])} if hint else set()
        order = {page: place for place, page in enumerate(self.pages)}

        def score(quote: Quote) -> float:
            wanted = math.fsum(self._weights[word] for word in self._wanted & quote.stems)
            # The hint is a field's name: it outweighs the question, which all fields share. Later
            # pages lose a little, so that equals come from the better page.
            return wanted + 3 * len(hinted & quote.stems) - 0.4 * order[quote.page]

        return sorted(self.quotes, key=score, reverse=True)

    def best(self, count: int) -> list[Quote]:
        """Return the `count` best quotes that hold a word of the question.

        No page gives more than two, unless the others have nothing to say.
        """
        fitting = [quote for quote in self.ranked() if quote.stems & self._wanted]
        taken: list[Quote] = []
        for quote in fitting:
            # Several sources make an answer that can be checked; one page would often fill it
            # alone.
            if sum(each.page == quote.page for each in taken) < QUOTES_PER_PAGE:
                taken.append(quote)
        if len(taken) < count:
            taken += [quote for quote in fitting if quote not in taken]
        return taken[:count]

    def confidence(self, quotes: Iterable[Quote]) -> str:
        """Return how much of the question the quotes touch: ``high``, ``medium`` or ``low``."""
        touched = {word for quote in quotes for word in quote.stems} & self._wanted
        share = len(touched) / max(1, len(self._wanted))
        return "high" if share >= 0.75 else "medium" if share >= 0.4 else "low"


def gather(
    index: Index,
    question: str,
    context: Sequence[str] = (),
    *,
    accept: Callable[[Page], bool] = lambda _: True,
    thorough: bool = False,
) -> Evidence:
    """Return what the pages say about `question`.

    Args:
        index: The pages.
        question: The current question.
        context: Earlier questions, oldest first; they complete a short one ("and why?").
        accept: Which pages may be quoted.
        thorough: Whether to quote more of more pages, also of those that fit less.
    """
    texts = [question]
    pages = THOROUGH_PAGES if thorough else PAGES
    # "And why?" holds no word that could be looked for.
    if context and len(terms(texts)) < MIN_TERMS:
        texts += context[-2:]
    hits = index.search(texts, limit=pages, accept=accept)
    if not hits and context:
        texts = [question, *context[-2:]]
        hits = index.search(texts, limit=pages, accept=accept)
    quotes: list[Quote] = []
    for hit in hits:
        # Full-text search always finds something; weak hits would be quoted as if they were
        # answers.
        if not thorough and hit.score < NEARLY_AS_GOOD * hits[0].score:
            break
        count = THOROUGH_PASSAGES if thorough else PASSAGES_PER_PAGE
        quotes += prose(hit.page, hit.passages[:count])
    return Evidence(texts, quotes)


def prose(page: Page, where: Iterable[Span]) -> list[Quote]:
    """Return the sentences of some passages of a page, as far as they can be quoted."""
    return [quote for start, end in where for quote in _prose(page, start, end)]


@lru_cache(maxsize=4096)
def _prose(page: Page, start: int, end: int) -> tuple[Quote, ...]:
    # Thousands of task runs quote the same passages; cutting them up is most of the work.
    found = (Quote(page, first, last) for first, last in sentences(page.text, start, end))
    return tuple(
        quote
        for quote in found
        if len(quote.text) in SENTENCE_CHARS and not _NO_PROSE.search(quote.excerpt)
    )


def basis(field: str, evidence: Evidence, quotes: Sequence[Quote]) -> dict[str, Any]:
    """Return the basis of one field of an answer: where its words come from."""
    excerpts: dict[Page, list[str]] = {}
    quotes = list(dict.fromkeys(quotes))
    for quote in quotes:
        excerpts.setdefault(quote.page, []).append(quote.excerpt)
    citations = [
        {"url": page.url, "title": page.title, "excerpts": texts}
        for page, texts in excerpts.items()
    ]
    reasoning = (
        f"The sandbox quotes {len(quotes)} sentence(s) of {len(citations)} page(s) found for "
        "the words of the request; it does not reason."
        if quotes
        else NOTHING_FOUND
    )
    return {
        "field": field,
        "reasoning": reasoning,
        "citations": citations,
        "confidence": evidence.confidence(quotes),
    }


def quoted(evidence: Evidence, count: int) -> tuple[str, list[dict[str, Any]]]:
    """Return a text of `count` quotes with numbered sources, and its basis."""
    quotes = evidence.best(count)
    if not quotes:
        return NOTHING_FOUND, [basis("output", evidence, [])]
    pages = list(dict.fromkeys(quote.page for quote in quotes))
    lines = [f"“{quote.text}” [{pages.index(quote.page) + 1}]" for quote in quotes]
    sources = [f"[{n}] {page.title}: {page.url}" for n, page in enumerate(pages, 1)]
    text = "\n\n".join(["The sandbox's pages say:", *lines, "Sources:\n" + "\n".join(sources)])
    return text, [basis("output", evidence, quotes)]
