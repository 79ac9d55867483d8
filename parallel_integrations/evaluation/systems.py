"""What is evaluated: anything that answers a question, or a search alone."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from parallel_integrations.api.searches import search
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.evaluation.answers import whole
from parallel_integrations.evaluation.questions import Question
from parallel_integrations.models.search import SearchRequest, SearchResponse


class SearchSystem:
    """A search without an answer, so that its settings can be judged by what it finds.

    Args:
        client: Sends the searches.
        settings: Fields of `SearchRequest`, such as `max_results=5`, `max_chars_per_result=3000`
            and `mode="fast"`.

    Raises:
        ValueError: A setting that `SearchRequest` does not take.
    """

    def __init__(self, client: ParallelClient, **settings: Any) -> None:
        self.client = client
        self.settings = settings
        self.name = "search " + " ".join(f"{name}={settings[name]}" for name in sorted(settings))
        # A setting that cannot be right is refused here, not at the first of many questions.
        self._request(Question(id="-", question="any question", answerable=False))

    @property
    def price_usd(self) -> float:
        """What one search costs at the client's prices."""
        request = self._request(Question(id="-", question="any question", answerable=False))
        skus = request.skus(self.client.settings.api_version)
        return sum(self.client.usage.prices.get(sku, 0.0) * count for sku, count in skus.items())

    def __call__(self, question: Question) -> SearchResponse:
        """Search for what a question needs."""
        return self.client.run(search(self._request(question)))

    def _request(self, question: Question) -> SearchRequest:
        return SearchRequest(
            objective=question.objective or question.question,
            search_queries=question.search_queries,
            **self.settings,
        )


def name_of(system: Any) -> str:
    """What a system is called in journals and reports."""
    name = getattr(system, "name", None) or getattr(system, "__name__", None)
    return name if isinstance(name, str) else type(system).__name__


def asker(system: Any, loop: asyncio.AbstractEventLoop | None) -> Callable[[Question], Any]:
    """How a system is asked: its own method by framework, else the call itself.

    Args:
        system: A `SearchSystem`, a runnable or agent of LangChain (`invoke`), a query engine
            (`query`), chat engine (`chat`), LLM (`complete`), retriever (`retrieve`) or workflow
            agent (`run`) of LlamaIndex, or any callable, also a coroutine function.
        loop: The loop that coroutines run in; None gives each its own.

    Raises:
        TypeError: It is none of these.
    """
    ask = _method(system, awaiting=loop is not None)

    def call(question: Question) -> Any:
        result = ask(question)
        if not inspect.isawaitable(result):
            return whole(result)

        # A framework may return any awaitable, and an event loop runs coroutines only.
        async def wait() -> Any:
            found = whole(await result)  # a stream is read in the loop that it was opened in
            return await found if inspect.isawaitable(found) else found

        if loop is not None:
            return asyncio.run_coroutine_threadsafe(wait(), loop).result()
        return asyncio.run(wait())

    return call


def _method(system: Any, *, awaiting: bool) -> Callable[[Question], Any]:
    if isinstance(system, SearchSystem):
        return system
    if hasattr(system, "invoke"):
        # Nodes and functions of a user's own may have one form only.
        invoke = system.ainvoke if awaiting and hasattr(system, "ainvoke") else system.invoke
        return lambda question: invoke(_input(system, question))
    if callable(complete := getattr(system, "complete", None)):  # an LLM, whose `chat` takes turns
        return lambda question: complete(question.question)
    for name in ("query", "chat", "retrieve"):
        if callable(method := getattr(system, name, None)):
            return lambda question: method(question.question)
    if callable(run := getattr(system, "run", None)):

        async def run_agent(question: Question) -> Any:
            return await run(question.question)  # it starts in the loop that it is called in

        return run_agent
    if callable(system):
        return lambda question: system(question.question)
    raise ArgumentTypeError(
        f"system={system!r:.100} cannot be asked: give a function of the question, a LangChain "
        "runnable or agent, a LlamaIndex engine, or SearchSystem(client)"
    )


def _input(system: Any, question: Question) -> Any:
    """The question as a runnable takes it."""
    if _is_graph(system):
        return {"messages": [("user", question.question)]}
    # What a tool found comes beside its text only where it is called as by a model.
    if getattr(system, "response_format", None) == "content_and_artifact" and system.args:
        args = {next(iter(system.args)): question.question}
        return {"type": "tool_call", "id": "evaluation", "name": system.name, "args": args}
    return question.question


def _is_graph(system: Any) -> bool:
    """Whether a runnable is a compiled graph of LangGraph whose state has messages."""
    return "messages" in (getattr(system, "channels", None) or ())
