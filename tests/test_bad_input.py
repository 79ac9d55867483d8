"""Whatever a caller hands over comes back as an error that names it, before anything is sent."""

import decimal
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import pytest

from parallel_integrations import (
    ChatRequest,
    CloudflareGateway,
    CreateTaskRunRequest,
    ParallelClient,
    ParallelError,
    SearchRequest,
)
from parallel_integrations.api import (
    findall_events,
    list_monitors,
    parse_webhook,
    retrieve_findall_run,
    retrieve_monitor,
    retrieve_task_group,
    retrieve_task_run,
    search,
    task_group_events,
    task_run_events,
)
from parallel_integrations.enrichment import EnrichedRow, enrich
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import ChatParallel, ParallelExtractLoader
from parallel_integrations.llama_index import ParallelReader
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer

SEARCH: Final = SearchRequest(search_queries=["with statement exceptions"])
MESSAGES: Final = [{"role": "user", "content": "What is a closure?"}]
SECRET: Final = "s3cret-that-nobody-may-see"
PAGES: Final = [f"https://docs.python.org/3/reference/{n}.html" for n in range(45)]
CIRCLE: Final[dict[str, Any]] = {}
CIRCLE["itself"] = CIRCLE


@pytest.mark.parametrize("scheme", ["HTTP", "Http", "hTtP"])
@pytest.mark.parametrize("host", ["LOCALHOST", "LocalHost", "127.0.0.1"])
async def test_an_address_may_be_written_in_any_case(
    sandbox: Sandbox, scheme: str, host: str
) -> None:
    url = f"{scheme}://{host}:{sandbox.url.rsplit(':', 1)[1]}/"
    async with ParallelClient(api_key=sandbox.api_key, base_url=url) as client:
        assert client.run(search(SEARCH)).results
        assert (await client.arun(search(SEARCH))).results
    assert ParallelReader(api_key=sandbox.api_key, base_url=url).load_data("closures")


@pytest.mark.parametrize("url", ["HTTPS://API.Parallel.ai", "https://api.PARALLEL.AI/"])
def test_the_public_address_is_known_in_any_case(url: str) -> None:
    """It decides about certificates, so it must be the same text."""
    assert ParallelClient(api_key="k", base_url=url).settings.base_url == "https://api.parallel.ai"


def test_the_path_keeps_its_case() -> None:
    with RawServer(lambda talk, _: talk.respond(b'{"results": []}')) as server:
        url = server.url.replace("http", "HTTP") + "/A/b%2F"
        with ParallelClient(api_key="some-key", base_url=url) as client:
            client.run(search(SEARCH))
        route = CloudflareGateway(account_id="Acc", gateway_id="G", base=url)
        with ParallelClient(api_key="some-key", route=route) as client:
            client.run(search(SEARCH))
    assert [request.split()[1] for request in server.requests] == [
        b"/A/b%2F/v1/search",
        b"/A/b%2F/Acc/G/parallel/v1/search",
    ]


