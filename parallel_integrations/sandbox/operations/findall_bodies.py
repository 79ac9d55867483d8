"""What FindAll is asked, checked as strictly as the service documents it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from parallel_integrations.sandbox.operations.shared import Loose
from parallel_integrations.sandbox.operations.task_bodies import (
    JsonForm,
    McpServer,
    Metadata,
    ScopeKey,
    Webhook,
)

MOST_EXCLUDED = 10_000
MOST_PREVIEW_MATCHES = 10
MOST_ADDITIONAL_MATCHES = 1_000_000
"""The service documents no bound; without one a sum of them grows past what JSON text can hold."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
MatchLimit = Annotated[int, Field(ge=5, le=1000)]


class IngestBody(Loose):
    """Body of ingest."""

    objective: Text


class MatchCondition(Loose):
    """One condition."""

    name: Text
    description: Text


class Excluded(Loose):
    """One thing that is known already."""

    name: str
    url: str


class RunBody(Loose):
    """Body of a new run."""

    objective: Text
    entity_type: Text
    match_conditions: Annotated[list[MatchCondition], Field(min_length=1)]
    generator: Literal["preview", "base", "core", "pro"]
    match_limit: MatchLimit
    exclude_list: Annotated[list[Excluded], Field(max_length=MOST_EXCLUDED)] | None = None
    metadata: Metadata | None = None
    webhook: Webhook | None = None
    memory_scope_key: ScopeKey | None = None
    enrichments: Any = None

    @model_validator(mode="after")
    def _consistent(self) -> "RunBody":
        if self.enrichments:
            raise ValueError("enrichments are added to an existing run: POST …/enrich")
        names = [condition.name for condition in self.match_conditions]
        if len(set(names)) < len(names):
            raise ValueError("two match_conditions have the same name")
        return self

    @property
    def schema_(self) -> dict[str, Any]:
        """What is looked for, as the wire has it."""
        limit = self.match_limit
        return {
            "objective": self.objective,
            "entity_type": self.entity_type,
            "match_conditions": [each.model_dump() for each in self.match_conditions],
            "enrichments": [],
            "generator": self.generator,
            "match_limit": min(limit, MOST_PREVIEW_MATCHES)
            if self.generator == "preview"
            else limit,
        }


class EnrichBody(Loose):
    """Body of an enrichment."""

    output_schema: JsonForm
    processor: str = "core"
    mcp_servers: Annotated[list[McpServer], Field(max_length=10)] | None = None

    @property
    def wire(self) -> dict[str, Any]:
        """The enrichment as schemas list it, without the headers, which hold secrets."""
        kept = {"processor": self.processor, "output_schema": self.output_schema.model_dump()}
        if self.mcp_servers is None:
            return {**kept, "mcp_servers": None}
        servers = [each.model_dump(exclude={"headers"}) for each in self.mcp_servers]
        return {**kept, "mcp_servers": servers}


class ExtendBody(Loose):
    """Body of an extension."""

    additional_match_limit: Annotated[int, Field(ge=1, le=MOST_ADDITIONAL_MATCHES)]


class EntitySearchBody(Loose):
    """Body of an entity search."""

    entity_type: Literal["people", "companies"]
    objective: Text
    match_limit: MatchLimit = 100


class CandidatesBody(Loose):
    """Body of an entity search on its older path."""

    entity_type: Literal["people", "company"]
    objective: Text
    match_limit: MatchLimit = 100
