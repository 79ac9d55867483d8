"""Pages: settings, fields and response parts that search and extract share."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StringConstraints,
)
from pydantic_core import CoreSchema, core_schema

from parallel_integrations.models.fields import Excerpts
from parallel_integrations.models.page_facts import date_text, published_at
from parallel_integrations.models.policies import FetchPolicy, one_as_list
from parallel_integrations.models.prices import reported_skus
from parallel_integrations.models.shared import ApiResponse, ResponseModel, UsageItems

# The API's own limits: held here, what is past them is refused before it is sent.
MAX_QUERIES: Final = 5
MAX_QUERY_CHARACTERS: Final = 200
MAX_OBJECTIVE_CHARACTERS: Final = 5000
MAX_SESSION_ID_CHARACTERS: Final = 1000

EXCERPT_SEPARATOR: Final = "\n\n"
"""A blank line, so that neither a reader nor a splitter of texts takes two passages for one."""
OLDER_BETA: Final = "search-extract-2025-10-10"


def _not_blank(value: str) -> str:
    # Control characters that only Python counts as blanks would be left over as an empty query.
    if not value.strip():
        raise ValueError("there is nothing but blanks")
    return value


def _date_schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    # Numbers second: a text is read without a Python call.
    other = core_schema.no_info_plain_validator_function(date_text)
    return core_schema.union_schema([handler(source), other], mode="left_to_right")


Query = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS),
    AfterValidator(_not_blank),
]
Queries = Annotated[
    list[Query], Field(min_length=1, max_length=MAX_QUERIES), BeforeValidator(one_as_list)
]
Objective = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_OBJECTIVE_CHARACTERS),
    AfterValidator(_not_blank),
]


DATE_NAMES: Final = ("publish_date", "published_at", "published_date")
"""What the generations of the wire call a page's date."""
DateText = Annotated[str, GetPydanticSchema(_date_schema)]


class PageSettings(BaseModel):
    """Settings of search and extract that a developer fixes once for all requests."""

    max_chars_total: int | None = Field(default=None, ge=1)
    """Most characters of all excerpts together."""
    max_chars_per_result: int | None = Field(default=None, ge=1)
    """Most characters of one page's excerpts; the API raises less than 1000 to 1000."""
    fetch_policy: FetchPolicy | None = None
    """When pages are fetched live."""
    session_id: str | None = Field(default=None, min_length=1, max_length=MAX_SESSION_ID_CHARACTERS)
    """Joins the search and extract calls of one job; at most 1000 characters."""
    client_model: str | None = Field(default=None, min_length=1)
    """The model that will read the results."""


class PageResult(ResponseModel):
    """One page with the passages that fit the request.

    Attributes:
        publish_date: When it was published, as the wire wrote it (`publish_date`, `published_at`
            or `published_date`, whichever can be read); a number in ISO 8601.
        excerpts: Its passages, as strings; each has `start_char` and `end_char`, not None where
            the wire gives offsets.
    """

    url: str
    title: str | None = None
    publish_date: DateText | None = Field(default=None, validation_alias=AliasChoices(*DATE_NAMES))
    excerpts: Excerpts = []

    def model_post_init(self, context: Any) -> None:
        """Take the date from another of its names where the first one holds none."""
        others = self.__pydantic_extra__  # the property would be one more call for each page
        if not others or others.keys().isdisjoint(DATE_NAMES) or published_at(self.publish_date):
            return
        for name in DATE_NAMES:
            with suppress(ValueError):
                if published_at(found := date_text(others.get(name))):
                    self.publish_date = found
                    return

    @property
    def passages(self) -> Sequence[str]:
        """What of the page came back, in its order."""
        return self.excerpts

    @property
    def text(self) -> str:
        """What of the page came back, a blank line between."""
        return EXCERPT_SEPARATOR.join(self.passages)


class PagesResponse(ApiResponse):
    """What every response with pages has in common.

    Attributes:
        session_id: The session it belongs to, where given.
    """

    main_lists = frozenset({"results"})

    session_id: str | None = None
    usage: UsageItems = Field(default_factory=list)

    def billed_skus(self, counted: Mapping[str, int]) -> Mapping[str, int]:
        """What `usage` reports, in our SKUs; what was counted where it reports nothing."""
        return reported_skus(counted, self.reported) if self.usage else counted

    @property
    def reported(self) -> dict[str, int]:
        """`usage` as the API's own units and how many of each."""
        units: dict[str, int] = {}
        for item in self.usage:
            if "count" in item.model_fields_set:  # else it could not be read, and is not 0
                units[item.name] = units.get(item.name, 0) + item.count
        return units

    @property
    def is_whole(self) -> bool:
        """Whether everything that was requested came back and could be read."""
        return self.is_readable
