"""Clients of an embedded sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from parallel_integrations.client import ParallelClient


@contextmanager
def sandbox_client(**settings: Any) -> Iterator[ParallelClient]:
    """A client of a sandbox that runs as long; `settings` are the sandbox's."""
    from parallel_integrations.sandbox import Sandbox

    with (
        Sandbox(**settings) as server,
        ParallelClient(api_key=server.api_key, base_url=server.url) as client,
    ):
        yield client
