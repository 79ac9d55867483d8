"""Base classes of all requests and responses.

A request refuses what cannot be right before anything is sent. A response is read tolerantly:
absent ids, null lists, unknown fields and unknown enum values are no errors, because the API grows.
"""

import reprlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.models._validation import CheckedModel
from parallel_integrations.models.fields import Count, Items, Text, null_as_empty

ApiVersion: TypeAlias = Literal["v1", "v1beta", "v1beta-processor"]
"""Generation of the wire: current, beta, and the oldest body with `processor`."""

MAX_TEXT_CHARACTERS: Final = 1_000_000_000
NOTHING: Mapping[str, int] = MappingProxyType({})


class RequestModel(CheckedModel):
    """A request in Parallel's own words, flat; renders itself for each generation of the wire."""

    # With a limit, whatever it is, pydantic looks at a text, and refuses half a surrogate pair.
    model_config = ConfigDict(
        extra="forbid",
        defer_build=True,
        str_max_length=MAX_TEXT_CHARACTERS,
        hide_input_in_errors=True,
    )

    older_path: ClassVar[str | None] = None
    """Path of the older generations, where it differs."""

    @classmethod
    def expect(cls, request: object) -> None:
        """Refuse what is no such request: most often the bare question.

        Raises:
            ArgumentTypeError: It is something else.
        """
        if not isinstance(request, cls):
            raise ArgumentTypeError(f"this takes {cls.__name__}(…), not {reprlib.repr(request)}")

    api_defaults: ClassVar[frozenset[str]] = frozenset()
    """Fields whose default is the API's own, too: not sent where they were left out."""

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The JSON body for one generation; what was left out is not sent."""
        return self.dumped()

    def dumped(self, *exclude: str) -> dict[str, Any]:
        """The fields that are sent, but for some, as plain JSON."""
        left_out = self.api_defaults - self.model_fields_set
        return self.model_dump(mode="json", exclude_none=True, exclude={*left_out, *exclude})

    def betas(self, version: ApiVersion) -> tuple[str, ...]:
        """`parallel-beta` values that the request needs in one generation."""
        return ()

    def skus(self, version: ApiVersion) -> Mapping[str, int]:
        """What is billed for a success, by SKU (see `models.prices`)."""
        return NOTHING

    def max_skus(self, version: ApiVersion) -> Mapping[str, int]:
        """What is billed at most in the end, by SKU.

        Raises:
            ValueError: That depends on what only the API knows.
        """
        return self.skus(version)

    @classmethod
    def from_settings(cls, settings: BaseModel, **values: Any) -> Self:
        """A request with the fields that `settings` fixes; what is `values` and not None wins."""
        fixed = {name: getattr(settings, name) for name in _shared_fields(cls, type(settings))}
        fixed |= {name: value for name, value in values.items() if value is not None}
        # Settings have a value for each field: one that is the API's own default was left out.
        for name in cls.api_defaults:
            if name in fixed and fixed[name] == cls.model_fields[name].default:
                del fixed[name]
        return cls(**fixed)


@cache
def _shared_fields(one: type[BaseModel], other: type[BaseModel]) -> frozenset[str]:
    return frozenset(one.model_fields.keys() & other.model_fields.keys())


class ResponseModel(BaseModel):
    """A response of the API; fields it does not know stay in `model_extra`."""

    # Unknown fields are kept, because the API adds some without notice. Each class is built at its
    # first use: most programs read few of them.
    model_config = ConfigDict(extra="allow", populate_by_name=True, defer_build=True)

    main_lists: ClassVar[frozenset[str]] = frozenset()
    """The lists that a response is there for: where no element of them can be read, nothing can."""

    essential_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields (`status.is_active`) whose default would say what a malformed value does not."""

    def _repr_html_(self) -> str:
        from parallel_integrations.models.notebook import model_html  # which imports this module

        return model_html(self)


ModelT = TypeVar("ModelT", bound=ResponseModel)


class Warning(ResponseModel):  # noqa: A001 - the API's own word
    """Something the API wants known without failing the request.

    Attributes:
        type: Kind of warning; new kinds may appear.
    """

    type: Text = ""
    message: Text = ""
    detail: Any = None

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: Any) -> Any:
        return {"message": value} if isinstance(value, str) else value


UNREADABLE: Final = "unreadable"
"""Type of the warnings about what was left out because it cannot be read."""


class ApiResponse(ResponseModel):
    """A response, an event or a message as a whole.

    Attributes:
        warnings: What the API wants known, and (`type="unreadable"`) what of the response could
            not be read and was left out.
    """

    # A factory, here and wherever most responses lack the field: pydantic has Python copy a list
    # that is the default, which takes a microsecond.
    warnings: Items[Warning] = Field(default_factory=list)

    def billed_skus(self, counted: Mapping[str, int]) -> Mapping[str, int]:
        """What the response shows to be billed, of what was counted by its request alone."""
        return counted

    @property
    def reported(self) -> dict[str, int]:
        """Which of the API's units it reports, and how many of each."""
        return {}

    @property
    def is_readable(self) -> bool:
        """Whether everything in it could be read."""
        return all(each.type != UNREADABLE for each in self.warnings)


class UsageItem(ResponseModel):
    """How often one billed unit was used by a request.

    Attributes:
        name: The unit, e.g. `sku_search`.
    """

    name: Text = ""
    count: Count = 0


def _usage_items(value: Any) -> Any:
    return [{"name": name, "count": count} for name, count in value.items()]


def _usage_schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    items = handler(source)
    # Some responses count in an object, `{"sku_search": 1}`, others in a list of items.
    from_object = core_schema.chain_schema(
        [
            core_schema.dict_schema(core_schema.str_schema(), core_schema.int_schema()),
            core_schema.no_info_plain_validator_function(_usage_items),
            items,
        ]
    )
    return core_schema.no_info_after_validator_function(
        null_as_empty,
        core_schema.nullable_schema(
            core_schema.union_schema([items, from_object], mode="left_to_right")
        ),
    )


UsageItems: TypeAlias = Annotated[list[UsageItem], GetPydanticSchema(_usage_schema)]
"""Usage as the wire's list, or read from an object of counts."""


def first_fault(error: ValueError) -> str:
    """The first thing that did not fit, without the value (it may hold anything)."""
    if not isinstance(error, ValidationError):
        return str(error)
    # The first alone: the others often follow from it, and a message is read by people and models.
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else fault["msg"]


class StreamEvent(ApiResponse):
    """Any event; also what an event of a type unknown to this version becomes.

    Attributes:
        type: Kind of event.
        event_id: Cursor to resume after, where the stream can be resumed.
    """

    type: str = ""
    event_id: str | None = None


class UnreadableEvent(StreamEvent):
    """An event that cannot be read, where the others are not lost for it.

    Attributes:
        text: What the server sent, without the key, should it repeat that.
        fault: Why it cannot be read.
    """

    text: str = Field(default="", repr=False)
    fault: str = ""
