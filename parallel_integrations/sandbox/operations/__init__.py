"""The operations of the API, one module each."""

from parallel_integrations.sandbox.operations import (
    chat,
    decisions,
    entities,
    extract,
    findall,
    mcp,
    memory,
    monitors,
    responses,
    search,
    suggestions,
    task_groups,
    tasks,
)
from parallel_integrations.sandbox.operations.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *search.OPERATIONS,
    *extract.OPERATIONS,
    *chat.OPERATIONS,
    *responses.OPERATIONS,
    *decisions.OPERATIONS,
    *tasks.OPERATIONS,
    *task_groups.OPERATIONS,
    *findall.OPERATIONS,
    *entities.OPERATIONS,
    *monitors.OPERATIONS,
    *memory.OPERATIONS,
    *mcp.OPERATIONS,
    *suggestions.OPERATIONS,
)
"""Every operation the sandbox serves."""
