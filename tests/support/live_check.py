"""Runs each operation once on the live API: `python -m tests.support.live_check`.

Needs PARALLEL_API_KEY. Says first what it will cost and asks whether to go on (YES=1 says yes).
FindAll and monitors, the dearer part, are run with FULL=1 only. Every response is read with our
models and, where PARALLEL_OPENAPI names the vendor's document, held against that. Whatever was
started is cancelled, however the check ends. A report that can be attached to an issue is written
to `live-check-report.md` (REPORT names another file). The exit status is 0 where everything keeps
the contract.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

import httpx

from parallel_integrations import (
    ConflictError,
    NotFoundError,
    ParallelClient,
    ParallelError,
    PermissionDeniedError,
    SearchMcp,
    StatusError,
    api,
    models,
)
from parallel_integrations._protocol.search_mcp import SEARCH_MCP_URL
from tests.support.cassettes import PUBLIC_API
from tests.support.contract import (
    ERROR_STATUS,
    UNKNOWN,
    VARIABLE,
    Contract,
    Exchange,
    absent_fields,
    unknown_fields,
)
from tests.support.live_report import ids_in, markdown, shape_of, values_of
from tests.support.operations import STREAMS

KEY_VARIABLE: Final = "PARALLEL_API_KEY"
MCP_VARIABLE: Final = "PARALLEL_MCP_URL"
REPORT: Final = "live-check-report.md"
DEADLINE_SECONDS: Final = 900.0
MATCHES: Final = 5
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"year": {"type": "string", "description": "The year, four digits."}},
    "required": ["year"],
    "additionalProperties": False,
}
OBJECTIVE: Final = "Companies that publish a Python distribution"


class Tape:
    """Keeps what is said, byte for byte. Give `record` to an `httpx.Client` as a response hook."""

    def __init__(self) -> None:
        self._said: list[tuple[httpx.Response, _Taped]] = []

    def record(self, response: httpx.Response) -> None:
        """Listen in on a response whose headers have arrived."""
        response.stream = taped = _Taped(response.stream)
        self._said.append((response, taped))

    def take(self, prefix: str) -> list[Exchange]:
        """What was said since the last time; `prefix` is what stands before the API's paths."""
        said, self._said = self._said, []
        return [_exchange(*each, prefix) for each in said]


