"""Reports of tasks, in the forms of published ones: a text with its own references, or sections.

Whatever the form, every sentence is a quote of a page.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from parallel_integrations.sandbox.answering.sentences import (
    NOTHING_FOUND,
    Evidence,
    Quote,
    basis,
    quoted,
)
from parallel_integrations.sandbox.web.corpus import Page

SUMMARY = "executive_summary"
CONFIDENCES = ("high", "medium", "", "low")
"""What the sections of a report have one after the other; published ones are as mixed."""
SLUG_WORDS = 8


def short_text(evidence: Evidence, count: int) -> tuple[str, list[dict[str, Any]]]:
    """Return a text of `count` quotes, whose later sources have no excerpts."""
    text, found = quoted(evidence, count)
    for citation in found[0]["citations"][2:]:
        citation["excerpts"] = []
    return text, found


def report(evidence: Evidence) -> tuple[str, list[dict[str, Any]]]:
    """Return a report with references of its own, numbered by the titles of the pages.

    Their order is not that of the citations of its basis.
    """
    if not evidence:
        return NOTHING_FOUND, [basis("output", evidence, [])]
    references = sorted(evidence.pages, key=lambda page: page.title.casefold())
    number = {page.url: place for place, page in enumerate(references, 1)}
    parts = [f"# {_one_line(evidence.question[0])}", "## Executive Summary"]
    parts += [_bullet(quote, f"[{number[quote.page.url]}]") for quote in evidence.best(3)]
    for page in evidence.pages:
        quotes = _quotes_of(evidence, page)
        parts += [f"## {page.title}", *(f"{q.text} [{number[page.url]}]" for q in quotes)]
    parts += ["## References"]
    parts += [f"{number[page.url]}. *{page.title}*. {page.url}" for page in references]
    return "\n\n".join(parts), [basis("output", evidence, evidence.quotes)]


def sections(evidence: Evidence) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return the sections of a report without a schema, and what is known of each.

    Names of sections are made of titles, their text is Markdown that refers to the section's
    citations as ``[name[0]] [1]``. As in published ones, the summary has a basis without citations
    and the last section none at all.
    """
    if not evidence:
        return {SUMMARY: NOTHING_FOUND}, [_unfounded(SUMMARY)]
    best = evidence.best(3)
    content = {SUMMARY: "\n".join(_bullet(quote) for quote in best)}
    found = [_unfounded(SUMMARY)]
    place = {page.url: number for number, page in enumerate(evidence.pages, 1)}
    for page, confidence in zip(evidence.pages, cycle(CONFIDENCES), strict=False):
        name = _free(_slug(page.title), content)
        quotes = _quotes_of(evidence, page)
        marker = f"[{name}[0]] [{place[page.url]}]"
        content[name] = "\n\n".join([f"### {page.title}", *(f"{q.text} {marker}" for q in quotes)])
        known = basis(name, evidence, quotes)
        reasoning = known["reasoning"] if confidence else ""
        found.append({**known, "reasoning": reasoning, "confidence": confidence})
    content[_free("synthesis", content)] = "\n".join(_bullet(quote) for quote in best[:1])
    return content, found


def _unfounded(field: str) -> dict[str, Any]:
    return {"field": field, "reasoning": "", "citations": [], "confidence": ""}


def _quotes_of(evidence: Evidence, page: Page) -> Sequence[Quote]:
    return [quote for quote in evidence.quotes if quote.page == page]


def _bullet(quote: Quote, marker: str = "") -> str:
    return f"- **{quote.page.title}**: {quote.text} {marker}".rstrip()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:100]


def _slug(title: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", title.lower())[:SLUG_WORDS]) or "section"


def _free(name: str, taken: dict[str, str]) -> str:
    return next(each for each in _names(name) if each not in taken)


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
