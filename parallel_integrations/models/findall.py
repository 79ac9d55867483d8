"""FindAll and entity search: requests, responses, events (docs/reference/facts.md, 10)."""

from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn, TypeAlias

from pydantic import AliasChoices, Field, field_validator, model_validator

from parallel_integrations._counted import counted
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._bodies import renamed
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.fields import Items, Text, id_may_be_missing
from parallel_integrations.models.notebook import candidate_html, findall_html
from parallel_integrations.models.output_schema import JsonSchema, wire_schema
from parallel_integrations.models.policies import McpServer, MemoryScopeKey, Metadata, Webhook
from parallel_integrations.models.prices import INCLUDED_ENTITIES, entity_skus, findall_skus
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    RequestModel,
    ResponseModel,
    StreamEvent,
)
from parallel_integrations.models.task import MAX_MCP_SERVERS, TERMINAL

EntityType: TypeAlias = Literal["people", "companies"]
"""What entity search lists."""


class MatchCondition(ResponseModel):
    """What an entity must fulfil."""

    name: str
    """Short name, the key of its verdict in a candidate's `output`."""
    description: Text = ""
    """What exactly."""


class FindallSchema(ApiResponse):
    """A search for entities as the API understood it; meant to be edited before it is run.

    Attributes:
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


class FindallMetrics(ResponseModel):
    """How far a run has come.

    Attributes:
        generated_candidates_count: Candidates looked at.
        matched_candidates_count: Of which matched.
    """

    generated_candidates_count: int | None = None
    matched_candidates_count: int | None = None


class FindallStatus(ResponseModel):
    """How a run stands.

    Attributes:
        status: In one word.
        termination_reason: Why it ended, e.g. `match_limit_met`.
    """

    status: Text = ""
    is_active: bool | None = None
    metrics: FindallMetrics | None = None
    termination_reason: str | None = None


class FindallRun(ApiResponse):
    """A FindAll run.

    Attributes:
        status: How it stands; None where only the id came back.
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


class FindallCandidate(ResponseModel):
    """An entity that was looked at.

    Attributes:
        match_status: `generated`, `matched`, `unmatched`, `discarded`.
        output: Verdicts and enrichments by name: objects with `value`, or plain values.
        basis: Of each of them.
    """

    candidate_id: Text = ""
    name: Text = ""
    url: Text = ""
    match_status: Text = ""
    description: str | None = None
    output: dict[str, Any] | None = None
    basis: Items[FieldBasis] = []

    def value(self, name: str) -> Any:
        """The plain value of a verdict or enrichment, in either form of the wire; None if none."""
        found = (self.output or {}).get(name)
        return found.get("value") if isinstance(found, dict) and "value" in found else found

    def _repr_html_(self) -> str:
        return candidate_html(self)