class _Taped(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.data = bytearray()
        self.whole = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self.data += chunk
            yield chunk
        self.whole = True

    def close(self) -> None:
        self._stream.close()


def _exchange(response: httpx.Response, taped: _Taped, prefix: str) -> Exchange:
    request = response.request
    try:
        # Once more, because the bytes on the wire may be compressed.
        content = httpx.Response(200, headers=response.headers, content=bytes(taped.data)).content
    except httpx.DecodingError:  # it was cut
        content = b""
    return Exchange(
        method=request.method,
        path=request.url.path.removeprefix(prefix),
        query=tuple(request.url.params.multi_items()),
        body=request.content,
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        response=content,
        whole=taped.whole,
    )


@dataclass
class Row:
    """What became of one operation.

    Attributes:
        name: The operation, with what is special about the call.
        seconds: How long it took.
        status: HTTP status of the last response, or why there is none.
        faults: What breaks the contract; any makes the check fail.
        notes: What differs without breaking it.
        shapes: What the responses look like, without their values.
    """

    name: str
    seconds: float = 0.0
    status: str = ""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return "BROKEN" if self.faults else "differs" if self.notes else "as agreed"


class Asker:
    """Carries operations out, one row of the table each."""

    def __init__(self, client: ParallelClient, tape: Tape, contract: Contract) -> None:
        self.rows: list[Row] = []
        self.ids: dict[str, str] = {}
        self._client = client
        self._tape = tape
        self._contract = contract
        self._prefix = httpx.URL(client.settings.base_url).path.rstrip("/")
        self._last: Exchange | None = None

    def __call__(
        self,
        name: str,
        *args: Any,
        usd: float = 0.0,
        variant: str = "",
        optional: bool = False,
        may_be_over: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Run the operation `name` of the API once; its result, or None where it failed.

        Args:
            name: The operation in `parallel_integrations.api`.
            *args: Its arguments; where one is None, what it needs is missing and it is not tried.
            usd: What it costs.
            variant: What is special about this call.
            optional: Whether an account may be without it.
            may_be_over: Whether what it changes may have ended before.
            **kwargs: Its keyword arguments.
        """
        row = Row(f"{name} {variant}".strip())
        self.rows.append(row)
        if any(each is None for each in args):
            row.status = "not tried"
            row.faults.append("an operation that it depends on failed")
            return None
        began = time.monotonic()
        response: Any = None
        try:
            operation = getattr(api, name)(*args, **kwargs)
            if name in (*STREAMS, "stream_chat", "stream_response"):
                response = list(self._client.stream(operation))
            else:
                response = self._client.run(operation)
        except ParallelError as error:
            if optional and isinstance(error, NotFoundError | PermissionDeniedError):
                row.notes.append("this account does not have it")
            elif may_be_over and isinstance(error, ConflictError):
                row.notes.append("it had ended already")
            else:
                row.faults.append(f"{type(error).__name__}: {error}")
            row.status = str(error.status) if isinstance(error, StatusError) else "no response"
        row.seconds = time.monotonic() - began
        self._look(row, response)
        return response

    def id_of(self, name: str) -> str | None:
        """The id in the last response, also where our models could not read that."""
        try:
            body = json.loads(self._last.response) if self._last else None
        except ValueError:
            return None
        found = body.get(name) if isinstance(body, dict) else None
        return found if isinstance(found, str) else None

    def _look(self, row: Row, response: Any) -> None:
        self._last = None
        for exchange in self._tape.take(self._prefix):
            self._last = exchange
            row.shapes.append(f"{exchange.method} {exchange.status}\n{shape_of(exchange)}")
            for secret, name in ids_in(values_of(exchange)):
                self.ids.setdefault(secret, name)
            row.status = str(exchange.status)
            for fault in self._contract.check(exchange):
                kind = row.notes if fault.rule in (UNKNOWN, ERROR_STATUS) else row.faults
                kind.append(f"{fault.side} {fault.where or 'body'}: {fault.message}")
        if unknown := unknown_fields(response):
            row.notes.append(f"unknown to our models: {', '.join(sorted(unknown))}")
        if absent := absent_fields(response):
            row.notes.append(f"absent: {', '.join(sorted(absent))}")
        row.shapes = list(dict.fromkeys(row.shapes))
        row.faults = list(dict.fromkeys(row.faults))
        row.notes = list(dict.fromkeys(row.notes))


class PriceCounter:
    """Stands in for the `Asker` to find out what the same calls will cost."""

    def __init__(self) -> None:
        self.usd = 0.0

    def __call__(self, name: str, *args: Any, usd: float = 0.0, **kwargs: Any) -> Any:
        self.usd += usd

    def id_of(self, name: str) -> str | None:
        """Nothing was made."""
        return None


Ask: TypeAlias = Asker | PriceCounter
Part: TypeAlias = Callable[[Ask, str, ExitStack], None]


def said(**settings: Any) -> models.ChatRequest:
    """A question to Chat."""
    turn = {"role": "user", "content": "In which year was Python 1.0 released?"}
    return models.ChatRequest(messages=[turn], **settings)


def web(ask: Ask, scope: str, undo: ExitStack) -> None:
    """Search, Extract, Chat, Responses and Decisions."""
    question = "When was Python 1.0 released?"
    ask("search", models.SearchRequest(objective=question), usd=0.005)
    fast = models.SearchRequest(objective=question, mode="fast", max_results=5)
    ask("search", fast, usd=0.001, variant="(fast)")
    pages = ["https://www.python.org/about/", "https://www.python.org/no-such-page"]
    ask("extract", models.ExtractRequest(urls=pages, objective=question), usd=0.002)
    ask("chat", said(), usd=0.005)
    ask("stream_chat", said(), usd=0.005)
    ask("stream_chat", said(model="lite"), usd=0.005, variant="(lite, with basis)")
    low = models.RespondRequest(input=question, reasoning_effort="low")
    ask("respond", low, usd=0.010)
    follow_up = models.RespondRequest(
        input="And Python 2.0?", reasoning_effort="low", previous_response_id=ask.id_of("id")
    )
    decision = models.DecideRequest(
        state=question, questions={"python": models.Noul(instructions="Is it about Python?")}
    )
    ask("decide", decision, usd=0.001, optional=True)
    ask("stream_response", follow_up, usd=0.010, variant="(continued)")


def tasks(ask: Ask, scope: str, undo: ExitStack) -> None:
    """Task runs, task groups and the memory of them."""
    request = models.CreateTaskRunRequest(
        input="In which year was Python 1.0 released?",
        processor="lite",
        output_schema=SCHEMA,
        enable_events=True,
        metadata={"purpose": "live check"},
        memory_scope_key=scope,
    )
    ask("create_task_run", request, usd=0.005)
    run_id = ask.id_of("run_id")
    ask("retrieve_task_run", run_id)
    ask("retrieve_task_run_input", run_id)
    ask("task_run_events", run_id)
    ask("wait_task_run", run_id, deadline_seconds=DEADLINE_SECONDS)

    ask("create_task_group", models.CreateTaskGroupRequest(metadata={"purpose": "live check"}))
    group_id = ask.id_of("taskgroup_id")
    inputs = [
        models.CreateTaskRunRequest(input=f"When was Python {one} released?", processor="lite")
        for one in ("2.0", "3.0")
    ]
    runs = models.AddTaskGroupRunsRequest(inputs=inputs, output_schema="The year.")
    added = ask("add_task_group_runs", group_id, runs, usd=0.010)
    ask("task_group_events", group_id)
    ask("task_group_runs", group_id, include_input=True, include_output=True)
    ask("retrieve_task_group", group_id)
    ask("retrieve_task_group_run", group_id, next(iter(added.run_ids), None) if added else None)

    # Memory is being rolled out, so an account may be without it. The scope is the check's own:
    # nobody's memories are touched.
    query = models.RetrieveMemoryRequest(query="Python", limit=5, memory_scope_key=scope)
    ask("retrieve_memory", query, optional=True)
    gone = (
        models.EvictMemoryRequest(kind="task", id=run_id, memory_scope_key=scope)
        if run_id
        else None
    )
    ask("evict_memory", gone, optional=True)
    ask("clear_memory", models.ClearMemoryRequest(memory_scope_key=scope), optional=True)

    entities = models.EntitySearchRequest(
        entity_type="companies", objective=OBJECTIVE, match_limit=MATCHES
    )
    ask("entity_search", entities, usd=0.005)

    wanted = models.SuggestTaskRequest(user_intent="founding year and headquarters")
    suggested = ask("suggest_task", wanted, optional=True)
    schema = (suggested.output_schema if suggested else None) or SCHEMA
    task = models.SuggestProcessorRequest(output_schema=schema)
    ask("suggest_processor", task, optional=True)


def findall(ask: Ask, scope: str, undo: ExitStack) -> None:
    """FindAll, on the cheapest generator that can be enriched, extended and cancelled."""
    ask("ingest_findall", models.IngestFindallRequest(objective=OBJECTIVE))
    request = models.CreateFindallRunRequest(
        objective=OBJECTIVE,
        entity_type="companies",
        match_conditions=[
            {"name": "distribution", "description": "The company publishes a Python distribution."}
        ],
        generator="base",
        match_limit=MATCHES,
        metadata={"purpose": "live check"},
        memory_scope_key=scope,
    )
    ask("create_findall_run", request, usd=0.25 + MATCHES * 0.03)
    findall_id = ask.id_of("findall_id")
    if findall_id:
        undo.callback(ask, "cancel_findall", findall_id, may_be_over=True)
    ask("retrieve_findall_run", findall_id)
    ask("findall_events", findall_id, timeout=DEADLINE_SECONDS)
    ask("findall_result", findall_id)
    enrichment = models.EnrichFindallRequest(output_schema=SCHEMA, processor="lite")
    ask("enrich_findall", findall_id, enrichment, usd=(MATCHES + 1) * 0.005)
    ask(
        "extend_findall",
        findall_id,
        models.ExtendFindallRequest(additional_match_limit=1),
        usd=0.03,
    )
    ask("findall_schema", findall_id)


def monitors(ask: Ask, scope: str, undo: ExitStack) -> None:
    """A monitor; each execution is billed."""
    request = models.CreateMonitorRequest(
        type="event_stream",
        frequency="30d",
        settings=models.EventStreamSettings(query="New releases of Python", include_backfill=True),
        processor="lite",
        metadata={"purpose": "live check"},
        memory_scope_key=scope,
    )
    ask("create_monitor", request, usd=0.003)
    monitor_id = ask.id_of("monitor_id")
    if monitor_id:
        undo.callback(ask, "cancel_monitor", monitor_id)
    ask("retrieve_monitor", monitor_id)
    ask("list_monitors", limit=1)
    ask("update_monitor", monitor_id, models.UpdateMonitorRequest(frequency="4w"))
    ask("trigger_monitor", monitor_id, usd=0.003)
    ask("monitor_events", monitor_id, include_completions=True)


def without_account(ask: Ask, scope: str, undo: ExitStack) -> None:
    """Search and extract over the hosted MCP server, which need no key."""
    session = str(uuid4())
    query = models.SearchRequest(objective="When was Python 1.0 released?", session_id=session)
    ask("search", query, variant="(MCP, no key)")
    page = models.ExtractRequest(urls=["https://www.python.org/about/"], session_id=session)
    ask("extract", page, variant="(MCP, no key)")


CHEAP: Final[dict[str, Part]] = {
    "Search, Extract, Chat, Responses, Decisions": web,
    "tasks, groups, memory, entities": tasks,
}
DEAR: Final[dict[str, Part]] = {"FindAll": findall, "a monitor": monitors}


def price_usd(part: Part) -> float:
    """What one part costs, by the published prices."""
    counter = PriceCounter()
    with ExitStack() as undo:
        part(counter, "price", undo)
    return counter.usd


def check(
    client: ParallelClient,
    tape: Tape,
    contract: Contract,
    *,
    full: bool,
    keyless: ParallelClient | None = None,
) -> Asker:
    """Run each operation once and clean up.

    Args:
        client: Its HTTP client reports to `tape`.
        tape: What is said.
        contract: What it is held against.
        full: FindAll and monitors, too.
        keyless: A client of the hosted MCP server; None where that is left out.
    """
    ask = Asker(client, tape, contract)
    scope = f"live-check-{uuid4().hex[:12]}"
    try:
        with ExitStack() as undo:
            for part in ({**CHEAP, **DEAR} if full else CHEAP).values():
                part(ask, scope, undo)
            if keyless is not None:
                other = Asker(keyless, Tape(), contract)
                other.rows = ask.rows
                without_account(other, scope, undo)
    except KeyboardInterrupt:
        ask.rows.append(Row("interrupted", faults=["what was left was not tried"]))
    return ask


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows as lines, each with what differed below it."""
    width = max(len(row.name) for row in rows)
    yield f"{'operation':{width}}  seconds  status     verdict"
    for row in rows:
        yield f"{row.name:{width}}  {row.seconds:7.2f}  {row.status:9}  {row.verdict}"
        yield from (f"    ! {fault}" for fault in row.faults)
        yield from (f"    - {note}" for note in row.notes)


def _mcp_url(client: ParallelClient) -> str | None:
    """The MCP server beside the API; None where the API is somewhere else and none was named."""
    named = os.environ.get(MCP_VARIABLE, "").strip()
    public = client.settings.base_url == PUBLIC_API
    return named or (SEARCH_MCP_URL if public else None)


def _keyless(url: str) -> ParallelClient:
    """A client without the key, which would be sent, and billed, otherwise."""
    key = os.environ.pop(KEY_VARIABLE)
    try:
        return ParallelClient(route=SearchMcp(url=url))
    finally:
        os.environ[KEY_VARIABLE] = key


def main() -> int:
    """Ask, check, print, report; the exit status."""
    full, sure = (os.environ.get(name, "") not in ("", "0") for name in ("FULL", "YES"))
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        print(f"The live check needs {KEY_VARIABLE}.", file=sys.stderr)
        return 1
    tape = Tape()
    with ExitStack() as opened:
        http = opened.enter_context(httpx.Client(event_hooks={"response": [tape.record]}))
        client = ParallelClient(http_client=http)
        contract = Contract.from_environment()
        mcp_url = _mcp_url(client)
        print(f"Each operation once at {client.settings.base_url}:")
        parts = {**CHEAP, **DEAR} if full else CHEAP
        for name, part in parts.items():
            print(f"{price_usd(part):7.3f} USD  {name}")
        if mcp_url:
            print(f"{0:7.3f} USD  Search and Extract over MCP, without the key")
        usd = sum(map(price_usd, parts.values()))
        print(f"{usd:7.3f} USD  altogether at most, billed to your account")
        for name, part in {} if full else DEAR.items():
            print(f"  left out  {name}: {price_usd(part):.3f} USD more, with FULL=1")
        if not mcp_url:
            print(f"  left out  MCP: {MCP_VARIABLE} names no address beside this one")
        if not sure and input("Go on? [y/N] ").strip().lower() != "y":
            return 1
        names = ", ".join(each.path.name for each in contract.documents)
        names = names or f"no document ({VARIABLE} names none)"
        print(f"Held against our models and {names}.\n")
        keyless = opened.enter_context(_keyless(mcp_url)) if mcp_url else None
        done = check(client, tape, contract, full=full, keyless=keyless)
    for line in table(done.rows):
        print(line.replace(key, "[key]"))  # whatever else was done about it before
    broken = sum(bool(row.faults) for row in done.rows)
    usage = client.usage
    print(f"\n{len(done.rows)} calls, {broken} broken.")
    print(f"{usage.usd:.3f} USD as responses report, {usage.estimated_usd:.3f} by the requests.")
    path = Path(os.environ.get("REPORT") or REPORT)
    secrets = {**done.ids, key: "[key]"}
    path.write_text(markdown(done.rows, client, max_usd=usd, documents=names, secrets=secrets))
    print(f"The report, which holds no key, no id and no content, is in {path}.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
