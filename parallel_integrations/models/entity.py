"""Entity search: request and response (docs/reference/facts.md, 10)."""

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import AliasChoices, Field, field_validator

from parallel_integrations.models.findall import MAX_MATCHES, MIN_MATCHES
from parallel_integrations.models.prices import INCLUDED_ENTITIES, entity_skus
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    Items,
    RequestModel,
    ResponseModel,
    Text,
)

EntityType: TypeAlias = Literal["people", "companies"]
"""What entity search lists."""


class EntitySearchRequest(RequestModel):
    """A quick list of entities, best effort.

    Attributes:
        entity_type: `people` or `companies` (`company` in older bodies).
        objective: Which.
        match_limit: How many, 5 to 1000; 100 are included in the price (docs/reference/facts.md,
            3.4).
    """

    api_defaults: ClassVar[frozenset[str]] = frozenset({"match_limit"})

    entity_type: EntityType = Field(description="Whether people or companies are listed.")
    objective: str = Field(
        min_length=1, description="Which ones, in natural language: what each of them is or does."
    )
    match_limit: int = Field(
        default=INCLUDED_ENTITIES,
        ge=MIN_MATCHES,
        le=MAX_MATCHES,
        description="How many to list at most.",
    )

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
