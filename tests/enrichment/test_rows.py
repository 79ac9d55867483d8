"""Rows from objects, frames and files; one that cannot be sent is named before any is sent."""

import csv
import io
import random
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import BaseModel, Field

from parallel_integrations import InvalidArgumentError, ParallelClient
from parallel_integrations.enrichment import enrich
from parallel_integrations.enrichment.rows import records
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import SETTINGS, enriched, sent


class Company(BaseModel):
    name: str
    founded: date


def given(name: str, content: bytes | str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_rows_may_be_texts_objects_and_instances(sandbox: Sandbox, client: ParallelClient) -> None:
    company = Company(name="Ada", founded=date(2001, 2, 3))
    found = enriched(client, ["with", {"day": date(2020, 1, 2), "n": np.int64(3)}, company])
    assert [row.input for row in found] == sent(sandbox)
    assert sent(sandbox) == [
        "with",
        {"day": "2020-01-02", "n": 3},
        {"name": "Ada", "founded": "2001-02-03"},
    ]


def test_rows_may_be_a_data_frame(sandbox: Sandbox, client: ParallelClient) -> None:
    frame = pd.DataFrame(
        {
            "name": ["with", None, "lambda"],
            "count": np.array([1, 2, 3], dtype=np.int64),
            "share": [0.5, float("nan"), 1.0],
            "seen": pd.to_datetime(["2020-01-02", None, "2020-01-04"]),
            "flag": pd.array([True, pd.NA, False], dtype="boolean"),
            7: ["a", "b", "c"],
        }
    )
    enriched(client, frame)
    first, second, _ = sent(sandbox)
    assert first == {
        "name": "with",
        "count": 1,
        "share": 0.5,
        "seen": "2020-01-02T00:00:00",
        "flag": True,
        "7": "a",
    }
    assert second == {"name": None, "count": 2, "share": None, "seen": None, "flag": None, "7": "b"}


def test_rows_may_be_a_frame_that_yields_tuples(sandbox: Sandbox, client: ParallelClient) -> None:
    """As polars does."""

    class Frame:
        columns = ["name", "at"]

        def iter_rows(self) -> Iterator[tuple[Any, ...]]:
            yield "with", datetime(2020, 1, 2, tzinfo=UTC)
            yield "lambda", None

    enriched(client, Frame())
    assert sent(sandbox) == [
        {"name": "with", "at": "2020-01-02T00:00:00Z"},
        {"name": "lambda", "at": None},
    ]


def test_rows_may_be_a_csv_file(sandbox: Sandbox, client: ParallelClient, tmp_path: Path) -> None:
    content = '\ufeffname,note\r\nwith,"two\nlines, one ""quote"""\r\n\r\nÄrger,\r\n'
    enriched(client, given("rows.csv", content, tmp_path))
    assert sent(sandbox) == [
        {"name": "with", "note": 'two\nlines, one "quote"'},
        {"name": "Ärger", "note": ""},
    ]


def test_rows_may_be_a_tsv_file(sandbox: Sandbox, client: ParallelClient, tmp_path: Path) -> None:
    enriched(client, given("rows.tsv", "name\tnote\nwith\ta, b\n", tmp_path))
    assert sent(sandbox) == [{"name": "with", "note": "a, b"}]


def test_a_long_field_changes_no_setting_of_the_process(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    before = csv.field_size_limit()
    content = "name\n" + "x" * (before + 1) + '\n"' + "y\n" * before + '"\n'
    enriched(client, given("rows.csv", content, tmp_path))
    assert [len(row["name"]) for row in sent(sandbox)] == [before + 1, 2 * before]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_records_are_read_as_csv_reads_them(delimiter: str) -> None:
    rng = random.Random(3)
    for _ in range(20_000):
        text = "".join(rng.choice('ab",\t\r\n\n" é\0\x85\u2028') for _ in range(rng.randrange(14)))
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        ours = records(io.StringIO(text, newline=""), "x.csv", delimiter)
        line = 1
        while True:
            try:
                expected = next(reader, None)
            except csv.Error:
                with pytest.raises(ValueError, match=f"x.csv, line {line}: "):
                    next(ours)
                break
            assert next(ours, None) == (None if expected is None else (line, expected)), text
            if expected is None:
                break
            line = reader.line_num + 1


def test_rows_may_be_a_json_lines_file(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    enriched(client, given("rows.jsonl", '\ufeff{"name": "with"}\n\n"a text"\n', tmp_path))
    assert sent(sandbox) == [{"name": "with"}, "a text"]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", "name,note\nwith,x\nlambda\n", "line 3: 1 field, the header has 2"),
        ("a.csv", 'name,note\n"two\nlines",x\nlambda\n', "line 4: 1 field"),
        ("a.csv", "name,name\nwith,x\n", "line 1: several columns are named name"),
        ("a.csv", "name,\nwith,x\n", "line 1: the header must name"),
        ("a.csv", "", "a.csv has no columns"),
        ("a.csv", 'name\n"open\n', "line 2: a quote is opened and never closed"),
        ("a.csv", 'name\nwith\n"x"y\n', "line 3: ',' expected after"),
        ("a.csv", "name\n" + "x" * 10_000_001, "line 2: a field is longer than 10,000,000"),
        (
            "a.tsv",
            'name\n"' + ("x" * 999 + "\n") * 10_001,
            "line 2: a field is longer than 10,000,000",
        ),
        ("a.csv", b"name\n\xff\n", "not UTF-8"),
        ("a.csv", b'name\n"' + b"x\n" * 9000 + b'\xff"\n', "not UTF-8"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2: no JSON"),
        ("a.jsonl", '{"a": NaN}\n', "line 1: no JSON .*NaN"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "line 2: neither an object nor a text"),
        ("a.jsonl", b'{"a": "\xff"}\n', "not UTF-8"),
        ("a.xlsx", "x", "unknown kind: name it .csv"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_paid(
    sandbox: Sandbox,
    client: ParallelClient,
    tmp_path: Path,
    name: str,
    content: bytes | str,
    fault: str,
) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        enriched(client, given(name, content, tmp_path))
    assert name in str(caught.value)
    assert not sandbox.requests


def parquet_file(folder: Path, *columns: Any, names: str = "a", **options: Any) -> Path:
    table = pa.Table.from_arrays([pa.array(*column) for column in columns], names=list(names))
    parquet.write_table(table, folder / "rows.parquet", **options)
    return folder / "rows.parquet"


def test_rows_may_be_a_parquet_file(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    path = parquet_file(
        tmp_path,
        ([datetime(2026, 1, 2, 3, tzinfo=UTC), None], pa.timestamp("ns", "UTC")),
        ([1_500_000_001, None], pa.timestamp("ns")),
        ([date(2026, 1, 2), None],),
        ([{"b": [1, None], "c": {"d": "x"}}, None],),
        ([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
        ([float("nan"), 1.5],),
        ([Decimal("1.50"), None],),
        (["with", "with"], pa.dictionary(pa.int8(), pa.string())),
        names="abcdefgh",
    )
    found = enriched(client, path)
    assert [row.input for row in found] == sent(sandbox)
    assert sent(sandbox) == [
        {
            "a": "2026-01-02T03:00:00Z",
            "b": "1970-01-01T00:00:01.500000",
            "c": "2026-01-02",
            "d": {"b": [1, None], "c": {"d": "x"}},
            "e": {"k": 1},
            "f": None,
            "g": "1.50",
            "h": "with",
        },
        dict.fromkeys("abcdeg") | {"f": 1.5, "h": "with"},
    ]


def test_a_parquet_file_of_no_rows_is_no_rows(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    assert enriched(client, parquet_file(tmp_path, ([], "string"))) == []
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ([(range(2500),), ([b"x"] * 1234 + [b"\xff"] * 1266,)], "Row 1234 cannot be sent: .*utf-8"),
        ([([*range(1500), 2**62], "timestamp[us]")], "Row 1500 cannot be sent: .*out of range"),
        ([([0, 10**9], "date32")], "Row 1 cannot be sent: .*magnitude"),
        ([([1],), ([1],)], "rows.parquet: several columns are named a"),
    ],
)
def test_a_row_of_a_parquet_file_that_cannot_be_sent_is_named(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, columns: list[Any], fault: str
) -> None:
    names = "aa" if "several" in fault else "ab"[: len(columns)]
    with pytest.raises(InvalidArgumentError, match=fault):
        enriched(client, parquet_file(tmp_path, *columns, names=names))
    assert not sandbox.requests


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "a bit"])
def test_a_damaged_parquet_file_is_refused(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, damage: str
) -> None:
    path = parquet_file(tmp_path, ([f"text {n}" for n in range(2000)],), use_dictionary=False)
    whole = path.read_bytes()
    at = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": whole[:-9],
            "text": b"statement\nwith\n",
            "a bit": whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :],
        }[damage]
    )
    with pytest.raises(InvalidArgumentError, match=r"rows\.parquet cannot be read|cannot be sent"):
        enriched(client, path)
    assert not sandbox.requests


def test_a_parquet_file_without_its_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InvalidArgumentError, match="pip install 'pyarrow>=20'"):
        enrich(tmp_path / "rows.parquet", SETTINGS)


def test_a_missing_file_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no file .*missing\.csv"):
        enrich(tmp_path / "missing.csv", SETTINGS)
    (tmp_path / "parts.parquet").mkdir()
    with pytest.raises(ValueError, match=r"parts\.parquet is a folder: name one of its files"):
        enrich(tmp_path / "parts.parquet", SETTINGS)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("", "empty text"),
        (" \n", "empty text"),
        ({}, "no fields"),
        (3, "neither a text nor an object of fields, but int"),
        (["with"], "neither a text nor an object of fields, but list"),
        (None, "neither a text nor an object of fields, but NoneType"),
        ({"a": float("nan")}, "not JSON compliant"),
        ({"a": object()}, "it holds no JSON value, but object"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
    ],
)
@pytest.mark.parametrize("once", [False, True])
def test_a_row_that_cannot_be_sent_is_named(
    sandbox: Sandbox, client: ParallelClient, row: Any, fault: str, *, once: bool
) -> None:
    rows = ["with", row]
    with pytest.raises(ValueError, match=f"Row 1 cannot be sent: .*{fault}"):
        enriched(client, iter(rows) if once else rows)
    assert not sandbox.requests


