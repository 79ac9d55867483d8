"""Matching: whether a page is about a description, by the share of its words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from parallel_integrations.sandbox.answering.schema_filler import Filler, SchemaError
from parallel_integrations.sandbox.answering.sentences import PASSAGES_PER_PAGE, Evidence, prose
from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.index import Index
from parallel_integrations.sandbox.web.passages import Span, passages
from parallel_integrations.sandbox.web.words import stem, stems, terms

ENOUGH = 0.5
"""Share of the distinctive words a page must hold to be about something."""
SURE = 0.8
"""From this share of held words on a yes is certain; below its rest a no is."""

# "Must match" and "should include" are in most descriptions and in no page.
_REQUEST_WORDS = stems(
    "must should shall match fit page entity only include included satisfy condition"
)

Spans = Mapping[str, Sequence[Span]]
"""Address of a page → its passages that fit, best first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much of a description a page holds."""

    held: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return len(self.held) / max(1, len(self.held) + len(self.missing))

    @property
    def yes(self) -> bool:
        """Whether that is enough."""
        return bool(self.held) and self.share >= ENOUGH

    @property
    def confidence(self) -> str:
        """``high`` where nearly all or nearly none of the words are held."""
        edge = max(self.share, 1 - self.share)
        return "high" if edge >= SURE else "medium" if edge > ENOUGH else "low"

    @property
    def reasoning(self) -> str:
        """What the verdict rests on, in words."""
        text = f"The sandbox looked for {len(self.held) + len(self.missing)} word(s) on the page"
        if self.held:
            text += f"; found: {', '.join(self.held)}"
        if self.missing:
            text += f"; not found: {', '.join(self.missing)}"
        return f"{text}. It compares words; it does not reason."


def judge(description: str, page: Page, besides: str = "") -> Verdict:
    """Return how much of `description` a page holds.

    Args:
        description: What it should be about.
        page: The page.
        besides: Words of the description that say nothing about a single page, such as the kind
            of thing that is looked for.

    Example:
        ```python
        from parallel_integrations.sandbox import Page
        from parallel_integrations.sandbox.answering.matching import judge

        page = Page("https://sandbox.example/with", "With", "It manages a context.")
        assert judge("must be about context managers", page).yes
        assert judge("must be about fractions", page).missing == ("fractions",)
        ```
    """
    wanted = terms([description])
    common = _REQUEST_WORDS | stems(besides)
    # A description of common words only is still judged by them.
    distinctive = [word for word in wanted if stem(word) not in common] or wanted
    there = _stems_of(page)
    held = tuple(word for word in distinctive if stem(word) in there)
    return Verdict(held, tuple(word for word in distinctive if word not in held))


@lru_cache(maxsize=2048)
def _stems_of(page: Page) -> frozenset[str]:
    return frozenset(stems(f"{page.title} {page.text}"))


def found_spans(index: Index, texts: Sequence[str], urls: Iterable[str]) -> Spans:
    """Return the passages of the named pages that fit `texts`."""
    wanted = set(urls)
    hits = index.search(texts, limit=len(wanted), accept=lambda page: page.url in wanted)
    return {hit.page.url: hit.passages for hit in hits}


def evidence_of(page: Page, texts: Sequence[str], spans: Spans) -> Evidence:
    """Return what one page says about `texts`; the page's beginning where nothing fits better."""
    # Where no passage fits, the opening is the fairest thing to quote.
    where = spans.get(page.url) or passages(page.text)[:1]
    return Evidence(texts, prose(page, where[:PASSAGES_PER_PAGE]))


def citation(page: Page, words: Sequence[str], spans: Spans, count: int = 2) -> dict[str, Any]:
    """Return a page as a citation: the sentences that hold `words`, or else its best passage."""
    excerpts = [quote.excerpt for quote in evidence_of(page, words, spans).best(count)]
    if not excerpts:
        start, end = next(iter(spans.get(page.url) or passages(page.text)))
        excerpts = [page.text[start:end]]
    return {"url": page.url, "title": page.title, "excerpts": excerpts}


def fill(schema: Any, evidence: Evidence) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return an object that follows `schema`, and the basis of each of its fields.

    Raises:
        SchemaError: If `schema` is no schema of an object with properties.
    """
    filler = Filler(schema, evidence)
    if not filler.fields:
        raise SchemaError("it must describe an object with properties")
    return filler.fill()
