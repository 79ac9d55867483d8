"""Rows as they are sent: from whatever they come in to plain JSON, and a key for each."""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from parallel_integrations.enrichment.files import RowFile

Rows: TypeAlias = Iterable[str | Mapping[str, Any] | BaseModel] | Path | Any
"""A CSV or JSONL file (as `Path`), any iterable of texts, objects or pydantic instances, or a
DataFrame (pandas, polars)."""

KEY_BYTES: Final = 16
_MISSING: Final = frozenset({"NAType", "NaTType"})


def row_source(rows: Rows) -> Iterable[Any]:
    """What gives the rows, one by one; can be gone through twice where `rows` can.

    Raises:
        ValueError: It is one row, or a file of unknown kind.
    """
    if isinstance(rows, Path):
        return RowFile(rows)
    if isinstance(rows, str | bytes | Mapping | BaseModel):
        raise ValueError(
            f"rows is a single {type(rows).__name__}: give a list of rows, or a file as Path(…)"
        )
    if hasattr(rows, "columns") and (hasattr(rows, "itertuples") or hasattr(rows, "iter_rows")):
        return _Frame(rows)
    if not isinstance(rows, Iterable):
        raise ValueError(
            f"rows is a {type(rows).__name__}: give an iterable of texts or objects, a DataFrame, "
            "or a file as Path(…)"
        )
    return rows


def numbered(source: Iterable[Any]) -> Iterator[tuple[int, str | dict[str, Any], bytes]]:
    """Number, input as it is sent, and key of each row; equal inputs have equal keys.

    Raises:
        ValueError: A row is no text or object, is empty, or cannot be JSON; says which.
    """
    for number, row in enumerate(source):
        try:
            asked = _plain(row)
            text = json.dumps(asked, sort_keys=True, ensure_ascii=False, allow_nan=False)
            key = blake2b(text.encode(), digest_size=KEY_BYTES).digest()
        except (ValueError, TypeError, RecursionError, PydanticSerializationError) as error:
            raise ValueError(
                f"Row {number} cannot be asked: {error}. Nothing of it was sent."
            ) from (error)
        yield number, asked, key


def _plain(row: Any) -> str | dict[str, Any]:
    if isinstance(row, str):
        if not row.strip():
            raise ValueError("it is an empty text")
        return row
    if not isinstance(row, Mapping | BaseModel):
        raise TypeError(f"a {type(row).__name__} is neither a text nor an object of fields")
    asked = to_jsonable_python(
        row if isinstance(row, BaseModel) else dict(row), fallback=_scalar, by_alias=True
    )
    if not isinstance(asked, dict):
        raise TypeError(f"a {type(row).__name__} is written as {type(asked).__name__}, no object")
    if not asked:
        raise ValueError("it has no fields")
    return asked


def _scalar(value: Any) -> Any:
    """A number of numpy's as Python's own."""
    item = getattr(value, "item", None)
    if item is None or not callable(item):
        raise TypeError(f"a {type(value).__name__} is no JSON value")
    return item()


class _Frame:
    """The rows of a DataFrame as objects; what is missing is null."""

    def __init__(self, frame: Any) -> None:
        self._columns = [str(name) for name in frame.columns]
        if twice := {name for name in self._columns if self._columns.count(name) > 1}:
            raise ValueError(f"The DataFrame has several columns named {', '.join(sorted(twice))}")
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        frame = self._frame
        tuples = (
            frame.itertuples(index=False, name=None)
            if hasattr(frame, "itertuples")
            else frame.iter_rows()
        )
        for values in tuples:
            yield {
                name: None if _is_missing(value) else value
                for name, value in zip(self._columns, values, strict=True)
            }


def _is_missing(value: Any) -> bool:
    return type(value).__name__ in _MISSING or (isinstance(value, float) and value != value)
