"""Memories of earlier work as documents."""

from collections.abc import Iterable

from parallel_integrations._documents.evidence import PageDocument, passage_name
from parallel_integrations.models.memory import Memory


def memory_documents(memories: Iterable[Memory]) -> list[PageDocument]:
    """Memories as documents: what the work was about, what it found, how it stands.

    Metadata is `kind` (`task`, `monitor` or `findall`), `id` (of the run or monitor) and
    `updated_at`.
    """
    return [
        PageDocument(
            passage_name(each.kind, each.id),
            "\n".join(_lines(each)),
            {"kind": each.kind, "id": each.id, "updated_at": each.updated_at},
        )
        for each in memories
    ]


def _lines(memory: Memory) -> list[str]:
    events = (event.get("excerpt") for event in memory.matched_events)
    named = {
        "About": memory.input_excerpt,
        "Found": memory.output_excerpt,
        "Status": memory.status,
        "Matches": None if memory.matched_count is None else str(memory.matched_count),
    }
    lines = [f"{name}: {value}" for name, value in named.items() if value]
    return [*lines, *(f"Event: {excerpt}" for excerpt in events if excerpt)]
