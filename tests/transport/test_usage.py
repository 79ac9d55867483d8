"""`client.usage` against the sandbox's ledger, which knows nothing of it."""

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import (
    ChatRequest,
    ConnectionFailedError,
    CreateFindallRunRequest,
    CreateMonitorRequest,
    CreateTaskRunRequest,
    DecideRequest,
    EnrichFindallRequest,
    EntitySearchRequest,
    EventStreamSettings,
    ExtendFindallRequest,
    ExtractRequest,
    IngestFindallRequest,
    ParallelClient,
    ParallelError,
    RespondRequest,
    SearchMcp,
    SearchRequest,
    TaskSettings,
    api,
    search_results,
)
from parallel_integrations._documents.find_all import FindAllRequest, find_all
from parallel_integrations.langchain import ChatParallel, ParallelSearchRetriever
from parallel_integrations.models import PRICES_USD, Noul
from parallel_integrations.models.prices import task_sku
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.operations import EXAMPLES, RESPOND

SEARCH = SearchRequest(objective="the with statement")
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
TURN = [{"role": "user", "content": "the with statement"}]


@pytest.fixture
def quick() -> Iterator[Sandbox]:
    """A sandbox of this test alone, whose task runs are done at once."""
    with Sandbox(task_seconds=0) as sandbox:
        yield sandbox


def opened(sandbox: Sandbox, **settings: Any) -> ParallelClient:
    return ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, **settings)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta-processor"])
@pytest.mark.parametrize("mode", [None, "basic", "advanced", "fast", "turbo", "one-shot"])
@pytest.mark.parametrize("max_results", [3, 10, 11, 30])
def test_searches_cost_what_the_ledger_says(
    version: Any, mode: str | None, max_results: int, sandbox: Sandbox
) -> None:
    with opened(sandbox, api_version=version) as client:
        for _ in range(2):
            client.run(
                api.search(SearchRequest(objective="with", mode=mode, max_results=max_results))
            )
    counts = client.usage.counts
    assert counts.pop("search_additional_results", 0) == 2 * max(0, max_results - 10)
    assert sum(counts.values()) == sandbox.ledger.count("search") == 2
    assert client.usage.usd == sandbox.ledger.usd > 0


async def test_extracts_and_chats_cost_what_the_ledger_says(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    client.run(api.extract(ExtractRequest(urls=[PAGE, PAGE + "#with", PAGE + "#try"])))
    for model in ("speed", "lite", "base", "core"):
        client.run(api.chat(ChatRequest(messages=TURN, model=model)))
        streamed = api.stream_chat(ChatRequest(messages=TURN, model=model))
        assert [chunk async for chunk in client.astream(streamed)]
    assert client.usage.counts == {
        "extract": 3,
        "chat_speed": 2,
        "chat_lite": 2,
        "chat_base": 2,
        "chat_core": 2,
    }
    assert client.usage.usd == sandbox.ledger.usd == pytest.approx(0.003 + 2 * 0.045)


def test_a_model_in_the_extra_body_is_what_is_paid_for(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    client.run(api.chat(ChatRequest(messages=TURN, extra_body={"model": "core"})))
    assert client.usage.counts == {"chat_core": 1}
    assert client.usage.usd == sandbox.ledger.usd


def test_runs_cost_what_the_ledger_says_once_they_are_done(quick: Sandbox) -> None:
    with opened(quick) as client:
        for processor in ("lite", "base-fast", "ultra2x"):
            request = CreateTaskRunRequest(input="with", processor=processor)
            client.run(api.run_task(request))
        settings = TaskSettings(processor="lite-fast")
        client.run(api.run_task_group(["with", "nonlocal", "global"], settings))
        assert client.usage.counts == {"task_lite": 4, "task_base": 1, "task_ultra2x": 1}
        assert client.usage.usd == quick.ledger.usd
        assert quick.ledger.count("task_run") == 6


def test_a_failed_run_is_counted_though_not_billed(quick: Sandbox) -> None:
    """The client may never hear of its end: as documented, the estimate errs on the high side."""
    with opened(quick) as client:
        request = CreateTaskRunRequest(input="with", processor="lite", metadata={"sandbox": "fail"})
        with pytest.raises(ParallelError):
            client.run(api.run_task(request))
    assert client.usage.counts == {"task_lite": 1}
    assert quick.ledger.usd == 0


def test_findall_and_entities_cost_what_the_ledger_says_besides_matches() -> None:
    with Sandbox(findall_seconds=0) as sandbox, opened(sandbox) as client:
        client.run(
            api.entity_search(
                EntitySearchRequest(entity_type="people", objective="with", match_limit=5)
            )
        )
        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "The statement binds a name."}],
            generator="base",
            match_limit=5,
        )
        found = client.run(api.run_findall(request))
        assert client.usage.counts == {"entity_search": 1, "findall_base": 1}
        matches = sum(one.match_status == "matched" for one in found.candidates)
        assert matches == sandbox.ledger.count("findall_match") > 0
        assert client.usage.usd < sandbox.ledger.usd
        client.usage.add({"findall_base_match": matches})
        assert client.usage.usd == sandbox.ledger.usd


