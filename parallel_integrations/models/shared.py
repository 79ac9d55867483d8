"""Base classes and field types of all requests and responses.

A request refuses what cannot be right before anything is sent. A response is read tolerantly:
absent ids, null lists, unknown fields and unknown enum values are no errors, because the API grows.
"""

import reprlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema, from_json, to_json

from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.models._validation import CheckedModel

ApiVersion: TypeAlias = Literal["v1", "v1beta", "v1beta-processor"]
"""Generation of the wire: current, beta, and the oldest body with `processor`."""

T = TypeVar("T")
MAX_TEXT_CHARACTERS: Final = 1_000_000_000
NOTHING: Mapping[str, int] = MappingProxyType({})


def json_bytes(value: Any) -> bytes:
    """`value` as JSON.

    Raises:
        ValueError: It holds half of a surrogate pair, an object of no known kind, NaN.
        RecursionError: It contains itself.
    """
    content = to_json(value)
    if b"NaN" in content or b"Infinity" in content:  # else there is no second reading to pay for
        try:
            from_json(content, allow_inf_nan=False)
        except ValueError:
            raise ValueError("it holds NaN or an infinite number; write null instead") from None
    return content


def sendable(value: T) -> T:
    """`value`, where JSON can carry it.

    Raises:
        ValueError: It cannot; says why.
    """
    try:
        json_bytes(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"JSON cannot carry it: {error}") from None
    return value


JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(sendable)]
"""An object of whatever JSON can carry."""


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


def _null_as_empty(value: Any) -> Any:
    return [] if value is None else value


def _nullable_list(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return core_schema.no_info_after_validator_function(
        _null_as_empty, core_schema.nullable_schema(handler(source))
    )


def _null_as_text(value: Any) -> Any:
    return "" if value is None else value


def _null_as_zero(value: Any) -> Any:
    return 0 if value is None else value


Text: TypeAlias = Annotated[str, BeforeValidator(_null_as_text)]
"""Text that the wire may also send as null."""

Count: TypeAlias = Annotated[int, BeforeValidator(_null_as_zero)]
"""A number of things that the wire may also send as null."""

Items: TypeAlias = Annotated[list[T], GetPydanticSchema(_nullable_list)]
"""A list that the wire may also send as null."""


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

    warnings: Items[Warning] = []

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
        _null_as_empty,
        core_schema.nullable_schema(
            core_schema.union_schema([items, from_object], mode="left_to_right")
        ),
    )


UsageItems: TypeAlias = Annotated[list[UsageItem], GetPydanticSchema(_usage_schema)]
"""Usage as the wire's list, or read from an object of counts."""


# A string, so that what was written for plain excerpts goes on working; objects with offsets came
# later.
class Excerpt(str):
    """A passage of a page: a string that may know where it stood.

    Attributes:
        start_char: Offset of its first character in the page's text, where the wire gives it.
        end_char: Offset after its last character.
        source: Where the passage was taken from, where the wire says so.
    """

    start_char: int | None = None
    end_char: int | None = None
    source: str | None = None

    @classmethod
    def from_wire(cls, value: Any) -> "Excerpt":
        """An excerpt from a string, an object `{text, start_char, end_char, source}` or null.

        Raises:
            ValueError: It is none of them.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            value = {"text": value}
        if (text := value.get("text", value.get("content"))) is None:
            text = ""
        if not isinstance(text, str):
            raise ValueError("neither a string nor an object with one under 'text'")
        excerpt = cls(text)
        for name, kind in (("start_char", int), ("end_char", int), ("source", str)):
            if isinstance(found := value.get(name), kind):
                setattr(excerpt, name, found)
        return excerpt


def _write_excerpts(excerpts: list[Excerpt]) -> list[Any]:
    # As they came: what was a string stays one, so that a stored response can be read again.
    return [
        str(excerpt)
        if excerpt.start_char is None and excerpt.source is None
        else _write_excerpt(excerpt)
        for excerpt in excerpts
    ]


def _write_excerpt(excerpt: Excerpt) -> dict[str, Any]:
    return {
        "text": str(excerpt),
        "start_char": excerpt.start_char,
        "end_char": excerpt.end_char,
        "source": excerpt.source,
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _from_strings(texts: list[str]) -> list[Excerpt]:
    return [text if isinstance(text, Excerpt) else Excerpt(text) for text in texts if text]


FAST_ALTERNATIVE: Final = "(texts)"
"""Marks faults that say only that excerpts have not their most frequent form."""


def _excerpts_schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    # Strings first: what the current wire sends is read without a Python call per excerpt.
    strings = core_schema.no_info_after_validator_function(
        _from_strings, core_schema.list_schema(core_schema.str_schema(strict=True))
    )
    one = core_schema.no_info_plain_validator_function(Excerpt.from_wire)
    anything = core_schema.no_info_after_validator_function(
        _from_strings,
        core_schema.no_info_before_validator_function(_as_list, core_schema.list_schema(one)),
    )
    return core_schema.union_schema(
        [(strings, FAST_ALTERNATIVE), anything],
        mode="left_to_right",
        serialization=core_schema.plain_serializer_function_ser_schema(_write_excerpts),
    )


Excerpts: TypeAlias = Annotated[list[Excerpt], GetPydanticSchema(_excerpts_schema)]
"""Excerpts as strings, objects, one of either, or null; empty ones dropped."""


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