@pytest.mark.parametrize(
    "rows", ["rows.csv", b"x", {"a": 1}, Company(name="a", founded="2000-01-01")]
)  # type: ignore[arg-type]
def test_a_single_row_in_place_of_rows_is_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="rows is a single"):
        enrich(rows, SETTINGS)


def test_a_number_in_place_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="rows=3 must be an iterable"):
        enrich(3, SETTINGS)


def test_a_frame_with_equal_column_names_is_refused() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(ValueError, match="several columns are named a"):
        enrich(frame, SETTINGS)


def test_decimals_are_sent_as_text(sandbox: Sandbox, client: ParallelClient) -> None:
    enriched(client, [{"price": Decimal("1.50")}])
    assert sent(sandbox) == [{"price": "1.50"}]


class Tagged(BaseModel):
    tags: frozenset[str] = Field(alias="labels")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.array([1]), [1]),
        (np.array([[1.5], [2.5]]), [[1.5], [2.5]]),
        (np.datetime64("2024-05-01T06:00", "ns"), "2024-05-01T06:00:00"),
        (np.array(["2024-05-01"], "M8[ns]"), ["2024-05-01T00:00:00"]),
        (np.datetime64("2024-05-01"), "2024-05-01"),
        (np.timedelta64(1500, "ms").astype("m8[ns]"), "PT1.5S"),
        (np.datetime64("NaT", "ns"), None),
        (np.int64(2), 2),
        # More members than would come in their order by chance.
        (set("hgfedcba"), list("abcdefgh")),
        ([{"of": frozenset("hgfedcba")}], [{"of": list("abcdefgh")}]),
        (Tagged(labels=frozenset("hgfedcba")), {"labels": list("abcdefgh")}),
    ],
)
def test_a_value_is_sent_as_what_it_is(
    sandbox: Sandbox, client: ParallelClient, value: Any, plain: Any
) -> None:
    enriched(client, [{"a": value}])
    assert sent(sandbox) == [{"a": plain}]


def test_missing_decimals_of_a_frame_are_null(sandbox: Sandbox, client: ParallelClient) -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "price": [Decimal("1.5"), Decimal("NaN")]})
    enriched(client, frame)
    assert sent(sandbox) == [{"a": "x", "price": "1.5"}, {"a": "y", "price": None}]
