"""What a task run finds: quotes, a filled schema, or, when nothing is asked for, both in small."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from parallel_integrations.sandbox.answering.schema_filler import Filler
from parallel_integrations.sandbox.answering.sentences import Evidence, Quote, basis, gather
from parallel_integrations.sandbox.operations.chat import quoted
from parallel_integrations.sandbox.state.tasks import Run, Spec
from parallel_integrations.sandbox.web.domains import allowed
from parallel_integrations.sandbox.web.index import Index
from parallel_integrations.sandbox.web.page import Page

QUOTES: Mapping[str, int] = MappingProxyType(
    {"lite": 3, "base": 4, "core": 5, "core2x": 5, "pro": 7, "ultra": 8}
)
"""How many sentences each processor quotes; those not named quote as many as ``ultra``."""
REMEMBERED = 512
"""Findings kept, so that asking for a result again, or the same of many runs, costs nothing."""

AUTO_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "answer": {"type": ["string", "null"], "description": "The best sentence found."},
            "findings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "statement": {"type": "string", "description": "A sentence of a page."},
                        "page": {"type": "string", "description": "The title of the page."},
                    },
                    "required": ["statement", "page"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["answer", "findings"],
        "additionalProperties": False,
    }
)
"""What a run answers that was not told what to answer."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found.

    Attributes:
        output: As the result carries it.
        considered: Addresses of the pages that were found.
    """

    output: Mapping[str, Any]
    considered: tuple[str, ...]

    @property
    def read(self) -> Mapping[str, str | None]:
        """Address of each page that is quoted → its title."""
        return {
            citation["url"]: citation["title"]
            for field in self.output["basis"]
            for citation in field["citations"]
        }


def findings(index: Index, run: Run) -> Findings:
    """Return what a run finds in the pages of `index`."""
    asked = run.asked
    quotes = QUOTES.get(run.processor.removesuffix("-fast"), QUOTES["ultra"])
    return _find(index, asked.question, asked.context, asked.spec, quotes, asked.domains)


@lru_cache(maxsize=REMEMBERED)
def _find(
    index: Index,
    question: str,
    context: tuple[str, ...],
    spec: Spec,
    quotes: int,
    domains: tuple[tuple[str, ...], tuple[str, ...], str | None],
) -> Findings:
    evidence = gather(index, question, context, accept=_policy(*domains))
    if spec.kind == "json":
        output = _filled(evidence, json.loads(spec.schema))
    elif spec.kind == "text":
        text, found = quoted(evidence, quotes)
        output = {"type": "text", "content": text, "basis": found}
    else:
        output = _auto(evidence, quotes)
    return Findings(output, tuple(page.url for page in evidence.pages))


def _policy(
    include: tuple[str, ...], exclude: tuple[str, ...], after: str | None
) -> Callable[[Page], bool]:
    if not (include or exclude or after):
        return lambda page: True
    first = date.fromisoformat(after) if after else None
    return lambda page: allowed(page, include, exclude, first)


def _filled(evidence: Evidence, schema: Any) -> dict[str, Any]:
    filler = Filler(schema, evidence)
    content: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    for name in filler.fields:
        filler.used, filler.items = [], []
        content[name] = filler.field(name)
        found.append(basis(name, evidence, _once(filler.used)))
        found += [
            basis(f"{name}.{number}", evidence, _once(quotes))
            for number, quotes in enumerate(filler.items)
        ]
    return {"type": "json", "content": content, "basis": found}


def _auto(evidence: Evidence, count: int) -> dict[str, Any]:
    best = evidence.best(count)
    found = [basis("answer", evidence, best[:1])]
    found += [
        basis(f"findings.{number}.statement", evidence, [quote])
        for number, quote in enumerate(best)
    ]
    content = {
        "answer": best[0].text if best else None,
        "findings": [{"statement": quote.text, "page": quote.page.title} for quote in best],
    }
    return {"type": "json", "content": content, "basis": found, "output_schema": dict(AUTO_SCHEMA)}


def _once(quotes: list[Quote]) -> list[Quote]:
    return list(dict.fromkeys(quotes))
