"""Command `demo`: one question, its sources and a cited answer, on one screen."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.markup import escape

from parallel_integrations._cli.clients import sandbox_client
from parallel_integrations._cli.sources import (
    readable_excerpt,
    show,
    show_citations,
    show_source,
    without_emphasis,
)
from parallel_integrations._documents.evidence import cited, page_documents, read_basis
from parallel_integrations._protocol.routes import KEYS_AT
from parallel_integrations._protocol.search_mcp import SearchMcp
from parallel_integrations._protocol.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations.api.chats import chat
from parallel_integrations.api.searches import search
from parallel_integrations.client import ParallelClient
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.chat import ChatRequest
from parallel_integrations.models.prices import PRICES_USD
from parallel_integrations.models.search import SearchRequest

RESULTS: Final = 3
MODEL: Final = "base"
COST_USD: Final = PRICES_USD["search_fast"] + PRICES_USD[f"chat_{MODEL}"]


class _Found(NamedTuple):
    """A page that was found, by whichever framework."""

    text: str
    metadata: dict[str, Any]


def run_demo(question: str, console: Console | None = None) -> bool:
    """Search, answer with citations, and say what comes next.

    Both go through the frameworks that are installed: search through LangChain where there is one,
    the answer through LlamaIndex, or else both through the one there is, or through neither.

    Args:
        question: The question.
        console: Where to print; standard output if left out. Progress is shown on terminals only.

    Returns:
        Whether anything was found.
    """
    console = console or Console(highlight=False)
    with _opened_client(console) as client:
        return _run(console, client, question, is_web=False)


def run_web_demo(question: str, url: str) -> bool:
    """Search the real web without an account, and say what comes next.

    Args:
        question: What to search for.
        url: Address of the MCP server.

    Returns:
        Whether anything was found.
    """
    console = Console(highlight=False)
    with ParallelClient(route=SearchMcp(url=url)) as client:
        price = (
            f"with the key in {KEY_VARIABLE}; this costs about {PRICES_USD['search']:.3f} USD."
            if client.settings.api_key
            else "without an account: nothing is billed, and the limits are low."
        )
        show(console, f"The web by {client.settings.base_url}, {price}")
        return _run(console, client, question, is_web=True)


def _run(console: Console, client: ParallelClient, question: str, *, is_web: bool) -> bool:
    show(console, f"\n[bold]{escape(question)}[/bold]\n")
    with console.status("searching …"):
        code, found = _search(client, question, is_web=is_web)
    show(console, f"[dim]{escape(code)}[/dim]")
    for number, page in enumerate(found, 1):
        meta = page.metadata
        excerpt = readable_excerpt(question, page.text)
        show_source(console, number, meta["title"], meta["url"], excerpt, meta.get("published_at"))
    if not found:
        show(console, "Nothing was found.")
        if not is_web and not key_from_environment():
            show(
                console,
                "The sandbox knows Python's manual only: ask about Python, give it a folder of "
                "yours (`parallel-integrations sandbox --pages FOLDER`), or search the web without "
                "an account: `parallel-integrations demo --web`.",
            )
        return False
    if not is_web:
        with console.status("answering, 10 to 60 seconds on the live API …"):
            code, text, basis = _answer(client, question)
        show(console, f"\n[dim]{escape(code)}[/dim]")
        _show_answer(console, question, text, basis)
    _what_next(console, is_web=is_web)
    return True


def _has(framework: str) -> bool:
    try:
        import_module(framework)
    except ModuleNotFoundError:
        return False
    return True


def _search(client: ParallelClient, question: str, *, is_web: bool) -> tuple[str, list[_Found]]:
    """The code that a user would write, and what it finds."""
    mode: dict[str, Any] = {} if is_web else {"mode": "fast"}
    if _has("langchain_core"):
        from parallel_integrations.langchain import ParallelSearchRetriever

        documents = ParallelSearchRetriever(client=client, k=RESULTS, **mode).invoke(question)
        code = "LangChain: ParallelSearchRetriever(k=3).invoke(question)"
        return code, [_Found(each.page_content, each.metadata) for each in documents]
    if _has("llama_index.core"):
        from parallel_integrations.llama_index import ParallelRetriever

        nodes = ParallelRetriever(client=client, max_results=RESULTS, **mode).retrieve(question)
        code = "LlamaIndex: ParallelRetriever(max_results=3).retrieve(question)"
        return code, [_Found(each.get_content(), each.metadata) for each in nodes]
    request = SearchRequest(objective=question, max_results=RESULTS, **mode)
    pages = page_documents(client.run(search(request)).results)
    code = "client.run(search(SearchRequest(objective=question, max_results=3)))"
    return code, [_Found(each.text, each.metadata) for each in pages]


def _answer(client: ParallelClient, question: str) -> tuple[str, str, list[FieldBasis]]:
    """The code that a user would write, the answer and its basis."""
    if _has("llama_index.core"):
        from parallel_integrations.llama_index import ParallelQueryEngine, evidence_of

        response = ParallelQueryEngine(client=client, model=MODEL).query(question)
        basis = read_basis(evidence_of(response))
        code = f"LlamaIndex: ParallelQueryEngine(model='{MODEL}').query(question)"
        return code, str(response), basis
    if _has("langchain_core"):
        from parallel_integrations.langchain import ChatParallel

        message = ChatParallel(client=client, model=MODEL).invoke(question)
        basis = read_basis(message.additional_kwargs)
        return f"LangChain: ChatParallel(model='{MODEL}').invoke(question)", message.text, basis
    request = ChatRequest(model=MODEL, messages=[{"role": "user", "content": question}])
    result = client.run(chat(request))
    return f"client.run(chat(ChatRequest(model='{MODEL}', …)))", result.text, result.basis


def _show_answer(console: Console, question: str, text: str, basis: list[FieldBasis]) -> None:
    # A list at its end would repeat the sources that follow.
    body = without_emphasis(text.partition("\nSources:\n")[0])
    show(console, body.strip(), markup=False)
    found = {citation.url: citation for _, citation in cited(basis)}
    if found:
        show(console, "\n[bold]cited[/bold]")
    show_citations(console, question, found.values())


def _what_next(console: Console, *, is_web: bool) -> None:
    has_key = bool(key_from_environment())
    console.rule("what next", align="left")
    if not is_web and not has_key:
        show(console, "without an account: parallel-integrations demo --web")
    # What is to be copied is not broken into lines.
    if not has_key:
        show(console, f"with a key from {KEYS_AT}:")
        command = f"  export {KEY_VARIABLE}=…; parallel-integrations doctor"
        show(console, command, soft_wrap=True)
    show(console, "in code:")
    code = "\n".join(f"  {line}" for line in _code())
    show(console, code, markup=False, soft_wrap=True)


def _code() -> list[str]:
    """Three lines to begin with, for the framework that is installed."""
    if _has("langchain_core"):
        framework, call = "langchain", "ParallelSearchRetriever().invoke"
    elif _has("llama_index.core"):
        framework, call = "llama_index", "ParallelRetriever().retrieve"
    else:
        return [
            "from parallel_integrations import ParallelClient, SearchRequest, api",
            'request = SearchRequest(objective="your own question")',
            "print(ParallelClient().run(api.search(request)))",
        ]
    return [
        f"from parallel_integrations.{framework} import {call.partition('(')[0]}",
        f'for each in {call}("your own question"):',
        '    print(each.metadata["url"])',
    ]


@contextmanager
def _opened_client(console: Console) -> Iterator[ParallelClient]:
    if key_from_environment():
        with ParallelClient() as client:
            show(
                console,
                f"The API at {client.settings.base_url}, because {KEY_VARIABLE} is set; "
                f"this costs about {COST_USD:.3f} USD.",
            )
            yield client
        return
    with sandbox_client(clean=True) as client:
        show(
            console,
            f"Sandbox, because {KEY_VARIABLE} is not set: a local server simulates Parallel's API "
            "over Python's manual. Nothing leaves this machine, nothing is billed.",
        )
        yield client
