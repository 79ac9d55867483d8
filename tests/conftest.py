"""What every test builds on: the network guard, a clean environment, the sandbox, cassettes."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from parallel_integrations import ParallelClient, SearchMcp
from parallel_integrations.sandbox import Sandbox
from tests.support.bytecode import compile_share
from tests.support.cassettes import REPLAY_KEY, replaying
from tests.support.connected import connection
from tests.support.contract import Contract
from tests.support.network_guard import NetworkGuard
from tests.support.report import lines
from tests.support.wire_recorder import WireRecorder
from tests.support.workers import HandedOver

# Tests give the same result on every run and every machine, and leave no files behind.
hypothesis_settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis_settings.load_profile("repeatable")

CLEARED_PREFIXES = ("PARALLEL_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_")
CLEARED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

MAX_NAME_CHARS = 60

_network_guard = NetworkGuard()
_wire_recorder = WireRecorder()
_contract = Contract.from_environment()  # here, because tests clear the environment


def pytest_configure(config: pytest.Config) -> None:
    # Bytecode is kept, whatever the environment says: each worker, and each process that a test
    # starts, would compile everything again.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # What is started in the background may ignore interrupts, and hands that on to its children.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Where no event loop was ever set, LlamaIndex's blocking calls make one and leave it to the
    # collector, which warns of it in whatever test runs then.
    asyncio.set_event_loop(None)
    gc.disable()  # until all is imported, which lives to the end
    compile_share(config)
    _network_guard.__enter__()  # before anything is collected: imports are guarded, too
    _wire_recorder.__enter__()
    config.pluginmanager.register(HandedOver("contract", _contract.counted, _contract.add))


def pytest_unconfigure(config: pytest.Config) -> None:
    _wire_recorder.__exit__()
    _network_guard.__exit__()


def pytest_make_parametrize_id(val: object) -> str | None:
    """A long text is named by its beginning: processes send each other a test's name many times."""
    if isinstance(val, str | bytes) and len(val) > MAX_NAME_CHARS:
        return f"{val[:MAX_NAME_CHARS]!r}..."
    return None  # as pytest does


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several processes, none begins with something long when the others are done."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """The collector need not visit again and again what was imported and lives to the end."""
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], 100)  # what is old, a tenth as often
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three more than there are cores: much of the time tests wait for a server or a deadline."""
    return (os.cpu_count() or 1) + 3


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.support.scheduling import FunctionScheduling  # only here is xdist there for certain

    return FunctionScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The operations that were checked, once the contract test was among the tests."""
    if _contract.complete:
        terminalreporter.section("the API's contract")
        for line in lines(_contract):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def network_guard() -> Iterator[NetworkGuard]:
    """Fails the test for what the guard refused during it, unless `attempts` is emptied."""
    _network_guard.attempts.clear()
    yield _network_guard
    assert not _network_guard.attempts, f"the test tried to reach {_network_guard.attempts}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no proxy, no tracing: whatever the machine has set does not reach a test."""
    for name in list(os.environ):
        if name.upper() in CLEARED or name.startswith(CLEARED_PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def contract_kept() -> Iterator[None]:
    """What is sent during a test, and what sandboxes respond, keeps the contract."""
    yield
    broken = [fault for each in _wire_recorder.take() for fault in _contract.check(each)]
    for each in _wire_recorder.take_requests():
        broken += _contract.check_request(each)
    assert not broken, "the contract is broken:\n" + "\n".join(map(str, dict.fromkeys(broken)))


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The contract that the whole run is held to."""
    return _contract


@pytest.fixture(scope="session")
def wire_recorder() -> WireRecorder:
    """Keeps what is sent to sandboxes and scripted servers."""
    return _wire_recorder


@pytest.fixture(scope="session")
def session_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the whole run; tests use `sandbox`."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox with nothing recorded, billed or set to fail."""
    with _as_new(session_sandbox):
        yield session_sandbox


@contextmanager
def _as_new(sandbox: Sandbox) -> Iterator[None]:
    """Forget what happened before, and end what would go on afterwards, such as webhooks."""
    sandbox.reset()
    yield
    sandbox.reset()


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A sandbox of the test's own: other tests leave connections to the shared one open."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def session_clean_sandbox() -> Iterator[Sandbox]:
    """One sandbox with clean pages for the whole run; tests use `clean_sandbox`."""
    with Sandbox(clean=True) as running:
        yield running


@pytest.fixture
def clean_sandbox(session_clean_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox whose pages have several excerpts each and no noise, with nothing recorded."""
    with _as_new(session_clean_sandbox):
        yield session_clean_sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[ParallelClient]:
    """A client of the sandbox."""
    with ParallelClient(**connection(sandbox)) as client:
        yield client


@pytest.fixture
def at_sandbox(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox to which the environment leads every client."""
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    return sandbox


@pytest.fixture
def free(sandbox: Sandbox) -> Iterator[ParallelClient]:
    """A client without a key, which searches and extracts over the sandbox's MCP server."""
    with ParallelClient(route=SearchMcp(url=f"{sandbox.url}/mcp")) as client:
        yield client


@pytest.fixture
def replayed() -> Iterator[ParallelClient]:
    """A client for cassettes."""
    with ParallelClient(api_key=REPLAY_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def cassette() -> Callable[..., AbstractContextManager[Any]]:
    """`with cassette("search/by_objective"): …` responds from that file and from nowhere else."""
    return replaying
