"""Rows of the input: read from files or objects, as plain JSON with a key for each."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TextIO, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from parallel_integrations._counted import counted
from parallel_integrations.errors import InvalidArgumentError

MAX_FIELD_CHARACTERS: Final = 10_000_000
DELIMITERS: Final = (",", ";", "\t", "|")
UNQUOTED: Final = {
    delimiter: re.compile(rf"[^{re.escape(delimiter)}\r\n]*") for delimiter in DELIMITERS
}
QUOTED_FIELD: Final = re.compile(r'"(?:[^"]|"")*"?')
QUOTED: Final = re.compile(r'(?:[^"]|"")*+')
ROWS_PER_BATCH: Final = 1_000
PARQUET_BUFFER_BYTES: Final = 1 << 20
KEY_BYTES: Final = 16
# Null values of pandas, by name: it need not be installed.
MISSING: Final = frozenset({"NAType", "NaTType"})
FINER_THAN_MICROSECONDS: Final = ("ns]", "ps]", "fs]", "as]")
"""How the name of a type of times ends in numpy."""

Rows: TypeAlias = Iterable[str | Mapping[str, Any] | BaseModel] | Path | Any
"""A CSV, JSONL or Parquet file (as `Path`), any iterable of texts, objects or pydantic instances,
or a DataFrame (pandas, polars)."""


class RowFile:
    """The rows of a `.csv`, `.tsv`, `.jsonl` or `.ndjson` file in UTF-8, or of a `.parquet` file.

    Each iteration reads the file from its beginning and holds one row at a time, of Parquet a
    thousand.

    Raises:
        ValueError: No such file, no such kind, or its library is not installed. While it is read:
            it has no columns, or a line is no row.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise InvalidArgumentError(f"{path} is a folder: name one of its files")
        kind = READERS.get(path.suffix.lower())
        if kind is None:
            raise InvalidArgumentError(
                f"{path} is of unknown kind: name it {', '.join(READERS)}, or give the rows as a "
                "list"
            )
        if not path.is_file():
            raise InvalidArgumentError(f"There is no file {path}")
        if kind is _parquet:
            try:
                import pyarrow.parquet  # noqa: F401 - before anything is paid
            except ImportError:
                raise InvalidArgumentError(
                    f"{path} needs pyarrow: pip install 'pyarrow>=20', or give a .csv or .jsonl"
                ) from None
        self._path = path
        self._read = kind

    @property
    def columns(self) -> list[str]:
        """The names in its header; none of JSON lines, which have no header."""
        columns: list[str] = next(self._parts())
        return columns

    def __iter__(self) -> Iterator[Any]:
        return islice(self._parts(), 1, None)

    def _parts(self) -> Iterator[Any]:
        try:
            yield from self._read(self._path)
        except OSError as error:
            raise InvalidArgumentError(f"{self._path} cannot be read: {error}") from error


def _text(read: Callable[[TextIO, str], Iterator[Any]]) -> Callable[[Path], Iterator[Any]]:
    """A reader of paths, of one that is given the text and the name of a file.

    A reader yields the names of the columns, then each row.
    """

    def rows(path: Path) -> Iterator[Any]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from read(file, str(path))
        except UnicodeDecodeError as error:
            raise InvalidArgumentError(
                f"{path} is not UTF-8 ({error.reason}, byte {error.object[error.start]:#x}): "
                "save it as UTF-8"
            ) from error

    return rows


class _RecordError(Exception):
    """A record cannot be read. No ValueError: that is also what a file raises that is not UTF-8."""