ODD: Final = [" ", "\n", "\r\n", "\t", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u00e4", "\ud83d"]


@pytest.mark.parametrize("odd", [*ODD, "\\", '"', "<", "`", "{", "^", "|"])
def test_an_address_holds_nothing_that_a_url_cannot(odd: str) -> None:
    for url in (f"https://a{odd}.example", f"https://a.example/b{odd}c", f"https://a.example{odd}"):
        with pytest.raises(ValueError, match=r"^base_url=.*percent-encoded"):
            ParallelClient(api_key="k", base_url=url)
    with pytest.raises(ValueError, match=r"^chat_path=.*percent-encoded"):
        ParallelClient(api_key="k", chat_path=f"/chat{odd}/completions")
    base = f"https://a.example/{odd}"
    with pytest.raises(ValueError, match=r"CloudflareGateway\(base"):
        ParallelClient(route=CloudflareGateway(account_id="a", gateway_id="g", base=base))


@pytest.mark.parametrize(
    "host", [f"{'a' * 64}.example", "a..example", ".a.example", "a.example..", "xn--a"]
)
def test_a_host_is_one_that_can_be_looked_up(host: str) -> None:
    with pytest.raises(ValueError, match=r"^base_url=.* is not a URL") as caught:
        ParallelClient(api_key="k", base_url=f"https://{host}")
    assert isinstance(caught.value, ParallelError)


@pytest.mark.parametrize("odd", ODD)
def test_an_id_holds_nothing_that_no_id_holds(client: ParallelClient, odd: str) -> None:
    for retrieve, name in (
        (retrieve_task_run, "run_id"),
        (retrieve_task_group, "taskgroup_id"),
        (retrieve_findall_run, "findall_id"),
        (retrieve_monitor, "monitor_id"),
    ):
        operation: Callable[[str], Any] = retrieve  # type: ignore[assignment]
        with pytest.raises(ValueError, match=f"^{name}=.* is not an id: copy it"):
            client.run(operation(f"a{odd}b"))
    for field in ("account_id", "gateway_id"):
        names = {"account_id": "a", "gateway_id": "g", field: f"a{odd}b"}
        with pytest.raises(ValueError, match=field):
            CloudflareGateway(**names)


@pytest.mark.parametrize("odd", ["\n", "\x00", "\x7f", "\x85", "\u2028", "\u00e4", "\ud83d"])
@pytest.mark.parametrize("where", ["name", "value"])
def test_a_header_holds_nothing_that_http_cannot_carry(odd: str, where: str) -> None:
    headers = {f"x-{odd}a": "b"} if where == "name" else {"x-a": f"{SECRET}{odd}b"}
    refused: list[Callable[[], Any]] = [
        lambda: ParallelClient(api_key="k", headers=headers),
        lambda: ChatRequest(messages=MESSAGES, extra_headers=headers),
        lambda: ChatParallel(api_key="k", extra_headers=headers),
    ]
    for make in refused:
        with pytest.raises(ValueError, match="headers= holds") as caught:
            make()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "cf-aig-authorization",
        "CF-AIG-Authorization",
        "cf_aig_authorization",
        "Cf-Aig_Authorization",
    ],
)
def test_a_gateway_s_token_is_not_replaced_by_a_header(name: str) -> None:
    route = CloudflareGateway(account_id="a", gateway_id="g", token="t0ken")
    for settings in ({"route": route}, {}):
        with pytest.raises(ValueError, match=r"cf.aig.authorization.*token="):
            ParallelClient(api_key="k", headers={name: "Bearer other"}, **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"cf.aig.authorization.*token="):
        ChatRequest(messages=MESSAGES, extra_headers={name: "Bearer other"})


@pytest.mark.parametrize("name", ["x_api_key", "X-Api_Key", "Transfer-Encoding"])
def test_nor_is_what_else_the_client_sets(name: str) -> None:
    with pytest.raises(ValueError, match="the client sets it"):
        ParallelClient(api_key="k", headers={name: "b"})


def test_blanks_around_a_header_s_value_are_dropped(sandbox: Sandbox) -> None:
    with ParallelClient(
        api_key=sandbox.api_key, base_url=sandbox.url, headers={"x-mine": " yes no "}
    ) as client:
        client.run(search(SEARCH))
    assert sandbox.requests[0].headers["x-mine"] == "yes no"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("base_url", 5),
        ("base_url", b"https://a.example"),
        ("base_url", f"https:/user:{SECRET}@a.example"),
        ("base_url", f"user:{SECRET}@a.example"),
        ("base_url", f"https:\\\\user:{SECRET}@a.example"),
        ("base_url", f"https://a.example/{'b' * 70_000}"),
        ("chat_path", 5),
        ("chat_path", "/chat#completions"),
        ("chat_path", f"/{'a' * 70_000}"),
        ("headers", [("x-a", "b")]),
        ("headers", {"x-a": None}),
        ("headers", {"x-a": 5}),
        ("headers", {5: "x-a"}),
        ("route", "cloudflare"),
        ("timeout", 10**400),
        ("timeout", 1e10),
        ("timeout", "5"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_name(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument) as caught:
        ParallelClient(**{"api_key": "some-key", argument: value})
    assert isinstance(caught.value, ParallelError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"account_id": 5}, {"token": 5}, {"base": None}, {"base": ""}])
def test_a_gateway_s_argument_of_another_kind_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CloudflareGateway(**{"account_id": "a", "gateway_id": "g", **wrong})


