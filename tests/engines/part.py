"""What a worker of an engine does with a part of the rows; it imports nothing else of the tests."""

import os
import signal
from pathlib import Path
from typing import Any

from parallel_integrations import ParallelClient, TaskSettings
from parallel_integrations._protocol import polling
from parallel_integrations.enrichment import EnrichedRow, enrich

KILLED_PART = 1
SETTINGS = TaskSettings(processor="lite", output_schema="What the statement does.")


def enriched_part(number: int, given: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Enrich a part with its journal; one of them is killed once, with rows done and rows paid."""
    polling.FIRST_POLL_SECONDS = 0.05  # type: ignore[misc]
    journal = folder / f"part-{number}.db"
    killed = folder / "killed"
    found: list[dict[str, Any]] = []
    operation = enrich(given, SETTINGS, journal=journal, rows_per_group=2, groups_in_flight=2)
    with ParallelClient() as client:
        for event in client.stream(operation):
            if isinstance(event, EnrichedRow):
                found.append({"part": number, "run_id": event.run_id, "worker": os.getpid()})
            elif number == KILLED_PART and event.finished and event.in_flight:
                if killed.exists():
                    continue
                killed.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
    return found
