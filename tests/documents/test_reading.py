"""Reading many pages through the LangChain loader and the LlamaIndex reader: the same rules."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import ToolCall, ToolMessage

from parallel_integrations import (
    ExtractRequest,
    InvalidRequestError,
    ParallelClient,
    ParallelError,
)
from parallel_integrations.api import extract
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import ParallelExtractLoader, ParallelExtractTool
from parallel_integrations.llama_index import ParallelExtractReader, ParallelToolSpec
from parallel_integrations.models import ExtractError
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
@pytest.mark.parametrize(
    ("results", "kind"), [([], "not_returned"), ([NO_TEXT], "no_text")], ids=["unnamed", "no text"]
)
async def test_a_page_that_is_not_given_is_named(
    sandbox: Sandbox, load: Load, results: list[dict[str, Any]], kind: str
) -> None:
    """An empty list would not distinguish it from a page that was never requested."""
    reported: list[ExtractError] = []
    other = {"url": f"{PAGE}?other", "excerpts": ["text"]}
    sandbox.faults.add(body={"extract_id": "e", "results": [*results, other], "errors": []})
    urls = [PAGE, f"{PAGE}?other"]
    assert await load(sandbox.url, urls, on_error=reported.append) == urls[1:]
    assert [(error.url, error.error_type) for error in reported] == [(PAGE, kind)]
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": []})
    with pytest.raises(ParallelError, match=f"No page could be read.*{kind}"):
        await load(sandbox.url, [PAGE], on_error=reported.append)


@ALL_LOADS
async def test_documents_come_in_the_order_of_the_urls(sandbox: Sandbox, load: Load) -> None:
    urls = [f"{PAGE}?{number}" for number in (3, 1, 2)]
    results = [{"url": url, "excerpts": ["text"]} for url in sorted(urls)]
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": []})
    assert await load(sandbox.url, urls) == urls


@ALL_LOADS
async def test_a_page_under_another_address_is_no_missing_one(sandbox: Sandbox, load: Load) -> None:
    """Redirects: which address led where, the response does not say."""
    urls = ["http://www.a.example/x/", "https://a.example/old", "https://c.example/"]
    came = ["https://c.example", "https://a.example/x", "https://b.example/new"]
    results = [{"url": url, "excerpts": ["text"]} for url in came]
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": []})
    assert await load(sandbox.url, urls) == [came[1], came[2], came[0]]


async def test_the_client_accounts_for_every_url(sandbox: Sandbox, client: ParallelClient) -> None:
    urls = [f"{PAGE}?{number}" for number in range(4)]
    results = [{"url": urls[2], "excerpts": ["text"]}, None]
    errors = [{"url": urls[1], "error_type": "fetch_error"}, {"url": 7}]
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": errors}, times=2)
    request = ExtractRequest(urls=urls)
    for response in (client.run(extract(request)), await client.arun(extract(request))):
        assert [page.url for page in response.results] == [urls[2]]
        named = [(error.url, error.error_type) for error in response.errors]
        assert named[:3] == [
            (urls[0], "not_returned"),
            (urls[1], "fetch_error"),
            (urls[3], "not_returned"),
        ]
        assert not response.is_whole


@BOTH_TOOLS
def test_a_tool_names_a_page_that_the_response_does_not(
    sandbox: Sandbox, tool: Callable[[Sandbox, list[str]], str]
) -> None:
    results = [{"url": PAGE, "excerpts": ["text"]}]
    sandbox.faults.add(body={"extract_id": "e", "results": results, "errors": []})
    text = tool(sandbox, [MISSING, PAGE])
    assert text.startswith("success")
    assert f"{MISSING}: not_returned" in text
    sandbox.faults.add(body={"extract_id": "e", "results": [], "errors": []})
    assert tool(sandbox, [MISSING]).startswith("error")


def failing(part: bytes) -> Callable[[Talk, bytes], None]:
    """Refuses the calls whose body holds `part`, and responds to the others."""

    def play(talk: Talk, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        if part in body:
            talk.respond(b'{"error": {"message": "out of order"}}', status="422 No")
            return
        results = [{"url": url, "excerpts": ["text"]} for url in json.loads(body)["urls"]]
        talk.respond(json.dumps({"extract_id": "e", "results": results, "errors": []}).encode())

    return play


@ALL_LOADS
@pytest.mark.parametrize("first", [0, 20, 40])
@pytest.mark.parametrize("max_concurrency", [1, 4])
async def test_a_failed_call_costs_its_own_pages_alone(
    load: Load, first: int, max_concurrency: int
) -> None:
    urls = [f"https://example.com/{number:03}" for number in range(60)]
    reported: list[ExtractError] = []
    with RawServer(failing(urls[first].encode())) as raw:
        found = await load(raw.url, urls, on_error=reported.append, max_concurrency=max_concurrency)
        lost = urls[first : first + 20]
        assert found == [url for url in urls if url not in lost]
        assert [error.url for error in reported] == lost
        assert {error.error_type for error in reported} == {"InvalidRequestError"}
        assert all("out of order" in str(error) for error in reported)
        with pytest.warns(UserWarning, match="out of order"):
            assert await load(raw.url, urls) == found


@ALL_LOADS
async def test_calls_that_all_fail_are_their_own_error(load: Load) -> None:
    reported: list[ExtractError] = []
    urls = [f"https://example.com/{number}" for number in range(60)]
    with RawServer(failing(b"example.com")) as raw, pytest.raises(InvalidRequestError):
        await load(raw.url, urls, on_error=reported.append)
    assert not reported


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
