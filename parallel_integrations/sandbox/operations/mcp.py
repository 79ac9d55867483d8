"""MCP server: ``/mcp`` with the tools ``web_search`` and ``web_fetch``, with no account needed."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from parallel_integrations.sandbox.operations.extract import ExtractInput, extracted
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result, has_no_key
from parallel_integrations.sandbox.operations.search import SearchInput, find, result
from parallel_integrations.sandbox.operations.shared import Loose, Objective, Queries
from parallel_integrations.sandbox.server.responses import RequestError, invalid, parse
from parallel_integrations.sandbox.state.ledger import (
    EXTRACT_USD,
    INCLUDED_RESULTS,
    Entry,
    search_usd,
)
from parallel_integrations.sandbox.state.waiting import SEARCH_SECONDS

PROTOCOL_VERSION = "2025-06-18"
SESSION_HEADER = "mcp-session-id"
CHARS_PER_RESULT = 2500
CHARS_TOTAL = 25_000
INVALID_PARAMS, METHOD_NOT_FOUND = -32602, -32601

Label = Annotated[str, StringConstraints(max_length=100)]


class Message(Loose):
    """A JSON-RPC request, or with no id a notification."""

    id: int | str | None = None
    method: str
    params: dict[str, Any] = {}


class ToolParams(Loose):
    """``params`` of ``tools/call``."""

    name: str
    arguments: dict[str, Any] = {}


class SearchArguments(Loose):
    """Arguments of ``web_search``; others are ignored."""

    objective: Objective
    search_queries: Queries
    session_id: Label | None = None
    model_name: Label | None = None


class FetchArguments(Loose):
    """Arguments of ``web_fetch``; others are ignored."""

    urls: Annotated[list[str], Field(min_length=1, max_length=20)]
    objective: Objective | None = None
    search_queries: Queries | None = None
    full_content: bool = False
    session_id: Label | None = None
    model_name: Label | None = None


_TOOLS: Mapping[str, tuple[type[Loose], str]] = {
    "web_search": (SearchArguments, "Search the web."),
    "web_fetch": (FetchArguments, "Read web pages as markdown."),
}


async def post(call: Call) -> Result:
    """Handle ``POST /mcp``."""
    message = call.parse(Message)
    sessions = call.state.mcp_sessions
    if message.method == "initialize":
        session = call.state.ids.next("mcp")
        sessions.add(session)
        opened = {
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "parallel-search-sandbox", "version": "1"},
        }
        return _responded(message, opened, headers={SESSION_HEADER: session})
    _check_session(call)
    if message.id is None:
        return Result(status=202)
    match message.method:
        case "ping":
            return _responded(message, {})
        case "tools/list":
            return _responded(message, {"tools": [_description(name) for name in _TOOLS]})
        case "tools/call":
            return await _tool_called(call, message)
    return _refused(message, METHOD_NOT_FOUND, f"Method not found: {message.method}")


async def delete(call: Call) -> Result:
    """Handle ``DELETE /mcp``: end the session."""
    call.state.mcp_sessions.discard(_check_session(call))
    return Result(status=204)


def _check_session(call: Call) -> str:
    session = call.request.headers.get(SESSION_HEADER, "")
    if session not in call.state.mcp_sessions:
        raise RequestError(404 if session else 400, "Session not found: initialize first")
    return session


async def _tool_called(call: Call, message: Message) -> Result:
    try:
        tool = parse(ToolParams, _bytes(message.params))
        if tool.name not in _TOOLS:
            raise invalid("name", f"Unknown tool: {tool.name}")
        kind, _ = _TOOLS[tool.name]
        arguments = parse(kind, _bytes(tool.arguments))
    except RequestError as error:
        found = error.problems[0]
        where = ".".join(map(str, found["loc"][1:]))
        return _refused(message, INVALID_PARAMS, f"Invalid arguments: {where}: {found['msg']}")
    bill: Entry | None
    if isinstance(arguments, SearchArguments):
        body, bill = await _search(call, arguments)
    else:
        assert isinstance(arguments, FetchArguments)  # noqa: S101 - the tools are these two
        body, bill = await _fetch(call, arguments)
    content = [{"type": "text", "text": _text(body)}]
    found = {"content": content, "structuredContent": body, "isError": False}
    responded = _responded(message, found, bill)
    if "text/event-stream" not in call.request.headers.get("accept", ""):
        return responded
    return Result(events=_event(responded.body), bill=bill)


async def _search(call: Call, arguments: SearchArguments) -> tuple[dict[str, Any], Entry]:
    # Without a key the mode in the address is ignored, as everything else that costs something.
    anonymous = has_no_key(call.request)
    wanted = "" if anonymous else call.request.query_params.get("mode", "")
    mode = wanted if wanted in SEARCH_SECONDS else "advanced"
    await call.pause(call.state.waiting.search_seconds(mode))
    given = SearchInput(
        texts=[*arguments.search_queries, arguments.objective],
        mode=mode,
        max_results=INCLUDED_RESULTS,
        chars_per_result=CHARS_PER_RESULT,
        chars_total=CHARS_TOTAL,
        policy=None,
        location=None,
    )
    body = {
        "search_id": call.state.ids.next("search"),
        "results": [result(found) for found in find(call.state, given)],
        "usage": [{"name": "sku_search", "count": 1}],
    }
    usd = 0.0 if anonymous else search_usd(mode, INCLUDED_RESULTS)
    return body, Entry("search", usd, "anonymous" if anonymous else mode)


async def _fetch(call: Call, arguments: FetchArguments) -> tuple[dict[str, Any], Entry | None]:
    given = ExtractInput(
        urls=arguments.urls,
        texts=[*(arguments.search_queries or []), arguments.objective or ""],
        chars_per_result=None,
        chars_total=None if arguments.full_content else CHARS_TOTAL,
        excerpts=True,
        full_content=arguments.full_content,
    )
    anonymous = has_no_key(call.request)
    body = extracted(call.state, given)
    await call.pause(call.state.waiting.extract_seconds)
    count = len(body["results"])
    usd = 0.0 if anonymous else round(EXTRACT_USD * count, 6)
    entry = Entry("extract", usd, "anonymous" if anonymous else "", units=count)
    return body, entry if count else None


def _description(name: str) -> dict[str, Any]:
    arguments, description = _TOOLS[name]
    schema = arguments.model_json_schema()
    return {"name": name, "description": description, "inputSchema": schema}


def _responded(
    message: Message,
    body: Mapping[str, Any],
    bill: Entry | None = None,
    headers: Mapping[str, str] | None = None,
) -> Result:
    response = {"jsonrpc": "2.0", "id": message.id, "result": body}
    return Result(response, bill=bill, headers=headers or {})


def _refused(message: Message, code: int, text: str) -> Result:
    error = {"code": code, "message": text}
    return Result({"jsonrpc": "2.0", "id": message.id, "error": error})


async def _event(message: object) -> AsyncIterator[bytes]:
    yield f"event: message\ndata: {_text(message)}\n\n".encode()


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _bytes(value: object) -> bytes:
    return _text(value).encode()


OPERATIONS = (
    Operation("mcp", "POST", "/mcp", post, bearer=True, anonymous=True),
    Operation("mcp", "DELETE", "/mcp", delete, bearer=True, anonymous=True),
)
