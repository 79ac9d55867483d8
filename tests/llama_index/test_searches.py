"""What is alike wherever LlamaIndex searches: failures, and what its event loops see."""

import asyncio
from typing import Any

import pytest

from parallel_integrations import ParallelError
from parallel_integrations.llama_index import ParallelReader, ParallelRetriever
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.support import ERRORS, check_failure
from tests.support.connected import made
from tests.support.raw_server import RawServer, together
from tests.support.requests import QUESTION

EACH = pytest.mark.parametrize(
    ("adapter", "method"),
    [(ParallelReader, "load_data"), (ParallelRetriever, "retrieve")],
    ids=["reader", "retriever"],
)


@EACH
@pytest.mark.parametrize(("status", "error"), ERRORS)
async def test_a_failed_search_is_an_error(
    sandbox: Sandbox, adapter: Any, method: str, status: int, error: type[ParallelError]
) -> None:
    sandbox.faults.add(path="/v1/search", times=None, status=status)
    searching = made(adapter, sandbox, max_retries=0)
    await check_failure(error, str(status), searching, method, QUESTION)


@EACH
def test_two_event_loops_one_after_the_other(sandbox: Sandbox, adapter: Any, method: str) -> None:
    search = getattr(made(adapter, sandbox), f"a{method}")
    assert asyncio.run(search(QUESTION))
    assert asyncio.run(search(QUESTION))
    assert len(sandbox.requests) == 2


@EACH
async def test_searching_does_not_block_the_loop(adapter: Any, method: str) -> None:
    with RawServer(together(5, b'{"search_id": "s", "results": []}')) as server:
        search = getattr(adapter(api_key="any", base_url=server.url), f"a{method}")
        await asyncio.gather(*(search(f"{QUESTION} {number}") for number in range(5)))
        assert len(server.requests) == 5
