"""Clients and adapters of a sandbox, the shared one or a test's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from parallel_integrations import ParallelClient
from parallel_integrations.sandbox import Sandbox

Connected: TypeAlias = tuple[Sandbox, ParallelClient]
T = TypeVar("T")


def connection(sandbox: Sandbox) -> dict[str, Any]:
    """Arguments that lead any client or adapter to the sandbox."""
    return {"api_key": sandbox.api_key, "base_url": sandbox.url}


def made(adapter: Callable[..., T], sandbox: Sandbox, **settings: Any) -> T:
    """An adapter that calls the sandbox."""
    return adapter(**connection(sandbox), **settings)


@contextmanager
def connected(**settings: Any) -> Iterator[Connected]:
    """Start a sandbox with settings of its own."""
    with (
        Sandbox(**settings) as sandbox,
        ParallelClient(**connection(sandbox)) as client,
    ):
        yield sandbox, client
