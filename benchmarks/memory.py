"""Memory: how far a process grows while it goes through many large responses."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx

from benchmarks.measure import KEY, QUESTION, SEARCH, Row

RESPONSES = 1000


def rows(url: str) -> list[Row]:
    """The rows of this file; a new process for each contender."""
    grown = {name: _measured(name, url) for name in CONTENDERS}
    base = grown.pop("httpx + json")
    return [
        Row(
            f"memory, {RESPONSES:,} responses of 1 MB iterated, growth, {name}",
            1.0,
            each / base,
            base=f"httpx + json, {base / 1e3:.0f} MB",
        )
        for name, each in grown.items()
    ]


def plain(url: str) -> Callable[[], Iterable[object]]:
    """Parsed responses."""
    client = httpx.Client(timeout=60)
    path, headers = f"{url}/v1/search", {"x-api-key": KEY}
    return lambda: json.loads(client.post(path, json=SEARCH, headers=headers).content)["results"]


def langchain(url: str) -> Callable[[], Iterable[object]]:
    """Documents."""
    from parallel_integrations.langchain import ParallelSearchRetriever

    retriever = ParallelSearchRetriever(api_key=KEY, base_url=url)
    return lambda: retriever.invoke(QUESTION)


def llama_index(url: str) -> Callable[[], Iterable[object]]:
    """Nodes."""
    from parallel_integrations.llama_index import ParallelRetriever

    retriever = ParallelRetriever(api_key=KEY, base_url=url)
    return lambda: retriever.retrieve(QUESTION)


CONTENDERS = {"httpx + json": plain, "LangChain": langchain, "LlamaIndex": llama_index}


def _measured(name: str, url: str) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", name, url]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def _grown(name: str, url: str) -> int:
    """Kilobytes from after a small response to the most that is held at a time."""
    CONTENDERS[name](f"{url}/60")()  # what is loaded at first use
    before = most = _resident()
    ask = CONTENDERS[name](f"{url}/1000")
    for _ in range(RESPONSES):
        for _ in ask():
            most = max(most, _resident())
    return most - before


def _resident() -> int:
    """Kilobytes of memory in use; where the system does not say, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize() // 1024


if __name__ == "__main__":
    print(_grown(*sys.argv[1:]))
