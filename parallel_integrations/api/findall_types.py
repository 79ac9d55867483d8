"""What FindAll answers: schemas, runs, candidates, entities and events (API facts 10)."""

from typing import Any, Final

from pydantic import model_validator

from parallel_integrations.api.basis import FieldBasis
from parallel_integrations.api.events import StreamEvent
from parallel_integrations.api.models import AnswerModel, Items, Text
from parallel_integrations.api.task_types import TERMINAL


class MatchCondition(AnswerModel):
    """What an entity must fulfil.

    Attributes:
        name: Short name, the key of its verdict in a candidate's `output`.
        description: What exactly.
    """

    name: str
    description: Text = ""


class FindallSchema(AnswerModel):
    """A search for entities as the API understood it; meant to be edited before it is run.

    Attributes:
        objective: What is wanted.
        entity_type: Of which kind, e.g. `companies`.
        match_conditions: What each must fulfil.
        enrichments: What is found out about the matches, as the wire has it.
        generator: How thoroughly, where said.
        match_limit: How many, where said.
    """

    objective: Text = ""
    entity_type: Text = ""
    match_conditions: Items[MatchCondition] = []
    enrichments: Items[dict[str, Any]] = []
    generator: str | None = None
    match_limit: int | None = None


class FindallMetrics(AnswerModel):
    """How far a run has come.

    Attributes:
        generated_candidates_count: Candidates looked at.
        matched_candidates_count: Of which matched.
    """

    generated_candidates_count: int | None = None
    matched_candidates_count: int | None = None


class FindallStatus(AnswerModel):
    """How a run stands.

    Attributes:
        status: In one word.
        is_active: Whether it is still being worked on.
        metrics: How far it has come.
        termination_reason: Why it ended, e.g. `match_limit_met`.
    """

    status: Text = ""
    is_active: bool | None = None
    metrics: FindallMetrics | None = None
    termination_reason: str | None = None


class FindallRun(AnswerModel):
    """A FindAll run.

    Attributes:
        findall_id: Its id.
        status: How it stands; None where only the id came back.
        generator: How thorough it is.
        metadata: Its labels.
        created_at: When it was created.
        modified_at: When it last changed.
    """

    findall_id: str
    status: FindallStatus | None = None
    generator: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: str | None = None
    modified_at: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        if self.status is None:
            return False
        if self.status.is_active is None:
            return self.status.status in TERMINAL
        return not self.status.is_active


class FindallCandidate(AnswerModel):
    """An entity that was looked at.

    Attributes:
        candidate_id: Its id.
        name: Its name.
        url: Its page.
        match_status: `generated`, `matched`, `unmatched`, `discarded`.
        description: What it is.
        output: Verdicts and enrichments by name: objects with `value`, or plain values.
        basis: What they rest on.
    """

    candidate_id: Text = ""
    name: Text = ""
    url: Text = ""
    match_status: Text = ""
    description: str | None = None
    output: dict[str, Any] | None = None
    basis: Items[FieldBasis] = []

    def value(self, name: str) -> Any:
        """The plain value of a verdict or enrichment, whichever form the wire has; None if none."""
        found = (self.output or {}).get(name)
        return found.get("value") if isinstance(found, dict) and "value" in found else found


class FindallResult(AnswerModel):
    """What a run has found so far.

    Attributes:
        run: The run.
        candidates: Entities, matched or not.
        last_event_id: Where `findall_events` goes on.
    """

    run: FindallRun
    candidates: Items[FindallCandidate] = []
    last_event_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _unflatten(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("run") is None and "findall_id" in values:
            own = {name: values[name] for name in ("candidates", "last_event_id") if name in values}
            run = {name: value for name, value in values.items() if name not in {*own, "run"}}
            return {**own, "run": run}
        return values

    @property
    def matches(self) -> list[FindallCandidate]:
        """The candidates that matched."""
        return [one for one in self.candidates if one.match_status == "matched"]


class FindallStatusEvent(StreamEvent):
    """The run's status; also sent as a heartbeat.

    Attributes:
        data: The run.
        timestamp: When.
    """

    data: FindallRun
    timestamp: str | None = None


class FindallSchemaEvent(StreamEvent):
    """The run's schema changed.

    Attributes:
        data: The schema.
        timestamp: When.
    """

    data: FindallSchema
    timestamp: str | None = None


class FindallCandidateEvent(StreamEvent):
    """A candidate was generated, matched, unmatched, discarded or enriched.

    Attributes:
        data: The candidate; an `enriched` event may hold the enrichment alone.
        timestamp: When.
    """

    data: FindallCandidate
    timestamp: str | None = None


EVENTS: Final[dict[str, type[StreamEvent]]] = {
    "findall.status": FindallStatusEvent,
    "findall.schema.updated": FindallSchemaEvent,
    "findall.candidate.": FindallCandidateEvent,
}


class Entity(AnswerModel):
    """One entity.

    Attributes:
        name: Its name.
        url: Its page.
        description: What it is.
    """

    name: Text = ""
    url: Text = ""
    description: str | None = None


class EntitySearchResponse(AnswerModel):
    """A list of entities.

    Attributes:
        entities: The entities.
        entity_set_id: The list's id.
    """

    entities: Items[Entity] = []
    entity_set_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        older = {"candidate_set_id": "entity_set_id", "candidates": "entities"}
        return {
            older[name] if name in older and older[name] not in values else name: value
            for name, value in values.items()
        }
