"""What is remembered of earlier work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

EXCERPT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory.

    Attributes:
        kind: ``task``, ``monitor`` or ``findall``.
        id: Id of what it is about.
        scope: Memory scope, None for the personal one.
        updated_at: When that last changed.
        place: How far down the list of its kind it is; breaks ties between equal times.
        texts: What a query may be about.
        details: Gives the rest of it, as the wire has it; asked only of memories that are shown.
    """

    kind: str
    id: str
    scope: str | None
    updated_at: str
    place: int
    texts: Sequence[str]
    details: Callable[[], dict[str, Any]]

    @property
    def changed(self) -> datetime:
        """When what it is about last changed."""
        return datetime.fromisoformat(self.updated_at)

    @property
    def wire(self) -> dict[str, Any]:
        """The memory as the wire has it."""
        return {"kind": self.kind, "id": self.id, "updated_at": self.updated_at, **self.details()}


def excerpt(text: str) -> str:
    """Return the beginning of a text, on one line, whole words where it has to be cut."""
    line = " ".join(text.split())
    if len(line) <= EXCERPT_CHARS:
        return line
    return (line[:EXCERPT_CHARS].rpartition(" ")[0] or line[:EXCERPT_CHARS]) + " …"
