"""What a FindAll run does, step by step: pages become candidates, are judged and enriched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parallel_integrations.sandbox.answering.matching import (
    Spans,
    citation,
    evidence_of,
    fill,
    found_spans,
    judge,
)
from parallel_integrations.sandbox.web.corpus import normal
from parallel_integrations.sandbox.web.index import Index
from parallel_integrations.sandbox.web.page import Page

POOL = 1000
"""How many pages a run considers at most."""
PREVIEW_CANDIDATES = 10
"""How many candidates a preview judges."""
DESCRIPTION_CHARS = 200

CANDIDATE = "findall.candidate."
STATUS = "findall.status"
SCHEMA = "findall.schema.updated"

Candidate = dict[str, Any]
"""A candidate as the wire has it."""


@dataclass(slots=True)
class Step:
    """One thing that happens in a run.

    Attributes:
        type: Type of its event.
        data: The event's data, complete but for what only the run knows.
        enrichment: Number of the enrichment it carries out, None for other steps.
        due: When it happens, on the run's clock.
        at: When it happened, as events carry it; "" until then.
    """

    type: str
    data: dict[str, Any]
    enrichment: int | None = None
    due: float = 0.0
    at: str = ""


def fold(steps: Sequence[Step]) -> dict[str, Candidate]:
    """Return the candidates as they stand after `steps`, by address, oldest first."""
    found: dict[str, Candidate] = {}
    for step in steps:
        if not step.type.startswith(CANDIDATE):
            continue
        data = step.data
        if step.enrichment is not None:
            before = found[data["url"]]
            output = {**before["output"], **data["output"]}
            data = {**before, "output": output, "basis": [*before["basis"], *data["basis"]]}
        found[data["url"]] = data
    return found


@dataclass(slots=True)
class Plan:
    """Works out the steps that are left of a run.

    Attributes:
        schema: What is looked for, as the wire has it.
        index: The pages.
        excluded: Names and addresses of pages to leave out.
        prefix: What the candidates' ids begin with.
        done: The steps that have happened.
    """

    schema: Mapping[str, Any]
    index: Index
    excluded: frozenset[str]
    prefix: str
    done: Sequence[Step]
    _spans: dict[str, Spans] = field(default_factory=dict)

    def steps(self) -> Iterator[Step]:
        """Yield the candidates' steps until enough have matched or no page is left.

        Raises:
            SchemaError: If an enrichment has no proper schema.
        """
        known = fold(self.done)
        enriched = {(s.data["url"], s.enrichment) for s in self.done if s.enrichment is not None}
        for url, candidate in known.items():
            page = self.index.corpus.get(url)
            if candidate["match_status"] == "matched" and page is not None:
                numbers = range(len(self.schema["enrichments"]))
                yield from (
                    self._enriched(candidate, page, n) for n in numbers if (url, n) not in enriched
                )
        matched = sum(one["match_status"] == "matched" for one in known.values())
        judged = sum(one["match_status"] != "generated" for one in known.values())
        count = len(known)
        for page in self._pool():
            known_as = known.get(page.url)
            if known_as and known_as["match_status"] != "generated":
                continue
            if matched >= self.schema["match_limit"] or self._preview_is_over(judged):
                return
            candidate = known_as or self._generated(page, count + 1)
            if not known_as:
                count += 1
                yield Step(f"{CANDIDATE}generated", candidate)
            candidate = self._judged(candidate, page)
            yield Step(CANDIDATE + candidate["match_status"], candidate)
            judged += 1
            if candidate["match_status"] == "matched":
                matched += 1
                for number in range(len(self.schema["enrichments"])):
                    yield self._enriched(candidate, page, number)

    def try_enrichments(self) -> None:
        """Fill every enrichment's schema once.

        Raises:
            SchemaError: If one is no proper schema.
        """
        page = self.index.corpus.pages[0]
        for enrichment in self.schema["enrichments"]:
            fill(enrichment["output_schema"]["json_schema"], evidence_of(page, [page.title], {}))

    def _preview_is_over(self, judged: int) -> bool:
        return self.schema["generator"] == "preview" and judged >= PREVIEW_CANDIDATES

    def _pool(self) -> list[Page]:
        texts = [self.schema["objective"]]
        texts += [condition["description"] for condition in self.schema["match_conditions"]]
        return [
            hit.page
            for hit in self.index.search(texts, limit=POOL)
            if not self.excluded & {normal(hit.page.url), hit.page.title.casefold()}
        ]

    def _where(self, text: str) -> Spans:
        if text not in self._spans:
            urls = [page.url for page in self._pool()]
            self._spans[text] = found_spans(self.index, [text], urls)
        return self._spans[text]

    def _generated(self, page: Page, number: int) -> Candidate:
        opening = evidence_of(page, [page.title], {}).quotes
        first = opening[0].text if opening else ""
        return {
            "candidate_id": f"{self.prefix}_{number:04}",
            "name": page.title,
            "url": page.url,
            "description": first[:DESCRIPTION_CHARS] or None,
            "match_status": "generated",
            "output": {},
            "basis": [],
        }

    def _judged(self, candidate: Candidate, page: Page) -> Candidate:
        output = {}
        basis = []
        for condition in self.schema["match_conditions"]:
            name, description = condition["name"], condition["description"]
            verdict = judge(description, page, besides=self.schema["entity_type"])
            where = self._where(description)
            output[name] = {
                "value": "yes" if verdict.yes else "no",
                "type": "match_condition",
                "is_matched": verdict.yes,
            }
            basis.append(
                {
                    "field": name,
                    "reasoning": verdict.reasoning,
                    "citations": [citation(page, verdict.held, where)] if verdict.held else [],
                    "confidence": verdict.confidence,
                }
            )
        good = all(one["is_matched"] for one in output.values())
        status = "matched" if good else "unmatched"
        return {**candidate, "match_status": status, "output": output, "basis": basis}

    def _enriched(self, candidate: Candidate, page: Page, number: int) -> Step:
        schema = self.schema["enrichments"][number]["output_schema"]["json_schema"]
        text = self.schema["objective"]
        evidence = evidence_of(page, [text, *schema.get("properties", {})], self._where(text))
        values, basis = fill(schema, evidence)
        output = {name: {"value": value, "type": "enrichment"} for name, value in values.items()}
        # Like the service, which sends what the enrichment found and nothing of what came before.
        data = {**candidate, "output": output, "basis": basis}
        return Step(f"{CANDIDATE}enriched", data, number)
