"""Fault payloads: the bad responses themselves, byte by byte."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any, Final

from tests.faults.faulty_api import FaultyRequest, Payload

WORDS: Final = "the server's own words"
HUGE: Final = 50_000_000
DRIP_SECONDS: Final = 0.03
"""Between two bytes of a slow body: less than any timeout in these tests."""
SETTLE_SECONDS: Final = 0.005
"""Lets what was sent arrive before the connection is broken."""


def wait(seconds: float) -> None:
    """Wait in earnest."""
    threading.Event().wait(seconds)  # `time.sleep` is the tests' own, and fast


def reset(request: FaultyRequest) -> None:
    """Break the connection off before any byte."""
    request.talk.reset()


def end(request: FaultyRequest) -> None:
    """End the connection in order before any byte."""
    request.talk.finish()


def reset_in_headers(request: FaultyRequest) -> None:
    """Break off within the headers."""
    request.talk.send(b"HTTP/1.1 200 OK\r\ncontent-")
    wait(SETTLE_SECONDS)
    request.talk.reset()


def end_in_headers(request: FaultyRequest) -> None:
    """End within the headers."""
    request.talk.send(b"HTTP/1.1 200 OK\r\ncontent-")
    request.talk.finish()


def _begun(request: FaultyRequest) -> None:
    headers = (
        f"HTTP/1.1 200 OK\r\ncontent-type: {request.content_type}\r\ncontent-length: 1000\r\n\r\n"
    )
    request.talk.send(headers.encode() + b'data: {"message": "')


def reset_in_body(request: FaultyRequest) -> None:
    """Break off within the body."""
    _begun(request)
    wait(SETTLE_SECONDS)
    request.talk.reset()


def end_in_body(request: FaultyRequest) -> None:
    """End within the body."""
    _begun(request)
    request.talk.finish()


def no_http(request: FaultyRequest) -> None:
    """Respond in another protocol, and repeat the key."""
    request.talk.send(f"220 mail.example ESMTP, you said {request.key}\r\n\r\n".encode())
    request.talk.finish()


def send_nothing(request: FaultyRequest) -> None:
    """Send nothing until the client gives up."""
    request.talk.wait_until_closed()


def slow_body(status: str, content_type: str) -> Payload:
    """Send the body byte by byte, for ever."""

    def payload(request: FaultyRequest) -> None:
        headers = (
            f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: 9999\r\n\r\n"
        )
        request.talk.send(headers.encode())
        for _ in range(1000):
            request.talk.send(b" ")
            wait(DRIP_SECONDS)

    return payload


def _native(key: str) -> Any:
    message = f"{WORDS}, and your key is {key}"
    detail = {"field": "processor", "given": [key, {"inner": key}]}
    return {"type": "error", "error": {"ref_id": "ref_1", "message": message, "detail": detail}}


def _escaped(body: Any) -> bytes:
    """JSON as some servers write it: a slash escaped, so that no key is found in the raw text."""
    return json.dumps(body).replace("/", "\\/").encode()


def in_half_a_minute() -> str:
    """A date for `Retry-After`."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)


def status(code: int, *, retry_after: str | Callable[[], str] = "") -> Payload:
    """Respond with an error status and the API's own error body."""

    def payload(request: FaultyRequest) -> None:
        after = retry_after if isinstance(retry_after, str) else retry_after()
        headers = (f"retry-after: {after}",) if after else ()
        body = json.dumps(_native(request.key)).encode()
        request.talk.respond(body, status=f"{code} Status", headers=headers)

    return payload


def _bad(body: Callable[[str], bytes], content_type: str = "application/json") -> Payload:
    def payload(request: FaultyRequest) -> None:
        request.talk.respond(body(request.key), status="422 No", content_type=content_type)

    return payload


ERROR_BODIES: Final[dict[str, Payload]] = {
    "native": _bad(lambda key: _escaped(_native(key))),
    "validation": _bad(
        lambda key: _escaped(
            {"detail": [{"loc": ["body", "input"], "msg": f"{WORDS} {key}", "type": "missing"}]}
        )
    ),
    "documented": _bad(
        lambda key: _escaped({"error": {"message": WORDS, "detail": {"field": key}}})
    ),
    "OpenAI's": _bad(
        lambda key: _escaped(
            {"error": {"message": f"{WORDS} {key}", "type": "invalid_request", "param": key}}
        )
    ),
    "plain": _bad(lambda key: f"{WORDS} {key}".encode(), "text/plain"),
}


def html(code: int) -> Payload:
    """Respond with a page, as proxies and captive portals do."""

    def payload(request: FaultyRequest) -> None:
        page = f"<html><h1>{WORDS}</h1>{request.key}<p>{'filler ' * 500}</html>"
        request.talk.respond(page.encode(), status=f"{code} Page", content_type="text/html")

    return payload


def empty(request: FaultyRequest) -> None:
    """Respond with an empty body."""
    request.talk.respond(b"")


def truncated_json(request: FaultyRequest) -> None:
    """Respond with the beginning of a body, as if it were all."""
    body = request.response.body or b'{"ok": true}'
    request.talk.respond(body[: len(body) // 2])


def wrong_types(request: FaultyRequest) -> None:
    """Respond with a list where an object belongs."""
    request.talk.respond(json.dumps([1, request.key]).encode())


def wrong_fields(request: FaultyRequest) -> None:
    """Respond with an object whose fields hold what they never hold."""
    fields = json.loads(request.response.body or b'{"ok": true}')
    request.talk.respond(json.dumps(dict.fromkeys(fields, -0.5)).encode())


@cache
def _filler(character: bytes = b"x") -> bytes:
    return character * HUGE


@cache
def _comments() -> bytes:
    return (b": " + b"x" * 9_997 + b"\n") * 100


def huge_page(request: FaultyRequest) -> None:
    """Respond with an error and a page of 50 MB."""
    page = f"<html>{request.key} ".encode(), _filler()
    request.talk.respond(*page, status="500 Page", content_type="text/html")


def huge_message(request: FaultyRequest) -> None:
    """Respond with an error whose message has 50 MB."""
    body = b'{"error": {"message": "%b ' % request.key.encode(), _filler(), b'"}}'
    request.talk.respond(*body, status="500 Message")


def huge_response(request: FaultyRequest) -> None:
    """Respond rightly, with 50 MB of blanks (or comments) before it."""
    if request.response.events is None:
        body = request.response.body or b"null"
        request.talk.respond(b"", _filler(b" "), body)
        return
    request.talk.begin_stream()
    for _ in range(HUGE // 1_000_000):
        request.talk.send_chunk(_comments())
    for event in request.response.events:
        request.talk.send_chunk(event)
    request.talk.end_stream()


def gzip_garbage(request: FaultyRequest) -> None:
    """Respond with bytes that are not compressed as announced."""
    headers = ("content-encoding: gzip",)
    body = b"\x1f\x8b\x08\x00garbage" + request.key.encode() * 3
    request.talk.respond(body, content_type=request.content_type, headers=headers)


def redirect(code: int) -> Payload:
    """Redirect to another host."""

    def payload(request: FaultyRequest) -> None:
        path = request.place.partition(" ")[2]
        headers = (f"location: {request.elsewhere}{path}?key={request.key}",)
        request.talk.respond(b"", status=f"{code} Elsewhere", headers=headers)

    return payload
