"""The key is nowhere but on the wire: not in what is shown, logged, pickled, traced or kept.

Each cell of the matrix looks for it in the error, all that hangs on the error, and the log; here is
the rest, while a server repeats the key wherever it can.
"""

import json
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.schema import BaseComponent

from parallel_integrations import (
    ParallelClient,
    ParallelError,
    SearchRequest,
    TaskSettings,
    api,
    langchain,
    llama_index,
)
from parallel_integrations._protocol.error_mapping import status_error
from parallel_integrations._protocol.redaction import scrub_failure
from parallel_integrations.enrichment import enrich
from parallel_integrations.sandbox import Sandbox
from tests.faults import fault_payloads
from tests.faults.calls import Connection
from tests.faults.faulty_api import KEY, FaultyApi, FaultyRequest, Injection, Payload, fast_clock
from tests.faults.langchain_calls import DECISION, HAS_DECISIONS, LANGCHAIN
from tests.faults.llama_index_calls import LLAMA_INDEX
from tests.faults.secrets import Listener, leaks
from tests.faults.test_matrix import LIBRARIES
from tests.support.operations import PAGE_URL, RUN_ID

CASSETTES: Final = Path(__file__).parents[2] / "cassettes"
SEARCH: Final = SearchRequest(search_queries=["with statement exceptions"], max_results=3)
QUESTION: Final = "What is a slot?"

_TOOLS: Final[dict[str, dict[str, Any]]] = {
    "ParallelSearchTool": {"objective": QUESTION},
    "ParallelExtractTool": {"urls": [PAGE_URL]},
    "ParallelTaskRunTool": {"input": QUESTION},
    "ParallelStartResearchTool": {"input": QUESTION},
    "ParallelGetResearchTool": {"run_id": RUN_ID},
    "ParallelFindAllTool": {"objective": QUESTION},
    "ParallelEntitySearchTool": {"objective": QUESTION, "entity_type": "people"},
    "ParallelMemoryTool": {"query": QUESTION},
}
_LOADER: Final = partial(langchain.ParallelExtractLoader, urls=[PAGE_URL])
_EXTRACTOR: Final = partial(llama_index.ParallelExtractor, output_schema="What it is.")

ADAPTERS: Final[dict[str, tuple[Callable[..., Any], str, tuple[Any, ...]]]] = {
    **{name: (getattr(langchain, name), "invoke", (each,)) for name, each in _TOOLS.items()},
    "ChatParallel": (langchain.ChatParallel, "invoke", (QUESTION,)),
    "ParallelSearchRetriever": (langchain.ParallelSearchRetriever, "invoke", (QUESTION,)),
    "ParallelExtractLoader": (_LOADER, "load", ()),
    "ParallelEntityRetriever": (langchain.ParallelEntityRetriever, "invoke", (QUESTION,)),
    "ParallelMonitor": (langchain.ParallelMonitor, "create", (QUESTION,)),
    "ParallelDeepResearch": (langchain.ParallelDeepResearch, "invoke", (QUESTION,)),
    "ParallelToolkit": (langchain.ParallelToolkit, "get_tools", ()),
    "ParallelReader": (llama_index.ParallelReader, "load_data", (QUESTION,)),
    "ParallelExtractReader": (llama_index.ParallelExtractReader, "load_data", ([PAGE_URL],)),
    "ParallelRetriever": (llama_index.ParallelRetriever, "retrieve", (QUESTION,)),
    "ParallelSelector": (llama_index.ParallelSelector, "select", (["one", "other"], QUESTION)),
    "ParallelLLM": (llama_index.ParallelLLM, "complete", (QUESTION,)),
    "ParallelToolSpec": (llama_index.ParallelToolSpec, "parallel_search", (QUESTION,)),
    "ParallelQueryEngine": (llama_index.ParallelQueryEngine, "query", (QUESTION,)),
    "ParallelExtractor": (_EXTRACTOR, "extract", ([],)),
}
"""What each is made by, and the method that is called, with what."""
if HAS_DECISIONS:
    ADAPTERS["ParallelDecisions"] = (langchain.ParallelDecisions, "invoke", (DECISION,))


@pytest.fixture
def server() -> Iterator[FaultyApi]:
    """A healthy API."""
    with FaultyApi() as server:
        yield server


def _echo(request: FaultyRequest) -> None:
    """Respond rightly, but repeat the key in it."""
    body = {**json.loads(request.response.body or b"{}"), "you_said": f"x-api-key: {request.key}"}
    request.talk.respond(json.dumps(body).encode())


PAYLOADS: Final[dict[str, Payload]] = {
    "nothing": _echo,
    "an error": fault_payloads.status(403),
    "a page": fault_payloads.html(200),
    "no HTTP": fault_payloads.no_http,
}


