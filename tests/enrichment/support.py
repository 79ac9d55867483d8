"""Helpers of the enrichment tests: rows, runs, and what was billed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parallel_integrations import ParallelClient, TaskSettings
from parallel_integrations.enrichment import EnrichedRow, EnrichmentProgress, enrich
from parallel_integrations.sandbox import Sandbox

SETTINGS = TaskSettings(processor="lite", output_schema="What the statement does.")
FAILING = {"sandbox": "fail"}


def rows(count: int) -> list[dict[str, Any]]:
    """Rows that all differ."""
    names = ("with", "nonlocal", "assert", "try", "lambda")
    return [{"statement": names[n % len(names)], "number": n} for n in range(count)]


def events(
    client: ParallelClient, given: Any, settings: TaskSettings = SETTINGS, **options: Any
) -> list[EnrichedRow | EnrichmentProgress]:
    """All events of a run."""
    return list(client.stream(enrich(given, settings, **options)))


def enriched(
    client: ParallelClient, given: Any, settings: TaskSettings = SETTINGS, **options: Any
) -> list[EnrichedRow]:
    """The rows of a run."""
    return only_rows(events(client, given, settings, **options))


def sent(sandbox: Sandbox) -> list[Any]:
    """The inputs as they arrived."""
    return [
        each["input"]
        for request in sandbox.requests
        if request.method == "POST" and request.path.endswith("/runs")
        for each in request.body["inputs"]
    ]


def only_rows(enriched: Iterable[EnrichedRow | EnrichmentProgress]) -> list[EnrichedRow]:
    """The rows among the events of a run."""
    return [each for each in enriched if isinstance(each, EnrichedRow)]


def started(sandbox: Sandbox) -> int:
    """How many runs were started, whether they are done or not."""
    return sum(
        each.units for each in sandbox.ledger.entries if each.operation == "add_task_group_runs"
    )


def stop_after(
    client: ParallelClient, after: int, given: Any, journal: Path, **options: Any
) -> None:
    """Begin a run and stop it after so many events, as if the process ended."""
    stream = client.stream(enrich(given, SETTINGS, journal=journal, **options))
    for _ in range(after):
        next(stream)
    stream.close()
