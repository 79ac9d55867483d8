"""A running sandbox and a plain HTTP client with its key."""

from collections.abc import Iterator

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox


@pytest.fixture(scope="package")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"x-api-key": sandbox.api_key}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as client:
        yield client
