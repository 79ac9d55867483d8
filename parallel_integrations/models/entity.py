"""Entity search: request and response (docs/reference/facts.md, 10)."""

from typing import Any, ClassVar, Final, Literal

from pydantic import AliasChoices, Field, field_validator

from parallel_integrations.models.findall import MAX_MATCHES, MIN_MATCHES
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    Items,
    RequestModel,
    ResponseModel,
    Text,
)

ENTITY_SEARCH: Final = {"entity_search": 1}


class EntitySearchRequest(RequestModel):
    """A quick list of entities, best effort.

    Attributes:
        entity_type: `people` or `companies` (`company` in older bodies).
        objective: Which.
        match_limit: How many, 5 to 1000.
    """

    api_defaults: ClassVar[frozenset[str]] = frozenset({"match_limit"})

    entity_type: Literal["people", "companies"]
    objective: str = Field(min_length=1)
    match_limit: int = Field(default=100, ge=MIN_MATCHES, le=MAX_MATCHES)

    @field_validator("entity_type", mode="before")
    @classmethod
    def _older_word(cls, value: Any) -> Any:
        return "companies" if value == "company" else value

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One search, whatever it finds."""
        return ENTITY_SEARCH


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
