"""Where a request goes, what proves who sent it, and what is refused when a client is made."""

import os
from typing import Any

import pytest

from parallel_integrations import (
    CloudflareGateway,
    ExtractRequest,
    ParallelClient,
    __version__,
    errors,
)
from parallel_integrations._protocol.flow import Send, call
from parallel_integrations.api import chat, extract, search, stream_chat
from parallel_integrations.langchain import ParallelSearchRetriever
from parallel_integrations.models import ResponseModel
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer
from tests.support.requests import CHAT, SEARCH

SECRET = "s3cret-that-nobody-may-see"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://api.parallel.ai", "https"),
        ("http://127.0.0.1.example.com", "https"),
        ("http://localhost.example.com", "https"),
        ("ftp://127.0.0.1", "http"),
        ("api.parallel.ai", "http"),
        ("https://", "http"),
        ("//api.parallel.ai", "http"),
        ("https://api.parallel.ai/?a=b", "query"),
        ("https://api.parallel.ai/#a", "fragment"),
        ("https://api.parallel.ai:port", "URL"),
        ("https://api.parallel.ai:99999", "URL"),
        ("https://[::1", "URL"),
        ("https://api parallel ai", "URL"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_by_name(url: str, words: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        ParallelClient(api_key="some-key", base_url=url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("timeout", 0, "timeout"),
        ("timeout", -1, "timeout"),
        ("timeout", float("inf"), "timeout"),
        ("timeout", float("nan"), "timeout"),
        ("max_retries", -1, "max_retries"),
        ("max_retries", 1.5, "whole number"),
        ("max_retries", True, "whole number"),
        ("api_version", "v2", "v1beta-processor"),
        ("chat_path", "chat/completions", "'/'"),
        ("headers", {"x-api-key": "k"}, "x-api-key"),
        ("headers", {"Authorization": "k"}, "authorization"),
        ("headers", {"Host": "k"}, "host"),
        ("headers", {"x-a": "b\r\nx-c: d"}, "x-a"),
        ("headers", {"x-a\r\n": "b"}, "x-a"),
        ("headers", {"x-a": "\u00e4"}, "x-a"),
        ("headers", {"x a": "b"}, "x a"),
        ("headers", {"": "b"}, ""),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(argument: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=argument) as caught:
        ParallelClient(**{"api_key": "some-key", argument: value})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@api.parallel.ai",
        f"https://{SECRET}@api.parallel.ai",
        f"https://user:{SECRET}@api.parallel.ai:99999",
        f"https://user:{SECRET}@api.parallel.ai:port/",
        f"https://user:{SECRET}@/",
        f"http://user:{SECRET}@api.parallel.ai",
        f"ftp://user:{SECRET}@api.parallel.ai",
        f"https://user:{SECRET}@api.parallel.ai?a=b",
        f"https://user:{SECRET}@[::1",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        ParallelClient(api_key="some-key", base_url=url)
    error: BaseException | None = caught.value
    assert SECRET not in str(error)
    assert error is not None
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(
    "key",
    [
        f"{SECRET}\n{SECRET}",
        f"{SECRET}\r\nx-evil: 1",
        f"{SECRET} twice",
        f"{SECRET}\u00e4",
        f"{SECRET}\x00",
        f"\u201c{SECRET}\u201d",
    ],
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.MissingKeyError, match="api_key") as caught:
        ParallelClient(api_key=key)
    assert SECRET not in str(caught.value)
    if "\x00" not in key:
        monkeypatch.setenv("PARALLEL_API_KEY", key)
        with pytest.raises(errors.MissingKeyError, match="PARALLEL_API_KEY") as caught:
            ParallelClient()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", [f"  {SECRET}\n", f"{SECRET}\t", f"{SECRET}\r\n"])
def test_blanks_around_a_key_are_dropped(
    sandbox: Sandbox, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are pasted, and read from files that end in a line break."""
    monkeypatch.setenv("PARALLEL_API_KEY", f" {sandbox.api_key}\n")
    with ParallelClient(base_url=sandbox.url) as client:
        client.run(search(SEARCH))
    with (
        ParallelClient(api_key=key, base_url=sandbox.url) as client,
        pytest.raises(errors.AuthenticationError),
    ):
        client.run(search(SEARCH))
    assert {request.headers["x-api-key"] for request in sandbox.requests} == {
        sandbox.api_key,
        SECRET,
    }


@pytest.mark.parametrize("token", ["t0ken\nx-evil: 1", "t0ken \u00e4", "t0ken twice"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        CloudflareGateway(account_id="a", gateway_id="g", token=token)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("key", [None, "", "  \n"])
async def test_a_missing_key_is_an_error_at_the_first_call_only(
    sandbox: Sandbox, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is not None:
        monkeypatch.setenv("PARALLEL_API_KEY", key)
    client = ParallelClient(api_key=key, base_url=sandbox.url)
    assert "missing" in repr(client)
    with pytest.raises(errors.MissingKeyError, match="PARALLEL_API_KEY"):
        client.run(search(SEARCH))
    with pytest.raises(errors.MissingKeyError, match="PARALLEL_API_KEY"):
        await client.arun(search(SEARCH))
    with pytest.raises(errors.MissingKeyError, match="sandbox"):
        list(client.stream(stream_chat(CHAT)))
    with pytest.raises(errors.MissingKeyError):
        await anext(client.astream(stream_chat(CHAT)))
    assert not sandbox.requests


def test_the_environment_says_what_arguments_leave_out(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", f"{sandbox.url}/")
    with ParallelClient() as client:
        assert client.run(search(SEARCH)).results
    assert repr(ParallelClient(base_url="https://a.example/b/")) == (
        "ParallelClient(base_url='https://a.example/b', api_key=set)"
    )
    with ParallelClient(api_key="another") as client, pytest.raises(errors.AuthenticationError):
        client.run(search(SEARCH))


@pytest.mark.parametrize(
    "url",
    [
        "api.parallel.ai",
        "http://a.example",
        "https://api.parallel.ai/v1",
        "https://parallel.ai",
        "https://mcp.parallel.ai",
        "https://gateway.ai.cloudflare.com/v1/a/b",
        "https://user:secret-word@a.example",
        '"https://api.parallel.ai"',
        "https://a.example?b=c",
        "https://a.example:99999",
    ],
)
def test_an_address_of_the_environment_is_refused_by_its_name(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_BASE_URL", url)
    for make in (ParallelClient, lambda: ParallelSearchRetriever().resolved_client()):
        with pytest.raises(errors.InvalidArgumentError, match=r"^PARALLEL_BASE_URL") as caught:
            make()
        assert "base_url" not in str(caught.value)
        assert "secret-word" not in str(caught.value)
    ParallelClient(base_url="https://a.example")


@pytest.mark.parametrize(
    "key",
    [
        '"secret-word"',
        "'secret-word'",
        '"secret-word',
        "`secret-word`",
        "$PARALLEL_API_KEY",
        "${PARALLEL_API_KEY}",
        "%PARALLEL_API_KEY%",
        "PARALLEL_API_KEY=secret-word",
        "{{secret-word}}",
        "<secret-word>",
    ],
)
def test_what_an_env_file_makes_of_a_key_is_refused(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for make in (ParallelClient, ParallelSearchRetriever):
        with pytest.raises(errors.MissingKeyError, match=r"^api_key is no key .* alone") as at:
            make(api_key=key)
        monkeypatch.setenv("PARALLEL_API_KEY", key)
        with pytest.raises(errors.MissingKeyError, match=r"^PARALLEL_API_KEY is no key") as by:
            make()
        monkeypatch.delenv("PARALLEL_API_KEY")
        assert "secret-word" not in f"{at.value}{by.value}"


def test_a_client_takes_its_arguments_by_name() -> None:
    unnamed: Any = ["some-key"]
    with pytest.raises(errors.ArgumentTypeError, match=r"by name, like ParallelClient\(api_key=…"):
        ParallelClient(*unnamed)


def test_the_public_api_is_the_default() -> None:
    assert "https://api.parallel.ai" in repr(ParallelClient())


async def test_the_path_of_the_base_url_is_kept() -> None:
    response = b'{"results": [], "choices": [{"message": {"content": "Yes."}}]}'
    with RawServer(lambda talk, _: talk.respond(response)) as server:
        for base in ("/a/b", "/a/b/"):
            async with ParallelClient(api_key="some-key", base_url=server.url + base) as client:
                client.run(search(SEARCH))
                await client.arun(chat(CHAT))
        assert [request.split()[1] for request in server.requests] == [
            b"/a/b/v1/search",
            b"/a/b/chat/completions",
        ] * 2


def test_what_every_request_carries(sandbox: Sandbox, client: ParallelClient) -> None:
    client.run(search(SEARCH))
    client.run(chat(CHAT))
    searched, chatted = sandbox.requests
    for request in (searched, chatted):
        assert request.headers["x-api-key"] == sandbox.api_key
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith(f"parallel-integrations/{__version__} ")
        assert "zstd" not in request.headers["accept-encoding"]
        assert "parallel-beta" not in request.headers
    assert "authorization" not in searched.headers
    assert chatted.headers["authorization"] == f"Bearer {sandbox.api_key}"


def test_the_older_generations_have_their_path_and_header(sandbox: Sandbox) -> None:
    settings = connection(sandbox)
    with ParallelClient(**settings, api_version="v1beta") as client:
        client.run(search(SEARCH))
        client.run(extract(ExtractRequest(urls=["https://docs.python.org/3/reference/"])))
        client.run(chat(CHAT))
    assert [request.path for request in sandbox.requests] == [
        "/v1beta/search",
        "/v1beta/extract",
        "/chat/completions",
    ]
    assert [request.headers.get("parallel-beta") for request in sandbox.requests] == [
        "search-extract-2025-10-10",
        "search-extract-2025-10-10",
        None,
    ]


def test_beta_values_are_merged(sandbox: Sandbox) -> None:
    headers = {"Parallel-Beta": "mine-2030-01-01", "X-Mine": "yes"}
    with ParallelClient(
        api_key=sandbox.api_key, base_url=sandbox.url, api_version="v1beta", headers=headers
    ) as client:
        client.run(search(SEARCH))
    (request,) = sandbox.requests
    assert request.headers["parallel-beta"] == "search-extract-2025-10-10,mine-2030-01-01"
    assert request.headers["x-mine"] == "yes"
    assert len([name for name in request.headers if name == "parallel-beta"]) == 1


def test_one_of_our_own_headers_can_be_replaced(sandbox: Sandbox) -> None:
    with ParallelClient(
        api_key=sandbox.api_key, base_url=sandbox.url, headers={"User-Agent": "my-app/1"}
    ) as client:
        client.run(search(SEARCH))
    assert sandbox.requests[0].headers.getlist("user-agent") == ["my-app/1"]


def test_the_path_of_chat_can_be_chosen(sandbox: Sandbox) -> None:
    with ParallelClient(
        api_key=sandbox.api_key, base_url=sandbox.url, chat_path="/v1beta/chat/completions"
    ) as client:
        assert client.run(chat(CHAT)).text
    assert sandbox.requests[0].path == "/v1beta/chat/completions"


def test_query_parameters_are_written_in_order_and_may_repeat(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    send = Send("POST", "/v1/search", SEARCH, params=(("b", "1 2"), ("a", "x&y"), ("b", "3")))
    client.run(call(send, ResponseModel))
    assert sandbox.requests[0].query.multi_items() == [("b", "1 2"), ("a", "x&y"), ("b", "3")]


class TestGateway:
    """Cloudflare's AI Gateway, simulated by the sandbox under the same prefixes."""

    @pytest.fixture
    def gated(self) -> Any:
        with Sandbox(gateway_token="t0ken") as sandbox:
            yield sandbox

    def client(self, sandbox: Sandbox, **settings: Any) -> ParallelClient:
        route = CloudflareGateway(
            account_id="acc", gateway_id="my-gate", base=f"{sandbox.url}/v1", **settings
        )
        return ParallelClient(api_key=sandbox.api_key, route=route)

    def test_search_and_extract_go_by_the_native_path(self, sandbox: Sandbox) -> None:
        with self.client(sandbox) as client:
            assert client.run(search(SEARCH)).results
            client.run(extract(ExtractRequest(urls=["https://docs.python.org/3/reference/"])))
        assert [request.raw_path for request in sandbox.requests] == [
            "/v1/acc/my-gate/parallel/v1/search",
            "/v1/acc/my-gate/parallel/v1/extract",
        ]
        for request in sandbox.requests:
            assert request.headers["x-api-key"] == sandbox.api_key
            assert "authorization" not in request.headers
            assert "cf-aig-authorization" not in request.headers

    @pytest.mark.parametrize("model", ["speed", "parallel/speed"])
    async def test_chat_goes_by_the_compatible_path(self, sandbox: Sandbox, model: str) -> None:
        request = CHAT.model_copy(update={"model": model})
        async with self.client(sandbox) as client:
            assert client.run(chat(request)).text
            assert [chunk async for chunk in client.astream(stream_chat(request))]
        for seen in sandbox.requests:
            assert seen.raw_path == "/v1/acc/my-gate/compat/chat/completions"
            assert seen.body["model"] == "parallel/speed"
            assert seen.headers["authorization"] == f"Bearer {sandbox.api_key}"
            assert "x-api-key" not in seen.headers
        assert request.model == model

    def test_an_authenticated_gateway_gets_its_token(self, gated: Sandbox) -> None:
        with self.client(gated, token=" t0ken\n") as client:
            assert client.run(search(SEARCH)).results
            assert client.run(chat(CHAT)).text
        assert {request.headers["cf-aig-authorization"] for request in gated.requests} == {
            "Bearer t0ken"
        }
        with (
            self.client(gated) as client,
            pytest.raises(errors.AuthenticationError, match="gateway token"),
        ):
            client.run(search(SEARCH))

    def test_a_token_is_not_shown(self, gated: Sandbox) -> None:
        client = self.client(gated, token="t0ken")
        for shown in (repr(client), repr(client.settings), str(client.settings.route)):
            assert "t0ken" not in shown

    async def test_a_key_kept_at_cloudflare_need_not_be_sent(self, sandbox: Sandbox) -> None:
        route = CloudflareGateway(account_id="a", gateway_id="g", base=f"{sandbox.url}/v1")
        with (
            ParallelClient(route=route) as client,
            pytest.raises(errors.AuthenticationError),  # by the sandbox, which keeps no keys
        ):
            client.run(search(SEARCH))
        assert "x-api-key" not in sandbox.requests[0].headers

    def test_cloudflare_is_the_default(self) -> None:
        client = ParallelClient(
            api_key="some-key", route=CloudflareGateway(account_id="a", gateway_id="g")
        )
        assert "'https://gateway.ai.cloudflare.com/v1/a/g'" in repr(client)

    @pytest.mark.parametrize("wrong", ["", "a/b", "..", ".", "a b", "a?b", "a#b", "a%2fb"])
    def test_an_id_that_is_no_path_segment_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="account_id"):
            CloudflareGateway(account_id=wrong, gateway_id="g")
        with pytest.raises(ValueError, match="gateway_id"):
            CloudflareGateway(account_id="a", gateway_id=wrong)

    def test_a_route_and_a_base_url_exclude_each_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        route = CloudflareGateway(account_id="a", gateway_id="g")
        with pytest.raises(ValueError, match="route="):
            ParallelClient(base_url="https://a.example", route=route)
        monkeypatch.setenv("PARALLEL_BASE_URL", "https://a.example")
        assert "cloudflare" in repr(ParallelClient(route=route))

    def test_a_gateway_without_encryption_is_refused(self) -> None:
        route = CloudflareGateway(account_id="a", gateway_id="g", base="http://a.example/v1")
        with pytest.raises(ValueError, match="https"):
            ParallelClient(route=route)


def test_tests_begin_with_a_clean_environment() -> None:
    assert not [name for name in os.environ if name.startswith("PARALLEL_")]
    assert "HTTPS_PROXY" not in os.environ
