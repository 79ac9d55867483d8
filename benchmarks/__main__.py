"""`make bench`: CPU per call and per chunk, each as a ratio to plain httpx in the same run."""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from llama_index.core.base.base_retriever import BaseRetriever as LlamaRetriever
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, QueryBundle

from benchmarks.server import CHUNKS, Server
from parallel_integrations.langchain import ChatParallel, ParallelSearchRetriever
from parallel_integrations.llama_index import ParallelLLM, ParallelRetriever

ROUNDS = 15
QUESTION = "How does the with statement handle exceptions?"


def cpu_per_call(calls: int, call: Callable[[], object]) -> float:
    """CPU seconds of this process for one call, on the average of `calls`."""
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls


def medians(calls: int, contenders: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median CPU seconds per call; the contenders take turns, so that a slow spell hits all."""
    for call in contenders.values():
        call()
    rounds = [
        {name: cpu_per_call(calls, call) for name, call in contenders.items()}
        for _ in range(ROUNDS)
    ]
    return {name: statistics.median(one[name] for one in rounds) for name in contenders}


def plain_search(url: str) -> Callable[[], Any]:
    """Plain httpx and the standard library's JSON."""
    client = httpx.Client()
    body = {"objective": QUESTION, "search_queries": ["statement handle exceptions"]}
    headers = {"x-api-key": "test"}
    return lambda: json.loads(client.post(f"{url}/v1/search", json=body, headers=headers).content)


class EmptyLangChain(BaseRetriever):
    """A retriever that only fetches and parses."""

    fetch: Callable[[], Any]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.fetch()
        return []


class EmptyLlamaIndex(LlamaRetriever):
    """A retriever that only fetches and parses."""

    def __init__(self, fetch: Callable[[], Any]) -> None:
        super().__init__()
        self._fetch = fetch

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._fetch()
        return []


def report(title: str, base: str, bars: dict[str, float], found: dict[str, float]) -> None:
    """Print a row per contender: microseconds, ratio to `base`, and the bar."""
    print(f"\n{title}")
    for name, seconds in found.items():
        ratio = seconds / found[base]
        bar = f"(bar {bars[name]:.2f}x)" if name in bars else ""
        print(f"  {name:<44}{seconds * 1e6:>10.1f} us  {ratio:>5.2f}x  {bar}")


def bench_search(url: str, kilobytes: int) -> None:
    """Search to documents, against the same framework's retriever that builds nothing."""
    base_url = f"{url}/{kilobytes}"
    fetch = plain_search(base_url)
    connection: dict[str, Any] = {"api_key": "test", "base_url": base_url}
    pairs: list[tuple[str, Callable[[str], object], Callable[[str], object]]] = [
        (
            "LangChain",
            EmptyLangChain(fetch=fetch).invoke,
            ParallelSearchRetriever(**connection).invoke,
        ),
        ("LlamaIndex", EmptyLlamaIndex(fetch).retrieve, ParallelRetriever(**connection).retrieve),
    ]
    for framework, empty, ours in pairs:
        base = "plain httpx + json + empty retriever"
        found = medians(
            20 if kilobytes < 500 else 5,
            {
                base: partial(empty, QUESTION),
                "parallel_integrations": partial(ours, QUESTION),
            },
        )
        bars = {"parallel_integrations": 1.25}
        report(f"{framework} retriever, {kilobytes} kB answer, CPU per call", base, bars, found)


def bench_stream(url: str) -> None:
    """A streamed answer, per chunk."""
    client = httpx.Client()
    body = {"model": "speed", "messages": [{"role": "user", "content": QUESTION}], "stream": True}

    def plain() -> None:
        with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    json.loads(line[6:])

    langchain = ChatParallel(api_key="test", base_url=url)
    llama_index = ParallelLLM(api_key="test", base_url=url)
    base = "plain httpx lines + json"
    found = medians(
        3,
        {
            base: plain,
            "ChatParallel.stream": lambda: [None for _ in langchain.stream(QUESTION)],
            "ParallelLLM.stream_chat": lambda: [
                None for _ in llama_index.stream_chat([ChatMessage(content=QUESTION)])
            ],
        },
    )
    found = {name: seconds / CHUNKS for name, seconds in found.items()}
    report("stream, CPU per chunk (bar: 60 us)", base, {}, found)


if __name__ == "__main__":
    with Server() as server_url:
        bench_search(server_url, 60)
        bench_search(server_url, 1000)
        bench_stream(server_url)
