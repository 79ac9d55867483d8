"""FindAll runs: their steps, and where they stand at a given time."""

import asyncio
import re
import time
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
from parallel_integrations.sandbox.web.corpus import Page, normal
from parallel_integrations.sandbox.web.index import Index

POOL = 1000
"""How many pages a run considers at most."""
PREVIEW_CANDIDATES = 10
"""How many candidates a preview judges."""
DESCRIPTION_CHARS = 200

CANDIDATE = "findall.candidate."
STATUS = "findall.status"
SCHEMA = "findall.schema.updated"

Candidate = dict[str, Any]
"""A candidate as the API shows it."""


@dataclass(slots=True)
class Step:
    """One thing that happens in a run.

    Attributes:
        enrichment: Number of the enrichment it carries out, None for other steps.
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
    """Works out the steps that are left of a run."""

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
            # Checked before a page is judged: a run that has enough must not generate one more.
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


@dataclass(eq=False, slots=True)
class FindallRun:
    """One run.

    Its steps are worked out when it is created, extended or enriched, each with the moment at which
    it falls due; `advance` makes those happen whose moment has come.

    Attributes:
        schema: The schema of the run, as the API shows it; `enrichments` is a list.
        excluded: Names in lower case and URLs of pages to leave out.
        seconds: How long the work takes.
        scope: Its memory scope; None for the personal one.
        steps: Those that have happened and those to come.
        happened: How many of the steps have happened.
        timer: Calls back when the next step is due.
    """

    findall_id: str
    schema: dict[str, Any]
    excluded: frozenset[str]
    seconds: float
    created_at: str
    metadata: dict[str, Any] | None = None
    webhook: dict[str, Any] | None = None
    scope: str | None = None
    modified_at: str = ""
    steps: list[Step] = field(default_factory=list)
    happened: int = 0
    timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self.modified_at = self.created_at

    def advance(self, at: str) -> Sequence[Step]:
        """Make happen what is due.

        Args:
            at: The time, as events carry it.

        Returns:
            The steps that just happened.
        """
        now = time.monotonic()
        before = self.happened
        while self.happened < len(self.steps) and self.steps[self.happened].due <= now:
            self.steps[self.happened].at = self.modified_at = at
            self.happened += 1
        return self.steps[before : self.happened]

    @property
    def due_in(self) -> float | None:
        """Seconds until the next step, None when there is none."""
        if self.happened == len(self.steps):
            return None
        return max(0.0, self.steps[self.happened].due - time.monotonic())

    @property
    def fails(self) -> bool:
        """Whether its metadata make it fail."""
        return (self.metadata or {}).get("sandbox") == "fail"

    def plan(self, index: Index, schema: dict[str, Any] | None = None) -> None:
        """Work out the steps from now on again.

        Args:
            index: The pages.
            schema: What is looked for from now on, if that changes; it takes effect only if the
                whole plan works out.

        Raises:
            SchemaError: If an enrichment has no proper schema.
        """
        done = self.steps[: self.happened]
        wanted = schema or self.schema
        # Derived from the run's id, so that ids repeat however many runs work at once.
        prefix = self.findall_id.replace("findall", "candidate", 1)
        plan = Plan(wanted, index, self.excluded, prefix, done)
        # Before anything is changed: a schema that cannot be filled must leave the run as it was.
        first = index.corpus.pages[0]
        for each in wanted["enrichments"]:
            fill(each["output_schema"]["json_schema"], evidence_of(first, [first.title], {}))
        todo = [] if done else [self._status("queued", done)]
        if schema:
            todo.append(Step(SCHEMA, _wire(schema)))
        todo.append(self._status("running", done))
        if self.fails:
            todo.append(self._status("failed", [*done, *todo], "error_occurred"))
        else:
            todo += plan.steps()
            enough = _matched([*done, *todo]) >= wanted["match_limit"]
            reason = "match_limit_met" if enough else "candidates_exhausted"
            todo.append(self._status("completed", [*done, *todo], reason))
        # A new run is queued at once; a run with a new schema is running at once.
        at_once = 2 if schema else 1
        now = time.monotonic()
        for number, step in enumerate(todo, 1):
            # Evenly over the whole time, so that the last step falls due exactly at its end.
            late = max(0, number - at_once) / (len(todo) - at_once)
            step.due = now + self.seconds * late
        self.schema = wanted
        self.steps = [*done, *todo]

    def cancel(self) -> None:
        """End the run at once."""
        done = self.steps[: self.happened]
        last = self._status("cancelled", done, "user_cancelled")
        last.due = time.monotonic()
        self.steps = [*done, last]

    @property
    def status(self) -> dict[str, Any]:
        """The status object of the wire, its counts up to date."""
        return self._status_after(self.happened)

    @property
    def is_active(self) -> bool:
        """Whether it is still being worked on."""
        return bool(self.status["is_active"])

    def _status_after(self, count: int) -> dict[str, Any]:
        steps = self.steps[:count]
        last = next((step for step in reversed(steps) if step.type == STATUS), None)
        status = last.data if last else self._status("queued", ()).data
        # Counted again, because candidates have come since the last status event.
        return {**status, "metrics": _metrics(steps)}

    @staticmethod
    def _status(word: str, steps: Sequence[Step], reason: str | None = None) -> Step:
        data = {
            "status": word,
            "is_active": word in ("queued", "running"),
            "metrics": _metrics(steps),
            "termination_reason": reason,
        }
        return Step(STATUS, data)

    def wire(self, count: int | None = None) -> dict[str, Any]:
        """Return the run as the API shows it.

        Args:
            count: After how many steps; None for now.
        """
        return {
            "findall_id": self.findall_id,
            "status": self._status_after(self.happened if count is None else count),
            "generator": self.schema["generator"],
            "metadata": self.metadata,
            "created_at": self.created_at,
            "modified_at": self.steps[count - 1].at if count else self.modified_at,
        }

    @property
    def wire_schema(self) -> dict[str, Any]:
        """What is looked for, as the API shows it."""
        return _wire(self.schema)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The candidates so far, as the API shows them."""
        return list(fold(self.steps[: self.happened]).values())

    def event_id(self, count: int) -> str | None:
        """Return the id of the last of the first `count` events, None when there is none."""
        return f"{self.findall_id}_event_{count:06}" if count else None

    def count_of(self, event_id: str) -> int | None:
        """Return after how many events to resume after `event_id`; None if it is none of this run.

        A heartbeat's id is that of the event before it with a number added.
        """
        number = event_id.removeprefix(f"{self.findall_id}_event_")
        # Python refuses to read a number of thousands of digits.
        found = re.fullmatch("([0-9]{1,9})(?:_[0-9]+)?", number)
        count = int(found[1]) if found and number != event_id else -1
        return count if 0 <= count <= self.happened else None

    def event(self, count: int) -> dict[str, Any]:
        """Return the `count`-th event, counted from 1."""
        step = self.steps[count - 1]
        data = self.wire(count) if step.type == STATUS else step.data
        return {
            "type": step.type,
            "event_id": self.event_id(count),
            "timestamp": step.at,
            "data": data,
        }


def _matched(steps: Sequence[Step]) -> int:
    return sum(step.type == f"{CANDIDATE}matched" for step in steps)


def _metrics(steps: Sequence[Step]) -> dict[str, int]:
    generated = sum(step.type == f"{CANDIDATE}generated" for step in steps)
    return {"generated_candidates_count": generated, "matched_candidates_count": _matched(steps)}


def _wire(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "enrichments": schema["enrichments"] or None}
