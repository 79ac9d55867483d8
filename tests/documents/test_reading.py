"""Reading many pages through the LangChain loader and the LlamaIndex reader: the same rules."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import ToolCall, ToolMessage

from parallel_integrations import ParallelError
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import ParallelExtractLoader, ParallelExtractTool
from parallel_integrations.llama_index import ParallelExtractReader, ParallelToolSpec
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk

PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
MISSING = "https://no-such-site.example/no_such_page.html"
WAIT_SECONDS = 20.0

Load = Callable[..., Any]


async def langchain_blocking(base_url: str, urls: Any, **settings: Any) -> list[str]:
    loader = ParallelExtractLoader(urls=urls, api_key="sandbox-key", base_url=base_url, **settings)
    return [each.metadata["url"] for each in await asyncio.to_thread(loader.load)]


async def langchain_awaiting(base_url: str, urls: Any, **settings: Any) -> list[str]:
    loader = ParallelExtractLoader(urls=urls, api_key="sandbox-key", base_url=base_url, **settings)
    return [each.metadata["url"] for each in await loader.aload()]


async def llama_index_blocking(base_url: str, urls: Any, **settings: Any) -> list[str]:
    reader = ParallelExtractReader(api_key="sandbox-key", base_url=base_url, **settings)
    return [each.metadata["url"] for each in await asyncio.to_thread(reader.load_data, urls)]


async def llama_index_awaiting(base_url: str, urls: Any, **settings: Any) -> list[str]:
    reader = ParallelExtractReader(api_key="sandbox-key", base_url=base_url, **settings)
    return [each.metadata["url"] for each in await reader.aload_data(urls)]


ALL_LOADS = pytest.mark.parametrize(
    "load", [langchain_blocking, langchain_awaiting, llama_index_blocking, llama_index_awaiting]
)


def langchain_tool(sandbox: Sandbox, urls: list[str]) -> str:
    tool = ParallelExtractTool(api_key=sandbox.api_key, base_url=sandbox.url)
    call = ToolCall(name=tool.name, args={"urls": urls}, id="1", type="tool_call")
    message = tool.invoke(call)
    assert isinstance(message, ToolMessage)
    return f"{message.status}: {message.content}"


def llama_index_tool(sandbox: Sandbox, urls: list[str]) -> str:
    [tool] = ParallelToolSpec(api_key=sandbox.api_key, base_url=sandbox.url).to_tool_list(
        ["parallel_extract"]
    )
    try:
        return f"success: {tool(urls=urls).content}"
    except ParallelError as error:
        return f"error: {error}"


BOTH_TOOLS = pytest.mark.parametrize("tool", [langchain_tool, llama_index_tool])


def sent(sandbox: Sandbox) -> list[str]:
    return [url for request in sandbox.requests for url in request.body["urls"]]


@ALL_LOADS
@pytest.mark.parametrize(
    "urls",
    [
        [f"{PAGE}#a", f"{PAGE}#b", PAGE],
        [PAGE, f" {PAGE} ", PAGE.replace("https://docs", "HTTPS://DOCS")],
        [f"{PAGE}#", PAGE.replace(".org/", ".org:443/"), f"{PAGE}#:~:text=with"],
    ],
)
async def test_spellings_of_one_page_bill_one_url(
    sandbox: Sandbox, load: Load, urls: list[str]
) -> None:
    assert len(await load(sandbox.url, urls)) == 1
    assert sandbox.ledger.count("extract") == 1
    assert sent(sandbox) == [urls[0].strip()]


@BOTH_TOOLS
def test_spellings_of_one_page_bill_one_url_in_a_tool(
    sandbox: Sandbox, tool: Callable[[Sandbox, list[str]], str]
) -> None:
    assert tool(sandbox, [f"{PAGE}#a", f"{PAGE}#b", PAGE]).startswith("success")
    assert sent(sandbox) == [f"{PAGE}#a"]


@ALL_LOADS
async def test_a_fragment_that_routes_is_another_page(sandbox: Sandbox, load: Load) -> None:
    urls = [PAGE, f"{PAGE}#/one", f"{PAGE}#/two", f"{PAGE}#!three", f"{PAGE}#four"]
    results = [{"url": url, "excerpts": ["text"]} for url in urls[:4]]
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": []})
    assert await load(sandbox.url, urls) == urls[:4]
    assert sent(sandbox) == urls[:4]


NO_TEXT = {"url": PAGE, "excerpts": [" "], "full_content": ""}
FAILED = {"url": MISSING, "error_type": "fetch_error"}


@ALL_LOADS
@pytest.mark.parametrize("results", [[], [NO_TEXT]], ids=["no page", "a page without text"])
async def test_no_readable_page_is_an_error(
    sandbox: Sandbox, load: Load, results: list[dict[str, Any]]
) -> None:
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": [FAILED]})
    with pytest.raises(ParallelError, match=r"No page could be read.*no_such_page"):
        await load(sandbox.url, [MISSING, PAGE], on_error=lambda error: None)


@BOTH_TOOLS
@pytest.mark.parametrize("results", [[], [NO_TEXT]], ids=["no page", "a page without text"])
def test_no_readable_page_is_an_error_of_a_tool(
    sandbox: Sandbox, tool: Callable[[Sandbox, list[str]], str], results: list[dict[str, Any]]
) -> None:
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": [FAILED]})
    text = tool(sandbox, [MISSING, PAGE])
    assert text.startswith("error")
    assert "No page could be read" in text
    assert MISSING in text


@ALL_LOADS
async def test_failed_pages_of_several_calls_are_all_named(sandbox: Sandbox, load: Load) -> None:
    failed: list[str] = []
    urls = [f"{MISSING}?{number}" for number in range(25)]
    with pytest.raises(ParallelError, match=r"no_such_page\.html\?24"):
        await load(sandbox.url, urls, on_error=lambda error: failed.append(error.url))
    assert sorted(failed) == sorted(urls)


@ALL_LOADS
async def test_pages_without_text_alone_are_no_error(sandbox: Sandbox, load: Load) -> None:
    sandbox.faults.add(body={"extract_id": "e", "results": [NO_TEXT], "errors": []})
    assert await load(sandbox.url, [PAGE]) == []


@ALL_LOADS
async def test_what_is_no_url_is_refused_before_any_call(sandbox: Sandbox, load: Load) -> None:
    for wrong in (
        ["ftp://a.example"],
        [PAGE, 5],
        [PAGE] + [f"{PAGE}?{n}" for n in range(25)] + [""],
    ):
        with pytest.raises(InvalidArgumentError, match="urls"):
            await load(sandbox.url, wrong)
    assert not sandbox.requests


class MeetingServer:
    """Responds to extracts only once `size` of them are waiting together."""

    def __init__(self, size: int) -> None:
        self.meeting = threading.Barrier(size)
        self.lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, talk: Talk, request: bytes) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.meeting.wait(WAIT_SECONDS)
        with self.lock:
            self.now -= 1
        urls = json.loads(request.partition(b"\r\n\r\n")[2])["urls"]
        results = [{"url": url, "excerpts": ["text"]} for url in urls]
        talk.respond(json.dumps({"extract_id": "e", "results": results, "errors": []}).encode())


@ALL_LOADS
@pytest.mark.parametrize(("settings", "size"), [({}, 4), ({"max_concurrency": 2}, 2)])
async def test_several_calls_go_at_once(load: Load, settings: dict[str, int], size: int) -> None:
    urls = [f"https://example.com/{number}" for number in range(size * 40)]
    server = MeetingServer(size)
    with RawServer(server) as raw:
        assert await load(raw.url, urls, timeout=WAIT_SECONDS, max_retries=0, **settings) == urls
    assert server.most == size


@ALL_LOADS
async def test_max_concurrency_1_sends_one_call_at_a_time(load: Load) -> None:
    urls = [f"https://example.com/{number}" for number in range(60)]
    server = MeetingServer(1)
    with RawServer(server) as raw:
        assert await load(raw.url, urls, max_concurrency=1) == urls
    assert server.most == 1
