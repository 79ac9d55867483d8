"""Memory: requests and responses (beta; docs/reference/facts.md, 12)."""

from typing import Any, Final, Literal, TypeAlias

from pydantic import AwareDatetime, Field

from parallel_integrations.models.fields import Items
from parallel_integrations.models.policies import MemoryScopeKey
from parallel_integrations.models.shared import ApiResponse, RequestModel, ResponseModel

MAX_MEMORY_QUERY_CHARACTERS: Final = 500
MAX_MEMORIES: Final = 25
MemoryKind: TypeAlias = Literal["task", "monitor", "findall"]
"""What there are memories of."""


class RetrieveMemoryRequest(RequestModel):
    """Which memories to look up."""

    query: str | None = Field(
        default=None,
        max_length=MAX_MEMORY_QUERY_CHARACTERS,
        description="What earlier work should be about, in a few words.",
    )
    """What about; left out, the most recent. At most 500 characters."""
    limit: int | None = Field(default=None, ge=1, le=MAX_MEMORIES)
    """How many, 1 to 25."""
    kind: MemoryKind | None = None
    """`task`, `monitor` or `findall`."""
    since: AwareDatetime | None = None
    """Only those changed after this moment, with a time zone."""
    memory_scope_key: MemoryScopeKey | None = None
    """Name of the memory that is read and added to (beta)."""


class ClearMemoryRequest(RequestModel):
    """Which scope to clear."""

    memory_scope_key: MemoryScopeKey | None = None
    """The scope; left out, the personal one."""


class EvictMemoryRequest(RequestModel):
    """Which memory to drop."""

    kind: MemoryKind
    """`task`, `monitor` or `findall`."""
    id: str = Field(min_length=1)
    """Id of the task, monitor or FindAll run that is remembered."""
    memory_scope_key: MemoryScopeKey | None = None
    """Name of the memory that is read and added to (beta)."""


class Memory(ResponseModel):
    """One memory; which fields are filled depends on `kind`.

    Attributes:
        kind: `task`, `monitor` or `findall`.
        input_excerpt: Task: the beginning of its input.
        output_excerpt: Task: the beginning of what was found.
        status: Monitor and FindAll: how it stands.
        matched_events: Monitor: events that fit the query.
        matched_count: FindAll: how many matched.
    """

    kind: str = ""
    id: str = ""
    updated_at: str | None = None
    input_excerpt: str | None = None
    output_excerpt: str | None = None
    status: str | None = None
    matched_events: Items[dict[str, Any]] = []
    matched_count: int | None = None


class RetrieveMemoryResponse(ApiResponse):
    """Memories, best first."""

    main_lists = frozenset({"results"})

    results: Items[Memory]
