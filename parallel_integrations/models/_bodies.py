"""Bodies as the API documents them, nested or in older words, as the flat fields of requests."""

from collections.abc import Mapping
from typing import Any

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._validation import unknown_argument


def flattened(values: Any, name: str, fields: Mapping[str, str]) -> Any:
    """What a request is made of, with the fields of one of its objects beside the others.

    Args:
        values: What was given; anything but a dict is returned as it is.
        name: The object, such as `advanced_settings`.
        fields: Its fields, and what they are called here.

    Raises:
        InvalidArgumentError: It is no object, has a field that is not known, or contradicts a field
            that is given beside it.
    """
    if not isinstance(values, dict) or name not in values:
        return values
    values = dict(values)
    inner = values.pop(name)
    if inner is None:
        return values
    if not isinstance(inner, Mapping):
        raise InvalidArgumentError(f"{name}={inner!r:.100} must be an object of fields", field=name)
    for key, value in inner.items():
        if key not in fields:
            raise unknown_argument(name, str(key), fields, f"{name}.{key}")
        put(values, fields[key], value, f"{name}.{key}")
    return values


def renamed(values: Any, older: str, name: str, words: Mapping[Any, Any] | None = None) -> Any:
    """What a request is made of, with a field under its name of today.

    Args:
        values: What was given; anything but a dict is returned as it is.
        older: What the field was called.
        name: What it is called.
        words: Its values in older words; all other words stay.

    Raises:
        InvalidArgumentError: Both are given, and differ.
    """
    if not isinstance(values, dict) or older not in values:
        return values
    values = dict(values)
    value = values.pop(older)
    if words and isinstance(value, str):
        value = words.get(value, value)
    put(values, name, value, older)
    return values


def put(values: dict[str, Any], name: str, value: Any, given_as: str) -> None:
    """Set a field that may be given twice, but with one meaning.

    Raises:
        InvalidArgumentError: It is given already, and differs.
    """
    if values.get(name) is not None and value is not None and values[name] != value:
        raise InvalidArgumentError(
            f"{name}={values[name]!r:.100} and {given_as}={value!r:.100} are two names of one "
            "field and differ: give one of them",
            field=name,
        )
    if value is not None or name not in values:
        values[name] = value