def records(file: TextIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records of delimited text, each with the number of its first line; as `csv` when strict.

    `csv` itself takes its longest field from one setting of the whole process, which a library
    must not change.

    Args:
        file: Opened with `newline=""`, so that line breaks inside quotes stay as they are.
        name: Its name, for errors.
        delimiter: One of `DELIMITERS`.

    Raises:
        ValueError: A quote that is never closed, text after a closing quote, an endless field;
            says in which line the record begins.
    """
    number = 0
    for line in file:
        number += 1
        first = number
        try:
            if '"' in line:
                fields, lines = _quoted_record(line, file, delimiter)
                number += lines
            else:
                text = line.rstrip("\r\n")
                fields = text.split(delimiter) if text else []
                if len(text) > MAX_FIELD_CHARACTERS:
                    _check_length(max(map(len, fields)))
        except _RecordError as error:
            raise InvalidArgumentError(f"{name}, line {first}: {error}") from None
        yield first, fields


def _quoted_record(line: str, file: TextIO, delimiter: str) -> tuple[list[str], int]:
    """The fields of a record with quotes, and how many more lines it takes."""
    unquoted, fields, at, lines = UNQUOTED[delimiter], [], 0, 0
    while True:
        if line.startswith('"', at):
            parts: list[str] = []
            length, at = 0, at + 1
            while True:
                end = QUOTED.match(line, at).end()  # type: ignore[union-attr] # matches "" too
                parts.append(line[at:end])
                length += end - at
                _check_length(length)
                if line.startswith('"', end):
                    break
                line, at, lines = next(file, ""), 0, lines + 1
                if not line:
                    raise _RecordError("a quote is opened and never closed")
            field, at = "".join(parts).replace('""', '"'), end + 1
        else:
            end = unquoted.match(line, at).end()  # type: ignore[union-attr] # matches "" too
            field, at = line[at:end], end
            _check_length(len(field))
        fields.append(field)
        if not line.startswith(delimiter, at):
            break
        at += 1
    if line[at:].strip("\r\n"):
        raise _RecordError(f"{delimiter!r} expected after '\"'")
    return fields, lines


def _check_length(length: int) -> None:
    if length > MAX_FIELD_CHARACTERS:
        raise _RecordError(f"a field is longer than {MAX_FIELD_CHARACTERS:,} characters")


def delimiter_of(header: str) -> str:
    """The delimiter of a CSV file: what its header has most of outside quotes, else the comma.

    Spreadsheets write semicolons where the comma is the decimal sign.
    """
    bare = QUOTED_FIELD.sub("", header)
    return max(DELIMITERS, key=bare.count)


def _csv(file: TextIO, name: str, delimiter: str | None = None) -> Iterator[Any]:
    delimiter = delimiter or delimiter_of(next((line for line in file if line.strip()), ""))
    file.seek(0)
    lines = records(file, name, delimiter)
    named = (each for each in lines if len(each[1]) > 1 or any(map(str.strip, each[1])))
    first, header = next(named, (1, []))
    if header == ["sep=", ""]:  # how a spreadsheet names its delimiter
        first, header = next(named, (2, []))
    if not header:
        raise InvalidArgumentError(
            f"{name} has no columns: name them in its first line, such as name{delimiter}city"
        )
    if not all(column.strip() for column in header):
        raise InvalidArgumentError(f"{name}, line {first}: the header must name every column")
    _check_names(f"{name}, line {first}: several", header)
    yield header
    for line, values in lines:
        if not any(map(str.strip, values)):
            continue  # spreadsheets write the delimiters of rows that were emptied
        if len(values) != len(header):
            raise InvalidArgumentError(
                f"{name}, line {line}: {counted(len(values), 'field')}, the header has "
                f"{len(header)} "
                f"(delimiter {delimiter!r}). Quote fields that hold the delimiter or a line break."
            )
        yield dict(zip(header, values, strict=True))


def _tsv(file: TextIO, name: str) -> Iterator[Any]:
    return _csv(file, name, "\t")


def _json_lines(file: TextIO, name: str) -> Iterator[Any]:
    yield []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"{name}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict | str):
            raise InvalidArgumentError(f"{name}, line {number}: neither an object nor a text")
        yield row


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        # Without a buffer a column of a whole row group is read at once: often of the whole file.
        with ParquetFile(path, buffer_size=PARQUET_BUFFER_BYTES) as file:
            names = file.schema_arrow.names
            if not names:
                raise InvalidArgumentError(f"{path} has no columns: write the rows with some")
            _check_names(f"{path}: several", names)
            yield names
            # Python's datetime holds microseconds; pyarrow gives finer times as those of pandas.
            schema = pa.schema([each.with_type(_coarse(each.type)) for each in file.schema_arrow])
            for batch in file.iter_batches(ROWS_PER_BATCH):
                for row in _python_rows(batch.cast(schema, safe=False), number):
                    number += 1
                    yield row
    except pa.ArrowException as error:
        raise InvalidArgumentError(
            f"{path} cannot be read as Parquet: {error}. Write it again, or give a .csv or .jsonl"
        ) from error


def _coarse(kind: Any) -> Any:
    from pyarrow import timestamp, types

    is_finer = types.is_timestamp(kind) and kind.unit == "ns"
    return timestamp("us", kind.tz) if is_finer else kind


def _python_rows(batch: Any, number: int) -> Iterator[dict[str, Any]]:
    """The rows of a batch; `number` is that of its first, for errors."""
    try:
        rows = batch.to_pylist(maps_as_pydicts="strict")
    except (ValueError, ArithmeticError, KeyError) as error:
        if batch.num_rows > 1:
            for place in range(batch.num_rows):
                yield from _python_rows(batch.slice(place, 1), number + place)
            return
        raise InvalidArgumentError(f"Row {number} cannot be sent: {error}") from error
    for row in rows:
        yield {name: None if _is_missing(value) else value for name, value in row.items()}


READERS: Final[dict[str, Callable[[Path], Iterator[Any]]]] = {
    ".csv": _text(_csv),
    ".tsv": _text(_tsv),
    ".jsonl": _text(_json_lines),
    ".ndjson": _text(_json_lines),
    ".parquet": _parquet,
}


def _check_names(several: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidArgumentError(f"{several} columns are named {', '.join(twice)}")


def row_source(rows: Rows) -> Iterable[Any]:
    """The rows as an iterable, which can be iterated twice where `rows` can.

    Raises:
        ValueError: It is one row, or a file of unknown kind.
    """
    if isinstance(rows, Path):
        return RowFile(rows)
    if isinstance(rows, str | bytes | Mapping | BaseModel):
        raise InvalidArgumentError(
            f"rows is a single {type(rows).__name__}: give a list of rows, or a file as Path(…)"
        )
    if hasattr(rows, "columns") and (hasattr(rows, "itertuples") or hasattr(rows, "iter_rows")):
        return _Frame(rows)
    if not isinstance(rows, Iterable):
        raise InvalidArgumentError(
            f"rows={rows!r:.100} must be an iterable of texts or objects, a DataFrame, or a file "
            "as Path(…)"
        )
    return rows


class NumberedRow(NamedTuple):
    """A row as plain JSON.

    Attributes:
        number: Which one, from 0.
        given: All of it.
        input: What is sent of it.
        key: Equal for equal inputs.
    """

    number: int
    given: str | dict[str, Any]
    input: str | dict[str, Any]
    key: bytes


def numbered(source: Iterable[Any], columns: Sequence[str] | None = None) -> Iterator[NumberedRow]:
    """The rows, numbered.

    Args:
        source: The rows.
        columns: The fields that are sent, in this order; None sends all.

    Raises:
        ValueError: A row is no text or object, is empty, lacks a column, or cannot be JSON; says
            which.
    """
    for number, row in enumerate(source):
        try:
            given = _plain(row)
            plain = given if columns is None else _selected(given, columns)
            text = json.dumps(plain, sort_keys=True, ensure_ascii=False, allow_nan=False)
            key = blake2b(text.encode(), digest_size=KEY_BYTES).digest()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(
                f"Row {number} cannot be sent: it holds half of a surrogate pair, which JSON in "
                "UTF-8 cannot carry"
            ) from error
        except (ValueError, TypeError, RecursionError, PydanticSerializationError) as error:
            raise InvalidArgumentError(f"Row {number} cannot be sent: {error}") from error
        yield NumberedRow(number, given, plain, key)


def _selected(row: str | dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    if isinstance(row, str):
        raise TypeError("it is a text and has no columns")
    if missing := [name for name in columns if name not in row]:
        raise ValueError(f"it has no column {missing[0]!r}; it has {', '.join(row)}")
    return {name: row[name] for name in columns}


def _plain(row: Any) -> str | dict[str, Any]:
    if isinstance(row, str):
        if not row.strip():
            raise ValueError("it is an empty text")
        return row
    if not isinstance(row, Mapping | BaseModel):
        raise TypeError(f"it is neither a text nor an object of fields, but {type(row).__name__}")
    plain = to_jsonable_python(
        row if isinstance(row, BaseModel) else dict(row), fallback=_python_value, by_alias=True
    )
    if not isinstance(plain, dict):
        raise TypeError(f"a {type(row).__name__} is written as {type(plain).__name__}, no object")
    if not plain:
        raise ValueError("it has no fields")
    _sort_sets(row, plain)
    return plain


def _sort_sets(value: Any, plain: Any) -> None:
    """Sort what was a set: its order differs between processes, and a row would not be the same."""
    if isinstance(plain, list) and isinstance(value, set | frozenset):
        plain.sort(key=json.dumps)
        return
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True)
    if isinstance(plain, dict) and isinstance(value, Mapping):
        value, plain = value.values(), plain.values()
    elif not isinstance(plain, list) or not isinstance(value, list | tuple):
        return
    for each, its_plain in zip(value, plain, strict=False):
        if isinstance(its_plain, list | dict):
            _sort_sets(each, its_plain)


def _python_value(value: Any) -> Any:
    """A number, time or array of numpy as Python has it."""
    if not callable(getattr(value, "tolist", None)):
        raise TypeError(f"it holds no JSON value, but {type(value).__name__}")
    dtype: Any = getattr(value, "dtype", None)
    # Python's own times hold microseconds: finer ones would become bare numbers.
    if str(dtype).endswith(FINER_THAN_MICROSECONDS):
        value = value.astype(f"{dtype.kind}8[us]")
    return value.tolist()


class _Frame:
    """The rows of a DataFrame as objects; what is missing is null."""

    def __init__(self, frame: Any) -> None:
        self._columns = [str(name) for name in frame.columns]
        _check_names("The DataFrame: several", self._columns)
        self._frame = frame

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
    if isinstance(value, Decimal):
        return value.is_nan()
    return type(value).__name__ in MISSING or (isinstance(value, float) and value != value)
