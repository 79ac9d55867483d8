"""Reading what was paid for: item by item, so that one malformed part never costs the others.

A response is validated as a whole first. Only where that fails is it taken apart: the least part
that does not fit is left out, an optional field becoming its default, and named in `warnings`.
"""

import json
import re
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from parallel_integrations._counted import counted
from parallel_integrations.models.fields import FAST_ALTERNATIVE
from parallel_integrations.models.shared import (
    UNREADABLE,
    ApiResponse,
    ModelT,
    ResponseModel,
    Warning,  # noqa: A004 - the API's own word
)

REPLACEMENT: Final = "\ufffd"
MAX_WARNINGS: Final = 20
"""A response of a thousand malformed items names no more of them."""
MAX_ROUNDS: Final = 50
"""Each takes out all that is found faulty; what that was part of may become faulty by it."""
MAX_DEPTH: Final = 190
"""Lists and objects within each other; pydantic reads 200 and cannot dump many more."""
_NOT_STORABLE: Final = re.compile("[\ud800-\udfff\0]")

Place = tuple[int | str, ...]


def storable(text: str) -> str:
    """A text that every store takes: halves of surrogate pairs and U+0000 become U+FFFD."""
    return _NOT_STORABLE.sub(REPLACEMENT, text)


def read_json(content: bytes | str) -> Any:
    """JSON with storable texts, also where a strict parser gives up.

    A byte order mark, control characters within texts, bytes that are no UTF-8 and halves of
    surrogate pairs are no errors here.

    Raises:
        ValueError: It is no JSON.
    """
    if not _holds_nul(content):
        try:
            return from_json(content)
        except ValueError:
            pass
    return _read_leniently(content)[0]


def read_as(cls: type[ModelT], content: bytes | str) -> ModelT:
    """A JSON text as `cls`, item by item where it does not fit as a whole.

    Raises:
        ValueError: It is no JSON, or nothing of it fits (then pydantic's `ValidationError`).
    """
    if (whole := read_whole(cls, content)) is not None:
        return whole
    value, replaced = _read_leniently(content)
    response = read_items(cls, value)
    if replaced:
        warn(response, ["Characters that no store takes were replaced by U+FFFD."])
    return response


def read_whole(cls: type[ModelT], content: bytes | str) -> ModelT | None:
    """A JSON text as `cls`; None where it does not fit as a whole, or holds U+0000."""
    if not _holds_nul(content):
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            pass
    return None


def read_items(cls: type[ModelT], value: Any) -> ModelT:
    """A decoded JSON value as `cls`, item by item where it does not fit as a whole.

    Raises:
        ValidationError: Nothing of it fits, or an essential field does not.
    """
    try:
        return cls.model_validate(value)
    except ValidationError as error:
        first = last = error
    left_out = _LeftOut(value)
    for _ in range(MAX_ROUNDS):
        places = left_out.faults(last)
        if () in places or any(_name(place) in cls.essential_fields for place in places):
            break
        for place in sorted(places, key=_order, reverse=True):
            left_out.take(place, places[place])
        try:
            response = cls.model_validate(value)
        except ValidationError as error:
            last = error
            continue
        # A response whose every element was malformed is not an empty one.
        lost = left_out.fields - (cls.model_fields.keys() - cls.main_lists)  # may have older names
        if lost and not any(getattr(response, name) for name in cls.main_lists):
            break
        warn(response, left_out.sentences())
        return response
    raise first


