"""Rows from files: CSV with a header, TSV, JSON lines. A fault names file and line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

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
