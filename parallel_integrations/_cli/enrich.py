"""Command `enrich`: enriches a file of rows and shows progress."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from parallel_integrations._cli.enrich_output import check_replaceable, lock_path, replacing
from parallel_integrations._cli.enrich_tables import table_writer
from parallel_integrations._cli.files import check_apart, files_of_journal
from parallel_integrations._cli.proposal import Proposal
from parallel_integrations._cli.signals import EndedError, ended_by_signals
from parallel_integrations._cli.terminal import printable
from parallel_integrations._counted import counted
from parallel_integrations._protocol.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations.client import ParallelClient
from parallel_integrations.enrichment import EnrichedRow, EnrichmentProgress, enrich
from parallel_integrations.enrichment.rows import RowFile
from parallel_integrations.errors import InvalidArgumentError, MissingKeyError
from parallel_integrations.models.task import TaskSettings

ALL_DONE: Final = 0
NOT_AGREED: Final = 1
SOME_FAILED: Final = 3
SOME_NOT_SUBMITTED: Final = 4
INTERRUPTED: Final = 130
SECONDS_BETWEEN_LINES: Final = 5.0


def run(
    rows: Path,
    output_schema: str | None,
    journal: Path,
    output: Path,
    processor: str | None,
    *,
    describe: str | None = None,
    is_agreed: bool = False,
    is_dry_run: bool = False,
    **options: Any,
) -> int:
    """Enrich a file of rows and write the output file once all rows are complete.

    Args:
        rows: The file of rows.
        output_schema: A file with a JSON schema, a text file, or a description of a text; None
            with `describe`.
        journal: Where what is paid for is recorded.
        output: The rows in order, in the form that its ending names; the file is replaced whole.
        processor: Decides price and depth; `lite`, or with `describe` the recommended one.
        describe: What to find out, in words, of which the API makes a schema.
        is_agreed: Whether what `describe` comes to is submitted without a question.
        is_dry_run: Whether rows are checked and the price is shown, and nothing is submitted.
        **options: As for `enrich`.

    Returns:
        Exit status: 0, 1 where it was not agreed to, 3 where rows failed, 4 where the limit kept
        rows from being submitted, 128 and its number where a signal ended it.

    Raises:
        InvalidArgumentError: An argument, or a file that it names, cannot be right.
        ParallelError, ValueError: What stopped it; the journal goes on.
    """
    if not key_from_environment() and (describe is not None or not is_dry_run):
        raise MissingKeyError(
            f"{KEY_VARIABLE} is not set. To try this without a key, run `parallel-integrations "
            "sandbox` in another terminal and set here the two variables that it prints."
        )
    _check_apart(rows, journal, output)
    if (output_schema is None) == (describe is None):
        raise InvalidArgumentError("give one of --output-schema and --describe")
    if is_dry_run:
        check_replaceable(output)
        table_writer(output)
    source = RowFile(rows)
    is_empty = next(iter(source), None) is None
    # What a dry run, or a file without rows, would begin is no journal of the rows that follow.
    recorded = journal if journal.exists() or not (is_dry_run or is_empty) else None
    columns = [("input", name) for name in source.columns]
    display = _ProgressDisplay(rows)
    try:
        with ended_by_signals(), ParallelClient() as client:
            proposal = None
            if output_schema is not None:
                schema = read_schema(output_schema)
                settings = TaskSettings(
                    processor="lite" if processor is None else processor, output_schema=schema
                )
            elif is_empty and recorded is None:
                settings = TaskSettings()
            else:
                proposal = Proposal.of(client, describe or "", journal, processor)
                settings = proposal.settings
            operation = enrich(
                rows, settings, journal=recorded, server=client.settings.base_url, **options
            )
            # The output is checked and locked before the operation begins, and sends anything.
            stream = client.stream(operation)
            if is_dry_run:
                with closing(stream):
                    display.preview(proposal, _first(stream))
                return ALL_DONE
            columns += [("output", name) for name in _fields(settings.output_schema)]
            with replacing(output, columns) as file, closing(stream), display:
                if proposal is not None and not proposal.is_agreed:
                    if not display.agree(proposal, _first(stream), is_agreed=is_agreed):
                        return NOT_AGREED
                    proposal.keep()
                for event in stream:
                    if isinstance(event, EnrichedRow):
                        file.write(event.model_dump_json())
                    else:
                        display.update(event)
                file.is_complete = True
    except KeyboardInterrupt as ended:
        with suppress(OSError):  # the terminal may be gone
            display.print("Interrupted. The same command goes on where this one stopped.")
        return ended.status if isinstance(ended, EndedError) else INTERRUPTED
    return display.conclude(output, options.get("limit"))


def _fields(schema: object) -> list[str]:
    """The fields of an output, as far as its schema names them."""
    if isinstance(schema, str):
        return ["output"]
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return list(properties) if isinstance(properties, dict) else []


def _first(stream: Iterator[EnrichedRow | EnrichmentProgress]) -> EnrichmentProgress:
    """How many rows there are, before any is sent."""
    first = next(stream)
    assert isinstance(first, EnrichmentProgress)  # noqa: S101 - says `enrich`
    return first


def _check_apart(rows: Path, journal: Path, output: Path) -> None:
    """Refuse a file in two roles; files that SQLite and the lock make beside them count too."""
    for role, path in (("rows", rows), ("--journal", journal), ("--output", output)):
        if str(path) == "-" or not path.name:
            raise InvalidArgumentError(
                f"{role}: name a file; {str(path)!r} is none, and nothing is read or written"
            )
    check_apart(
        {
            "the rows": rows,
            "the output": output,
            "the lock of the output": lock_path(output),
            **files_of_journal(journal),
        }
    )


def read_schema(given: str) -> str | dict[str, Any]:
    """Output schema from a JSON file or a text file, or the schema or the description itself.

    Raises:
        ValueError: It names no file and is neither, or the file holds no schema.
    """
    path = Path(given)
    if given.lstrip().startswith("{"):
        return _json_schema("what is given", given)
    is_json = path.suffix.lower() == ".json"
    is_file = False
    with suppress(OSError):  # a description may be longer than a name can be
        is_file = path.is_file()
    if not is_file:
        if is_json or len(given.split()) < 2:
            raise InvalidArgumentError(
                f"--output-schema: there is no file {given!r}; a description of the output needs "
                "more than one word"
            )
        return given
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(
            f"--output-schema: {path} cannot be read as UTF-8: {error}"
        ) from error
    if is_json:
        return _json_schema(path, text)
    if not text:
        raise InvalidArgumentError(f"--output-schema: {path} is empty")
    return text


def _json_schema(name: object, text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"--output-schema: {name} is no JSON: {error}") from error
    if not isinstance(schema, dict) or not isinstance(schema.get("type"), str):
        raise InvalidArgumentError(
            f'--output-schema: {name} is no JSON schema; it begins like {{"type": "object", '
            '"properties": {…}}'
        )
    return schema


class _ProgressDisplay:
    """Progress on stderr: the cost before; rows, cost and time meanwhile; a summary at the end.

    On a terminal it is one bar; elsewhere, in a log, a line every few seconds.
    """

    def __init__(self, rows: Path) -> None:
        self._rows = rows
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[details]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._bar.add_task("", total=None, details="")
        (self._task,) = self._bar.tasks
        self._first: EnrichmentProgress | None = None
        self._last: EnrichmentProgress | None = None
        self._started_at = self._printed_at = time.monotonic()

    def __enter__(self) -> "_ProgressDisplay":
        self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def print(self, text: str) -> None:
        """Print a line."""
        self._console.print(printable(text), markup=False, soft_wrap=True)

    def update(self, progress: EnrichmentProgress) -> None:
        """Show how far it has come."""
        now = time.monotonic()
        self._last = progress
        if self._first is None:
            self._first, self._started_at = progress, now
            if progress.total:
                self.print(_announcement(progress))
        elapsed = now - self._started_at
        details = ", ".join(_details(progress, _seconds_left(self._first, progress, elapsed)))
        self._bar.update(
            self._task.id, completed=progress.finished, total=progress.total, details=details
        )
        if not self._console.is_terminal and now - self._printed_at >= SECONDS_BETWEEN_LINES:
            self._printed_at = now
            self.print(f"{details}, {timedelta(seconds=round(elapsed))} elapsed")

    def preview(self, proposal: Proposal | None, first: EnrichmentProgress) -> None:
        """Show what would be submitted, and its price."""
        if proposal is not None:
            self.print(str(proposal))
        if first.total:
            self.print(f"{_announcement(first)} Nothing was submitted.")
        else:
            self._print_empty()

    def _print_empty(self) -> None:
        self.print(f"No rows in {self._rows}: nothing was sent.")

    def agree(self, proposal: Proposal, first: EnrichmentProgress, *, is_agreed: bool) -> bool:
        """Show what is proposed and what it costs, and ask whether to go on."""
        self._bar.stop()
        self.print(str(proposal))
        self.update(first)
        if is_agreed or self._confirmed():
            self._bar.start()
            return True
        self.print("Nothing was submitted. --yes goes on without a question.")
        return False

    def _confirmed(self) -> bool:
        try:
            return typer.confirm("Go on?", err=True)
        except typer.Abort:  # nobody is there to ask
            return False

    def conclude(self, output: Path, limit: int | None) -> int:
        """Print how it ended; returns the exit status."""
        last = self._last or EnrichmentProgress()
        if not last.total:
            self._print_empty()
            return ALL_DONE
        cost = "" if last.cost_usd is None else f", {last.cost_usd:.3f} USD in all"
        verb = "is" if 1 in (last.finished, last.total) else "are"
        rows = f"{last.finished} of {counted(last.total, 'row')} {verb}"
        self.print(f"{rows} in {output}{cost}.")
        if limit is not None and last.total == limit:
            self.print("The same command without --limit goes on; these rows are not paid again.")
        if last.failed:
            self.print(
                f"{last.failed} failed, with the reason there; --retry-failed submits again what "
                "failed."
            )
        if last.not_submitted:
            self.print(
                f"{counted(last.not_submitted, 'was', 'were')} not submitted, because of "
                "--max-cost; the same command with more goes on."
            )
            return SOME_NOT_SUBMITTED
        return SOME_FAILED if last.failed else ALL_DONE


def _announcement(first: EnrichmentProgress) -> str:
    rows = counted(first.total or 0, "row")
    if first.max_usd is None:
        return f"{rows}. The price of this processor is not known here."
    spent = (first.cost_usd or 0) + (first.reserved_usd or 0)
    before = f", {spent:.3f} USD of it spent or in flight before" if spent else ""
    return f"{rows}, {first.max_usd:.3f} USD in all at most{before}."


def _details(progress: EnrichmentProgress, seconds_left: float | None) -> Iterator[str]:
    yield f"{progress.finished}/{counted(progress.total or 0, 'row')}"
    if progress.failed:
        yield f"{progress.failed} failed"
    if progress.in_flight:
        yield f"{progress.in_flight} in flight"
    if progress.cost_usd is not None:
        yield f"{progress.cost_usd:.3f} USD so far"
    if progress.waiting_reason is not None:
        yield f"waiting for the API ({progress.waiting_reason})"
    if seconds_left is not None:
        yield f"about {timedelta(seconds=round(seconds_left))} left"


def _seconds_left(
    first: EnrichmentProgress, progress: EnrichmentProgress, elapsed: float
) -> float | None:
    """Time for the runs that remain as far as the budget goes, at the pace of this run."""
    if not first.remaining_runs or not progress.remaining_runs:
        return None
    done = first.remaining_runs - progress.remaining_runs
    return progress.remaining_runs * elapsed / done if done > 0 and elapsed > 0 else None
