"""Values that cannot be right: pydantic's faults as one sentence with field, value and remedy."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Sized
from functools import cache
from math import inf
from types import NoneType
from typing import Any, ClassVar, Final, Self, TypeGuard, get_args

from pydantic import AliasChoices, BaseModel, ValidationError

from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError, ParallelError
from parallel_integrations.models._hints import hint

MAX_SHOWN_CHARACTERS: Final = 80
MAX_COUNT: Final = 2**63 - 1  # what databases and JSON readers take
_SECRET: Final = frozenset({"api_key", "headers", "extra_headers", "token", "base_url"})
"""Fields whose value is not repeated: it is a secret, or may hold one."""
_TAG: Final = re.compile(r"^[A-Z]|[^a-z0-9_]|^(str|int|bool|float|dict|list)$")
_SCALARS: Final = (str, int, float, NoneType)

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    ("string_type", "a text"),
    ("string_unicode", "a text that JSON can carry, without half of a surrogate pair"),
    ("int_", "a whole number"),
    ("float_", "a number"),
    ("bool_", "True or False"),
    ("list_type", "a list"),
    ("dict_type", "an object of fields"),
    ("model_type", "an object of fields"),
    ("model_attributes_type", "an object of fields"),
    ("is_subclass_of", "a pydantic class"),
    ("path_type", "a path"),
    ("datetime_", "a date and time with a time zone, like '2026-07-15T17:30:00Z'"),
    ("timezone_", "a date and time with a time zone, like '2026-07-15T17:30:00Z'"),
    ("finite_number", "a finite number"),
)
"""What is expected, by the beginning of pydantic's name of the fault."""

_LIMITS: Final[dict[str, str]] = {
    "greater_than_equal": "is too small: give at least {ge}",
    "greater_than": "is too small: give more than {gt}",
    "less_than_equal": "is too large: give at most {le}",
    "less_than": "is too large: give less than {lt}",
    "string_too_short": "is too short: give at least {min_length} character(s), or leave it out",
    "too_short": "holds too few: give at least {min_length}",
    "string_too_long": "has {length} characters: give at most {max_length}",
    "too_long": "holds {length}: give at most {max_length}",
    "string_pattern_mismatch": "does not match the pattern {pattern}",
    "literal_error": "must be {expected}",
    "is_instance_of": "must be a {class}",
}


class CheckedModel(BaseModel):
    """A model whose refusals are this package's own errors, without pydantic's words and links."""

    first_argument: ClassVar[str | None] = None
    """The field that may be given without its name, as in other classes of its framework."""

    def __init__(self, /, *unnamed: Any, **values: Any) -> None:
        if unnamed:
            if self.first_argument is None or len(unnamed) > 1 or self.first_argument in values:
                raise unnamed_argument(type(self))
            values[self.first_argument] = unnamed[0]
        try:
            super().__init__(**values)
        except ValidationError as error:
            fault = error
        else:
            return
        # Raised out here: pydantic's error, as context, would show its words and the input.
        raise argument_error(fault, type(self), values)

    # pydantic validates what is nested without calling this, as it does with its own.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's, with this package's own error.

        Raises:
            InvalidArgumentError: A value that cannot be right.
        """
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            fault = error
        raise argument_error(fault, cls, obj)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's, with this package's own error.

        Raises:
            InvalidArgumentError: No JSON, or a value that cannot be right.
        """
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            fault = error
        raise argument_error(fault, cls, None)


def argument_error(error: ValidationError, cls: type[BaseModel], given: Any) -> ParallelError:
    """This package's error for what pydantic refused, of the first field that is wrong."""
    faults = error.errors(include_url=False)
    # What is missing was often given under another name. A field with alternatives has a fault of
    # each: what was reached deepest is what was meant.
    first = min(faults, key=lambda fault: fault["type"] == "missing")["loc"][:1]
    ours = [fault for fault in faults if fault["loc"][:1] == first]
    deepest = max(len(fault["loc"]) for fault in ours)
    ours = [fault for fault in ours if len(fault["loc"]) == deepest]
    cause = ours[0].get("ctx", {}).get("error")
    if isinstance(cause, ParallelError):
        return cause
    path = _path(ours[0]["loc"], given)
    where = ".".join(path)
    owner = shown_name(cls)
    if ours[0]["type"] == "extra_forbidden":
        *outer, name = path
        inner = _model_at(cls, outer)
        known = argument_names(inner) if inner else ()
        return unknown_argument(".".join(outer) or owner, name, known, where)
    return InvalidArgumentError(_sentence(where, owner, ours), field=where)


def shown_name(cls: type) -> str:
    """The public name of a class, for messages: settings are classes that nobody has seen."""
    return str(vars(cls).get("shown_as", cls.__name__))


def refused_argument(
    cls: type, name: str, known: Collection[str], otherwise: str = ""
) -> ArgumentTypeError:
    """The error for an argument that a class, or one call of it, does not take.

    Args:
        cls: The class.
        name: Of the argument.
        known: The arguments that are taken.
        otherwise: What is said of one that is like none of them.
    """
    owner = shown_name(cls)
    if name in getattr(cls, "model_fields", ()):
        text = f"{owner} takes {name}= when it is made, {owner}({name}=…), not for one call"
        return ArgumentTypeError(text, field=name)
    return unknown_argument(owner, name, known, otherwise=otherwise)


