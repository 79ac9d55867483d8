"""Requests as calls of an MCP server's tools, in a session that all calls of a client share."""

import asyncio
import os
from collections.abc import Generator
from itertools import count
from typing import Any, Final

import httpx

from parallel_integrations._protocol.flow import Send, Step, Wait, relay
from parallel_integrations._protocol.mcp import (
    Session,
    confirmation,
    is_session_lost,
    opened,
    opening,
    tool_call,
    tool_response,
)
from parallel_integrations._protocol.search_mcp import SearchMcp
from parallel_integrations._transport.call_state import CallState
from parallel_integrations._transport.in_flight import (
    InFlightRequest,
    InFlightRequests,
    PartOfCall,
)

OPENING: Final = "opening"


class McpSessions:
    """The session of one client with an MCP server: opened by its first call, shared by all.

    Args:
        route: Knows which tool carries what.
        has_key: Whether the client has a key.
    """

    def __init__(self, route: SearchMcp, *, has_key: bool) -> None:
        self.route = route
        self.has_key = has_key
        self.opening = InFlightRequests()
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self.session: Session | None = None
        self.numbers = count(1)

    def around(
        self, call: CallState, operation: Any, loop: asyncio.AbstractEventLoop | None = None
    ) -> Generator[Step, Any, Any]:
        """The same operation, whose requests become calls of tools; as with a cache otherwise."""
        # A child would number its requests as its parent does, in the same session.
        if self._process != os.getpid():
            self._forget()
        return relay(operation, _ToolCalls(self, call, loop).handle)


class _ToolCalls(PartOfCall[McpSessions]):
    """Makes a call's requests calls of tools."""

    def handle(self, step: Step) -> Generator[Any, Any, Any]:
        """Take one step of the operation: its request as the call of a tool."""
        if not isinstance(step, Send):
            return (yield step)
        sessions = self._shared
        tool = sessions.route.tool(step.path, step.request, has_key=sessions.has_key)
        step = yield from self.paused(step)
        lost: Session | None = None
        while True:
            session = sessions.session
            if session is None or session is lost:
                found = yield from self._shared_session(step)
                if isinstance(found, httpx.Response):
                    return found  # an error: the operation decides on repeating
                session = found
            number = next(sessions.numbers)
            response: httpx.Response = yield tool_call(step, session, tool, number)
            # A server without the session does nothing at all, so nothing is paid twice.
            if lost is not None or not is_session_lost(response, session):
                return tool_response(response, number, tool)
            lost = session

    def _shared_session(self, send: Send) -> Generator[Any, Any, Session | httpx.Response]:
        """A new session; calls that need one at the same time open it once."""
        first = opening(send)
        own = InFlightRequest(OPENING, self._loop)
        while True:
            try:
                found = self._shared.opening.join(own, None)
                if found is own:
                    return (yield from self._opened(first, send, own))
            finally:
                self._shared.opening.end(own)
            request = self._call.request(first)
            if not (yield Wait(found.outcome, self._call.seconds_left())):
                raise httpx.ReadTimeout("another call was opening the session: no response came")
            outcome = found.outcome.result()
            if outcome is not None:
                return self.received(outcome, request)
            if self._shared.session is not None:
                return self._shared.session
            own = InFlightRequest(OPENING, self._loop)

    def _opened(
        self, first: Send, send: Send, own: InFlightRequest
    ) -> Generator[Any, Any, Session | httpx.Response]:
        try:
            response: httpx.Response = yield first
            session = opened(response)
            if isinstance(session, Session):
                response = yield confirmation(send, session)
                if response.is_success:
                    self._shared.session = session
                    return session
        except httpx.HTTPError as failure:
            own.outcome.set_result(self.failed(failure))
            raise
        error = session if isinstance(session, httpx.Response) else response
        own.outcome.set_result(error)
        return error
