"""The first mistakes that people make: each error says in one sentence what to do instead."""

import asyncio
import importlib
import json
import os
import re
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.tools import ToolException

import parallel_integrations
from benchmarks.certificate import certificate
from parallel_integrations import (
    ArgumentTypeError,
    CloudflareGateway,
    ConnectionFailedError,
    CreateTaskRunRequest,
    InvalidArgumentError,
    InvalidRequestError,
    ParallelClient,
    ParallelError,
    PermissionDeniedError,
    RateLimitError,
    SearchRequest,
)
from parallel_integrations.api import create_task_run, search, stream_chat
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelDeepResearch,
    ParallelEnrichment,
    ParallelExtractLoader,
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelTaskRunTool,
)
from parallel_integrations.llama_index import (
    ParallelEntityRetriever,
    ParallelExtractor,
    ParallelExtractReader,
    ParallelLLM,
    ParallelMonitor,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
    ParallelSelector,
    ParallelToolSpec,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer
from tests.support.requests import CHAT, SEARCH

REAL: Final = os.environ.get("PARALLEL_REAL", "")  # read here, because tests clear it
SECRET: Final = "s3cret-that-nobody-may-see"
INTERNAL: Final = re.compile(
    r"PageSearch|EntitySettings|ToolSettings|ResponderSettings|pydantic|\n|Input should"
)


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (ParallelSearchRetriever, "similarity_top_k", "called k="),
        (ParallelSearchRetriever, "top_k", "called k="),
        (ParallelSearchRetriever, "num_results", "called k="),
        (ParallelRetriever, "similarity_top_k", "called max_results="),
        (ParallelRetriever, "k", "called max_results="),
        (ParallelRetriever, "llm", "query_writer="),
        (ParallelReader, "include_domains", r"SourcePolicy\(include_domains="),
        (ParallelReader, "exclude_domains", r"SourcePolicy\(exclude_domains="),
        (ParallelSearchTool, "start_date", r"SourcePolicy\(after_date="),
        (ParallelSearchTool, "topic", "objective"),
        (ParallelSearchTool, "search_depth", "called mode="),
        (ParallelToolSpec, "max_result", "'max_results'"),
        (ParallelToolSpec, "headers", r"client=ParallelClient\(headers="),
        (ParallelLLM, "api_base", "called base_url="),
        (ParallelLLM, "request_timeout", "called timeout="),
        (ChatParallel, "openai_api_base", "called base_url="),
        (ChatParallel, "route", r"client=ParallelClient\(route="),
        (ChatParallel, "gateway", r"client=ParallelClient\(route="),
        (ChatParallel, "max_completion_tokens", "called max_tokens="),
        (ChatParallel, "stream_usage", "by themselves"),
        (ChatParallel, "stream_options", "by themselves"),
        (ChatParallel, "tool_choice", "the API ignores it"),
        (ChatParallel, "user", "the API ignores it"),
        (ParallelTaskRunTool, "task_spec", "its parts, output_schema= and input_schema="),
        (ChatParallel, "presence_penalty", "ignores it"),
        (ChatParallel, "system_prompt", "system message"),
        (ChatParallel, "response_format", "with_structured_output"),
        (ParallelSearchTool, "tavily_api_key", "called api_key="),
        (ParallelSearchTool, "include_raw_content", "full_content=True"),
        (ParallelExtractLoader, "continue_on_failure", "on_error="),
        (ParallelDeepResearch, "previous_interaction_id", "one call"),
        (ChatParallel, "use_responses_api", "model='parallel'"),
        (ParallelSearchTool, "excerpts", "max_chars_per_result="),
        (ParallelSearchTool, "include_metadata", "always comes"),
        (ParallelDeepResearch, "poll_interval", "deadline_seconds="),
        (ParallelQueryEngine, "llm", "called model="),
        (ParallelQueryEngine, "retriever", "RetrieverQueryEngine.from_args"),
        (ParallelQueryEngine, "similarity_top_k", "RetrieverQueryEngine.from_args"),
        (ParallelRetriever, "node_postprocessors", "RetrieverQueryEngine.from_args"),
        (ParallelRetriever, "embed_model", "no embeddings"),
        (ParallelRetriever, "async_http_client", r"ParallelClient\(http_async_client="),
        (ParallelEntityRetriever, "top_k", "called max_results="),
        (ParallelEntityRetriever, "match_limit", "called max_results="),
        (ParallelExtractReader, "html_to_text", "Markdown"),
        (ParallelLLM, "additional_kwargs", "called extra_body="),
        (ParallelLLM, "async_client", r"ParallelClient\(http_async_client="),
        (ParallelLLM, "default_headers", r"ParallelClient\(headers="),
        (ParallelMonitor, "api_base", "called base_url="),
        (ParallelSelector, "llm", "of a retriever"),
        (ParallelDeepResearch, "model", "called processor="),
        (ParallelClient, "api_base", "called base_url="),
        (ParallelClient, "gateway", "called route="),
        (ParallelClient, "rate_limiter", r"client\.paced\(rate_limiter\)"),
        (ParallelClient, "proxies", "http_client="),
        (SearchRequest, "query", "called objective="),
        (SearchRequest, "include_domains", r"SourcePolicy\(include_domains="),
    ],
)
def test_an_argument_of_another_package_leads_to_its_name_here(
    make: Callable[..., Any], name: str, words: str
) -> None:
    with pytest.raises(ArgumentTypeError, match=words) as caught:
        make(**{name: SECRET})
    assert isinstance(caught.value, ParallelError)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)
    text = str(caught.value)
    assert text.startswith(f"{make.__name__} has no argument {name!r}")
    assert not INTERNAL.search(text)
    assert SECRET not in text


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (SearchRequest, "SearchRequest(objective=…)"),
        (ParallelExtractLoader, "ParallelExtractLoader(urls=…)"),
        (ParallelDeepResearch, "ParallelDeepResearch("),
        (ChatParallel, "ChatParallel("),
        (ParallelReader, "ParallelReader("),
        (ParallelRetriever, "ParallelRetriever("),
        (ParallelEntityRetriever, "ParallelEntityRetriever("),
        (ParallelSelector, "ParallelSelector("),
        (ParallelExtractor, "ParallelExtractor(output_schema=…)"),
        (partial(ParallelQueryEngine, "lite"), "ParallelQueryEngine("),
        (partial(ParallelLLM, "lite"), "ParallelLLM(model=…)"),
        (partial(ParallelLLM, model="lite"), "ParallelLLM(model=…)"),
        (partial(ParallelToolSpec, "key"), "ParallelToolSpec("),
    ],
)
def test_an_argument_without_its_name_is_refused_with_it(
    make: Callable[..., Any], shown: str
) -> None:
    with pytest.raises(ArgumentTypeError, match=re.escape(shown)) as caught:
        make("https://example.com/")
    name = getattr(make, "func", make).__name__
    assert str(caught.value).startswith(f"{name} takes its arguments by name")
    assert not INTERNAL.search(str(caught.value))


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (ParallelRetriever, {"max_results": 99}, "max_results=99 is too large: give at most 40"),
        (ParallelToolSpec, {"max_results": "many"}, "max_results='many' must be a whole number"),
        (ParallelSearchRetriever, {"k": 0}, "k=0 is too small: give at least 1"),
        (ParallelQueryEngine, {"processor": "lite", "timeout": -1}, "timeout=-1 is too small"),
        (ParallelSearchRetriever, {"base_url": "https://a.example/v1"}, "'https://a.example'"),
        (ParallelClient, {"base_url": "https://platform.parallel.ai"}, "is a website: the API"),
        (ParallelReader, {"base_url": "https://docs.parallel.ai/api"}, "is a website: the API"),
        (ChatParallel, {"base_url": "https://search.parallel.ai/mcp"}, "route=SearchMcp()"),
        (ParallelLLM, {"rate_limiter": 1}, "must have acquire() and async_acquire()"),
        (ParallelLLM, {"rate_limiter": InMemoryRateLimiter()}, "has no async_acquire()"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    make: Callable[..., Any], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(words)) as caught:
        make(**settings)
    assert isinstance(caught.value, ValueError)
    assert not INTERNAL.search(str(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("package", "name", "meant"),
    [
        ("langchain", "ParallelSearchRetreiver", "ParallelSearchRetriever"),
        ("llama_index", "ParallelLLm", "ParallelLLM"),
        ("", "Parallel", "ParallelClient"),
        ("", "AsyncParallel", "ParallelClient"),
    ],
)
def test_a_misspelt_name_leads_to_the_right_one(package: str, name: str, meant: str) -> None:
    module = importlib.import_module(f"parallel_integrations.{package}".rstrip("."))
    with pytest.raises(ImportError, match=rf"{name} is not in {module.__name__}: .*{meant}\?$"):
        getattr(module, name)
    assert not hasattr(module, "pytest_plugins")


def test_a_question_that_is_too_long_does_not_escape(sandbox: Sandbox) -> None:
    tool = ParallelSearchTool(
        api_key=sandbox.api_key, base_url=sandbox.url, handle_tool_error=False
    )
    objective = "x" * 5001
    with pytest.raises((ParallelError, ToolException), match="5001 characters: give at most 5000"):
        tool._run(objective, ["x y z"])
    with pytest.raises(ParallelError, match="5001 characters"):
        SearchRequest(objective=objective)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"objective": {"question": "why?"}}, "objective must be a text, not dict"),
        ({"objective": ["why?"]}, "objective must be a text, not list"),
        ({"max_results": [3]}, "max_results must be a whole number, not list"),
    ],
)
def test_a_value_of_another_kind_is_named_by_its_kind(
    sandbox: Sandbox, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        SearchRequest(**{"objective": "why?", **wrong})
    retriever = ParallelSearchRetriever(api_key=sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(InvalidArgumentError, match=words):
        retriever.invoke(wrong.pop("objective", "why?"), **wrong)
    with pytest.raises(InvalidArgumentError, match="search_queries holds too many: give at most 5"):
        retriever.invoke("why?", search_queries=iter("abcdefg"))
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ParallelSearchRetriever, "source_policy"),
        (ParallelDeepResearch, "deadline_seconds"),
        (ParallelEnrichment, "timeout"),
        (ChatParallel, "timeout"),
    ],
)
def test_a_setting_that_a_call_does_not_take_is_given_to_the_constructor(
    make: Callable[..., Any], name: str
) -> None:
    words = re.escape(f"takes {name}= when it is made, {make.__name__}({name}=…), not for one call")
    with pytest.raises(ArgumentTypeError, match=words):
        make(api_key="k").invoke(["why?"], **{name: SECRET})


