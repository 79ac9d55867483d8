"""Tables of the command `enrich`: CSV, TSV and Parquet, made of JSON lines of enriched rows.

The lines are read twice: first for the columns and what they hold, then to write them.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from parallel_integrations.errors import InvalidArgumentError

LINES: Final = ("", ".jsonl", ".ndjson")
"""Endings of JSON lines."""
ROWS_PER_BATCH: Final = 10_000
OF_THE_RUN: Final = ("sources", "error", "run_id")
MAX_INTEGER: Final = 2**63 - 1
MAX_EXACT_FLOAT: Final = 2**53
FORMULA: Final = re.compile(r"[=@\t\r]|[+-](?![\d\s.,()/-]*$)")
"""How a text begins that a spreadsheet would run as a formula; telephone numbers do not."""

Places: TypeAlias = Sequence[tuple[str, str]]
"""Columns by part (`input`, `output`, `run`) and key."""


@dataclass(slots=True)
class Column:
    """A column, and which kinds of values it holds."""

    part: str
    key: str
    name: str
    kinds: set[str] = field(default_factory=set)

    def text(self, value: Any) -> str | None:
        """A value as a text; JSON where it is none."""
        return value if value is None or isinstance(value, str) else _json(value)


def table_writer(path: Path) -> Callable[[Path, IO[bytes], Places], None] | None:
    """What writes the table that a file's ending names; None for JSON lines.

    Raises:
        InvalidArgumentError: The ending is another, or its library is not installed.
    """
    ending = path.suffix.lower()
    if ending in LINES:
        return None
    if ending == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401 - before anything is paid
        except ImportError:
            raise InvalidArgumentError(
                f"The output {path} needs pyarrow: pip install pyarrow, or name a .csv or .jsonl"
            ) from None
        return _write_parquet
    if ending in (".csv", ".tsv"):
        return _write_csv if ending == ".csv" else _write_tsv
    raise InvalidArgumentError(
        f"The output {path} is of unknown kind: name it .csv, .tsv, .jsonl, .ndjson or .parquet"
    )


def _records(lines: Path) -> Iterator[dict[tuple[str, str], Any]]:
    """The values of each row by part (`input`, `output`, `run`) and key."""
    with lines.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            output = row["output"] or {"content": {}, "basis": []}
            parts = {
                "input": _fields(row["input"], "input"),
                "output": _fields(output["content"], "output"),
                "run": {
                    "sources": " ".join(_urls(output["basis"])) or None,
                    "error": row["error"] or row["validation_error"],
                    "run_id": row["run_id"],
                },
            }
            yield {
                (part, key): value
                for part, fields in parts.items()
                for key, value in fields.items()
            }


def _fields(value: Any, name: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else {name: value}


def _urls(basis: list[dict[str, Any]]) -> list[str]:
    found = [each.get("url") for one in basis for each in one.get("citations") or ()]
    return list(dict.fromkeys(url for url in found if url))


def _columns(lines: Path, known: Places) -> list[Column]:
    """The columns of all rows: those of the input, of the output, and of the run.

    A name that an earlier part has too gets its part's name before it.
    """
    # A table of no rows has columns, too, or nothing reads it.
    places = (*known, *(("run", key) for key in OF_THE_RUN))
    kinds: dict[tuple[str, str], set[str]] = {place: set() for place in places}
    for record in _records(lines):
        for place, value in record.items():
            kinds.setdefault(place, set()).add(_kind(value))
    names: set[str] = set()
    columns = []
    for part, key in sorted(kinds, key=lambda place: ("input", "output", "run").index(place[0])):
        name = key
        while name in names:
            name = f"{part}_{name}"
        names.add(name)
        columns.append(Column(part, key, name, kinds[part, key] - {"null"}))
    return columns


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    # Parquet has no integers beyond 64 bits, and floats hold them up to 53: what fits into no
    # number of a column makes it text.
    if isinstance(value, int) and abs(value) > MAX_EXACT_FLOAT:
        return "large" if abs(value) > MAX_INTEGER else "long"
    return type(value).__name__


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write_csv(lines: Path, file: IO[bytes], known: Places, delimiter: str = ",") -> None:
    columns = _columns(lines, known)
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(column.name for column in columns)
    for record in _records(lines):
        writer.writerow(_cell(column, record.get((column.part, column.key))) for column in columns)
    text.detach()


def _write_tsv(lines: Path, file: IO[bytes], known: Places) -> None:
    _write_csv(lines, file, known, "\t")


def _cell(column: Column, value: Any) -> str | None:
    text = column.text(value)
    # What a page says must not run in the spreadsheet of who opens the file.
    is_formula = column.part == "output" and isinstance(value, str) and FORMULA.match(value)
    return f"'{text}" if is_formula else text


def _write_parquet(lines: Path, file: IO[bytes], known: Places) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    columns = _columns(lines, known)
    types: list[tuple[Any, Callable[[Any], Any]]] = []
    for column in columns:
        if column.kinds == {"bool"}:
            types.append((pa.bool_(), bool))
        elif column.kinds and column.kinds <= {"int", "long"}:
            types.append((pa.int64(), int))
        elif column.kinds and column.kinds <= {"int", "float"}:
            types.append((pa.float64(), float))
        else:
            types.append((pa.string(), column.text))
    schema = pa.schema(
        [(column.name, kind) for column, (kind, _) in zip(columns, types, strict=True)]
    )
    with ParquetWriter(file, schema) as writer:
        records = _records(lines)
        while batch := list(islice(records, ROWS_PER_BATCH)):
            arrays = []
            for column, (kind, read) in zip(columns, types, strict=True):
                values = [record.get((column.part, column.key)) for record in batch]
                typed = [None if value is None else read(value) for value in values]
                arrays.append(pa.array(typed, kind))
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
