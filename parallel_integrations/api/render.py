"""From a step to bytes: generation, route, authentication and beta headers in one pure place."""

from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

import httpx
from pydantic_core import to_json

from parallel_integrations.api.errors import MissingKeyError
from parallel_integrations.api.flow import CONDITIONS_KEY, Conditions, Send
from parallel_integrations.api.routes import CHAT_PATH
from parallel_integrations.api.settings import (
    CONNECT_TIMEOUT_SECONDS,
    KEY_VARIABLE,
    USER_AGENT,
    Settings,
    checked_headers,
)

BETA_HEADER: Final = "parallel-beta"
_parsed = lru_cache(maxsize=256)(httpx.URL)


def render(send: Send, settings: Settings, conditions: Conditions) -> httpx.Request:
    """The HTTP request for a step under these settings.

    Raises:
        MissingKeyError: The route needs a key and there is none.
        ValueError: A header of this request that HTTP cannot carry.
    """
    key = settings.api_key.get_secret_value() if settings.api_key else None
    if key is None and settings.route.needs_key:
        raise MissingKeyError(
            f"No API key: set {KEY_VARIABLE} or pass api_key=. (A key is never kept in a pickle.) "
            "Without a key, parallel_integrations.sandbox plays the API offline."
        )
    path, betas = send.path, send.betas
    headers = [
        ("accept", "text/event-stream" if send.stream else "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", USER_AGENT),
        *settings.route.auth_headers(path, key),
    ]
    content = None
    if send.request is not None:
        body = send.request.body(settings.api_version)
        betas = (*betas, *send.request.betas(settings.api_version))
        if settings.api_version != "v1" and send.request.older_path:
            path = send.request.older_path
        if path == CHAT_PATH:
            body["model"] = settings.route.model(body["model"])
        content = to_json(body)
        headers.append(("content-type", "application/json"))
    users = dict(settings.headers)
    if send.headers:
        users.update(checked_headers(send.headers))
    if BETA_HEADER in users:
        betas = (*betas, users.pop(BETA_HEADER))
    if betas:
        headers.append((BETA_HEADER, ",".join(dict.fromkeys(betas))))
    headers = [pair for pair in headers if pair[0] not in users] + list(users.items())
    url = settings.route.target(path, base_url=settings.base_url, chat_path=settings.chat_path)
    if send.params:
        url = f"{url}?{urlencode(send.params)}"
    patience = (settings.timeout or send.timeout_seconds) + send.wait_seconds
    return httpx.Request(
        send.method,
        _parsed(url),
        headers=headers,
        content=content,
        extensions={
            "timeout": {
                "connect": min(patience, CONNECT_TIMEOUT_SECONDS),
                "read": patience,
                "write": patience,
                "pool": patience,
            },
            CONDITIONS_KEY: conditions,
        },
    )
