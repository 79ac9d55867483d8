"""The faults themselves, byte by byte."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any, Final

from tests.faults.scripted_server import (
    Payload,
    Scene,
    begin_stream,
    end_stream,
    send_chunk,
)

WORDS: Final = "the server's own words"
HUGE: Final = 50_000_000
DRIP_SECONDS: Final = 0.03
"""Between two bytes of a slow body: less than any timeout in these tests."""
SETTLE_SECONDS: Final = 0.005
"""Lets what was sent arrive before the connection is broken."""


def wait(seconds: float) -> None:
    """Wait in earnest."""
    threading.Event().wait(seconds)  # `time.sleep` is the tests' own, and fast


def reset(scene: Scene) -> None:
    """Break the connection off before any byte."""
    scene.talk.reset()


def end(scene: Scene) -> None:
    """End the connection in order before any byte."""
    scene.talk.finish()


def reset_in_head(scene: Scene) -> None:
    """Break off within the head."""
    scene.talk.send(b"HTTP/1.1 200 OK\r\ncontent-")
    wait(SETTLE_SECONDS)
    scene.talk.reset()


def end_in_head(scene: Scene) -> None:
    """End within the head."""
    scene.talk.send(b"HTTP/1.1 200 OK\r\ncontent-")
    scene.talk.finish()


def _begun(scene: Scene) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {scene.content_type}\r\ncontent-length: 1000\r\n\r\n"
    scene.talk.send(head.encode() + b'data: {"message": "')


def reset_in_body(scene: Scene) -> None:
    """Break off within the body."""
    _begun(scene)
    wait(SETTLE_SECONDS)
    scene.talk.reset()


def end_in_body(scene: Scene) -> None:
    """End within the body."""
    _begun(scene)
    scene.talk.finish()


def no_http(scene: Scene) -> None:
    """Answer in another protocol, and repeat what was said."""
    scene.talk.send(f"220 mail.example ESMTP, you said {scene.key}\r\n\r\n".encode())
    scene.talk.finish()


def say_nothing(scene: Scene) -> None:
    """Say nothing."""
    scene.wait_until_gone()


def slow_body(status: str, content_type: str) -> Payload:
    """Send the body byte by byte, for ever."""

    def play(scene: Scene) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: 9999\r\n\r\n"
        scene.talk.send(head.encode())
        for _ in range(1000):
            scene.talk.send(b" ")
            wait(DRIP_SECONDS)

    return play


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
    """Answer an error status with the API's own error body."""

    def play(scene: Scene) -> None:
        after = retry_after if isinstance(retry_after, str) else retry_after()
        headers = (f"retry-after: {after}",) if after else ()
        body = json.dumps(_native(scene.key)).encode()
        scene.talk.answer(body, status=f"{code} Status", headers=headers)

    return play


def _bad(body: Callable[[str], bytes], content_type: str = "application/json") -> Payload:
    def play(scene: Scene) -> None:
        scene.talk.answer(body(scene.key), status="422 No", content_type=content_type)

    return play


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
    """Answer with a page, as proxies and captive portals do."""

    def play(scene: Scene) -> None:
        page = f"<html><h1>{WORDS}</h1>{scene.key}<p>{'filler ' * 500}</html>"
        scene.talk.answer(page.encode(), status=f"{code} Page", content_type="text/html")

    return play


def empty(scene: Scene) -> None:
    """Answer with nothing."""
    scene.talk.answer(b"")


def truncated_json(scene: Scene) -> None:
    """Answer with the beginning of an answer, as if it were all."""
    body = scene.answer.body or b'{"ok": true}'
    scene.talk.answer(body[: len(body) // 2])


def wrong_types(scene: Scene) -> None:
    """Answer with a list where an object belongs."""
    scene.talk.answer(json.dumps([1, scene.key]).encode())


def wrong_fields(scene: Scene) -> None:
    """Answer with an object whose fields hold what they never hold."""
    fields = json.loads(scene.answer.body or b'{"ok": true}')
    scene.talk.answer(json.dumps({name: {"not": ["this"]} for name in fields}).encode())


@cache
def _filler() -> bytes:
    return b"x" * HUGE


def huge_page(scene: Scene) -> None:
    """Answer an error with a page of 50 MB."""
    body = f"<html>{scene.key} ".encode() + _filler()
    scene.talk.answer(body, status="500 Page", content_type="text/html")


def huge_message(scene: Scene) -> None:
    """Answer an error whose message has 50 MB."""
    body = b'{"error": {"message": "%b %b"}}' % (scene.key.encode(), _filler())
    scene.talk.answer(body, status="500 Message")


def huge_answer(scene: Scene) -> None:
    """Answer rightly, with 50 MB of blanks (or comments) before it."""
    if scene.answer.events is None:
        body = scene.answer.body or b"null"
        scene.talk.answer(b" " * HUGE + body)
        return
    begin_stream(scene.talk)
    for _ in range(HUGE // 1_000_000):
        send_chunk(scene.talk, (b": " + b"x" * 9_997 + b"\n") * 100)
    for event in scene.answer.events:
        send_chunk(scene.talk, event)
    end_stream(scene.talk)


def gzip_garbage(scene: Scene) -> None:
    """Answer with bytes that are not compressed as announced."""
    headers = ("content-encoding: gzip",)
    body = b"\x1f\x8b\x08\x00garbage" + scene.key.encode() * 3
    scene.talk.answer(body, content_type=scene.content_type, headers=headers)


def redirect(code: int) -> Payload:
    """Lead to another host."""

    def play(scene: Scene) -> None:
        path = scene.place.partition(" ")[2]
        headers = (f"location: {scene.elsewhere}{path}?key={scene.key}",)
        scene.talk.answer(b"", status=f"{code} Elsewhere", headers=headers)

    return play
