"""What every test stands on: the wall, a clean environment, the sandbox, cassettes."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from parallel_integrations import ParallelClient
from parallel_integrations.sandbox import Sandbox
from tests.support.cassettes import replaying
from tests.support.wall import Wall

# Tests give the same result on every run and every machine, and leave no files behind.
hypothesis_settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis_settings.load_profile("repeatable")

CLEARED_PREFIXES = ("PARALLEL_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_")
CLEARED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

_wall = Wall()


def pytest_configure(config: pytest.Config) -> None:
    _wall.__enter__()  # before anything is collected: imports are walled in, too


def pytest_unconfigure(config: pytest.Config) -> None:
    _wall.__exit__()


@pytest.fixture(autouse=True)
def wall() -> Iterator[Wall]:
    """The wall; what ran into it during the test fails the test unless `attempts` is emptied."""
    with Wall() as wall:  # once more: pytest-socket takes patches off after each test
        yield wall
    assert not wall.attempts, f"the test tried to reach {wall.attempts}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no proxy, no tracing: whatever the machine has set does not reach a test."""
    for name in list(os.environ):
        if name.upper() in CLEARED or name.startswith(CLEARED_PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def session_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the whole run; tests use `sandbox`."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    """A sandbox with nothing recorded, billed or set to fail."""
    session_sandbox.reset()
    return session_sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[ParallelClient]:
    """A client of the sandbox."""
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        yield client


@pytest.fixture
def cassette() -> Callable[..., AbstractContextManager[Any]]:
    """`with cassette("search/by_objective"): …` answers from that file and from nowhere else."""
    return replaying
