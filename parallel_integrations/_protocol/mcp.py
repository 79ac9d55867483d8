"""The Model Context Protocol over streamable HTTP, as far as calling a tool needs it.

A session is opened (`initialize`, then `notifications/initialized`) and named by a header from then
on; servers without sessions name none. A response is JSON, or an event stream that ends with it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
from pydantic import Field

from parallel_integrations._protocol.error_mapping import unexpected_response
from parallel_integrations._protocol.flow import Send
from parallel_integrations._protocol.sse import EVENT_STREAM, EventDecoder
from parallel_integrations._version import __version__
from parallel_integrations.models.shared import RequestModel

MCP_PATH: Final = "/mcp"
PROTOCOL_VERSION: Final = "2025-06-18"
SESSION_HEADER: Final = "mcp-session-id"
VERSION_HEADER: Final = "mcp-protocol-version"
ACCEPT: Final = ("accept", f"application/json, {EVENT_STREAM}")
OPENING_ID: Final = "initialize"

_VISIBLE: Final = re.compile(r"[!-~]{1,1000}")
_STATUS_OF_CODE: Final = {-32700: 400, -32600: 400, -32601: 404, -32602: 422}
_STATUS: Final = re.compile(r"(?:status|code|http|error)\W{0,3}(?:code\W{0,3})?([45]\d\d)\b", re.I)
_STATUS_OF_WORDS: Final = (
    (re.compile(r"rate.?limit|too many requests|quota", re.I), 429),
    (re.compile(r"unauthori[sz]ed|invalid api key|authentication", re.I), 401),
    (re.compile(r"insufficient credit|payment required", re.I), 402),
)


class RpcMessage(RequestModel):
    """A JSON-RPC request, or with no id a notification."""

    jsonrpc: str = "2.0"
    id: int | str | None = None
    method: str
    params: dict[str, Any] | None = None


class ToolCall(RpcMessage):
    """The call of a tool, and what it carries."""

    carried: RequestModel = Field(exclude=True)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool to call.

    Attributes:
        name: Its name.
        arguments: Its arguments.
        params: Query parameters of the call.
        max_results: How many results are wanted; None: all.
    """

    name: str
    arguments: Mapping[str, Any]
    params: tuple[tuple[str, str], ...] = ()
    max_results: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """An open session.

    Attributes:
        id: The server's name for it; None on a server without sessions.
        version: The protocol version that the server chose.
    """

    id: str | None = None
    version: str = PROTOCOL_VERSION

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every request of the session carries."""
        named = ((SESSION_HEADER, self.id),) if self.id else ()
        return (ACCEPT, (VERSION_HEADER, self.version), *named)


def opening(send: Send) -> Send:
    """The request that opens a session, in the place of another one."""
    params = {
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "parallel-integrations", "version": __version__},
    }
    message = RpcMessage(id=OPENING_ID, method="initialize", params=params)
    return _sending(send, message, (ACCEPT,))


def opened(response: httpx.Response) -> Session | httpx.Response:
    """The session that a server opened, or the error it responded with.

    Raises:
        UnexpectedAnswerError: It is no response to `initialize`.
    """
    result = _result(response, OPENING_ID)
    if isinstance(result, httpx.Response):
        return result
    name = response.headers.get(SESSION_HEADER)
    version = result.get("protocolVersion", PROTOCOL_VERSION)
    for each in (version, name):
        if each is not None and not (isinstance(each, str) and _VISIBLE.fullmatch(each)):
            raise unexpected_response(response, "its session or version is none that HTTP carries")
    return Session(name, version)


def confirmation(send: Send, session: Session) -> Send:
    """The notification that ends the opening."""
    message = RpcMessage(method="notifications/initialized")
    return _sending(send, message, session.headers)


def tool_call(send: Send, session: Session, tool: Tool, number: int) -> Send:
    """The request that calls a tool, in the place of another one."""
    assert send.request is not None  # noqa: S101 - every tool has arguments
    message = ToolCall(
        id=number,
        method="tools/call",
        params={"name": tool.name, "arguments": dict(tool.arguments)},
        carried=send.request,
    )
    return replace(_sending(send, message, session.headers), params=tool.params)


def is_session_lost(response: httpx.Response, session: Session) -> bool:
    """Whether a session has ended, so that another must be opened; nothing was done then."""
    if session.id is None or response.status_code not in (400, 404):
        return False
    return response.status_code == 404 or b"session" in response.content[:1000].lower()


def tool_response(response: httpx.Response, number: int, tool: Tool) -> httpx.Response:
    """What the API itself would have responded, from the response to a tool's call.

    Raises:
        UnexpectedAnswerError: There is no result in it, or none that is an object.
    """
    result = _result(response, number)
    if isinstance(result, httpx.Response):
        return result
    texts = [
        each["text"]
        for each in _listed(result.get("content"))
        if isinstance(each, dict) and isinstance(each.get("text"), str)
    ]
    if result.get("isError"):
        text = "\n".join(texts) or "the tool failed and does not say why"
        return _error(response, _status_named(text), text)
    body = _object(result.get("structuredContent"))
    for text in texts:
        body = body or _object(text)
    if body is None:
        raise unexpected_response(response, "its tool result holds no JSON object")
    if tool.max_results is not None and isinstance(body.get("results"), list):
        body["results"] = body["results"][: tool.max_results]
    return _made(response, 200, body)


def _sending(send: Send, message: RpcMessage, headers: tuple[tuple[str, str], ...]) -> Send:
    return replace(send, method="POST", path=MCP_PATH, request=message, headers=headers, keep=None)


def _result(response: httpx.Response, number: int | str) -> dict[str, Any] | httpx.Response:
    """The result of a request, or the error that came instead of it as the API's own."""
    if not response.is_success:
        return response
    for message in _messages(response):
        if "error" in message and message.get("id") in (number, None):
            error = message["error"] if isinstance(message["error"], dict) else {}
            text = str(error.get("message") or "no message")
            status = _STATUS_OF_CODE.get(error.get("code", 0)) or _status_named(text, 500)
            return _error(response, status, text, error.get("data"))
        if message.get("id") == number and isinstance(message.get("result"), dict):
            found: dict[str, Any] = message["result"]
            return found
    raise unexpected_response(response, "it holds no response to the request")