@pytest.mark.parametrize(
    ("match_limit", "usd"), [(5, 0.005), (100, 0.005), (101, 0.00505), (1000, 0.05)]
)
@pytest.mark.parametrize("older", [False, True])
def test_entities_past_those_included_cost_what_the_ledger_says(
    sandbox: Sandbox, client: ParallelClient, match_limit: int, usd: float, older: bool
) -> None:
    if older:
        sandbox.faults.add(path="/v1beta/findall/entity-search", status=404)
    request = EntitySearchRequest(entity_type="people", objective="with", match_limit=match_limit)
    operation = api.entity_search(request)
    assert client.estimate(request).usd == client.estimate(operation).usd == usd
    client.run(operation)
    assert client.usage.usd == sandbox.ledger.usd == usd


def test_an_older_server_is_paid_once_for_entities(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(path="/v1beta/findall/entity-search", status=404)
    client.run(
        api.entity_search(
            EntitySearchRequest(entity_type="people", objective="with", match_limit=5)
        )
    )
    assert client.usage.counts == {"entity_search": 1}
    assert sandbox.ledger.count("entity_search") == 1


@pytest.mark.parametrize("processor", [None, "lite", "base"])
def test_a_monitor_runs_once_when_it_is_made(
    sandbox: Sandbox, client: ParallelClient, processor: str | None
) -> None:
    watch = CreateMonitorRequest(
        type="event_stream",
        frequency="1d",
        settings=EventStreamSettings(query="with"),
        processor=processor,
    )
    monitor = client.run(api.create_monitor(watch))
    client.run(api.retrieve_monitor(monitor.monitor_id))
    client.run(api.cancel_monitor(monitor.monitor_id))
    assert client.usage.counts == {f"monitor_{processor or 'lite'}": 1}
    assert client.usage.usd == sandbox.ledger.usd


def test_what_costs_nothing_is_not_counted(sandbox: Sandbox, client: ParallelClient) -> None:
    client.run(api.create_task_group())
    client.run(api.retrieve_memory())
    assert client.usage.counts == {}
    assert client.usage.usd == 0


@pytest.mark.parametrize("fault", [{"status": 500}, {"reset": "before"}, {"status": 429}])
def test_what_failed_is_not_counted_and_a_repeat_once(
    fault: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(**fault)
    client.run(api.search(SEARCH))
    assert len(sandbox.requests) == 2
    assert client.usage.counts == {"search": 1}
    assert client.usage.usd == sandbox.ledger.usd


@pytest.mark.parametrize("fault", [{"cut_after_bytes": 5}, {"body": "<html>"}])
def test_an_response_that_began_is_paid_for(
    fault: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    """The work was done, whatever became of its response."""
    sandbox.faults.add(**fault)
    with pytest.raises(ParallelError):
        client.run(api.search(SEARCH))
    assert client.usage.counts == {"search": 1}
    assert client.usage.usd == sandbox.ledger.usd


def test_a_refused_mode_is_paid_as_the_one_that_was_taken(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    refusal = {"error": {"message": "mode: unknown value 'fast'"}}
    sandbox.faults.add(status=422, body=refusal)
    client.run(api.search(SearchRequest(objective="with", mode="fast")))
    assert client.usage.counts == {"search": 1}
    assert client.usage.usd == sandbox.ledger.usd


MISSING = "https://no-such-site.example/page.html"


def test_fewer_results_than_requested_are_billed_as_what_came(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    few = SearchRequest(
        objective="the with statement",
        max_results=40,
        source_policy={"include_domains": ["docs.python.org"]},
    )
    found = client.run(api.search(few)).results
    assert 10 < len(found) < 40 or len(found) < 10
    beyond = max(0, len(found) - 10)
    usage = client.usage
    assert usage.estimated == {"search": 1, "search_additional_results": 30}
    assert usage.counts == {"search": 1} | ({"search_additional_results": beyond} if beyond else {})
    assert usage.usd == sandbox.ledger.usd < usage.estimated_usd == 0.035
    assert f"usd={usage.usd}, estimated_usd=0.035" in repr(usage)
    assert usage.reported["sku_search"] == 1


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("full_content", [False, True])
@pytest.mark.parametrize("urls", [[PAGE, MISSING], [MISSING], [PAGE]])
def test_pages_that_failed_are_not_billed(
    sandbox: Sandbox, version: Any, full_content: bool, urls: list[str]
) -> None:
    with opened(sandbox, api_version=version) as client:
        client.run(api.extract(ExtractRequest(urls=urls, full_content=full_content)))
    read = urls.count(PAGE)
    assert client.usage.counts == ({"extract": read} if read else {})
    assert client.usage.estimated == {"extract": len(urls)}
    assert client.usage.usd == sandbox.ledger.usd


@pytest.mark.parametrize(
    ("request_", "body", "counts"),
    [
        # As published responses of the live service report it, in each generation.
        (
            SearchRequest(objective="o", max_results=15, mode="fast"),
            {"usage": [{"name": "sku_search", "count": 1}]},
            {"search_fast": 1},
        ),
        (
            SearchRequest(objective="o", max_results=15),
            {
                "usage": [
                    {"name": "sku_search", "count": 1},
                    {"name": "sku_extract_excerpts", "count": 2},
                ]
            },
            {"search": 1, "search_additional_results": 2},
        ),
        (
            SearchRequest(objective="o", max_results=12),
            {"usage": {"sku_search": 1, "sku_search_additional_results": 1}},
            {"search": 1, "search_additional_results": 1},
        ),
        # Nothing, or nothing that is known: the request counts.
        (
            SearchRequest(objective="o", max_results=12),
            {"usage": None},
            {"search": 1, "search_additional_results": 2},
        ),
        (SearchRequest(objective="o"), {"usage": [{"name": "new", "count": 3}]}, {"search": 1}),
        (SearchRequest(objective="o"), {"usage": "none"}, {"search": 1}),
        *(
            (SearchRequest(objective="o"), {"usage": usage}, {"search": 1})
            for count in (10**400, -5)
            for usage in ([{"name": "sku_search", "count": count}], {"sku_extract_excerpts": count})
        ),
        (
            ExtractRequest(urls=["https://a.b/1", "https://a.b/2", "https://a.b/3"]),
            {
                "usage": [
                    {"name": "sku_extract_excerpts", "count": 2},
                    {"name": "sku_extract_full", "count": 2},
                ]
            },
            {"extract": 2},
        ),
        (ExtractRequest(urls=["https://a.b/2"]), {}, {"extract": 1}),
        (
            ExtractRequest(urls=["https://a.b/1", "https://a.b/2"]),
            {"errors": [{"url": "https://a.b/1", "error_type": "fetch_error"}]},
            {"extract": 1},
        ),
    ],
)
async def test_what_a_response_reports_is_what_counts(
    sandbox: Sandbox, request_: Any, body: dict[str, Any], counts: dict[str, int]
) -> None:
    page = {"url": "https://a.b/2", "title": "t", "excerpts": ["x"]}
    sandbox.faults.add(body={"search_id": "s", "results": [page], **body}, times=2)
    make = api.search if isinstance(request_, SearchRequest) else api.extract
    with opened(sandbox) as client:
        client.run(make(request_))
        assert client.usage.counts == counts
        assert client.usage.usd > 0
        client.usage.reset()
        await client.arun(make(request_))
        assert client.usage.counts == counts
        await client.aclose()


async def test_a_response_that_failed_is_not_billed(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    failed = {
        "id": "r",
        "status": "failed",
        "error": {"code": "x", "message": "quota used up"},
        "output": [],
    }
    sandbox.faults.add(body=failed)
    request = RespondRequest(input="q", reasoning_effort="high")
    with pytest.raises(ParallelError, match="quota used up"):
        client.run(api.respond(request))
    event = json.dumps({"type": "response.failed", "response": failed})
    sandbox.faults.add(
        body=f"event: response.failed\ndata: {event}\n\n", content_type="text/event-stream"
    )
    with pytest.raises(ParallelError, match="quota used up"):
        async for _ in client.astream(api.stream_response(request)):
            pass
    assert (client.usage.counts, client.usage.estimated) == ({}, {"response_high": 2})


def test_a_response_that_is_read_after_a_reset_corrects_nothing(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    def read() -> Any:
        response = yield from api.search(SearchRequest(objective="with", max_results=40))
        client.usage.reset()
        return response

    client.run(read())
    assert (client.usage.counts, client.usage.estimated) == ({}, {})


def test_every_step_of_an_operation_is_corrected(sandbox: Sandbox, client: ParallelClient) -> None:
    client.run(search_results("the with statement", max_results=40, include_raw_content=True))
    assert client.usage.usd == sandbox.ledger.usd < client.usage.estimated_usd


async def test_hundreds_of_calls_at_once_cost_what_the_ledger_says() -> None:
    """With faults that are repeated, and with responses that broke off after they were billed."""
    questions = ["with", "nonlocal", "global", "import"]
    task = CreateTaskRunRequest(input="with", processor="lite")
    respond = RespondRequest(input="with", reasoning_effort="low")
    decide = DecideRequest(state="with", questions={"a": Noul(instructions="Is it?")})
    made: list[Callable[[int], Any]] = [
        lambda n: api.search(
            SearchRequest(
                objective=questions[n % 4], max_results=12, mode="fast", max_chars_total=1000
            )
        ),
        lambda n: api.search(
            SearchRequest(objective=questions[n % 4], max_results=3, max_chars_total=1000)
        ),
        lambda n: api.entity_search(
            EntitySearchRequest(
                entity_type="people", objective=questions[n % 4], match_limit=95 + n % 10
            )
        ),
        lambda n: api.extract(ExtractRequest(urls=[PAGE, f"{MISSING}?{n}"], max_chars_total=1000)),
        lambda n: api.create_task_run(task),
        lambda n: api.decide(decide),
        lambda n: api.respond(respond),
        lambda n: api.chat(ChatRequest(messages=TURN)),
    ]
    with Sandbox(task_seconds=0) as sandbox:
        for fault in ({"status": 500}, {"reset": "before"}, {"cut_after_bytes": 9}):
            sandbox.faults.add(path="/v1/search", times=8, **fault)  # type: ignore[arg-type]
        sandbox.faults.add(path="/v1/extract", times=8, status=502)
        sandbox.faults.add(times=40, status=503, retry_after=0)
        sandbox.faults.add(times=40, status=429, retry_after=0)
        client = opened(sandbox, max_retries=9, timeout=50)
        calls = [client.arun(made[n % len(made)](n)) for n in range(400)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        failed = [each for each in ended if isinstance(each, BaseException)]
        await client.aclose()
        assert len(sandbox.requests) > 400
        assert [type(each) for each in failed] == [ConnectionFailedError] * 8, set(map(str, failed))
        assert client.usage.usd == sandbox.ledger.usd
        counts = client.usage.counts
        assert counts["search_fast"] + counts["search"] == sandbox.ledger.count("search") == 100
        assert counts["extract"] == 50
        assert client.usage.estimated["extract"] == 100
        assert counts["task_lite"] == sandbox.ledger.count("task_run") == 50


def test_prices_can_be_set(quick: Sandbox) -> None:
    with opened(quick) as client, opened(quick) as other:
        client.usage.prices["search"] = 1.5
        client.usage.prices["task_lite"] = 0.25
        client.run(api.search(SEARCH))
        client.run(api.create_task_run(CreateTaskRunRequest(input="with", processor="lite")))
        other.run(api.search(SEARCH))
    assert client.usage.usd == 1.75
    assert other.usage.usd == 0.005
    assert PRICES_USD["search"] == 0.005


def test_an_unknown_sku_is_counted_and_costs_nothing(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    client.usage.add({"findall_quantum": 2})
    assert client.usage.counts == {"findall_quantum": 2}
    assert client.usage.usd == 0
    client.usage.prices["findall_quantum"] = 2
    assert client.usage.usd == 4


def test_counts_are_a_copy_and_can_be_reset(sandbox: Sandbox, client: ParallelClient) -> None:
    client.run(api.search(SEARCH))
    client.usage.prices["search"] = 7
    client.usage.counts["search"] = 99
    assert client.usage.counts == {"search": 1}
    client.usage.reset()
    assert (client.usage.counts, client.usage.usd) == ({}, 0)
    client.run(api.search(SEARCH))
    assert client.usage.usd == 7, "the prices stay"


def test_what_the_cache_responses_is_saved_and_not_counted(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with opened(sandbox, cache=tmp_path) as client:
        for _ in range(3):
            client.run(api.search(SearchRequest(objective="with", max_results=12)))
            client.run(api.extract(ExtractRequest(urls=[PAGE])))
    usage = client.usage
    assert usage.counts == {"search": 1, "search_additional_results": 2, "extract": 1}
    assert usage.usd == sandbox.ledger.usd == 0.008
    assert usage.saved == {name: 2 * count for name, count in usage.counts.items()}
    assert usage.saved_usd == 0.016
    usage.reset()
    assert usage.saved == {}


def test_adapters_count_on_the_client_they_share(own: Sandbox) -> None:
    at = connection(own)  # adapters of other tests, which the collector may not have met, share it
    retriever = ParallelSearchRetriever(**at)
    model = ChatParallel(**at)
    retriever.invoke("with")
    model.invoke("with")
    assert retriever.resolved_client().usage is model.resolved_client().usage
    assert model.resolved_client().usage.counts == {"search": 1, "chat_speed": 1}


def test_threads_lose_no_count(sandbox: Sandbox, client: ParallelClient) -> None:
    barrier = threading.Barrier(8)

    def count(_: int) -> None:
        barrier.wait()
        for _ in range(5000):
            client.usage.add({"search": 1, "extract": 2})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    assert client.usage.counts == {"search": 40_000, "extract": 80_000}


def test_a_copy_begins_at_zero_with_the_same_prices(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    client.usage.prices["search"] = 3
    client.run(api.search(SEARCH))
    with copy.deepcopy(client) as twin:
        twin.run(api.search(SEARCH))
        twin.run(api.search(SEARCH))
        assert (client.usage.usd, twin.usage.usd) == (3, 6)
    assert repr(client.usage) == "Usage(counts={'search': 1}, usd=3)"


def test_every_processor_has_a_price() -> None:
    for name in ("lite", "base", "core", "core2x", "pro", "ultra", "ultra2x", "ultra4x", "ultra8x"):
        assert PRICES_USD[task_sku(name)] == PRICES_USD[task_sku(f"{name}-fast")] > 0


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
GROUP = TaskSettings(processor="core")
FIND = CreateFindallRunRequest(
    objective="o",
    entity_type="e",
    match_conditions=[{"name": "n", "description": "d"}],  # type: ignore[list-item]
    generator="core",
    match_limit=20,
)
CHAT = ChatRequest.model_validate({"messages": [{"role": "user", "content": "q"}], "model": "core"})


@pytest.mark.parametrize(
    ("priced", "counts", "usd"),
    [
        (lambda: SearchRequest(objective="o"), {"search": 1}, 0.005),
        (lambda: api.search(SearchRequest(objective="o", mode="turbo")), {"search_fast": 1}, 0.001),
        (
            lambda: api.search(SearchRequest(objective="o", max_results=12)),
            {"search": 1, "search_additional_results": 2},
            0.007,
        ),
        (
            lambda: api.extract(ExtractRequest(urls=["https://a.b/1", "https://a.b/2"])),
            {"extract": 2},
            0.002,
        ),
        (lambda: api.chat(CHAT), {"chat_core": 1}, 0.025),
        (lambda: api.stream_chat(CHAT), {"chat_core": 1}, 0.025),
        (
            lambda: api.run_task(CreateTaskRunRequest(input="i", processor="pro-fast")),
            {"task_pro": 1},
            0.1,
        ),
        (lambda: api.stream_task(CreateTaskRunRequest(input="i")), {"task_base": 1}, 0.01),
        (lambda: api.run_task_group(["a", "b", "c"], GROUP), {"task_core": 3}, 0.075),
        (lambda: api.create_task_group(), {}, 0.0),
        (lambda: api.ingest_findall(IngestFindallRequest(objective="o")), {}, 0.0),
        (lambda: FIND, {"findall_core": 1, "findall_core_match": 20}, 5.0),
        (lambda: api.run_findall(FIND), {"findall_core": 1, "findall_core_match": 20}, 5.0),
        (
            lambda: api.run_findall(
                FIND, enrich=EnrichFindallRequest(output_schema=SCHEMA, processor="base")
            ),
            {"findall_core": 1, "findall_core_match": 20, "task_base": 20},
            5.2,
        ),
        (
            lambda: find_all(FindAllRequest(objective="o", generator="base", match_limit=50), 60),
            {"findall_base": 1, "findall_base_match": 50},
            1.75,
        ),
        (lambda: api.retrieve_task_run("trun_1"), {}, 0.0),
    ],
)
def test_a_price_is_known_before_anything_is_sent(
    sandbox: Sandbox, client: ParallelClient, priced: Any, counts: dict[str, int], usd: float
) -> None:
    estimate = client.estimate(priced())
    assert (estimate.counts, estimate.usd) == (counts, usd)
    assert client.usage.counts == {}
    assert sandbox.requests == []


AT_ONCE = (
    *("search", "chat", "respond", "decide", "entity_search", "create_task_run"),
    *("stream_chat", "stream_response", "create_monitor"),
)
"""Operations whose bill is due with their response."""
OF_A_RUN = ("extend_findall", "enrich_findall")
"""Operations whose price depends on a run that only the API knows."""


@pytest.mark.parametrize("name", sorted({*EXAMPLES, "stream_chat", "stream_response"}))
def test_every_operation_is_estimated(quick: Sandbox, name: str) -> None:
    more = {
        "stream_chat": lambda: api.stream_chat(CHAT),
        "stream_response": lambda: api.stream_response(RESPOND),
    }
    operation = {**EXAMPLES, **more}[name]()
    with opened(quick) as client:
        if name in OF_A_RUN:
            with pytest.raises(ValueError, match=r"billed by|for each match"):
                client.estimate(operation)
            return
        estimate = client.estimate(operation)
        assert set(estimate.counts) <= set(PRICES_USD)
        if name not in AT_ONCE:
            dear = {"extract", "add_task_group_runs", "create_findall_run", "trigger_monitor"}
            assert bool(estimate.usd) == (name in dear)
            return
        list(client.stream(operation)) if name.startswith("stream") else client.run(operation)
        assert client.usage.usd == estimate.usd == quick.ledger.usd > 0


def test_an_estimate_is_made_at_the_prices_of_the_client(client: ParallelClient) -> None:
    operation = api.search(SearchRequest(objective="What is a closure?"))
    client.usage.prices["search"] = 0.004
    estimate = client.estimate(operation, SearchRequest(objective="o"))
    assert (estimate.counts, estimate.usd) == ({"search": 2}, 0.008)
    assert client.run(operation).results  # an estimate does not carry it out
    assert client.usage.counts == {"search": 1}


def test_an_estimate_without_a_price_says_so(
    client: ParallelClient, caplog: pytest.LogCaptureFixture
) -> None:
    request = CreateTaskRunRequest(input="x", processor="new")
    assert client.estimate(request).usd == 0
    assert "no price is known for task_new" in caplog.text
    caplog.clear()
    client.usage.prices["task_new"] = 0.5
    assert client.estimate(request).usd == 0.5
    assert not caplog.text


def test_what_a_client_cannot_know_is_no_estimate(client: ParallelClient) -> None:
    extend = api.extend_findall("findall_1", ExtendFindallRequest(additional_match_limit=3))
    with pytest.raises(ValueError, match="3 more matches are billed by the generator of the run"):
        client.estimate(extend)
    extend = api.extend_findall("findall_1", ExtendFindallRequest(additional_match_limit=1))
    with pytest.raises(ValueError, match="1 more match is billed by the generator of the run"):
        client.estimate(extend)
    enrich = EnrichFindallRequest(output_schema=SCHEMA, processor="base")
    with pytest.raises(ValueError, match="processor='base' for each match"):
        client.estimate(api.enrich_findall("findall_1", enrich))
    begun = api.search(SearchRequest(objective="o"))
    next(begun)
    with pytest.raises(ValueError, match="has begun"):
        client.estimate(begun)
    with pytest.raises(TypeError, match="this is a str"):
        client.estimate("What is a closure?")  # type: ignore[arg-type]


def test_what_a_route_carries_for_nothing_is_estimated_so() -> None:
    estimate = ParallelClient(route=SearchMcp()).estimate(SearchRequest(objective="o"))
    assert (estimate.counts, estimate.usd) == ({"search_free": 1}, 0.0)