class _LeftOut:
    """What was taken out of a value, and why."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._reasons: dict[Place, str] = {}
        self._numbers: dict[int, list[int]] = {}
        """By the identity of a list that lost elements: the numbers that the others had."""

    @property
    def fields(self) -> set[int | str]:
        """The fields of the value itself that lost something."""
        return {place[0] for place in self._reasons}

    def faults(self, error: ValidationError) -> dict[Place, str]:
        """The least parts that do not fit, and why."""
        found = {
            self._existing(fault["loc"]): _why(fault)
            for fault in error.errors(include_url=False)
            if FAST_ALTERNATIVE not in fault["loc"]
        }
        # Of two alternatives, the one that sees the fault further in loses less.
        within = {place[:length] for place in found for length in range(len(place))}
        return {place: why for place, why in found.items() if place not in within}

    def take(self, place: Place, why: str) -> None:
        """Take a part out."""
        *way, last = place
        node, named = self._value, list[int | str]()
        for step in way:
            named.append(self._number(node, step))
            node = node[step]
        named.append(self._number(node, last))
        if isinstance(node, list) and isinstance(last, int):
            self._numbers.setdefault(id(node), list(range(len(node)))).pop(last)
        del node[last]
        # What was taken out before for being faulty within is the reason.
        inner = [each for each in self._reasons if each[: len(named)] == tuple(named)]
        for each in inner:
            reason = self._reasons.pop(each)
            why = f"{_written(each[len(named) :])} {reason.removeprefix('it ')}"
        self._reasons[tuple(named)] = why

    def sentences(self) -> list[str]:
        """What was left out, one sentence for each part."""
        places = sorted(self._reasons, key=_order)
        return [f"{_written(place)} was left out: {self._reasons[place]}" for place in places]

    def _existing(self, loc: Place) -> Place:
        """The place in the value that an error is about, without the names of alternatives."""
        node, place = self._value, list[int | str]()
        for step in loc:
            if isinstance(node, dict) if isinstance(step, str) else isinstance(node, list):
                if isinstance(step, str) and step not in node:
                    continue
                node = node[step]
                place.append(step)
        return tuple(place)

    def _number(self, node: Any, step: int | str) -> int | str:
        numbers = self._numbers.get(id(node))
        return step if numbers is None or isinstance(step, str) else numbers[step]


def _order(place: Place) -> list[tuple[int, str]]:
    """So sorted, nothing stands behind what it is in, nor behind a later element of its list."""
    return [(step, "") if isinstance(step, int) else (0, step) for step in place]


def _why(fault: ErrorDetails) -> str:
    """What is wrong, without a class's name and without the value, which may be anything."""
    if fault["type"] == "missing":
        return f"it has no {fault['loc'][-1]}"
    if fault["type"] == "string_too_short":
        return "it is blank"
    if fault["type"] == "value_error":
        return f"it is wrong ({fault['ctx']['error']})"
    return f"it is {json_kind(fault['input'])}"


def holds_nothing(value: Any) -> bool:
    """Whether a JSON value is none that could hold a part of a text: null, a number, `[]`."""
    return value in (None, "", []) or isinstance(value, int | float)


def json_kind(value: Any) -> str:
    """What a JSON value is, in words."""
    return next(name for kind, name in _JSON_NAMES if isinstance(value, kind))


_JSON_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "an object"),
    (object, "null"),
)


def _name(place: Place) -> str:
    """Of which field a place is, whatever the numbers within lists."""
    return ".".join(step for step in place if isinstance(step, str))


def _written(place: Place) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in place]
    return storable("".join(steps).removeprefix("."))


def warn(response: ResponseModel, messages: list[str]) -> None:
    """Add warnings about what of a response could not be read, where its class has any."""
    if len(messages) > MAX_WARNINGS:
        rest = len(messages) - MAX_WARNINGS
        messages = [
            *messages[:MAX_WARNINGS],
            f"{counted(rest, 'more part was', 'more parts were')} left out",
        ]
    if messages and isinstance(response, ApiResponse):
        added = [Warning(type=UNREADABLE, message=message) for message in messages]
        response.warnings = [*response.warnings, *added]


def _holds_nul(content: bytes | str) -> bool:
    # The one thing that the strict parser takes and a store may refuse. From the end: in texts with
    # few backslashes Python looks for it three times faster there than from the beginning.
    return (
        content.rfind(b"\\u0000") if isinstance(content, bytes) else content.rfind("\\u0000")
    ) >= 0


def _read_leniently(content: bytes | str) -> tuple[Any, bool]:
    """A JSON value with storable texts, and whether that changed any of them."""
    value = decode_json(content)
    cleaned = storable_json(value)
    return cleaned, cleaned != value


def decode_json(content: bytes | str) -> Any:
    """JSON as it is, halves of surrogate pairs included.

    Raises:
        ValueError: It is no JSON.
    """
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    try:
        return json.loads(text.removeprefix("\ufeff"), strict=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def storable_json(value: Any) -> Any:
    """A decoded JSON value with storable texts.

    Raises:
        ValueError: It is nested too deeply.
    """
    return _cleaned(value, MAX_DEPTH)


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | dict) and not depth:
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_cleaned(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {storable(name): _cleaned(item, depth - 1) for name, item in value.items()}
    return value
