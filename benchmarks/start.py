"""Rows about beginning: importing a subpackage, constructing an adapter."""

import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import peers
from benchmarks.measure import KEY, Row, quick
from benchmarks.peers import FirstCall
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelExtractTool,
    ParallelSearchRetriever,
    ParallelSearchTool,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelReader, ParallelRetriever

ROUNDS = 9
LANGCHAIN = (
    "import langchain_core.language_models.chat_models, langchain_core.retrievers, "
    "langchain_core.tools, langchain_core.document_loaders"
)
LLAMA_INDEX = "import llama_index.core"
FRAMEWORKS = {
    "LangChain": (LANGCHAIN, "parallel_integrations.langchain"),
    "LlamaIndex": (LLAMA_INDEX, "parallel_integrations.llama_index"),
}
TIMED = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
ADAPTERS: tuple[Callable[..., object], ...] = (
    ChatParallel,
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelExtractTool,
    ParallelLLM,
    ParallelReader,
    ParallelRetriever,
)


def rows(url: str) -> list[Row]:
    """The rows of this file."""
    return [*imports(), *first_calls(url), constructing()]


def imports() -> list[Row]:
    """Importing framework and subpackage."""
    found = []
    for framework, (own, package) in FRAMEWORKS.items():
        contenders = {
            "own": own,
            "package": f"{own}; import {package}",
            "names": f"{own}; from {package} import *",
            **peers.IMPORTS.get(framework, {}),
        }
        cost = _cpu_of_new_processes(contenders)
        base = f"the framework's own import, {cost['own'] * 1e3:.0f} ms"
        others = {n: cost[n] / cost["own"] for n in cost if n not in ("own", "package", "names")}
        what = f"import of the {framework} subpackage"
        found.append(Row(what, 1.05, cost["package"] / cost["own"], base=base))
        every = cost["names"] / cost["own"]
        found.append(Row(f"{what}, every class loaded", None, every, base=base, peers=others))
    return found


def first_calls(url: str) -> list[Row]:
    """What a process that asks a chat model one question takes, without and with the question."""
    chat_models = {
        "own": FirstCall(
            "from langchain_core.language_models.fake_chat_models import FakeListChatModel",
            "FakeListChatModel(responses=['word'])",
        ),
        "ours": FirstCall(
            "from parallel_integrations.langchain import ChatParallel",
            f"ChatParallel(api_key={KEY!r}, base_url={url!r})",
        ),
        **peers.first_calls(url),
    }
    imported = {name: model.statement for name, model in chat_models.items()}
    core = "import langchain_core alone"
    called = {name: model.with_call for name, model in chat_models.items()}
    found = []
    for what, contenders in (
        ("import of ChatParallel", imported | {core: "import langchain_core"}),
        ("import of ChatParallel and its first call", called),
    ):
        cost = _cpu_of_new_processes(contenders)
        base = f"the same with LangChain's own fake model, {cost['own'] * 1e3:.0f} ms"
        others = {n: cost[n] / cost["own"] for n in cost if n not in ("own", "ours")}
        found.append(Row(what, None, cost["ours"] / cost["own"], base=base, peers=others))
    return found


def constructing(calls: int = 200) -> Row:
    """Milliseconds of constructing an adapter, the dearest one."""
    cost = {}
    for adapter in (*ADAPTERS, *peers.adapters()):
        adapter(api_key=KEY)
        turns = []
        for _ in range(7):
            start = time.process_time()
            for _ in range(calls if adapter in ADAPTERS else 3):
                adapter(api_key=KEY)
            turns.append((time.process_time() - start) / (calls if adapter in ADAPTERS else 3))
        cost[adapter] = quick(turns) * 1e3
    dearest = max(ADAPTERS, key=lambda adapter: cost[adapter])
    return Row(
        f"construct an adapter ({getattr(dearest, '__name__', dearest)}, the dearest)",
        0.5,
        cost[dearest],
        unit="ms",
        peers={name: cost[adapter] for adapter, name in peers.adapters().items()},
    )


def _cpu_of_new_processes(statements: dict[str, str]) -> dict[str, float]:
    """CPU seconds of each statement, in a new process each time, in turns."""
    turns: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(ROUNDS):
        for name, statement in statements.items():
            command = [sys.executable, "-c", TIMED.format(statement)]
            done = subprocess.run(command, capture_output=True, check=True, text=True)
            turns[name].append(float(done.stdout))
    return {name: quick(each) for name, each in turns.items()}
