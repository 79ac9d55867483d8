"""A loopback server in its own process with canned answers: only the client is measured."""

import asyncio
import json
import sys
from multiprocessing import Process, Queue
from typing import Any

WORDS = "The quick brown fox jumps over the lazy dog and writes down what it saw. "
CHUNKS = 400


def search_answer(kilobytes: int) -> bytes:
    """A search answer of ten pages and about this size."""
    per_page = kilobytes * 1000 // 10
    page = (WORDS * (per_page // len(WORDS) + 1))[:per_page]
    third = len(page) // 3
    results = [
        {
            "url": f"https://example.com/pages/{number}",
            "title": f"Page {number}",
            "publish_date": "2026-01-31",
            "excerpts": [page[:third], page[third : 2 * third], page[2 * third :]],
        }
        for number in range(10)
    ]
    answer = {"search_id": "s", "session_id": "t", "results": results, "warnings": None}
    return json.dumps(answer).encode()


def chat_answer() -> bytes:
    """A streamed chat answer of `CHUNKS` chunks."""
    events = []
    for number in range(CHUNKS):
        chunk: dict[str, Any] = {
            "type": "chat.completion.chunk",
            "object": "chat.completion.chunk",
            "id": "",
            "model": "",
            "created": 1777716000,
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": f"word{number} "},
                    "finish_reason": None,
                }
            ],
            "basis": [],
            "interaction_id": None,
        }
        events.append(f"data: {json.dumps(chunk)}\n\n".encode())
    # One HTTP chunk an event, as a server writes them.
    return b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


def _head(kind: str, framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n".encode()


async def _serve(ready: "Queue[int]") -> None:
    answers: dict[bytes, bytes] = {}
    for size in (60, 1000):
        body = search_answer(size)
        head = _head("application/json", f"content-length: {len(body)}")
        answers[f"/{size}/v1/search".encode()] = head + body
    stream = _head("text/event-stream", "transfer-encoding: chunked") + chat_answer()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                lower = head.lower()
                if b"content-length: " in lower:
                    length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                writer.write(answers.get(path, stream))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    ready.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _main(ready: "Queue[int]") -> None:
    try:
        asyncio.run(_serve(ready))
    except KeyboardInterrupt:
        sys.exit(0)


class Server:
    """The server's process; `with Server() as url:`."""

    def __enter__(self) -> str:
        ready: Queue[int] = Queue()
        self._process = Process(target=_main, args=(ready,), daemon=True)
        self._process.start()
        return f"http://127.0.0.1:{ready.get(timeout=20)}"

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.join()
