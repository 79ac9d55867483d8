"""ASGI application: recording, authentication, routing and fault injection."""

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parallel_integrations.sandbox.operations import OPERATIONS
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result, has_no_key
from parallel_integrations.sandbox.server.fault_delivery import Delivery, refuse
from parallel_integrations.sandbox.server.faults import Faults
from parallel_integrations.sandbox.server.recorder import RecordedRequest, Recorder
from parallel_integrations.sandbox.server.responses import (
    RequestError,
    error_response,
    json_response,
    native_error,
    openai_error,
)
from parallel_integrations.sandbox.state.state import State

_GATEWAY = re.compile(
    r"/v1/(?!tasks/)[^/]+/[^/]+/(?:parallel(?P<native>/.*)|compat(?P<compat>/chat/completions))"
)


SERVED = (
    *((each.method, each.path) for each in OPERATIONS),
    *((each.method, f"/v1/{{account}}/{{gateway}}/parallel{each.path}") for each in OPERATIONS),
    ("POST", "/v1/{account}/{gateway}/compat/chat/completions"),
)
"""Method and path of each operation, and of each behind a gateway."""
NO_KEY = "No API key provided (C.0)"
WRONG_KEY = "Invalid API key (C.1)"


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Checks the keys of requests.

    Attributes:
        gateway_token: The token an authenticated gateway demands besides, or None.
    """

    api_key: str
    gateway_token: str | None = None

    def check(self, request: Request, *, bearer: bool) -> None:
        """Check the key of a request.

        Raises:
            RequestError: 401 when its key or gateway token is missing or wrong.
        """
        gateway = request.scope["state"].get("gateway")
        if gateway and self.gateway_token is not None:
            token = request.headers.get("cf-aig-authorization", "")
            if not _same(token, f"Bearer {self.gateway_token}"):
                raise RequestError(401, "Missing or wrong gateway token in cf-aig-authorization")
        authorization = request.headers.get("authorization")
        if gateway != "compat" and "x-api-key" in request.headers:
            good = _same(request.headers["x-api-key"], self.api_key)
        elif bearer and authorization is not None:
            good = _same(authorization, f"Bearer {self.api_key}")
        else:
            raise RequestError(401, NO_KEY)
        if not good:
            raise RequestError(401, WRONG_KEY)


def _same(given: str, wanted: str) -> bool:
    # Encoded first: compare_digest refuses text that is not ASCII.
    return secrets.compare_digest(given.encode(), wanted.encode())


def build(
    state: State,
    faults: Faults,
    recorder: Recorder,
    key_check: KeyCheck,
    middleware: Sequence[Callable[[ASGIApp], ASGIApp]] = (),
) -> ASGIApp:
    """Return the application that serves `state`."""
    routes = [
        Route(each.path, _endpoint(each, state, key_check), methods=[each.method])
        for each in OPERATIONS
    ]

    async def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = {404: "Not found", 405: "Method not allowed"}.get(status, "Request failed")
        text = f"{message}: {request.method} {request.scope['path']}"
        response = native_error(status, text, state.ids.reference())
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
        return response

    inner = Starlette(
        routes=routes, exception_handlers={HTTPException: unknown, Exception: unknown}
    )
    # A redirect from a path with a slash too many would lose the body of a POST.
    inner.router.redirect_slashes = False
    app: ASGIApp = inner
    for wrap in middleware:
        app = wrap(app)
    return _Frontend(app, state, faults, recorder)


def _endpoint(
    operation: Operation, state: State, key_check: KeyCheck
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            if not (operation.anonymous and has_no_key(request)):
                key_check.check(request, bearer=operation.bearer)
            result = await operation.handler(Call(state, request, await request.body()))
        except RequestError as error:
            if operation.openai_errors and error.status != 401:  # a key is checked before it
                return openai_error(error)
            ref_id = state.ids.reference()
            return error_response(error, ref_id, framework=operation.framework_errors)
        # Billed before the response is sent: what a client breaks off, or a fault cuts, is paid all
        # the same.
        if result.bill is not None:
            state.ledger.add(result.bill)
        return _response(result)

    return endpoint


def _response(result: Result) -> Response:
    if result.events is not None:
        headers = {"cache-control": "no-cache", **result.headers}
        return StreamingResponse(result.events, result.status, headers, "text/event-stream")
    if result.body is None and result.status in (202, 204):
        return Response(status_code=result.status, headers=dict(result.headers))
    return json_response(result.body, result.status, result.headers)


class _Frontend:
    """Reads and records a request, strips its gateway prefix and applies faults."""

    def __init__(self, inner: ASGIApp, state: State, faults: Faults, recorder: Recorder) -> None:
        self._inner = inner
        self._state = state
        self._faults = faults
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content += message.get("body", b"")
            more = message.get("more_body", False)
        # Recorded before anything can fail, so that a test sees refused requests as well.
        self._recorder.add(_recorded(scope, bytes(content)))
        full_path: str = scope["path"]
        gateway = _GATEWAY.fullmatch(full_path)
        state = {**scope["state"], "ids": self._state.ids}
        if gateway:
            path: str = gateway["native"] or gateway["compat"]
            # Routing sees the path without the gateway; faults and recordings match either form.
            scope = {**scope, "path": path, "raw_path": path.encode()}
            state["gateway"] = gateway.lastgroup
        scope = {**scope, "state": state}
        fault = self._faults.take(scope["method"], (full_path, scope["path"]))
        # The body was consumed above, and the application reads it a second time.
        again = _replay(bytes(content), receive)
        send = _in_turns(send)
        if fault is None:
            await self._inner(scope, again, send)
        elif fault.refuses:
            await refuse(fault, scope, again, send)
        else:
            await self._inner(scope, again, Delivery(fault, scope, send))


def _replay(content: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _in_turns(send: Send) -> Send:
    """Let the loop notice between two pieces that the client has gone; asyncio logs later ones."""

    async def sending(message: Message) -> None:
        await send(message)
        if message.get("more_body"):
            await asyncio.sleep(0)

    return sending


def _recorded(scope: Scope, content: bytes) -> RecordedRequest:
    host, port = scope.get("client") or ("", 0)
    return RecordedRequest(
        method=scope["method"],
        path=scope["path"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query=QueryParams(scope["query_string"]),
        headers=Headers(raw=list(scope["headers"])),
        body=_parsed(content),
        content=content,
        client=(host, port),
    )


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        # Nesting of thousands is no body that an operation takes; it must not end the recording.
        return None
