"""`parallel-integrations enrich`: a file of rows in, a file of answers out, progress in between."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from parallel_integrations._cli.enrich_output import lock_path, replacing
from parallel_integrations._cli.signals import EndedError, ended_by_signals
from parallel_integrations._cli.terminal import printable
from parallel_integrations._protocol.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations.client import ParallelClient
from parallel_integrations.enrichment import EnrichedRow, EnrichmentProgress, enrich
from parallel_integrations.models.task import TaskSettings

ALL_DONE: Final = 0
SOME_FAILED: Final = 3
SOME_NOT_SUBMITTED: Final = 4
INTERRUPTED: Final = 130
SECONDS_BETWEEN_LINES: Final = 5.0


def run(
    rows: Path, output_schema: str, journal: Path, output: Path, processor: str, **options: Any
) -> int:
    """Enrich a file and write the answers, all rows in order, once they are complete.

    Args:
        rows: The file of rows.
        output_schema: A file with a JSON schema, a text file, or a description of a text.
        journal: Where what is paid for is noted.
        output: Where the answers go, a JSON object a line; it is replaced whole.
        processor: What works on the rows.
        **options: As for `enrich`.

    Returns:
        Exit status: 0, 3 where rows failed, 4 where the limit kept rows from being asked, 128 and
        its number where a signal ended it.

    Raises:
        ParallelError, ValueError: What stopped it; the journal goes on.
    """
    if not key_from_environment():
        raise ValueError(
            f"{KEY_VARIABLE} is not set. To try this without a key, run `parallel-integrations "
            "sandbox` in another terminal and set here the two variables that it prints."
        )
    _check_apart(rows, journal, output)
    settings = TaskSettings(processor=processor, output_schema=read_schema(output_schema))
    reporter = _Reporter()
    try:
        with ended_by_signals(), ParallelClient() as client:
            server = client.settings.base_url
            operation = enrich(rows, settings, journal=journal, server=server, **options)
            _write_all(client.stream(operation), output, reporter)
    except KeyboardInterrupt as ended:
        status = ended.status if isinstance(ended, EndedError) else INTERRUPTED
        with suppress(OSError):  # the terminal may be gone
            reporter.say("Interrupted. The same command goes on where this one stopped.")
        return status
    return reporter.conclude(output)


def _write_all(
    stream: Iterator[EnrichedRow | EnrichmentProgress], path: Path, reporter: "_Reporter"
) -> None:
    with replacing(path) as output, reporter, closing(stream):  # type: ignore[type-var]
        for event in stream:
            if isinstance(event, EnrichedRow):
                output.write(event.model_dump_json())
            else:
                reporter.report(event)
        output.is_complete = True


def _check_apart(rows: Path, journal: Path, output: Path) -> None:
    """Refuse a file in two roles, those that SQLite and the lock need considered."""
    roles = {
        "the rows": rows,
        "the journal": journal,
        "the output": output,
        "the lock of the output": lock_path(output),
    } | {
        f"a file of the journal ({end})": journal.with_name(journal.name + end)
        for end in ("-journal", "-wal", "-shm")
    }
    found: dict[str, str] = {}
    for role, path in roles.items():
        other = found.setdefault(os.path.realpath(path), role)
        if other != role:
            raise ValueError(
                f"Rows, journal and output must be three different files: {path} is {other} and "
                f"{role}"
            )


def read_schema(given: str) -> str | dict[str, Any]:
    """The output schema: from a JSON file, from a text file, or the description itself.

    Raises:
        ValueError: It names no file and is no description, or the file holds no schema.
    """
    path = Path(given)
    with suppress(OSError):  # a description may be longer than a name can be
        if path.is_file():
            return _schema_file(path)
    if path.suffix.lower() == ".json" or len(given.split()) < 2:
        raise ValueError(
            f"--output-schema: there is no file {given!r}; a description of the output needs more "
            "than one word"
        )
    return given


def _schema_file(path: Path) -> str | dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except ValueError as error:
        raise ValueError(f"--output-schema: {path} is not UTF-8: {error}") from error
    if path.suffix.lower() != ".json":
        if not text:
            raise ValueError(f"--output-schema: {path} is empty")
        return text
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--output-schema: {path} is no JSON: {error}") from error
    if not isinstance(schema, dict) or not isinstance(schema.get("type"), str):
        raise ValueError(
            f'--output-schema: {path} is no JSON schema; it begins like {{"type": "object", '
            '"properties": {…}}'
        )
    return schema


class _Reporter:
    """Says on stderr what it will cost, how far it has come, and how it ended."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.completed}/{task.total} rows"),
            TextColumn("{task.fields[details]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, details="")
        self._last = EnrichmentProgress()
        self._num_reported = 0
        self._began: tuple[float, int] | None = None
        self._said_at = 0.0

    def __enter__(self) -> "_Reporter":
        self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(printable(text), markup=False, soft_wrap=True)

    def report(self, progress: EnrichmentProgress) -> None:
        """Show how far it has come."""
        now = time.monotonic()
        self._last = progress
        self._num_reported += 1
        if self._num_reported == 1:
            self.say(_announcement(progress))
            return
        if self._began is None:  # from here on it is work, before it was the journal
            self._began = (now, progress.finished)
            self._said_at = now
        details = _details(progress, now - self._began[0], progress.finished - self._began[1])
        self._bar.update(
            self._task, completed=progress.finished, total=progress.total, details=details
        )
        if not self._console.is_terminal and now - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = now
            self.say(f"{progress.finished}/{progress.total} rows, {details}")

    def conclude(self, output: Path) -> int:
        """Say how it ended; gives the exit status."""
        last = self._last
        cost = "" if last.cost_usd is None else f", {last.cost_usd:.3f} USD in all"
        self.say(f"{last.finished} of {last.total} rows are in {output}{cost}.")
        if last.failed:
            self.say(
                f"{last.failed} failed, each with its reason there; --retry-failed asks them again."
            )
        if last.not_submitted:
            self.say(
                f"{last.not_submitted} were not asked, because of --max-cost; the same command "
                "with more goes on."
            )
            return SOME_NOT_SUBMITTED
        return SOME_FAILED if last.failed else ALL_DONE


def _announcement(first: EnrichmentProgress) -> str:
    if first.max_usd is None:
        return f"{first.total} rows. The price of this processor is not known here."
    spent = (first.cost_usd or 0) + (first.reserved_usd or 0)
    before = f", {spent:.3f} USD of it spent or in flight before" if spent else ""
    return f"{first.total} rows, {first.max_usd:.3f} USD in all at most{before}."


def _details(progress: EnrichmentProgress, seconds: float, finished: int) -> str:
    said = []
    rate = finished / seconds if seconds > 0 else 0.0
    if rate:
        said.append(f"{rate:.1f} rows/s")
    if progress.cost_usd is not None:
        said.append(f"{progress.cost_usd:.3f} USD so far")
    if progress.waiting_reason is not None:
        said.append(f"waiting for the API ({progress.waiting_reason})")
    left = (progress.total or 0) - progress.finished - progress.not_submitted
    if rate and left > 0:
        said.append(f"about {_duration(left / rate)} left")
    return ", ".join(said)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
