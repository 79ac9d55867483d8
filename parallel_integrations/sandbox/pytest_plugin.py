"""pytest fixtures: Parallel's web API offline, for anybody's tests.

pytest finds them by itself once the package is installed; what they need is imported when a test
asks for them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from parallel_integrations.sandbox.server.sandbox import Sandbox


@pytest.fixture(scope="session")
def parallel_sandbox_server() -> "Iterator[Sandbox]":
    """One running sandbox for the whole session; tests use `parallel_sandbox`."""
    from parallel_integrations.sandbox import Sandbox

    with Sandbox() as running:
        yield running


@pytest.fixture
def parallel_sandbox(
    parallel_sandbox_server: "Sandbox", monkeypatch: pytest.MonkeyPatch
) -> "Sandbox":
    """A `Sandbox` with nothing recorded, billed or set to fail, which clients find by themselves.

    ``PARALLEL_API_KEY`` and ``PARALLEL_BASE_URL`` name it during the test, so that code which makes
    its client from the environment talks to it, and a real key of the machine is out of reach.
    Override `parallel_sandbox_server` to give it pages of your own.
    """
    parallel_sandbox_server.reset()
    monkeypatch.setenv("PARALLEL_API_KEY", parallel_sandbox_server.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", parallel_sandbox_server.url)
    return parallel_sandbox_server
