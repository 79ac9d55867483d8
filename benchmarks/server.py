"""A loopback server in its own process with canned responses: only the client is measured."""

import asyncio
import gc
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

WORDS = "The quick brown fox jumps over the lazy dog and writes down what it saw. "
PAGES = 10
SIZES_KB = (60, 1000)
CHUNKS = 200
PACE_SECONDS = 0.001
SLOW_SECONDS = 0.05


def search_response(kilobytes: int) -> bytes:
    """A search response of ten pages and about this size."""
    per_page = kilobytes * 1000 // PAGES
    page = (WORDS * (per_page // len(WORDS) + 1))[:per_page]
    third = len(page) // 3
    results = [
        {
            "url": f"https://example.com/pages/{number}",
            "title": f"Page {number}",
            "publish_date": "2026-01-31",
            "excerpts": [page[:third], page[third : 2 * third], page[2 * third :]],
        }
        for number in range(PAGES)
    ]
    response = {
        "search_id": "search_1",
        "session_id": "session_1",
        "results": results,
        "warnings": None,
        "usage": [{"name": "sku_search", "count": 1}],
    }
    return json.dumps(response).encode()


def _chat_body(choice: dict[str, Any], kind: str) -> dict[str, Any]:
    """What Chat responds, with the empty fields that it sends along."""
    return {
        "id": "",
        "object": kind,
        "created": 1777716000,
        "model": "",
        "choices": [{"index": 0, **choice, "finish_reason": None, "logprobs": None}],
        "usage": None,
        "basis": [],
        "interaction_id": None,
        "service_tier": None,
        "system_fingerprint": None,
    }


def chat_response() -> bytes:
    """A short response in one piece."""
    message = {"role": "assistant", "content": WORDS.strip()}
    return json.dumps(_chat_body({"message": message}, "chat.completion")).encode()


def chat_events() -> list[bytes]:
    """A streamed response of `CHUNKS` chunks, an HTTP chunk each, and the end of the body."""
    kind = "chat.completion.chunk"
    events = []
    for number in range(CHUNKS):
        delta = {"role": "assistant", "content": f"word{number} ", "refusal": None}
        chunk = {"type": kind, **_chat_body({"delta": {**delta, "tool_calls": None}}, kind)}
        events.append(f"data: {json.dumps(chunk)}\n\n".encode())
    events.append(b"data: [DONE]\n\n")
    framed = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
    framed[-1] += b"0\r\n\r\n"
    return framed


def _headers(kind: str, framing: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", "date: Sat, 31 Jan 2026 10:00:00 GMT", "server: bench"]
    lines += [f"content-type: {kind}", "cache-control: no-cache", framing, "", ""]
    return "\r\n".join(lines).encode()


def _whole(body: bytes) -> bytes:
    return _headers("application/json", f"content-length: {len(body)}") + body


SEARCHES = {f"/{size}/".encode(): _whole(search_response(size)) for size in SIZES_KB}
CHAT = _whole(chat_response())
STREAM_HEADERS = _headers("text/event-stream; charset=utf-8", "transfer-encoding: chunked")
EVENTS = chat_events()


class Talk(asyncio.Protocol):
    """One connection: sends what the path names.

    `/60/…` and `/1000/…` search; `/slow/…` searches (60 kB) after `SLOW_SECONDS`; `…completions`
    chats, streaming one event per write and `PACE_SECONDS` (under `/burst/`, all at once).
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._out = transport
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        headers, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        for line in headers.lower().split(b"\r\n"):
            if line.startswith(b"content-length:") and len(body) < int(line[15:]):
                return
        self._received = b""
        path = headers.split(b" ", 2)[1]
        if path.endswith(b"/completions"):
            if b'"stream":true' not in body.replace(b" ", b""):
                self._out.write(CHAT)
            elif path.startswith(b"/burst/"):
                self._out.write(STREAM_HEADERS + b"".join(EVENTS))
            else:
                self._out.write(STREAM_HEADERS)
                self._send_event(0)
        elif path.startswith(b"/slow/"):
            self._loop.call_later(SLOW_SECONDS, self._out.write, SEARCHES[b"/60/"])
        else:
            self._out.write(SEARCHES[path[: path.index(b"/", 1) + 1]])

    def _send_event(self, number: int) -> None:
        if self._out.is_closing():
            return
        self._out.write(EVENTS[number])
        if number + 1 < len(EVENTS):
            self._loop.call_later(PACE_SECONDS, self._send_event, number + 1)


async def _serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await loop.create_server(Talk, "127.0.0.1", 0, backlog=4096, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    await server.serve_forever()


class Server:
    """The server's process; `with Server() as url:`.

    Args:
        certificate: File with a certificate for `localhost` and its key; None: no TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = certificate

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "benchmarks.server"]
        if self._certificate is not None:
            command.append(str(self._certificate))
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        address = "https://localhost" if self._certificate else "http://127.0.0.1"
        return f"{address}:{int(self._process.stdout.readline())}"

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdout is not None
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1] if len(sys.argv) > 1 else None))
