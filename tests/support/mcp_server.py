"""A search server built with the official MCP SDK, as the vendor's hosted one is used."""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import uvicorn
from mcp.server.fastmcp import FastMCP
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

PAGE = "https://example.com/closures"
Calls = list[tuple[str, dict[str, Any]]]


class Page(BaseModel):
    """A page as the tools' output schema has it."""

    url: str
    title: str | None = None
    publish_date: str | None = None
    excerpts: list[str] = []


class Found(BaseModel):
    """The structured output of both tools."""

    search_id: str = "search_1"
    results: list[Page]
    usage: list[dict[str, Any]] = []


@dataclass
class McpServer:
    """Serves `web_search` and `web_fetch` over streamable HTTP on loopback.

    Args:
        stateless: Whether it works without sessions.
        json_response: Whether it responds with JSON instead of an event stream.

    Attributes:
        calls: The calls of its tools, by name, with their arguments.
        headers: The headers of each request.
        fail: Raised by the tools, where given.
    """

    stateless: bool
    json_response: bool
    calls: Calls = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    fail: Exception | None = None

    def __enter__(self) -> Self:
        server = FastMCP("search", stateless_http=self.stateless, json_response=self.json_response)

        def web_search(
            objective: str,
            search_queries: list[str],
            session_id: str | None = None,
            model_name: str | None = None,
        ) -> Found:
            self._called("web_search", locals())
            pages = [Page(url=f"{PAGE}/{number}", excerpts=[objective]) for number in range(10)]
            return Found(results=pages, usage=[{"name": "sku_search", "count": 1}])

        def web_fetch(
            urls: list[str],
            objective: str | None = None,
            search_queries: list[str] | None = None,
            full_content: bool = False,
            session_id: str | None = None,
            model_name: str | None = None,
        ) -> Found:
            self._called("web_fetch", locals())
            return Found(results=[Page(url=url, title="T", excerpts=["text"]) for url in urls])

        for tool in (web_search, web_fetch):
            server.tool()(tool)
        config = uvicorn.Config(
            self._recording(server.streamable_http_app()),
            host="127.0.0.1",
            port=0,
            ws="none",
            log_config=None,
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=(self._server.serve(),))
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            threading.Event().wait(0.005)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def url(self) -> str:
        """The address of its one endpoint."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/mcp"

    def clear(self) -> None:
        """Forget what was called."""
        self.calls.clear()
        self.headers.clear()
        self.fail = None

    def end_session(self) -> None:
        """End the session that the last request was of, as a server does that restarts."""
        name = self.headers[-1]["mcp-session-id"]
        httpx.delete(self.url, headers={"mcp-session-id": name}, trust_env=False).raise_for_status()

    def _called(self, name: str, arguments: dict[str, Any]) -> None:
        given = {key: value for key, value in arguments.items() if key != "self"}
        self.calls.append((name, {k: v for k, v in given.items() if v is not None}))
        if self.fail is not None:
            raise self.fail

    def _recording(self, app: ASGIApp) -> ASGIApp:
        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                self.headers.append(headers)
            await app(scope, receive, send)

        return recording
