"""What the tests of the room use: rows, a run to its end, what was sent and billed."""

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
    """All that a run tells."""
    return list(client.stream(enrich(given, settings, **options)))


def told(
    client: ParallelClient, given: Any, settings: TaskSettings = SETTINGS, **options: Any
) -> list[EnrichedRow]:
    """The rows that a run gives."""
    return only_rows(events(client, given, settings, **options))


def only_rows(told: Iterable[EnrichedRow | EnrichmentProgress]) -> list[EnrichedRow]:
    """The rows among what a run tells."""
    return [each for each in told if isinstance(each, EnrichedRow)]


def started(sandbox: Sandbox) -> int:
    """How many runs were started, whether they are done or not."""
    return sum(
        each.units for each in sandbox.ledger.entries if each.operation == "add_task_group_runs"
    )


def leave(client: ParallelClient, after: int, given: Any, journal: Path, **options: Any) -> None:
    """Begin a run and leave it after so many events, as a process would that is ended."""
    stream = client.stream(enrich(given, SETTINGS, journal=journal, **options))
    for _ in range(after):
        next(stream)
    stream.close()