def _messages(response: httpx.Response) -> Iterator[dict[str, Any]]:
    texts: list[str | bytes]
    if response.headers.get("content-type", "").lower().startswith(EVENT_STREAM):
        events = EventDecoder()
        texts = [*events.feed_data(response.content), *events.feed_data(b"")]
    else:
        texts = [response.content]
    for text in texts:
        try:
            # Not pydantic's reader: half a surrogate pair must not cost the pages around it.
            read = json.loads(text)
        except (ValueError, RecursionError):
            continue
        yield from (each for each in _listed(read) if isinstance(each, dict))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _object(value: Any) -> dict[str, Any] | None:
    """An object, or the one in a text; some servers wrap it as `{"result": …}`."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, dict) and value.keys() == {"result"}:
        return _object(value["result"])
    return value if isinstance(value, dict) else None


def _status_named(text: str, otherwise: int = 400) -> int:
    """The HTTP status behind a message, which is all that a tool's error has."""
    if found := _STATUS.search(text):
        return int(found[1])
    return next((status for words, status in _STATUS_OF_WORDS if words.search(text)), otherwise)


def _error(response: httpx.Response, status: int, text: str, detail: Any = None) -> httpx.Response:
    return _made(response, status, {"error": {"message": text, "detail": detail}})


def _made(response: httpx.Response, status: int, body: Any) -> httpx.Response:
    kept = {name: response.headers[name] for name in ("retry-after",) if name in response.headers}
    return httpx.Response(
        status,
        headers={"content-type": "application/json", **kept},
        content=json.dumps(body).encode(),
        request=response.request,
    )
