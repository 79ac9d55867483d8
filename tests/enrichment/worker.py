"""One run in a process of its own, to be killed: `python -m tests.enrichment.worker '{…}'`."""

import json
import resource
import sys
from pathlib import Path

from parallel_integrations import ParallelClient
from parallel_integrations._protocol import polling
from parallel_integrations.enrichment import EnrichedRow, JournalError, enrich
from tests.enrichment.support import SETTINGS, rows


def main(order: dict[str, object]) -> None:
    polling.FIRST_POLL_SECONDS = 0.02  # type: ignore[misc]
    if "most_bytes" in order:
        most = int(str(order["most_bytes"]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    out = []
    client = ParallelClient(api_key=str(order["key"]), base_url=str(order["url"]))
    stream = client.stream(
        enrich(
            rows(int(str(order["rows"]))),
            SETTINGS,
            journal=str(order["journal"]),
            rows_per_group=int(str(order["rows_per_group"])),
            settle_seconds=0.5,
        )
    )
    print("ready", flush=True)
    try:
        for event in stream:
            if isinstance(event, EnrichedRow):
                out.append([event.number, event.run_id, event.error])
            if "hold" in order:
                print("held", flush=True)
                sys.stdin.read()
    except JournalError as error:
        sys.exit(f"JournalError: {error}")
    if "out" in order:
        Path(str(order["out"])).write_text(json.dumps(out))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