@pytest.mark.parametrize("make", [ParallelSearchRetriever, ParallelReader, ChatParallel])
@pytest.mark.parametrize(
    "beside", [{"api_key": SECRET}, {"timeout": 3}, {"max_retries": 2}, {"base_url": "https://a.b"}]
)
def test_a_client_and_settings_of_another_are_refused(
    client: ParallelClient, make: Callable[..., Any], beside: dict[str, Any]
) -> None:
    [name] = beside
    with pytest.raises(InvalidArgumentError, match=f"client= and {name}= exclude") as caught:
        make(client=client, **beside)
    assert SECRET not in str(caught.value)
    nothing = dict.fromkeys(("api_key", "base_url", "timeout", "max_retries"))
    assert make(client=client, **nothing).client is client


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://api.parallel.ai/v1", "give 'https://api.parallel.ai'"),
        ("https://api.parallel.ai/v1beta/", "give 'https://api.parallel.ai'"),
        ("https://api.parallel.ai/chat/completions", "give 'https://api.parallel.ai'"),
        ("https://proxy.example/parallel/v1", "give 'https://proxy.example/parallel'"),
        (
            "https://gateway.ai.cloudflare.com/v1/acc/gate/parallel",
            r"CloudflareGateway\(account_id='acc', gateway_id='gate'\)",
        ),
        ("https://gateway.ai.cloudflare.com/v1", r"CloudflareGateway\("),
    ],
)
def test_an_address_with_the_api_s_own_path_says_what_is_meant(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for make in (ParallelClient, ParallelReader, ChatParallel):
        with pytest.raises(InvalidArgumentError, match=words):
            make(base_url=url)
    monkeypatch.setenv("PARALLEL_BASE_URL", url)
    with pytest.raises(InvalidArgumentError, match=words):
        ParallelClient(api_key="k")


def test_a_route_by_its_name_says_what_is_meant() -> None:
    route: Any = "cloudflare"
    with pytest.raises(InvalidArgumentError, match=r"CloudflareGateway\(account_id=…, gateway"):
        ParallelClient(route=route)


def test_an_operation_is_looked_for_on_the_client(client: ParallelClient) -> None:
    anything: Any = client
    for name in ("search", "asearch", "task_run", "beta", "chat", "invoke"):
        with pytest.raises(AttributeError, match=r"client\.run\(search\(SearchRequest\("):
            getattr(anything, name)
        assert not hasattr(anything, name)


@pytest.mark.parametrize(
    ("package", "name", "place"),
    [
        ("", "ChatParallel", ".langchain"),
        ("", "search", ".api"),
        ("", "Sandbox", ".sandbox"),
        ("", "enrich", ".enrichment"),
        (".api", "SearchRequest", ""),
        (".langchain", "ParallelReader", ".llama_index"),
        (".llama_index", "ParallelClient", ""),
        (".models", "CloudflareGateway", ""),
    ],
)
def test_a_name_imported_from_the_wrong_place_leads_on(package: str, name: str, place: str) -> None:
    right = f"from parallel_integrations{place} import {name}"
    with pytest.raises(ImportError, match=re.escape(right)):
        exec(f"from parallel_integrations{package} import {name}")
    exec(right)
    assert not hasattr(parallel_integrations, "no_such_name")


@pytest.mark.parametrize("host", ["127.0.0.2", "127.255.255.254", "[::1]", "localhost"])
def test_all_of_loopback_may_be_called_by_plain_http(host: str) -> None:
    assert ParallelClient(base_url=f"http://{host}:8080").settings.base_url.startswith("http://")
    assert ParallelReader(base_url=f"http://{host}")


@pytest.mark.parametrize("host", ["128.0.0.1", "[::2]", "10.0.0.1", "127.0.0.1.example", "0.0.0.0"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    with pytest.raises(InvalidArgumentError, match="plain_http_hosts="):
        ParallelClient(base_url=f"http://{host}")


def test_a_host_inside_a_cluster_is_permitted_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://litellm:4000"
    for make in (ParallelClient, ParallelReader):
        with pytest.raises(InvalidArgumentError, match=r"plain_http_hosts=\['litellm'\]"):
            make(base_url=url)
    client = ParallelClient(api_key="k", base_url=url, plain_http_hosts=["LiteLLM"])
    assert client.settings.base_url == url
    with pytest.raises(InvalidArgumentError, match="plain_http_hosts"):
        ParallelClient(base_url="http://other:4000", plain_http_hosts=["litellm"])
    for wrong in ("litellm", 3, [3]):
        with pytest.raises(InvalidArgumentError, match="must be a list of host names"):
            ParallelClient(plain_http_hosts=wrong)  # type: ignore[arg-type]
    gateway = CloudflareGateway("a", "g", base="http://proxy:1/v1")
    assert ParallelClient(route=gateway, plain_http_hosts=["proxy"]).settings.base_url
    monkeypatch.setenv("PARALLEL_PLAIN_HTTP_HOSTS", "other, litellm")
    assert ParallelReader(base_url=url)
    assert ParallelClient(base_url=url).settings.base_url == url


async def test_a_refused_connection_on_loopback_names_the_sandbox() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        client = ParallelClient(api_key="k", base_url=url, max_retries=0)
        with pytest.raises(ConnectionFailedError, match=f"sandbox --port {port}`"):
            client.run(search(SEARCH))
        with pytest.raises(ConnectionFailedError, match="Does the sandbox run there"):
            await client.arun(search(SEARCH))


@pytest.fixture
def private_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a TLS server whose certificate nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    with certificate() as path, monkeypatch.context() as distrusting:
        distrusting.delenv("SSL_CERT_FILE")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        with RawServer(lambda talk, request: None, context) as server:
            yield server.url


def test_a_private_certificate_names_the_variable_and_the_clients(private_server: str) -> None:
    client = ParallelClient(api_key="k", base_url=private_server, max_retries=0)
    with pytest.raises(ConnectionFailedError, match=r"SSL_CERT_FILE.*http_client=httpx\.Client"):
        client.run(search(SEARCH))
    with httpx.Client() as own:
        given = ParallelClient(api_key="k", base_url=private_server, max_retries=0, http_client=own)
        with pytest.raises(ConnectionFailedError, match="give http_async_client= as well"):
            asyncio.run(given.arun(search(SEARCH)))


def test_a_limit_says_how_long_to_wait(sandbox: Sandbox) -> None:
    client = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0)
    sandbox.faults.add(status=429, retry_after=7)
    with pytest.raises(RateLimitError, match=r"Wait 7 s \(`retry_after`\)") as caught:
        client.run(search(SEARCH))
    assert caught.value.retry_after == 7
    sandbox.faults.add(status=429)
    with pytest.raises(RateLimitError, match="Send fewer requests"):
        client.run(search(SEARCH))


def test_an_unknown_processor_is_shown_the_known_ones(client: ParallelClient) -> None:
    request = CreateTaskRunRequest(input="x", processor="proo")
    with pytest.raises(PermissionDeniedError, match=r"'proo' is none of lite, base, core, .*-fast"):
        client.run(create_task_run(request))


@pytest.mark.skipif(not REAL, reason="PARALLEL_REAL names no folder of published responses")
@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("33_error_422_objective", ["Either 'objective' or 'search_queries' must be provided"]),
        ("34_error_422_missing_urls", ["Request validation error: urls: Field required"]),
        (
            "35_error_422_extra_forbidden",
            [
                "excerpts: Extra inputs are not permitted (given: true)",
                "full_content: Extra inputs are not permitted (given: false)",
            ],
        ),
    ],
)
def test_a_refused_request_shows_the_service_s_reasons(
    sandbox: Sandbox, client: ParallelClient, name: str, reasons: list[str]
) -> None:
    body = json.loads((Path(REAL) / f"{name}.json").read_text("utf-8"))
    sandbox.faults.add(times=2, status=422, body=body)
    with pytest.raises(InvalidRequestError) as caught:
        client.run(search(SEARCH))
    assert all(reason in str(caught.value) for reason in reasons)
    assert all(reason in caught.value.message for reason in reasons)
    tool = ParallelSearchTool(client=client)
    shown = tool.invoke({"objective": "Why?", "search_queries": ["why because reason"]})
    assert all(reason in shown for reason in reasons)


def test_a_setting_of_one_call_leads_to_its_name_here(sandbox: Sandbox) -> None:
    search: Any = ParallelReader(api_key=sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(ArgumentTypeError, match=r"^a search has no .* called max_results="):
        search.load_data("with", top_k=2)
    pages: Any = ParallelExtractReader(api_key=sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(ArgumentTypeError, match=r"^an extract has no .* max_chars_per_result="):
        pages.load_data("https://a.example", max_chars=2)
    assert sandbox.requests == []


def test_awaiting_without_a_loop_of_asyncio_is_refused(sandbox: Sandbox) -> None:
    with ParallelClient(**connection(sandbox)) as client:
        operation = search(SEARCH)
        streamed = client.astream(stream_chat(CHAT))
        for awaited in (client.arun(operation), streamed.asend(None)):
            with pytest.raises(ParallelError, match="need a running event loop of asyncio"):
                awaited.send(None)  # as another library's loop does
        assert not sandbox.requests
        assert client.run(operation).results
