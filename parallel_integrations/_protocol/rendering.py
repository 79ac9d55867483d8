"""Rendering: from a step to the HTTP request, by generation, route, authentication and headers."""

from functools import lru_cache
from math import inf
from typing import Final
from urllib.parse import urlencode

import httpx

from parallel_integrations._protocol.error_mapping import ROUTE_KEY
from parallel_integrations._protocol.flow import Send
from parallel_integrations._protocol.retry import CONDITIONS_KEY, LAST_RESPONSE_SECONDS, Conditions
from parallel_integrations._protocol.routes import CHAT_PATH
from parallel_integrations._protocol.settings import (
    CONNECT_TIMEOUT_SECONDS,
    KEY_VARIABLE,
    USER_AGENT,
    Settings,
)
from parallel_integrations.errors import InvalidArgumentError, MissingKeyError
from parallel_integrations.models.fields import json_bytes
from parallel_integrations.models.headers import checked_headers
from parallel_integrations.models.shared import RequestModel

BETA_HEADER: Final = "parallel-beta"
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_parsed = lru_cache(maxsize=256)(httpx.URL)


def render(send: Send, settings: Settings, conditions: Conditions) -> httpx.Request:
    """The HTTP request for a step under these settings.

    Raises:
        MissingKeyError: The route needs a key and there is none.
        ValueError: A header, an address or a body that HTTP or JSON cannot carry.
    """
    has_key = settings.api_key is not None
    if not has_key and settings.route.needs_key:
        raise MissingKeyError(
            f"No API key: set {KEY_VARIABLE} or pass api_key=. (A key is never kept in a pickle.) "
            "Without an account, ParallelClient(route=SearchMcp()) searches the web and reads "
            "pages; parallel_integrations.sandbox simulates the whole API offline."
        )
    if settings.is_limited:
        settings.route.check(send.path, send.request, base_url=settings.base_url, has_key=has_key)
    path, betas = send.path, send.betas
    content = b""
    if send.request is not None:
        content = _content(send.request, settings, chat=path == CHAT_PATH)
        betas = (*betas, *send.request.betas(settings.api_version))
        if settings.api_version != "v1" and send.request.older_path:
            path = send.request.older_path
    target = settings.route.target(path, base_url=settings.base_url, chat_path=settings.chat_path)
    try:
        url = _parsed(f"{target}?{urlencode(send.params)}" if send.params else target)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidArgumentError(
            f"{send.method} {path:.100} cannot be addressed ({error}): an id or a query parameter, "
            "such as a cursor, is too long or no text. Nothing was sent"
        ) from None
    extra = checked_headers(send.headers) if send.headers else ()
    has_body = send.request is not None
    headers = _headers(settings, path, url.netloc, betas, extra, has_body, send.stream)
    timeout = (settings.timeout or send.timeout_seconds) + send.wait_seconds
    if send.deadline_seconds < inf:
        left = send.deadline_seconds - conditions.elapsed_seconds - send.delay_seconds
        timeout = min(timeout, max(left, 0.0) + LAST_RESPONSE_SECONDS)
    request = httpx.Request(
        send.method,
        url,
        headers=headers,  # with `stream=`, httpx adds none of its own
        stream=httpx.ByteStream(content),
        extensions={
            "timeout": {
                "connect": min(timeout, CONNECT_TIMEOUT_SECONDS),
                "read": timeout,
                "write": timeout,
                "pool": timeout,
            },
            CONDITIONS_KEY: conditions,
            ROUTE_KEY: settings.route,
        },
    )
    if content or send.method in _METHODS_WITH_BODY:
        request.headers["content-length"] = str(len(content))
    request.read()
    return request


# Most calls differ in their bodies alone, and httpx takes a while to read a list of headers.
@lru_cache(maxsize=256)
def _headers(
    settings: Settings,
    path: str,
    host: bytes,
    betas: tuple[str, ...],
    extra: tuple[tuple[str, str], ...],
    has_body: bool,  # noqa: FBT001 - given by name, finding it would take three times as long
    is_stream: bool,  # noqa: FBT001
) -> httpx.Headers:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    users = {**dict(settings.headers), **dict(extra)}
    if BETA_HEADER in users:
        betas = (*betas, users.pop(BETA_HEADER))
    own = [
        ("accept", "text/event-stream" if is_stream else "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", USER_AGENT),
        *settings.route.auth_headers(path, key),
    ]
    if has_body:
        own.append(("content-type", "application/json"))
    if betas:
        own.append((BETA_HEADER, ",".join(dict.fromkeys(betas))))
    return httpx.Headers(
        [
            ("host", host.decode("ascii")),
            *(pair for pair in own if pair[0] not in users),
            *users.items(),
        ]
    )


def _content(request: RequestModel, settings: Settings, *, chat: bool) -> bytes:
    try:
        body = request.body(settings.api_version)
        if chat:
            body["model"] = settings.route.model(body["model"])
        return json_bytes(body)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"{type(request).__name__} cannot be written as JSON ({error}): give plain texts, "
            "numbers, lists and objects. Nothing was sent"
        ) from None
