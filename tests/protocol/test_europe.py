"""The host in the European Union: search and extract only, and the rest is not sent."""

from typing import Any

import httpx
import pytest

from parallel_integrations import (
    ChatRequest,
    CreateTaskRunRequest,
    ExtractRequest,
    NotServedError,
    ParallelClient,
    SearchRequest,
)
from parallel_integrations.api import (
    chat,
    create_task_run,
    extract,
    list_monitors,
    retrieve_task_run,
    search,
    stream_chat,
)
from parallel_integrations.langchain import ChatParallel
from tests.support.scripted_operation import BOTH, run

CHAT = ChatRequest(messages=[{"role": "user", "content": "x"}])
OTHERS: dict[str, Any] = {
    "task": lambda: create_task_run(CreateTaskRunRequest(input="x")),
    "run": lambda: retrieve_task_run("trun_1"),
    "chat": lambda: chat(CHAT),
    "monitors": lambda: list_monitors(),
}


@pytest.fixture(params=["https://eu.parallel.ai", "https://EU.Parallel.ai:443/"])
def european(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[ParallelClient, list[httpx.Request]]:
    sent: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"results": []})

    monkeypatch.setenv("PARALLEL_BASE_URL", request.param)
    transport = httpx.MockTransport(respond)
    client = ParallelClient(
        api_key="a-key",
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    return client, sent


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@BOTH
async def test_what_it_does_not_serve_is_not_sent(
    european: tuple[ParallelClient, list[httpx.Request]], other: Any, awaiting: bool
) -> None:
    client, sent = european
    with pytest.raises(NotServedError, match=r"eu\.parallel\.ai.*PARALLEL_BASE_URL"):
        await run(client, other(), awaiting=awaiting)
    with pytest.raises(NotServedError):
        list(client.stream(stream_chat(CHAT)))
    with pytest.raises(NotServedError):
        ChatParallel(client=client).invoke("x")
    assert not sent


@BOTH
async def test_search_and_extract_are_sent(
    european: tuple[ParallelClient, list[httpx.Request]], awaiting: bool
) -> None:
    client, sent = european
    await run(client, search(SearchRequest(objective="x")), awaiting=awaiting)
    await run(client, extract(ExtractRequest(urls=["https://a.example/"])), awaiting=awaiting)
    assert [each.url.path for each in sent] == ["/v1/search", "/v1/extract"]
