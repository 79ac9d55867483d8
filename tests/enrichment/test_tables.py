"""What `enrich` writes, and which rows it sends: forms of output, trial, columns, dry run."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from parallel_integrations import InvalidArgumentError, ParallelClient
from parallel_integrations._cli.commands import app
from parallel_integrations._cli.enrich_tables import table_writer
from parallel_integrations.enrichment import EnrichmentProgress
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import SETTINGS, enriched, events, rows, sent, started

SCHEMA = {
    "type": "object",
    "properties": {"purpose": {"type": "string"}, "number": {"type": "integer"}},
}


@pytest.fixture(autouse=True)
def given_files(terminal: Sandbox) -> None:
    Path("rows.csv").write_text("statement;number\nwith;1\nnonlocal;2\nlambda;3\n")
    Path("schema.json").write_text(json.dumps(SCHEMA))


def command(output: str, *arguments: str, source: str = "rows.csv") -> tuple[int, str]:
    given = ["enrich", source, "--output-schema", "schema.json", "--journal", "run.db"]
    done = CliRunner().invoke(app, [*given, "-o", output, *arguments])
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stderr


@pytest.mark.parametrize(("output", "delimiter"), [("out.csv", ","), ("OUT.TSV", "\t")])
def test_a_table_has_the_columns_of_input_output_and_run(
    sandbox: Sandbox, output: str, delimiter: str
) -> None:
    code, messages = command(output)
    assert code == 0, messages
    with Path(output).open(encoding="utf-8", newline="") as file:
        header, *found = csv.reader(file, delimiter=delimiter)
    assert header == [
        *("statement", "number", "purpose", "output_number", "sources", "error", "run_id")
    ]
    assert [row[0] for row in found] == ["with", "nonlocal", "lambda"]
    assert found[0][2]
    assert found[0][4].startswith("https://docs.python.org")
    assert sent(sandbox)[0] == {"statement": "with", "number": "1"}


def test_a_parquet_file_has_typed_columns() -> None:
    Path("rows.jsonl").write_text(
        '{"n": 1, "share": 0.5, "ok": true, "tags": ["a"], "mixed": 1, '
        '"large": 99999999999999999999, "id": 9007199254740993, "key": 9007199254740993}\n'
        '{"n": 2, "share": 1, "ok": false, "tags": null, "mixed": "one", "large": 1, '
        '"id": 1, "key": 0.5}\n'
    )
    code, messages = command("out.parquet", source="rows.jsonl")
    assert code == 0, messages
    table = parquet.read_table("out.parquet")
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert kinds["n"] == kinds["id"] == "int64"
    assert kinds["share"] == "double"
    assert kinds["ok"] == "bool"
    assert {kinds[name] for name in ("tags", "mixed", "large", "key", "purpose")} == {"string"}
    first, second = table.to_pylist()
    assert first["tags"] == '["a"]'
    assert first["large"] == "99999999999999999999"
    assert first["key"] == "9007199254740993"  # a float would be another number
    assert second["tags"] is None
    assert second["mixed"] == "one"


EMPTY = {
    "rows.csv": b"statement;number\n",
    "bom.csv": b"\xef\xbb\xbf\r\n\r\nstatement;number",
    "rows.tsv": b"statement\tnumber\n\n\t\n",
    "rows.parquet": b"",
    "empty.jsonl": b"",
    "blank.jsonl": b"\n \n",
    "bom.ndjson": b"\xef\xbb\xbf",
}


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("source", EMPTY)
def test_a_file_without_rows_is_said_to_be_one_and_becomes_a_table_with_a_header(
    sandbox: Sandbox, source: str, output: str
) -> None:
    Path(source).write_bytes(EMPTY[source])
    if source.endswith(".parquet"):
        pd.DataFrame({"statement": [], "number": []}).to_parquet(source)
    for more in ([], ["--dry-run"]):
        assert command(output, *more, source=source) == (
            0,
            f"No rows in {source}: nothing was sent.\n",
        )
    read = pd.read_csv if output.endswith(".csv") else pd.read_parquet
    given = [] if "json" in source else ["statement", "number"]
    made = ["purpose", "output_number" if given else "number"]
    assert list(read(output).columns) == [*given, *made, "sources", "error", "run_id"]
    assert not sandbox.requests
    # Tomorrow's rows go on with the same command.
    Path("rows.csv").write_text("statement;number\nwith;1\n")
    assert command(output)[0] == 0
    assert started(sandbox) == 1


def test_one_row_is_called_one(sandbox: Sandbox) -> None:
    code, messages = command("out.csv", "--limit", "1")
    assert code == 0
    first, last, _ = messages.splitlines()
    assert first == "1 row, 0.005 USD in all at most."
    assert last == "1 of 1 row is in out.csv, 0.005 USD in all."
    code, messages = command("out.csv", "--max-cost", "0.005")
    assert code == 4
    assert "1 of 3 rows is in out.csv" in messages
    assert "2 were not submitted, because of --max-cost" in messages


def test_a_file_without_rows_needs_no_proposal(sandbox: Sandbox) -> None:
    Path("rows.csv").write_text("statement\n")
    arguments = "enrich rows.csv --describe purpose --journal run.db -o out.csv".split()
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert done.stderr == "No rows in rows.csv: nothing was sent.\n"
    assert not sandbox.requests


def test_rows_that_are_gone_do_not_empty_the_output_of_an_earlier_run() -> None:
    assert command("out.csv")[0] == 0
    before = Path("out.csv").read_bytes()
    Path("rows.csv").write_text("statement;number\n")
    code, messages = command("out.csv")
    assert code == 1
    assert "is of an input of 3 rows; this one has 0" in messages
    assert Path("out.csv").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n", b"\xef\xbb\xbf", b'""\n'])
@pytest.mark.parametrize("source", ["rows.csv", "rows.tsv", "rows.parquet"])
def test_a_file_without_columns_is_refused(sandbox: Sandbox, source: str, content: bytes) -> None:
    Path(source).write_bytes(content)
    code, messages = command("out.csv", source=source)
    assert code == 2
    assert source in messages
    assert "such as name" in messages or "Write it again" in messages
    assert not sandbox.requests
    assert not Path("out.csv").exists()
    assert not Path("run.db").exists()


def test_a_parquet_file_without_columns_is_refused(sandbox: Sandbox) -> None:
    pd.DataFrame().to_parquet("rows.parquet")
    code, messages = command("out.csv", source="rows.parquet")
    assert code == 2
    assert "rows.parquet has no columns" in messages


def test_a_table_has_the_columns_of_the_schema_where_every_row_failed() -> None:
    Path("rows.jsonl").write_text('{"a": "with", "sandbox": "fail"}\n')
    assert command("out.csv", source="rows.jsonl")[0] == 3
    header = Path("out.csv").read_text().splitlines()[0]
    assert header == "a,sandbox,purpose,number,sources,error,run_id"


def test_blank_lines_before_the_header_are_skipped(sandbox: Sandbox) -> None:
    Path("rows.csv").write_text("\n  \nstatement;number\nwith;1\n")
    code, messages = command("out.csv")
    assert code == 0, messages
    assert sent(sandbox) == [{"statement": "with", "number": "1"}]


def test_more_groups_are_in_flight_where_they_are_permitted(sandbox: Sandbox) -> None:
    Path("rows.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(401)))
    code, messages = command("out.csv", "--groups-in-flight", "1")
    assert code == 0, messages
    methods = [(each.method, each.path.rpartition("/")[2]) for each in sandbox.requests]
    first, second, _ = [at for at, each in enumerate(methods) if each == ("POST", "runs")]
    assert "GET" in {method for method, _ in methods[first:second]}, "the first ends before"
    for number in ("0", "-1", "1.5", "many"):
        code, messages = command("out.csv", "--groups-in-flight", number)
        assert code == 2
        assert f"'{number}' is no whole number of 1 or" in messages.replace("\n", " ")


def test_nested_columns_of_parquet_come_back_as_json(sandbox: Sandbox) -> None:
    times = pd.to_datetime(["2026-01-02T03:04:05Z", None])
    nested = [{"cities": ["Bonn", None]}, None]
    pd.DataFrame({"nested": nested, "time": times}).to_parquet("rows.parquet")
    code, messages = command("out.parquet", source="rows.parquet")
    assert code == 0, messages
    assert sent(sandbox) == [
        {"nested": {"cities": ["Bonn", None]}, "time": "2026-01-02T03:04:05Z"},
        {"nested": None, "time": None},
    ]
    table = parquet.read_table("out.parquet")
    assert table["nested"].to_pylist() == ['{"cities": ["Bonn", null]}', None]
    assert table["time"].to_pylist() == ["2026-01-02T03:04:05Z", None]


def test_failed_rows_and_texts_of_pages_in_a_table(tmp_path: Path) -> None:
    texts = ["=HYPERLINK(1)", "+SUM(A1)", "@cmd", "-5.2", "+49 30 1234", 'a,"b"\nc']
    lines = tmp_path / "lines"
    blank = {"error": None, "validation_error": None, "run_id": "r"}
    made = [{"input": "=1", "output": {"content": text, "basis": []}, **blank} for text in texts]
    made.append({"input": {"id": 1}, "output": None, **blank, "error": "it failed"})
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in made))
    write = table_writer(Path("out.csv"))
    assert write is not None
    with Path("out.csv").open("wb") as file:
        write(lines, file, ())
    with Path("out.csv").open(newline="") as found:
        header, *cells = csv.reader(found)
    assert header == ["input", "id", "output", "sources", "error", "run_id"]
    assert [row[2] for row in cells] == [*(f"'{text}" for text in texts[:3]), *texts[3:], ""]
    assert cells[0][0] == "=1", "what was given is given back"
    assert cells[-1] == ["", "1", "", "", "it failed", "r"]


@pytest.mark.parametrize("output", ["out.xlsx", "out.json", "out.txt"])
def test_an_output_of_unknown_kind_is_refused_before_anything_is_paid(
    sandbox: Sandbox, output: str
) -> None:
    for more in ([], ["--dry-run"]):
        code, messages = command(output, *more)
        assert code == 2
        assert f"{output} is of unknown kind" in messages
        assert ".parquet" in messages
    assert not sandbox.requests


def test_parquet_without_its_library_is_refused_before_anything_is_paid(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    code, messages = command("out.parquet")
    assert code == 2
    assert "needs pyarrow" in messages
    assert not sandbox.requests


def test_the_rows_of_a_trial_count_when_the_rest_follows(sandbox: Sandbox) -> None:
    code, messages = command("out.csv", "--limit", "2")
    assert code == 0
    assert "2 rows, 0.010 USD in all at most." in messages
    assert "2 of 2 rows are in out.csv" in messages
    assert "The same command without --limit goes on" in messages
    assert len(Path("out.csv").read_text().splitlines()) == 3
    code, messages = command("out.csv")
    assert code == 0
    assert "3 rows, 0.015 USD in all at most, 0.010 USD of it spent" in messages
    assert [each["statement"] for each in sent(sandbox)] == ["with", "nonlocal", "lambda"]
    assert command("out.csv", "--limit", "1")[0] == 0, "a trial after all of it"
    assert started(sandbox) == 3


def test_a_trial_changes_nothing_beyond_its_rows(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.db"
    failing = [*rows(3), {"sandbox": "fail"}]
    assert enriched(client, failing, journal=journal)[3].error
    assert len(enriched(client, failing, journal=journal, limit=2, retry_failed=True)) == 2
    assert enriched(client, failing, journal=journal)[3].error
    assert started(sandbox) == 4, "the failed row beyond the limit was not submitted again"


def test_a_trial_reads_no_more_of_an_endless_input(client: ParallelClient) -> None:
    endless = ({"number": n} for n in iter(int, 1))
    assert len(enriched(client, endless, limit=3)) == 3
    assert next(endless) == {"number": 0}


def test_a_trial_is_checked_against_the_whole_input(client: ParallelClient) -> None:
    with pytest.raises(InvalidArgumentError, match="Row 2 cannot be sent"):
        enriched(client, ["a", "b", ""], limit=1)


def test_columns_are_what_is_sent_and_paid_for(sandbox: Sandbox) -> None:
    Path("rows.csv").write_text("id,statement\n1,with\n2,with\n3,lambda\n")
    assert command("out.csv", "--columns", "statement")[0] == 0
    assert sent(sandbox) == [{"statement": "with"}, {"statement": "lambda"}]
    with Path("out.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == ["1", "2", "3"]
    assert found[0]["run_id"] == found[1]["run_id"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"columns": ["statment"]}, "no column 'statment'; it has statement, number"),
        ({"columns": "statement"}, "must be a list of column names"),
        ({"columns": []}, "must be a list of column names"),
        ({"columns": ["number", "number"]}, "each once"),
        ({"columns": ["number", ""]}, "none empty"),
        ({"limit": 0}, "limit=0 must be a whole number, 1 or more"),
        ({"limit": True}, "limit=True"),
        ({"limit": 2.0}, "limit=2.0"),
        ({"limit": 10**30}, "must be a whole number, 1 or more"),
    ],
)
def test_wrong_limits_and_columns_are_refused_unsent(
    sandbox: Sandbox, client: ParallelClient, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        events(client, rows(2), **options)
    assert not sandbox.requests


def test_texts_have_no_columns(client: ParallelClient) -> None:
    with pytest.raises(InvalidArgumentError, match="it is a text and has no columns"):
        enriched(client, ["with"], columns=["statement"])


def test_a_dry_run_says_the_price_and_touches_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY")
    before = sorted(Path().iterdir())
    code, messages = command("out.csv", "--dry-run", "--processor", "core")
    assert (code, messages) == (0, "3 rows, 0.075 USD in all at most. Nothing was submitted.\n")
    code, messages = command("out.csv", "--dry-run", "--limit", "2")
    assert messages.startswith("2 rows, 0.010 USD in all at most.")
    assert command("out.csv", "--dry-run", source="missing.csv")[0] == 2
    assert command("missing/out.csv", "--dry-run")[0] == 2
    assert sorted(Path().iterdir()) == before
    assert not sandbox.requests


def test_a_dry_run_of_words_proposes_and_submits_nothing(sandbox: Sandbox) -> None:
    before = sorted(Path().iterdir())
    given = ["enrich", "rows.csv", "--describe", "purpose of the statement", "--journal", "run.db"]
    done = CliRunner().invoke(app, [*given, "-o", "out.csv", "--dry-run"])
    assert done.exit_code == 0, done.stderr
    assert "Proposed schema:" in done.stderr
    assert "3 rows, 0.015 USD in all at most. Nothing was submitted." in done.stderr
    assert "Go on?" not in done.stderr
    assert sorted(Path().iterdir()) == before
    assert (started(sandbox), sandbox.ledger.usd) == (0, 0)


def test_a_dry_run_knows_what_the_journal_has(sandbox: Sandbox) -> None:
    assert command("out.csv", "--limit", "2")[0] == 0
    code, messages = command("out.csv", "--dry-run")
    assert code == 0
    assert "3 rows, 0.015 USD in all at most, 0.010 USD of it spent" in messages
    assert started(sandbox) == 2


@pytest.mark.parametrize(
    "content",
    [
        "name;city\nAda, Inc.;Rome\n",
        'sep=;\n"name";city\n"Ada, Inc.";Rome\n',
        "name\tcity\nAda, Inc.\tRome\n",
        "name|city\r\nAda, Inc.|Rome\r\n",
        'name,city\n"Ada, Inc.",Rome\n',
        '\ufeff"name";"city"\n"Ada, Inc.";"Rome"\n',
    ],
)
def test_the_delimiter_is_found(sandbox: Sandbox, client: ParallelClient, content: str) -> None:
    Path("odd.csv").write_text(content, newline="", encoding="utf-8")
    enriched(client, Path("odd.csv"))
    assert sent(sandbox) == [{"name": "Ada, Inc.", "city": "Rome"}]


def test_records_of_nothing_but_delimiters_are_blank_lines(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    Path("odd.csv").write_text('name,city\n,\nAda,\n" ","\t"\n\n,Rome\n,\n')
    enriched(client, Path("odd.csv"))
    assert sent(sandbox) == [{"name": "Ada", "city": ""}, {"name": "", "city": "Rome"}]


def test_a_delimiter_inside_quotes_is_none(sandbox: Sandbox, client: ParallelClient) -> None:
    Path("odd.csv").write_text('"a;b;c",d\n1,2\n')
    enriched(client, Path("odd.csv"))
    assert sent(sandbox) == [{"a;b;c": "1", "d": "2"}]


def test_progress_says_what_is_in_flight_and_counts_the_time_left_within_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("parallel_integrations._cli.enrich.SECONDS_BETWEEN_LINES", 0)
    Path("rows.csv").write_text("number\n" + "".join(f"{n}\n" for n in range(260)))
    code, messages = command("out.csv", "--max-cost", "1")
    assert code == 4
    assert "0/260 rows, 200 in flight, 0.000 USD so far, 0:00:" in messages
    done = [line for line in messages.splitlines() if line.startswith("200/260 rows, 1.000 USD")]
    assert done
    assert not [line for line in done if "left" in line], "the budget pays for no more"
    code, messages = command("out.csv", "--max-cost", "2")
    assert code == 0
    assert "200/260 rows, 60 in flight, 1.000 USD so far" in messages


def test_what_remains_is_what_the_budget_allows(client: ParallelClient) -> None:
    found = events(client, rows(9), SETTINGS, max_cost_usd=0.02, rows_per_group=2)
    remaining = [each.remaining_runs for each in found if isinstance(each, EnrichmentProgress)]
    assert remaining[0] == 4
    assert remaining[-1] == 0
    assert remaining == sorted(remaining, key=lambda each: -(each or 0))
