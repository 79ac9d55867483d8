"""A plain HTTP client with the sandbox's key."""

from collections.abc import Iterator

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox


@pytest.fixture
def http(sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Sends what else a module has as `HEADERS`, too."""
    headers = {"x-api-key": sandbox.api_key, **getattr(request.module, "HEADERS", {})}
    # Reading the certificates would be most of a test's work; there is no TLS here.
    with httpx.Client(
        base_url=sandbox.url, headers=headers, trust_env=False, verify=False
    ) as client:
        yield client
