"""What FindAll is asked: wishes, runs, enrichments, entity searches (API facts 10)."""

from typing import Any, Final, Literal

from pydantic import Field, model_validator

from parallel_integrations.api.findall_types import FindallSchema, MatchCondition
from parallel_integrations.api.models import ApiVersion, RequestModel
from parallel_integrations.api.output_schema import JsonSchema, wire_schema
from parallel_integrations.api.policies import McpServer, MemoryScopeKey, Metadata, Webhook
from parallel_integrations.api.task_requests import MOST_MCP_SERVERS

FEWEST_MATCHES: Final = 5
MOST_MATCHES: Final = 1000
MOST_PREVIEW_MATCHES: Final = 10
MOST_EXCLUDED: Final = 10_000
ENTITY_SEARCH: Final = {"entity_search": 1}


class IngestFindallRequest(RequestModel):
    """A wish in words.

    Attributes:
        objective: Which entities are wanted.
    """

    objective: str = Field(min_length=1)


class ExcludedEntity(RequestModel):
    """An entity that is known already.

    Attributes:
        name: Its name.
        url: Its page.
    """

    name: str = Field(min_length=1)
    url: str = Field(min_length=1)


class CreateFindallRunRequest(RequestModel):
    """A FindAll run.

    Attributes:
        objective: What is wanted.
        entity_type: Of which kind.
        match_conditions: What each must fulfil; at least one.
        generator: `preview` (at most 10, cheap), `base`, `core` or `pro`; newer ones pass through.
        match_limit: How many matches to stop at, 5 to 1000; 10 at most for `preview`.
        exclude_list: Entities to leave out; at most 10,000.
        metadata: Labels.
        webhook: Where the API reports to.
        memory_scope_key: Memory to share between runs.

    Raises:
        pydantic.ValidationError: A value past its limit.
    """

    objective: str = Field(min_length=1)
    entity_type: str = Field(min_length=1)
    match_conditions: list[MatchCondition] = Field(min_length=1)
    generator: str = Field(default="core", min_length=1)
    match_limit: int = Field(default=MOST_PREVIEW_MATCHES, ge=FEWEST_MATCHES, le=MOST_MATCHES)
    exclude_list: list[ExcludedEntity] | None = Field(default=None, max_length=MOST_EXCLUDED)
    metadata: Metadata | None = None
    webhook: Webhook | None = None
    memory_scope_key: MemoryScopeKey | None = None

    @model_validator(mode="after")
    def _preview_is_small(self) -> "CreateFindallRunRequest":
        if self.generator == "preview" and self.match_limit > MOST_PREVIEW_MATCHES:
            raise ValueError(
                f"match_limit={self.match_limit} is too much for generator='preview', which stops "
                f"at {MOST_PREVIEW_MATCHES}"
            )
        return self

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One run of the generator; its matches are billed as they are found."""
        return {f"findall_{self.generator}": 1}

    @classmethod
    def from_schema(cls, schema: FindallSchema, **changes: Any) -> "CreateFindallRunRequest":
        """A run of an ingested schema, with what you want changed.

        The API takes no enrichments at creation: ask for the schema's with `enrich_findall`.
        """
        conditions = [
            MatchCondition(name=one.name, description=one.description)
            for one in schema.match_conditions
        ]
        asked: dict[str, Any] = {
            "objective": schema.objective,
            "entity_type": schema.entity_type,
            "match_conditions": conditions,
            "generator": schema.generator,
            "match_limit": schema.match_limit,
            **changes,
        }
        return cls(**{name: value for name, value in asked.items() if value is not None})


class EnrichFindallRequest(RequestModel):
    """What to find out about every match.

    Attributes:
        output_schema: A JSON schema or a pydantic class.
        processor: The task processor that does it; billed per match.
        mcp_servers: Tool servers it may use.
    """

    output_schema: JsonSchema
    processor: str = Field(default="core", min_length=1)
    mcp_servers: list[McpServer] | None = Field(default=None, max_length=MOST_MCP_SERVERS)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        flat = self.model_dump(mode="json", exclude_none=True, exclude={"output_schema"})
        return {"output_schema": wire_schema(self.output_schema), **flat}


class ExtendFindallRequest(RequestModel):
    """More matches.

    Attributes:
        additional_match_limit: How many more than before.
    """

    additional_match_limit: int = Field(ge=1)


class EntitySearchRequest(RequestModel):
    """A quick list of entities, best effort.

    Attributes:
        entity_type: `people` or `companies`.
        objective: Which.
        match_limit: How many, 5 to 1000.
    """

    entity_type: Literal["people", "companies"]
    objective: str = Field(min_length=1)
    match_limit: int = Field(default=100, ge=FEWEST_MATCHES, le=MOST_MATCHES)

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One search, whatever it finds."""
        return ENTITY_SEARCH
