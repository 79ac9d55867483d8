"""Secrets taken out of whatever may be shown: a server may repeat what it was sent."""

import json
from contextlib import suppress
from typing import Final

import httpx

HIDDEN: Final = "[hidden]"
SHORTEST_SECRET: Final = 4
SECRET_HEADERS: Final = ("x-api-key", "authorization", "cf-aig-authorization")


def scrub(text: str, outcome: httpx.Response | httpx.HTTPError) -> str:
    """`text` without any secret that the request carried, should the server echo it."""
    try:
        headers = outcome.request.headers
    except RuntimeError:  # httpx raises it where no request is attached
        return text
    for name in SECRET_HEADERS:
        secret = headers.get(name, "").removeprefix("Bearer ")
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN).replace(json.dumps(secret)[1:-1], HIDDEN)
    return text


def scrub_failure(failure: httpx.HTTPError) -> None:
    """Take secrets out of a failure: its words, those it came from, the request it holds.

    A server that does not speak HTTP is quoted there, and it may echo what it was sent. Of the
    request only method and address are left: its headers hold the key.
    """
    error: BaseException | None = failure
    while error is not None:
        if any(isinstance(arg, str) and scrub(arg, failure) != arg for arg in error.args):
            error.args = tuple(
                scrub(arg, failure) if isinstance(arg, str) else arg for arg in error.args
            )
        error = error.__cause__ or error.__context__
    with suppress(RuntimeError):  # httpx raises it where no request is attached
        failure.request = httpx.Request(failure.request.method, failure.request.url)
