"""A sandbox of a test's own, with a client of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from parallel_integrations import ParallelClient
from parallel_integrations.sandbox import Sandbox

Connected: TypeAlias = tuple[Sandbox, ParallelClient]


@contextmanager
def connected(**settings: Any) -> Iterator[Connected]:
    """Start a sandbox with settings of its own."""
    with (
        Sandbox(**settings) as sandbox,
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        yield sandbox, client
