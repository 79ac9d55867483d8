"""The arguments of tools, read forgivingly from what a language model writes.

A model writes a list as text, `""` for what it leaves out, or `query` for `objective`. Where the
meaning is plain it is taken; everything else is refused with the arguments that there are, and
nothing is sent.
"""

import re
from ast import literal_eval
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import from_json

from parallel_integrations._documents.find_all import FindAllRequest
from parallel_integrations._documents.queries import readable, shortened
from parallel_integrations._protocol.paths import segment
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError, ParallelError
from parallel_integrations.models._validation import argument_error
from parallel_integrations.models.extract import MAX_URLS, ExtractRequest, WebUrl
from parallel_integrations.models.findall import EntitySearchRequest, EntityType
from parallel_integrations.models.memory import MAX_MEMORY_QUERY_CHARACTERS, RetrieveMemoryRequest
from parallel_integrations.models.pages import MAX_QUERIES, MAX_QUERY_CHARACTERS, Objective, Queries
from parallel_integrations.models.search import SearchRequest

T = TypeVar("T")

_NULLS: Final = frozenset({"null", "none", "undefined"})
_FENCE: Final = re.compile(r"```\w*\s*(.*?)\s*```", re.DOTALL)
_LIST_MARKER: Final = re.compile(r"(?:[-*+•]|\d{1,2}[.)])\s+(?=\S)")
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_MARKDOWN_LINK: Final = re.compile(r"!?\[[^\]]*\]\((https?://[^\s()<>]+)\)", re.IGNORECASE)
_KINDS: Final = {"company": "companies", "person": "people", "persons": "people"}
NOTHING_SENT: Final = "Nothing was sent. Correct the arguments: "


@contextmanager
def explained() -> Iterator[None]:
    """Say of an invalid argument that nothing was sent, so that a model corrects it."""
    try:
        yield
    except InvalidArgumentError as error:
        raise type(error)(in_words(error), field=error.field) from error.__cause__


def in_words(error: Exception) -> str:
    """Why arguments were refused, in words that a language model can act on."""
    text = readable(str(error))
    return text if text.startswith(NOTHING_SENT) else NOTHING_SENT + text