def unknown_argument(
    owner: str, name: str, known: Collection[str], field: str = "", otherwise: str = ""
) -> ArgumentTypeError:
    """The error for an argument, or a field of a body, that does not exist."""
    meant = hint(name, known) or otherwise
    text = f"{owner} has no argument {name!r}{meant and f'; {meant}'}"
    return ArgumentTypeError(text, field=field or name)


def unnamed_argument(cls: type[BaseModel]) -> ArgumentTypeError:
    """The error for an argument without a name; shows how one is given."""
    owner, fields = shown_name(cls), cls.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    usual = [name for name in ("objective", "processor", "model", "max_results") if name in fields]
    return by_name(owner, [*required, *usual, *fields][0])


def by_name(owner: str, name: str) -> ArgumentTypeError:
    """The error for an argument without a name, of which `name` is an example."""
    return ArgumentTypeError(f"{owner} takes its arguments by name, like {owner}({name}=…)")


def _sentence(where: str, owner: str, faults: Sequence[Any]) -> str:
    fault = faults[0]
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "missing":
        return f"{owner} needs {where}=, which is missing"
    if kind == "json_invalid":
        return f"{owner}: {fault['msg']}"
    if "error" in context:
        text = str(context["error"])
        return text if not where or where.split(".")[0] in text else f"{where}: {text}"
    value, shown = fault["input"], where or owner
    if where and not _SECRET & set(where.split(".")) and isinstance(value, _SCALARS):
        shown = f"{where}={_short(value)}"
    if kind in _LIMITS:
        length = len(value) if isinstance(value, Sized) else context.get("actual_length")
        length = "too many" if length is None else length  # of what can be counted once only
        numbers = {
            name: f"{each:g}" if isinstance(each, float) else each for name, each in context.items()
        }
        return f"{shown} {_LIMITS[kind].format_map({'length': length, **numbers})}"
    wanted = [what for each in faults if (what := _wanted(each["type"]))]
    if wanted:
        verb = "must be" if where else "takes"
        kinds = " or ".join(dict.fromkeys(wanted))
        if isinstance(value, _SCALARS):
            return f"{shown} {verb} {kinds}"
        given = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        return f"{shown} {verb} {kinds}, not {given}"
    return fault["msg"] if where and where in fault["msg"] else f"{shown}: {fault['msg']}"


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, which Python also says of True."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_count(name: str, value: object, low: int, high: int = MAX_COUNT) -> None:
    """Refuse what is no whole number from `low` to `high`.

    Raises:
        InvalidArgumentError: It names the argument, its value and its limits.
    """
    if type(value) is not int or not low <= value <= high:  # True is none
        span = f", {low} or more" if high == MAX_COUNT else f" from {low} to {high}"
        raise InvalidArgumentError(
            f"{name}={_short(value)} must be a whole number{span}", field=name
        )


def check_amount(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse what is no amount of US dollars; None only where it is `optional`.

    Raises:
        InvalidArgumentError: It names the argument and its value.
    """
    if optional and value is None:
        return
    if not (is_number(value) and 0 <= value < inf):
        raise InvalidArgumentError(
            f"{name}={_short(value)} must be an amount of US dollars, 0 or more", field=name
        )


def _short(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, lists of such levels
        return "…"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def _wanted(kind: str) -> str | None:
    return next((what for name, what in _KINDS if kind.startswith(name)), None)


def _path(loc: tuple[int | str, ...], given: Any) -> list[str]:
    """The path of a fault through what was given: pydantic puts names of its own between."""
    path: list[str] = []
    for number, step in enumerate(loc):
        inside = isinstance(step, str) and isinstance(given, Mapping) and step in given
        if inside or (isinstance(step, int) and isinstance(given, list | tuple)):
            given = given[step] if inside or int(step) < len(given) else None
        elif number and isinstance(given, BaseModel) and step in type(given).model_fields:
            given = getattr(given, str(step))
        elif number and step != "[key]" and isinstance(step, str) and _TAG.search(step):
            continue  # one of pydantic's names
        elif number and not (isinstance(given, Mapping) and number == len(loc) - 1):
            # Of a body that was rearranged, the other names are kept.
            if given is not None:
                continue
        elif not number:
            given = None
        path.append(str(step))
    return path


def _model_at(cls: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """The class of what is nested at a path, where it is a model."""
    found: type[BaseModel] | None = cls
    for step in path:
        if found is not None and not step.isdecimal():
            field = found.model_fields.get(step)
            found = next(_models_in(field.annotation), None) if field else None
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


@cache
def argument_names(cls: type[BaseModel]) -> tuple[str, ...]:
    """Every name by which a class takes an argument."""
    names = dict.fromkeys(cls.model_fields)
    for field in cls.model_fields.values():
        match field.validation_alias:
            case AliasChoices(choices=choices):
                names.update(dict.fromkeys(each for each in choices if isinstance(each, str)))
            case str(alias):
                names[alias] = None
    return tuple(names)
