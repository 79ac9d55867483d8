"""Nothing listens: every operation tries once more, because nothing can have been paid."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from parallel_integrations import ConnectionFailedError, ParallelClient
from parallel_integrations._protocol.settings import Settings
from tests.faults.calls import BARE, Call, Connection, Step
from tests.faults.faulty_api import KEY, Clock, fast_clock
from tests.faults.langchain_calls import LANGCHAIN
from tests.faults.llama_index_calls import LLAMA_INDEX
from tests.faults.report import REPORT
from tests.faults.secrets import leaks
from tests.faults.table import REFUSED, Kind
from tests.faults.trial import Came, ain_time, in_time

FIRST = [
    pytest.param(call, call.steps[0], id=call.name)
    for call in (*BARE, *LANGCHAIN, *LLAMA_INDEX)
    if call.steps[0].first
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Fast pauses, written down."""
    with fast_clock(monkeypatch) as clock:
        yield clock


@pytest.fixture
def nowhere() -> Iterator[Connection]:
    """A connection to a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings: dict[str, Any] = {"max_retries": 1, "base_url": url}
    with ParallelClient.shared(Settings(api_key=SecretStr(KEY), **settings)) as client:
        yield Connection(client, {"api_key": KEY, **settings}, deadline_seconds=5)


@pytest.mark.parametrize(("call", "step"), FIRST)
async def test_a_refused_connection(
    call: Call, step: Step, clock: Clock, nowhere: Connection
) -> None:
    if call.run is not None:
        run = call.run
        _check(call, step, clock, in_time(lambda: run(nowhere)))
    clock.pauses.clear()
    if call.arun is not None:
        _check(call, step, clock, await ain_time(call.arun(nowhere)))
    await nowhere.client.aclose()


def _check(call: Call, step: Step, clock: Clock, came: Came) -> None:
    error = came.error
    assert error is not None
    assert not leaks(error, KEY)
    if call.wrapped is not None:
        assert type(error) is call.wrapped
        error = error.__cause__
    assert isinstance(error, ConnectionFailedError)
    assert call.also is None or isinstance(error, call.also)
    assert "Nothing was sent" in str(error)
    assert [getattr(error, name) for name in step.ids] == list(step.ids.values())
    (pause,) = clock.pauses
    assert pause == 1.0 if step.kind is Kind.POLL else 0.375 <= pause <= 0.5
    if step.kind not in (Kind.WAIT, Kind.POLL):
        assert "Given up after 2 attempts." in error.__notes__
    REPORT.add(REFUSED, step, came, 2, failed=False)
