"""The operations of the API, one module each."""

from parallel_integrations.sandbox.operation import Operation
from parallel_integrations.sandbox.operations import chat, extract, search

OPERATIONS: tuple[Operation, ...] = (
    *search.OPERATIONS,
    *extract.OPERATIONS,
    *chat.OPERATIONS,
)
"""Every operation the sandbox serves."""
