"""Rows about streamed responses: CPU per chunk, and when the first one is there."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
from llama_index.core.base.llms.types import ChatMessage

from benchmarks import peers
from benchmarks.empty import EmptyLangChainModel, EmptyLlamaIndexModel
from benchmarks.measure import KEY, QUESTION, Call, Row, quick, row
from benchmarks.server import CHUNKS, PACE_SECONDS
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.llama_index import ParallelLLM

ROUNDS = 40
PLAIN = "plain httpx lines + json"
PACED = f"an event every {PACE_SECONDS * 1e3:.0f} ms"
BODY = {"model": "speed", "messages": [{"role": "user", "content": QUESTION}], "stream": True}


Chunks: TypeAlias = Callable[[], Iterator[Any]]


def plain(url: str) -> Chunks:
    """What anyone would write with httpx."""
    client = httpx.Client(timeout=60)
    headers = {"authorization": f"Bearer {KEY}"}

    def chunks() -> Iterator[Any]:
        path = f"{url}/chat/completions"
        with client.stream("POST", path, json=BODY, headers=headers) as response:
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    yield json.loads(line[6:])

    return chunks


EMPTY: dict[str, Chunks] = {
    "LangChain": lambda: EmptyLangChainModel().stream(QUESTION),
    "LlamaIndex": lambda: iter(EmptyLlamaIndexModel().stream_chat([ChatMessage(content=QUESTION)])),
}
"""Models that only build their chunks, without any connection."""


def streams(url: str) -> dict[str, Chunks]:
    """Ours, by framework."""
    langchain = ChatParallel(api_key=KEY, base_url=url)
    llama_index = ParallelLLM(api_key=KEY, base_url=url)
    return {
        "LangChain": lambda: langchain.stream(QUESTION),
        "LlamaIndex": lambda: iter(llama_index.stream_chat([ChatMessage(content=QUESTION)])),
    }


def rows(url: str) -> list[Row]:
    """The rows of this file."""
    return [*per_chunk(url, PACED), *per_chunk(f"{url}/burst", "all at once"), *first_chunk(url)]


def per_chunk(url: str, how: str) -> list[Row]:
    """CPU per chunk; a model that only builds its chunks, without a connection, for comparison."""
    found = []
    for framework, bar in (("LangChain", 1.7), ("LlamaIndex", 1.9)):
        others = {name: _all(each) for name, each in peers.streams(url)[framework].items()}
        found.append(
            row(
                f"stream, CPU per chunk, {framework} ({how})",
                bar,
                (PLAIN, _all(plain(url))),
                _all(streams(url)[framework]),
                others,
                calls=1,
                rounds=30,
                parts=CHUNKS,
                beside={"an empty model": _all(EMPTY[framework])},
            )
        )
    return found


def first_chunk(url: str) -> list[Row]:
    """How much later than with plain httpx the first chunk is there, on a kept connection."""
    found = []
    for framework, ours in streams(url).items():
        others = peers.streams(url)[framework]
        contenders = {"plain": plain(url), "ours": ours, **others}
        moments: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, chunks in contenders.items():
                start = time.perf_counter()
                stream = chunks()
                next(stream)
                moments[name].append(time.perf_counter() - start)
                for _ in stream:
                    pass  # to its end, so that the connection serves again
        quickest = {name: quick(each) * 1e3 for name, each in moments.items()}
        later = {name: each - quickest["plain"] for name, each in quickest.items()}
        found.append(
            Row(
                f"first chunk, later than plain httpx, {framework}",
                0.5,
                later["ours"],
                unit="ms",
                base=f"{PLAIN}, {quickest['plain']:.2f} ms",
                peers={name: later[name] for name in others},
            )
        )
    return found


def _all(stream: Chunks) -> Call:
    return lambda: [None for _ in stream()]
