"""Rows: read from files or objects, as plain JSON with a key for each."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from parallel_integrations.enrichment.delimited import records


class RowFile:
    """The rows of a file; each pass reads it anew, so that a file of any length may be read.

    Args:
        path: A `.csv` (comma), `.tsv` (tab), `.jsonl` or `.ndjson` file in UTF-8.

    Raises:
        ValueError: No such file or no such kind. While it is read: a line is no row.
    """

    def __init__(self, path: Path) -> None:
        kind = READERS.get(path.suffix.lower())
        if kind is None:
            raise ValueError(
                f"{path} is of unknown kind: name it {', '.join(READERS)}, or give the rows as a "
                "list"
            )
        if not path.is_file():
            raise ValueError(f"There is no file {path}")
        self._path = path
        self._read = kind

    def __iter__(self) -> Iterator[Any]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                yield from self._read(file, str(self._path))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self._path} is not UTF-8 ({error.reason}, byte {error.object[error.start]:#x}): "
                "save it as UTF-8"
            ) from error
        except OSError as error:
            raise ValueError(f"{self._path} cannot be read: {error}") from error


def _csv(file: TextIO, name: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    lines = records(file, name, delimiter)
    _, header = next(lines, (1, []))
    if not header or not all(column.strip() for column in header):
        raise ValueError(f"{name}, line 1: the header must name every column")
    if len(set(header)) < len(header):
        twice = sorted({column for column in header if header.count(column) > 1})
        raise ValueError(f"{name}, line 1: several columns are named {', '.join(twice)}")
    for line, values in lines:
        if values and len(values) != len(header):
            raise ValueError(
                f"{name}, line {line}: {len(values)} fields, the header has {len(header)}. "
                "Quote fields that hold the delimiter or a line break."
            )
        if values:
            yield dict(zip(header, values, strict=True))


def _tsv(file: TextIO, name: str) -> Iterator[dict[str, str]]:
    return _csv(file, name, "\t")


def _json_lines(file: TextIO, name: str) -> Iterator[Any]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict | str):
            raise ValueError(f"{name}, line {number}: neither an object nor a text")
        yield row


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


READERS: Final[dict[str, Callable[[TextIO, str], Iterator[Any]]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}

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
            plain = _plain(row)
            text = json.dumps(plain, sort_keys=True, ensure_ascii=False, allow_nan=False)
            key = blake2b(text.encode(), digest_size=KEY_BYTES).digest()
        except (ValueError, TypeError, RecursionError, PydanticSerializationError) as error:
            raise ValueError(
                f"Row {number} cannot be asked: {error}. Nothing of it was sent."
            ) from (error)
        yield number, plain, key


def _plain(row: Any) -> str | dict[str, Any]:
    if isinstance(row, str):
        if not row.strip():
            raise ValueError("it is an empty text")
        return row
    if not isinstance(row, Mapping | BaseModel):
        raise TypeError(f"a {type(row).__name__} is neither a text nor an object of fields")
    plain = to_jsonable_python(
        row if isinstance(row, BaseModel) else dict(row), fallback=_scalar, by_alias=True
    )
    if not isinstance(plain, dict):
        raise TypeError(f"a {type(row).__name__} is written as {type(plain).__name__}, no object")
    if not plain:
        raise ValueError("it has no fields")
    return plain


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