@pytest.mark.parametrize("what", PAYLOADS)
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_shows_no_key_whatever_happened_to_it(
    name: str, what: str, server: FaultyApi, caplog: pytest.LogCaptureFixture
) -> None:
    make, method, inputs = ADAPTERS[name]
    adapter = make(api_key=KEY, base_url=server.url, max_retries=0)
    server.begin(Injection(lambda _: True, PAYLOADS[what]))
    came: Any = None
    with caplog.at_level(logging.DEBUG):
        try:
            came = getattr(adapter, method)(*inputs)
        except Exception as error:  # noqa: BLE001 - the matrix says which it must be
            came = error
    ours = [line for line in caplog.records if not line.name.startswith("httpcore")]
    events = [repr(vars(line)) for line in ours] if what == "no HTTP" else caplog.text
    assert KEY not in "".join(events)
    shown = {
        "str": str(adapter),
        "repr": repr(adapter),
        "vars": repr(vars(adapter)),
        "pickle": _pickled(adapter),
        "dumps": dumps(adapter) + repr(dumpd(adapter)),
    }
    if isinstance(adapter, BaseComponent):
        shown["to_dict"] = repr(adapter.to_dict()) + adapter.to_json()
    if hasattr(adapter, "model_dump_json"):
        with suppress(ValueError):  # some hold what JSON cannot express
            shown["model_dump_json"] = adapter.model_dump_json()
        shown["model_dump"] = repr(adapter.model_dump())
    assert not [where for where, text in shown.items() if KEY in text]
    if what != "nothing" and isinstance(came, BaseException):
        assert not leaks(came, KEY)


def _pickled(adapter: Any) -> str:
    try:
        return pickle.dumps(adapter).decode("latin-1")
    except (AttributeError, TypeError, pickle.PicklingError):  # some frameworks' classes cannot be
        return ""


class _Tracer(BaseCallbackHandler):
    """Keeps all that LangChain reports to its tracers."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def keep(*args: Any, **kwargs: Any) -> None:
            self.events.append(repr((name, args, kwargs)))
            for value in (*args, *kwargs.values()):
                if isinstance(value, BaseException):
                    self.events.extend(leaks(value, KEY) and [KEY])

        return keep


@pytest.mark.parametrize("what", ["nothing", "an error"])
def test_tracers_of_langchain_are_reported_no_key(server: FaultyApi, what: str) -> None:
    tracer = _Tracer()
    config: Any = {"callbacks": [tracer]}
    settings: dict[str, Any] = {"api_key": KEY, "base_url": server.url, "max_retries": 0}
    error = fault_payloads.status(403)
    server.begin(Injection(lambda _: True, error) if what == "an error" else None)
    for runnable, inputs in (
        (langchain.ChatParallel(**settings, extra_headers={"x-mine": KEY}), QUESTION),
        (langchain.ParallelSearchRetriever(**settings), QUESTION),
        (langchain.ParallelSearchTool(**settings), {"objective": QUESTION}),
        (langchain.ParallelTaskRunTool(**settings), {"input": QUESTION}),
        (langchain.ParallelDeepResearch(**settings), QUESTION),
    ):
        with suppress(ParallelError):
            runnable.invoke(inputs, config)  # type: ignore[arg-type]
    assert tracer.events
    assert KEY not in "".join(tracer.events)


class _Events(BaseEventHandler):
    """Keeps all that LlamaIndex reports to its instrumentation."""

    events: list[str] = []

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.events.append(repr(event) + event.model_dump_json(fallback=repr))


@pytest.mark.parametrize("what", ["nothing", "an error"])
def test_instrumentation_of_llama_index_is_reported_no_key(server: FaultyApi, what: str) -> None:
    dispatcher: Any = get_dispatcher()
    events = _Events()
    dispatcher.add_event_handler(events)
    settings: dict[str, Any] = {"api_key": KEY, "base_url": server.url, "max_retries": 0}
    server.begin(
        Injection(lambda _: True, fault_payloads.status(403)) if what == "an error" else None
    )
    try:
        for call in (
            lambda: llama_index.ParallelLLM(**settings).complete(QUESTION),
            lambda: list(llama_index.ParallelLLM(**settings).stream_complete(QUESTION)),
            lambda: llama_index.ParallelRetriever(**settings).retrieve(QUESTION),
            lambda: llama_index.ParallelReader(**settings).load_data(QUESTION),
            lambda: llama_index.ParallelQueryEngine(**settings).query(QUESTION),
        ):
            with suppress(ParallelError):
                call()
    finally:
        dispatcher.event_handlers.remove(events)
    assert events.events
    assert KEY not in "".join(events.events)


async def test_every_call_in_good_health_logs_no_key(server: FaultyApi) -> None:
    """At DEBUG, of all loggers, the HTTP libraries' included."""
    listener, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        async with ParallelClient(api_key=KEY, base_url=server.url) as client:
            settings = {"api_key": KEY, "base_url": server.url}
            connection = Connection(client, settings, deadline_seconds=5)
            for call in (call for calls in LIBRARIES.values() for call in calls):
                if call.arun is not None:
                    await call.arun(connection)
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    logged = listener.take()
    assert {name.partition(".")[0] for name, _ in logged} >= {"httpcore", "parallel_integrations"}
    assert not [line for _, line in logged if KEY in line]


