"""JSON in the texts of chat models: in a fence, after a sentence, behind a byte order mark."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from parallel_integrations.models.tolerant_reading import storable_json

_OPENINGS: Final = {"object": "{", "array": "["}
# Models write line breaks into strings, which strict JSON forbids.
_DECODER: Final = json.JSONDecoder(strict=False)


def opening_of(schema: Mapping[str, Any]) -> str:
    """What a value of a JSON schema begins with among words; empty where anything may stand."""
    kinds = schema.get("type", "object")  # a word, or a list of them
    return next((opening for kind, opening in _OPENINGS.items() if kind in kinds), "")


def json_values(text: str, opening: str) -> Iterator[Any]:
    """The whole JSON values in a text, without those inside another; their texts are storable.

    Args:
        text: What the model wrote.
        opening: Of `opening_of`; empty for a text that is one JSON value and no words.
    """
    text = text.strip("\ufeff \t\r\n")
    if opening:
        text = _decoded(text)
    place = text.find(opening)
    while place >= 0:
        try:
            value, end = _DECODER.raw_decode(text, place)
            yield storable_json(value)
        except (ValueError, RecursionError):
            end = place + 1
        place = text.find(opening, end) if opening else -1


def _decoded(text: str) -> str:
    """The text within a JSON text: some models encode their JSON twice."""
    if text.startswith('"'):
        with suppress(ValueError):
            inner = _DECODER.decode(text)
            if isinstance(inner, str) and inner.lstrip().startswith(("{", "[")):
                return inner
    return text


def json_so_far(text: str, opening: str) -> str:
    """The JSON in a text that is still arriving, without what stands around it; mostly begun."""
    start = text.find(opening)
    if start < 0:
        return ""
    try:
        return text[start : _DECODER.raw_decode(text, start)[1]]
    except (ValueError, RecursionError):
        return text[start:]
