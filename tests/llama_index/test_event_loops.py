"""One request for one question in every event loop: two in a row, a running one, Jupyter's."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool

from parallel_integrations._protocol import polling
from parallel_integrations.llama_index import (
    ParallelExtractor,
    ParallelExtractReader,
    ParallelLLM,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
    ParallelToolSpec,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

PAGE = "https://docs.python.org/3/reference/compound_stmts.html"

Question: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.02)


def searching(**settings: Any) -> FunctionTool:
    return ParallelToolSpec(**settings).to_tool_list()[0]


# The question, by class, and how many POSTs it takes.
INPUTS: dict[str, tuple[Callable[..., Any], int]] = {
    "reader": (lambda **s: ParallelReader(**s), 1),
    "extract_reader": (lambda **s: ParallelExtractReader(**s), 1),
    "retriever": (lambda **s: ParallelRetriever(**s), 1),
    "llm": (lambda **s: ParallelLLM(**s), 1),
    "tool": (searching, 1),
    "chat_engine": (lambda **s: ParallelQueryEngine(**s), 1),
    "task_engine": (lambda **s: ParallelQueryEngine(processor="lite", **s), 1),
    "extractor": (lambda **s: ParallelExtractor(output_schema="What?", processor="lite", **s), 2),
}


def question_of(made: Any) -> Question:
    """The one awaited question of an object."""
    match made:
        case ParallelExtractReader():
            return lambda: made.aload_data([PAGE])
        case ParallelReader():
            return lambda: made.aload_data(QUESTION)
        case ParallelRetriever():
            return lambda: made.aretrieve(QUESTION)
        case ParallelLLM():
            return lambda: made.acomplete(QUESTION)
        case FunctionTool():
            return lambda: made.acall(objective=QUESTION)
        case ParallelQueryEngine():
            return lambda: made.aquery(QUESTION)
    return lambda: made.acall([TextNode(text=QUESTION)])


def ask(made: Any) -> None:
    """The same question, blocking."""
    match made:
        case ParallelExtractReader():
            made.load_data([PAGE])
        case ParallelReader():
            made.load_data(QUESTION)
        case BaseRetriever():
            made.retrieve(QUESTION)
        case ParallelLLM():
            made.complete(QUESTION)
        case FunctionTool():
            made.call(objective=QUESTION)
        case ParallelQueryEngine():
            made.query(QUESTION)
        case ParallelExtractor():
            made([TextNode(text=QUESTION)])


@pytest.mark.parametrize("name", INPUTS)
def test_two_loops_one_after_the_other(sandbox: Sandbox, name: str) -> None:
    make, posts = INPUTS[name]
    question = question_of(make(api_key=sandbox.api_key, base_url=sandbox.url))
    assert asyncio.run(question())
    assert asyncio.run(question())
    assert [each.method for each in sandbox.requests].count("POST") == 2 * posts


@pytest.mark.parametrize("name", INPUTS)
async def test_blocking_and_awaiting_inside_a_running_loop(sandbox: Sandbox, name: str) -> None:
    make, posts = INPUTS[name]
    made = make(api_key=sandbox.api_key, base_url=sandbox.url)
    ask(made)
    assert [each.method for each in sandbox.requests].count("POST") == posts
    await question_of(made)()
    assert [each.method for each in sandbox.requests].count("POST") == 2 * posts


@pytest.mark.parametrize("name", [*INPUTS, "fusion"])
def test_blocking_twice_beside_a_loop_that_lives_on(sandbox: Sandbox, name: str) -> None:
    """Where a loop was set, LlamaIndex's own blocking calls run in it: scripts on Python 3.13."""
    make, posts = INPUTS["retriever" if name == "fusion" else name]
    made = make(api_key=sandbox.api_key, base_url=sandbox.url)
    if name == "fusion":
        made = QueryFusionRetriever([made], llm=MockLLM(), num_queries=1)
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        ask(made)
        ask(made)
    assert [each.method for each in sandbox.requests].count("POST") == 2 * posts


@pytest.fixture
def abandoned_loops() -> Iterator[None]:
    """What LlamaIndex's closed loops leave behind goes here, not in the test that comes next."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("abandoned_loops")
async def test_a_fusion_retriever_in_a_running_loop(sandbox: Sandbox) -> None:
    retriever = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url)
    await retriever.aretrieve(QUESTION)
    fusion = QueryFusionRetriever([retriever], llm=MockLLM(), num_queries=1)
    assert fusion.retrieve(QUESTION)
    assert fusion.retrieve(QUESTION)
    assert len(sandbox.requests) == 3


JUPYTER = """
import asyncio, gc, sys
import nest_asyncio
from tests.llama_index.test_event_loops import (
    INPUTS, ParallelQueryEngine, ParallelReader, polling, question_of
)

polling.FIRST_POLL_SECONDS = 0.02
connection = {"api_key": sys.argv[1], "base_url": sys.argv[2]}


async def cell() -> None:
    nest_asyncio.apply()  # it changes asyncio for good: hence a process of its own
    for name, (make, _) in INPUTS.items():
        question = question_of(make(**connection))
        assert await question(), name
        assert asyncio.get_event_loop().run_until_complete(question()), name
        assert asyncio.run(question()), name


async def collected() -> None:
    for number in range(3):
        await ParallelReader(**connection, timeout=20 + number).aload_data("with statement")
        gc.collect()
        settings = {**connection, "processor": "lite", "timeout": 30 + number}
        await ParallelQueryEngine(**settings).aquery("with")


asyncio.run(cell())
print("done")
asyncio.run(collected())
print("collected")
"""


def test_calls_inside_a_jupyter_loop(sandbox: Sandbox) -> None:
    """Blocking ones; and those after which clients are collected, which break no other call."""
    done = subprocess.run(
        [sys.executable, "-c", JUPYTER, sandbox.api_key, sandbox.url],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path or "." for path in sys.path)},
        check=False,
        timeout=170,
    )
    assert (done.stdout.split(), done.stderr) == (["done", "collected"], "")
    posts = [each.method for each in sandbox.requests].count("POST")
    assert posts == 3 * sum(posts for _, posts in INPUTS.values()) + 2 * 3