@pytest.mark.parametrize("value", [{"a": "\ud83d"}, {"\udc00": 1}, {"a": object()}, CIRCLE])
def test_what_json_cannot_carry_is_refused_when_the_request_is_made(value: dict[str, Any]) -> None:
    made: list[tuple[Callable[[], Any], str]] = [
        (lambda: CreateTaskRunRequest(input=value), "input"),
        (lambda: CreateTaskRunRequest(input="q", output_schema=value), "output_schema"),
        (lambda: ChatRequest(messages=MESSAGES, extra_body=value), "extra_body"),
        (lambda: ChatRequest(messages=MESSAGES, response_format=value), "response_format"),
    ]
    for make, field in made:
        with pytest.raises(InvalidArgumentError, match=field):
            make()
    with pytest.raises(InvalidArgumentError, match="input"):
        CreateTaskRunRequest(input="half an emoji: \ud83d")


@pytest.mark.parametrize("cursor", ["\ud83d", "c" * 70_000])
async def test_a_cursor_that_no_address_can_hold_is_refused(
    sandbox: Sandbox, client: ParallelClient, cursor: str
) -> None:
    with pytest.raises(ValueError, match=r"GET /v1/monitors cannot be addressed.*Nothing was sent"):
        client.run(list_monitors(cursor=cursor))
    with pytest.raises(ValueError, match="cannot be addressed"):
        await client.arun(list_monitors(cursor=cursor))
    with pytest.raises(ValueError, match="cannot be addressed"):
        list(client.stream(findall_events("findall_1", last_event_id=cursor)))
    with pytest.raises(ValueError, match="is not an id"):
        list(client.stream(task_run_events("r" * 70_000)))
    assert not sandbox.requests


@pytest.mark.parametrize("timeout", ["5", 0, -1, float("nan"), True])
def test_a_stream_s_timeout_is_a_number_of_seconds(client: ParallelClient, timeout: Any) -> None:
    for events in (findall_events, task_group_events):
        with pytest.raises(ValueError, match=r"timeout=.* must be a number of seconds"):
            list(client.stream(events("id", timeout=timeout)))


@pytest.mark.parametrize(
    "value",
    [
        *(True, "5", "0.1", Fraction(1, 3), 10**400, 1e300, -1, float("nan"), float("inf")),
        *(decimal.Decimal("NaN"), decimal.Decimal("sNaN"), decimal.Decimal("1e999")),
    ],
)
@pytest.mark.parametrize("name", ["max_cost_usd", "price_per_row_usd"])
def test_an_amount_is_a_number_of_dollars(
    client: ParallelClient, sandbox: Sandbox, name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*an amount of US dollars") as caught:
        client.stream(enrich(["a"], **{name: value})).__next__()
    assert isinstance(caught.value, ParallelError)
    assert not sandbox.requests


@pytest.mark.parametrize("limit", [0.015, decimal.Decimal("0.015")])
def test_amounts_do_not_depend_on_the_program_s_own_arithmetic(
    client: ParallelClient, limit: Any
) -> None:
    with decimal.localcontext() as context:
        context.prec = 1
        context.traps[decimal.Inexact] = context.traps[decimal.Rounded] = True
        rows = [
            event
            for event in client.stream(
                enrich([f"row {n}" for n in range(5)], max_cost_usd=limit, price_per_row_usd=0.005)
            )
            if isinstance(event, EnrichedRow)
        ]
    assert [row.error is None for row in rows] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("body", [None, 5, "{", {}])
def test_a_webhook_s_body_is_bytes(body: Any) -> None:
    with pytest.raises(TypeError, match="parse_webhook takes the raw body as bytes"):
        parse_webhook(body)


def test_a_loader_says_what_to_do_where_no_thread_starts(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    settings = connection(sandbox)
    reported: list[Any] = []
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ParallelError, match="max_concurrency=1"):
        ParallelExtractLoader(urls=PAGES, on_error=reported.append, **settings).load()
    assert not reported
    urls = [sandbox.corpus.pages[0].url, *PAGES]
    loader = ParallelExtractLoader(
        urls=urls, max_concurrency=1, on_error=reported.append, **settings
    )
    assert len(loader.load()) + len(reported) == len(urls)