def test_no_cassette_holds_a_key() -> None:
    files = list(CASSETTES.rglob("*.yaml"))
    assert files
    for path in files:
        text = path.read_text("utf-8").lower()
        for word in (KEY.lower(), "sandbox-key", "x-api-key", "authorization"):
            assert word not in text, path


@pytest.mark.parametrize(
    "payload", [None, _echo, fault_payloads.status(403)], ids=["response", "echo", "error"]
)
async def test_no_cache_holds_a_key(
    server: FaultyApi, tmp_path: Path, payload: Payload | None
) -> None:
    pytest.importorskip("parallel_integrations._transport.cache")
    server.begin(Injection(lambda _: True, payload) if payload else None)
    async with ParallelClient(
        api_key=KEY, base_url=server.url, max_retries=0, cache=str(tmp_path)
    ) as client:
        for _ in range(2):
            with suppress(ParallelError):
                client.run(api.search(SEARCH))
            with suppress(ParallelError):
                await client.arun(api.search(SEARCH))
    if payload is None:
        assert len(server.received) == 1, "nothing was kept"
    assert not _files_with(KEY, tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"path": "/v1/tasks/groups/*", "method": "POST", "status": 403, "echo_key": True},
        {"path": "/v1/tasks/groups/*", "method": "GET", "status": 500, "echo_key": True},
        {"path": "/v1/tasks/groups/*", "cut_after_events": 1, "error_event": True},
    ],
    ids=["result", "refused", "broken", "cut"],
)
def test_no_journal_holds_a_key(
    tmp_path: Path, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"statement": "with"}, {"statement": "global", "sandbox": "fail"}]
    settings = TaskSettings(processor="lite", output_schema="What it does.")
    with (
        fast_clock(monkeypatch),
        Sandbox(api_key=KEY, task_seconds=0.05) as sandbox,
        ParallelClient(api_key=KEY, base_url=sandbox.url, max_retries=0) as client,
    ):
        if fault:
            sandbox.faults.add(**fault)
        journal = tmp_path / "rows.journal"
        for _ in range(2):
            with suppress(ParallelError):
                list(client.stream(enrich(rows, settings, journal=journal, server=sandbox.url)))
    assert list(tmp_path.iterdir()), "nothing was kept"
    assert not _files_with(KEY, tmp_path)


def _files_with(key: str, folder: Path) -> list[str]:
    wanted = key.encode(), json.dumps(key).replace("/", "\\/").strip('"').encode()
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if any(word in path.read_bytes() for word in wanted)]


def test_a_failure_of_the_transport_keeps_the_address_and_nothing_else() -> None:
    """Error trackers follow causes and print what hangs on them."""
    request = httpx.Request(
        "POST", "https://api.example/v1/search", headers={"x-api-key": KEY}, content=b"{}"
    )
    failure = httpx.ReadError(f"gone, {KEY}", request=request)
    scrub_failure(failure)
    assert not leaks(failure, KEY)
    assert (failure.request.method, failure.request.url) == (request.method, request.url)
    assert request.headers["x-api-key"] == KEY, "it may yet be sent again"


@pytest.mark.parametrize("key", ['a"quoted\\key/0123', "a-plain-key", KEY])
@pytest.mark.parametrize("escape", ["", "/", "k"])
def test_a_key_is_found_however_json_writes_it(key: str, escape: str) -> None:
    logged = {"error": {"message": f"wrong key {key}", "detail": {key: [key, {"deep": key}]}}}
    text = json.dumps(logged)
    if escape == "/":
        text = text.replace("/", "\\/")
    elif escape:
        text = text.replace(escape, f"\\u{ord(escape):04x}")
    request = httpx.Request("POST", "https://api.example/v1/search", headers={"x-api-key": key})
    error = status_error(httpx.Response(403, content=text.encode(), request=request))
    assert not leaks(error, key)
    assert "wrong key [hidden]" in error.message
    assert json.loads(json.dumps(error.detail))["[hidden]"][1] == {"deep": "[hidden]"}


def test_the_lists_are_complete() -> None:
    """A class that calls the API is in the matrix, and its twin list here."""
    named = {call.name.partition(".")[0].partition(" ")[0] for call in (*LANGCHAIN, *LLAMA_INDEX)}
    assert named | {"ParallelToolkit"} == set(ADAPTERS)