class FindallResult(ApiResponse):
    """What a run has found so far.

    Attributes:
        candidates: Entities, matched or not.
        last_event_id: Where `findall_events` goes on.
    """

    main_lists = frozenset({"candidates"})

    run: Annotated[FindallRun, id_may_be_missing("findall_id")] = Field(
        default_factory=lambda: FindallRun(findall_id="")
    )
    candidates: Items[FindallCandidate] = []
    last_event_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _unflatten(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("run") is not None:
            return values
        # Some responses have the run's fields beside its candidates.
        if "findall_id" in values:
            own = {name: values[name] for name in ("candidates", "last_event_id") if name in values}
            run = {name: value for name, value in values.items() if name not in {*own, "run"}}
            return {**own, "run": run}
        if values.get("candidates") is None:
            raise ValueError("it holds neither a run nor candidates")
        return values

    @property
    def matches(self) -> list[FindallCandidate]:
        """The candidates that matched."""
        return [one for one in self.candidates if one.match_status == "matched"]

    def _repr_html_(self) -> str:
        return findall_html(self)


class FindallStatusEvent(StreamEvent):
    """The run's status; also sent as a heartbeat."""

    data: FindallRun
    timestamp: str | None = None


class FindallSchemaEvent(StreamEvent):
    """The run's schema changed."""

    data: FindallSchema
    timestamp: str | None = None


class FindallCandidateEvent(StreamEvent):
    """A candidate was generated, matched, unmatched, discarded or enriched.

    Attributes:
        data: The candidate; an `enriched` event may hold the enrichment alone.
    """

    data: FindallCandidate
    timestamp: str | None = None


EVENTS: Final[dict[str, type[StreamEvent]]] = {
    "findall.status": FindallStatusEvent,
    "findall.schema.updated": FindallSchemaEvent,
    "findall.candidate.": FindallCandidateEvent,
}

MIN_MATCHES: Final = 5
MAX_MATCHES: Final = 1000
MatchLimit: TypeAlias = Annotated[int, Field(ge=MIN_MATCHES, le=MAX_MATCHES)]
MAX_PREVIEW_MATCHES: Final = 10
MAX_EXCLUDED: Final = 10_000
_OLDEST: Final = frozenset({"query", "findall_spec", "processor", "result_limit"})


def check_preview(generator: str | None, match_limit: int) -> None:
    """Refuse more matches than a preview finds.

    Raises:
        ValueError: It is a preview, and they are.
    """
    if generator == "preview" and match_limit > MAX_PREVIEW_MATCHES:
        raise ValueError(
            f"match_limit={match_limit} is too much for generator='preview', which stops at "
            f"{MAX_PREVIEW_MATCHES}"
        )


class IngestFindallRequest(RequestModel):
    """An objective in words, to be made a schema of."""

    objective: str = Field(min_length=1)
    """Which entities are wanted; `query` in the oldest bodies."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        return renamed(values, "query", "objective")


class ExcludedEntity(RequestModel):
    """An entity that is known already."""

    name: str = Field(min_length=1)
    """What it is called."""
    url: str = Field(min_length=1)
    """Its address."""


class CreateFindallRunRequest(RequestModel):
    """A FindAll run.

    Raises:
        InvalidArgumentError: A value past its limit.
    """

    objective: str = Field(min_length=1)
    """What to find, in words."""
    entity_type: str = Field(min_length=1)
    """Of which kind."""
    match_conditions: list[MatchCondition] = Field(min_length=1)
    """What each must fulfil; at least one."""
    generator: str = Field(default="core", min_length=1)
    """`preview` (at most 10, cheap), `base`, `core` or `pro`; newer ones pass through."""
    match_limit: MatchLimit = MAX_PREVIEW_MATCHES
    """How many matches to stop at, 5 to 1000; 10 at most for `preview`."""
    exclude_list: list[ExcludedEntity] | None = Field(default=None, max_length=MAX_EXCLUDED)
    """Entities to leave out; at most 10,000."""
    metadata: Metadata | None = None
    """Labels of your own, which come back with the run."""
    webhook: Webhook | None = None
    """Where the API reports to."""
    memory_scope_key: MemoryScopeKey | None = None
    """Name of the memory that is read and added to (beta)."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if oldest := sorted(_OLDEST & values.keys()):
            raise InvalidArgumentError(
                f"{oldest[0]}= is of FindAll's first generation, whose runs are other ones: give "
                "objective=, entity_type=, match_conditions=, generator= and match_limit=, as "
                "ingest_findall() makes them of an objective",
                field=oldest[0],
            )
        # An ingested schema may be given as it is: what it leaves open is left out.
        left_open = {name for name in ("generator", "match_limit") if values.get(name, 0) is None}
        if values.get("enrichments") in (None, []):
            left_open.add("enrichments")
        else:
            raise InvalidArgumentError(
                "enrichments= is nothing that a run is created with: leave it out, and add each "
                "with enrich_findall(findall_id, …), or run_findall(…, enrich=…)",
                field="enrichments",
            )
        return {name: value for name, value in values.items() if name not in left_open}

    @model_validator(mode="after")
    def _preview_is_small(self) -> "CreateFindallRunRequest":
        check_preview(self.generator, self.match_limit)
        return self

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One run of the generator; its matches are billed as they are found."""
        return {f"findall_{self.generator}": 1}

    def max_skus(self, version: ApiVersion) -> dict[str, int]:
        """The run, and as many matches as it may find."""
        return findall_skus(self.generator, self.match_limit)

    @classmethod
    def from_schema(cls, schema: FindallSchema, **changes: Any) -> "CreateFindallRunRequest":
        """A run of an ingested schema, with what you want changed.

        The API takes no enrichments at creation: add the schema's with `enrich_findall`.
        """
        conditions = [
            MatchCondition(name=one.name, description=one.description)
            for one in schema.match_conditions
        ]
        fields: dict[str, Any] = {
            "objective": schema.objective,
            "entity_type": schema.entity_type,
            "match_conditions": conditions,
            "generator": schema.generator,
            "match_limit": schema.match_limit,
            **changes,
        }
        return cls(**{name: value for name, value in fields.items() if value is not None})


class EnrichFindallRequest(RequestModel):
    """What to find out about every match."""

    api_defaults: ClassVar[frozenset[str]] = frozenset({"processor"})

    output_schema: JsonSchema
    """A JSON schema or a pydantic class."""
    processor: str = Field(default="core", min_length=1)
    """The task processor that does it; billed per match."""
    mcp_servers: list[McpServer] | None = Field(default=None, max_length=MAX_MCP_SERVERS)
    """Tool servers that may be used; at most 10."""

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        return {
            "output_schema": wire_schema(self.output_schema),
            **self.dumped("output_schema"),
        }

    def max_skus(self, version: ApiVersion) -> NoReturn:
        """Refused: it is billed for each match of a run."""
        raise InvalidArgumentError(
            f"An enrichment is billed like a task of processor={self.processor!r} for each match "
            "of its run, and how many there are only the API knows: estimate "
            "run_findall(request, enrich=…) instead."
        )


class ExtendFindallRequest(RequestModel):
    """More matches."""

    additional_match_limit: int = Field(ge=1)
    """How many more than before."""

    def max_skus(self, version: ApiVersion) -> NoReturn:
        """Refused: the run's generator decides the price."""
        raise InvalidArgumentError(
            f"{counted(self.additional_match_limit, 'more match is', 'more matches are')} billed "
            "by the generator of the run, which only the API knows: estimate "
            "CreateFindallRunRequest(…, match_limit=…) instead."
        )


class EntitySearchRequest(RequestModel):
    """A quick list of entities, best effort."""

    api_defaults: ClassVar[frozenset[str]] = frozenset({"match_limit"})

    entity_type: EntityType = Field(description="Whether people or companies are listed.")
    """`people` or `companies` (`company` in older bodies)."""
    objective: str = Field(
        min_length=1, description="Which ones, in natural language: what each of them is or does."
    )
    """Which people or companies, in words."""
    match_limit: MatchLimit = INCLUDED_ENTITIES
    """How many, 5 to 1000; 100 are included in the price (docs/reference/facts.md, 3.4)."""

    @field_validator("entity_type", mode="before")
    @classmethod
    def _older_word(cls, value: Any) -> Any:
        return "companies" if value == "company" else value

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One search, and the entities requested beyond those that its price includes."""
        return entity_skus(self.match_limit)


class Entity(ResponseModel):
    """One entity."""

    name: Text = ""
    url: Text = ""
    description: str | None = None


class EntitySearchResponse(ApiResponse):
    """A list of entities; older documents have `candidates` and `candidate_set_id`."""

    main_lists = frozenset({"entities"})

    entities: Items[Entity] = Field(
        default=[], validation_alias=AliasChoices("entities", "candidates")
    )
    entity_set_id: str | None = Field(
        default=None, validation_alias=AliasChoices("entity_set_id", "candidate_set_id")
    )