def _none_passes(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    return None if value is None else read(value)


def _object_passes(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, dict | BaseModel) else read(value)


def _nothing() -> None:
    return None


def _run_id(value: str) -> str:
    segment("run_id", value)
    return value.strip()


RunId: TypeAlias = Annotated[str, AfterValidator(_run_id)]
"""An id that can be looked up; any other is refused before it is."""


# The schema that a model is shown knows no null and no alternatives: models of several vendors
# write "null" where they may, and some refuse such a schema.
OrNone: TypeAlias = Annotated[T, WrapValidator(_none_passes)]
"""A value that the schema requires, and that may be missing all the same."""


def _described(request: type[BaseModel], name: str, **more: Any) -> Any:
    """A field of a tool's arguments with the request's description."""
    return Field(description=request.model_fields[name].description, **more)


class ToolArguments(BaseModel):
    """Base of the arguments that a model gives to a tool."""

    model_config = ConfigDict(extra="forbid")

    shown_as: ClassVar[str] = "this tool"
    other_names: ClassVar[Mapping[str, str]] = {}
    """What models write instead, and the argument that it means."""
    lists: ClassVar[frozenset[str]] = frozenset()
    """The arguments that are lists of texts."""
    may_be_missing: ClassVar[frozenset[str]] = frozenset()
    """Those that are taken as None where they are left out, although the schema requires them."""
    takes_objects: ClassVar[bool] = False
    """Whether an argument may itself be an object, whose fields are the caller's."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        try:
            values = _plain(dict(given))
        except RecursionError:
            raise ValueError("it is nested too deeply, or contains itself") from None
        values = cls._unwrapped(_given(values))
        for name in [*values]:
            meant = cls.other_names.get(name)
            if meant is not None and meant not in values:
                values[meant] = values.pop(name)
        for name in cls.lists & values.keys():
            values[name] = _texts(values[name])
            if not values[name]:
                del values[name]
        return dict.fromkeys(cls.may_be_missing) | cls.corrected(values)

    @classmethod
    def corrected(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The arguments without what models get wrong of this tool's own."""
        return values

    @classmethod
    def _unwrapped(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The arguments, where a model wrote all of them into one, such as `kwargs`."""
        if len(values) != 1:
            return values
        [(name, value)] = values.items()
        if cls.takes_objects and (name in cls.model_fields or name in cls.other_names):
            return values
        inner = cls._arguments_in(value)
        return _given(inner) if inner else values

    @classmethod
    def _arguments_in(cls, value: Any) -> dict[str, Any] | None:
        """The arguments that an object, or a text that it is written as, holds; None for others."""
        found = value if isinstance(value, dict) else _object_in(value)
        known = cls.model_fields.keys() | cls.other_names.keys()
        return found if found is not None and found.keys() <= known else None

    @classmethod
    def read(cls, given: str | Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that were given, by name.

        Args:
            given: The arguments, or a text: the first argument, or all of them as a JSON object.

        Raises:
            InvalidArgumentError: They cannot be right; caused by pydantic's error. An
                `ArgumentTypeError` for an argument that there is not.
        """
        if isinstance(given, str):
            whole = cls._arguments_in(given)
            given = {next(iter(cls.model_fields)): given} if whole is None else whole
        try:
            arguments = cls.model_validate(given)
        except ValidationError as error:
            raise cls._refusal(error, given) from error
        return {name: value for name, value in arguments if value is not None}

    @classmethod
    def _refusal(cls, error: ValidationError, given: Any) -> ParallelError:
        unknown = [each["loc"][0] for each in error.errors() if each["type"] == "extra_forbidden"]
        if not unknown:
            refused = argument_error(error, ToolArguments, given)  # named as it is shown
            field = getattr(refused, "field", "") or ".".join(map(str, error.errors()[0]["loc"]))
            return InvalidArgumentError(in_words(refused), field=field)
        names = ", ".join(cls.model_fields)
        text = f"there is no argument {unknown[0]!r}. The arguments there are: {names}"
        return ArgumentTypeError(NOTHING_SENT + readable(text), field=str(unknown[0]))


class SearchArguments(ToolArguments):
    """Arguments of `parallel_search`."""

    other_names = {
        "query": "objective",
        "question": "objective",
        "input": "objective",
        "queries": "search_queries",
        "search_query": "search_queries",
        "keywords": "search_queries",
    }
    lists = frozenset({"search_queries"})
    may_be_missing = frozenset({"objective", "search_queries"})

    objective: OrNone[Objective] = _described(SearchRequest, "objective")
    search_queries: OrNone[Queries] = _described(SearchRequest, "search_queries")

    @classmethod
    def corrected(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take several objectives, or `query` beside one, for queries; keep the usable ones."""
        if "query" in values and "search_queries" not in values:
            values["search_queries"] = _texts(values.pop("query"))
        objectives = _list_in(values.get("objective"))
        if objectives and len(objectives) > 1 and "search_queries" not in values:
            values["search_queries"] = objectives
            del values["objective"]
        elif objectives and all(isinstance(each, str) for each in objectives):
            values["objective"] = " ".join(objectives)
        queries = values.get("search_queries")
        if "objective" in values and isinstance(queries, list):
            values["search_queries"] = _usable(queries) or None
        return values


class ExtractArguments(ToolArguments):
    """Arguments of `parallel_extract`."""

    other_names = {"url": "urls", "links": "urls", "query": "objective", "question": "objective"}
    lists = frozenset({"urls"})

    # The request's own type also takes a single text; here that is read already.
    urls: list[WebUrl] = _described(ExtractRequest, "urls", min_length=1, max_length=MAX_URLS)
    objective: OrNone[Objective] = _described(ExtractRequest, "objective", default_factory=_nothing)

    @classmethod
    def corrected(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take several addresses in one text apart."""
        if isinstance(urls := values.get("urls"), list):
            values["urls"] = [url for text in urls for url in _addresses(text)]
        return values


class TaskArguments(ToolArguments):
    """Arguments of `parallel_task`, `parallel_deep_research` and `parallel_start_research`."""

    other_names = {"query": "input", "question": "input", "objective": "input", "task": "input"}
    takes_objects = True

    # A model is shown a text alone; code may also give an object of fields.
    input: Annotated[str, WrapValidator(_object_passes)] = Field(
        description="What is to be found out, in natural language, with all context it needs."
    )


class FindAllArguments(ToolArguments):
    """Arguments of `parallel_find_all`."""

    other_names = {"query": "objective", "question": "objective", "input": "objective"}

    objective: str = _described(FindAllRequest, "objective", min_length=1)


class EntityArguments(ToolArguments):
    """Arguments of `parallel_entity_search`."""

    other_names = {
        "query": "objective",
        "question": "objective",
        "input": "objective",
        "type": "entity_type",
        "kind": "entity_type",
    }

    objective: str = _described(EntitySearchRequest, "objective", min_length=1)
    entity_type: EntityType = _described(EntitySearchRequest, "entity_type")

    @classmethod
    def corrected(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take the kind in the singular and in any case."""
        if isinstance(kind := values.get("entity_type"), str):
            kind = kind.strip().lower()
            values["entity_type"] = _KINDS.get(kind, kind)
        return values


class MemoryArguments(ToolArguments):
    """Arguments of `parallel_memory`."""

    other_names = {"objective": "query", "question": "query", "input": "query"}

    query: OrNone[str] = _described(RetrieveMemoryRequest, "query", default_factory=_nothing)

    @classmethod
    def corrected(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Shorten a query that is too long."""
        if isinstance(query := values.get("query"), str):
            values["query"] = shortened(query, MAX_MEMORY_QUERY_CHARACTERS)
        return values


class ResearchRunArguments(ToolArguments):
    """Arguments of `parallel_get_research`."""

    other_names = {"id": "run_id", "research_id": "run_id", "input": "run_id"}

    run_id: RunId = Field(description="The run id that parallel_start_research gave.")


def _plain(value: Any) -> Any:
    """A value whose texts can all be sent."""
    match value:
        case str():
            text = value.replace("\0", " ") if "\0" in value else value
            return text if text.isascii() else readable(text)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {_plain(name): _plain(item) for name, item in value.items()}
    return value


def _is_nothing(value: Any) -> bool:
    return value in (None, [], {}) or (isinstance(value, str) and not value.strip())


def _is_left_out(value: Any) -> bool:
    """Whether a model means that it leaves an argument out; it may write "null" for that."""
    return _is_nothing(value) or (isinstance(value, str) and value.strip().lower() in _NULLS)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what a model leaves out."""
    return {name: value for name, value in values.items() if not _is_left_out(value)}


def _texts(value: Any) -> Any:
    """A list of texts, from one that is written as a text, nested, or one to a line.

    What can be none, such as an object of several fields, stays as it is, to be refused.
    """
    match value:
        case str():
            return _list_in(value) or _lines(value)
        case list():
            found = [_texts(item) for item in value if not _is_nothing(item)]
            return [text for each in found for text in (each if isinstance(each, list) else [each])]
        case int() | float() if not isinstance(value, bool):
            return [str(value)]
        case dict() if len(value) == 1:  # {"query": "…"}
            return _texts([*value.values()])
    return value


def _lines(text: str) -> list[str]:
    """The lines of a text, without the markers where each has one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(_LIST_MARKER.match(line) for line in lines):
        return [_LIST_MARKER.sub("", line, count=1) for line in lines]
    return lines


def _list_in(value: Any) -> list[Any] | None:
    """The texts of a list, or of a text that is written as one; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        if fenced := _FENCE.fullmatch(text):
            text = fenced[1]
        if text.startswith(("[", '"')):
            value = _literal(text)
            if isinstance(value, str) and value.lstrip().startswith("["):  # encoded twice
                value = _literal(value)
        if not isinstance(value, list) and text.startswith(('"', "'")):  # "a", "b"
            several = _literal(f"[{text}]")
            value = several if isinstance(several, list) and len(several) > 1 else None
    return _texts(_plain(value)) if isinstance(value, list) else None


def _object_in(text: Any) -> dict[str, Any] | None:
    """The object that a text is written as; None for anything else."""
    read = _literal(text) if isinstance(text, str) and text.lstrip().startswith("{") else None
    return read if isinstance(read, dict) and all(isinstance(name, str) for name in read) else None


def _literal(text: str) -> Any:
    """The JSON value, or the Python literal, that a text is; None where it is neither."""
    for read in (from_json, literal_eval, _begun_list):
        try:
            return read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _begun_list(text: str) -> Any:
    """The whole items of a JSON list whose end is missing.

    Raises:
        ValueError: It is no such list.
    """
    return from_json(text, allow_partial=True) if text.startswith("[") else None


def _usable(queries: list[Any]) -> list[str]:
    """The first queries that may be sent, those that are too long cut at a word."""
    texts = (shortened(query, MAX_QUERY_CHARACTERS) for query in queries if isinstance(query, str))
    return [*dict.fromkeys(texts)][:MAX_QUERIES]


def _addresses(text: Any) -> list[Any]:
    """The addresses in a text: several, or one in a sentence, a link, quotes or brackets."""
    if not isinstance(text, str):
        return [text]
    linked = _MARKDOWN_LINK.sub(r" \1 ", text)
    found = [address.rstrip(",;") for address in _ADDRESS.findall(linked)]
    # One that begins the text and is followed by words may be an address with a blank in it.
    plain = len(found) == 1 and text.strip().lower().startswith("http")
    return [text] if plain or not found else found
