"""Field types of requests and responses: what JSON can carry, and what the wire may also send.

A response is read tolerantly: a list or a text may be null, an excerpt a string or an object.
"""

from typing import Annotated, Any, Final, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StringConstraints,
)
from pydantic_core import CoreSchema, core_schema, from_json, to_json

T = TypeVar("T")


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


def null_as_empty(value: Any) -> Any:
    """An empty list for null; anything else as it is."""
    return [] if value is None else value


def _nullable_list(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return core_schema.no_info_after_validator_function(
        null_as_empty, core_schema.nullable_schema(handler(source))
    )


def _null_as_text(value: Any) -> Any:
    return "" if value is None else value


def _null_as_zero(value: Any) -> Any:
    return 0 if value is None else value


def id_may_be_missing(name: str) -> BeforeValidator:
    """For a run in its result: one without a readable id is the run that was requested.

    Args:
        name: The id's field; it is blank where it cannot be read.
    """

    def readable(run: Any) -> Any:
        if isinstance(run, BaseModel):
            return run
        fields = run if isinstance(run, dict) else {}
        return fields if isinstance(fields.get(name), str) else {**fields, name: ""}

    return BeforeValidator(readable)


FoundUrl: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""The address of a found page: without one, two pages look alike, and none can be cited."""

Text: TypeAlias = Annotated[str, BeforeValidator(_null_as_text)]
"""Text that the wire may also send as null."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_null_as_zero)]
"""A number of things that the wire may also send as null; small enough to have a price."""

Items: TypeAlias = Annotated[list[T], GetPydanticSchema(_nullable_list)]
"""A list that the wire may also send as null."""


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
