"""Command `demo`: one question through search and chat, in LangChain and in LlamaIndex."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain as joined
from typing import Any, Final

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from rich.console import Console
from rich.markup import escape

from parallel_integrations._cli.terminal import printable
from parallel_integrations._documents.evidence import PageDocument, numbered
from parallel_integrations._protocol.search_mcp import SearchMcp
from parallel_integrations._protocol.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations.client import ParallelClient
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelExtractLoader,
    ParallelSearchRetriever,
)
from parallel_integrations.models.prices import PRICES_USD

COST_USD: Final = 2 * PRICES_USD["search"] + 2 * PRICES_USD["chat_speed"] + PRICES_USD["chat_lite"]
WEB_COST_USD: Final = 2 * PRICES_USD["search"] + PRICES_USD["extract"]
RESULTS: Final = 3
EXCERPT_CHARACTERS: Final = 90

PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from these numbered sources and cite them like [1].\n\n{sources}"),
        ("human", "{question}"),
    ]
)


def run_web_demo(question: str, url: str, console: Console | None = None) -> None:
    """Search the real web and read a page, without an account, and print the results.

    Args:
        question: What to search for.
        url: Address of the MCP server.
        console: Where to print; standard output if left out.
    """
    console = console or Console(highlight=False)
    with ParallelClient(route=SearchMcp(url=url)) as client:
        price = (
            f"with the key in {KEY_VARIABLE}; this costs about {WEB_COST_USD:.3f} USD."
            if client.settings.api_key
            else "without an account: nothing is billed, and the limits are low."
        )
        _show(console, f"The web by {client.settings.base_url}, {price}")
        console.rule("LangChain", align="left")
        documents = _retrieved(console, client, question)
        if documents:
            url = documents[0].metadata["url"]
            _show(console, f"\n{escape(f'ParallelExtractLoader(urls=[{url!r}]).load()')}\n")
            with console.status("reading …"):
                pages = ParallelExtractLoader(client=client, urls=[url], objective=question).load()
            for page in pages:
                text = page.page_content
                _source(console, 1, page.metadata, text, f"{len(text)} characters")
        console.rule("LlamaIndex", align="left")
        _show(console, f"{escape(f'ParallelRetriever.retrieve({question!r})')}\n")
        with console.status("loading LlamaIndex, and searching …"):
            from parallel_integrations.llama_index import ParallelRetriever

            nodes = ParallelRetriever(client=client, max_results=RESULTS).retrieve(question)
        for number, node in enumerate(nodes, 1):
            date = node.metadata.get("published_at", "unknown")
            _source(console, number, node.metadata, node.get_content(), f"published_at: {date}")


def run_demo(question: str, console: Console | None = None) -> None:
    """Run the demo for a question and print the results.

    Args:
        question: The question.
        console: Where to print; standard output if left out. Progress is shown on terminals only.
    """
    console = console or Console(highlight=False)
    with _opened_client(console) as client:
        _langchain(console, client, question)
        _llama_index(console, client, question)


@contextmanager
def _opened_client(console: Console) -> Iterator[ParallelClient]:
    if key_from_environment():
        with ParallelClient() as client:
            _show(
                console,
                f"Live API at {client.settings.base_url}, because {KEY_VARIABLE} is set; "
                f"this costs about {COST_USD:.3f} USD.",
            )
            yield client
        return
    from parallel_integrations.sandbox import Sandbox

    with (
        Sandbox(clean=True) as sandbox,
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        _show(
            console,
            f"Sandbox, because {KEY_VARIABLE} is not set: a local server simulates Parallel's API "
            "over the Python language reference. Nothing leaves this machine, nothing is billed. "
            "`demo --web` searches the web instead, without an account.",
        )
        yield client


def _langchain(console: Console, client: ParallelClient, question: str) -> None:
    console.rule("LangChain", align="left")
    documents = _retrieved(console, client, question)
    answering: Runnable[dict[str, Any], str] = (
        RunnablePassthrough.assign(sources=_sources)
        | PROMPT
        | ChatParallel(client=client, model="speed")
        | StrOutputParser()
    )
    _show(console, "\nprompt | ChatParallel(model='speed'), streamed:\n")
    pieces = answering.stream({"question": question, "documents": documents})
    with console.status("waiting for the first words …"):
        first = next(pieces, "")
    for text in joined([first], pieces):
        _show(console, text, end="", markup=False, soft_wrap=True)
    _show(console, "\n")


def _retrieved(console: Console, client: ParallelClient, question: str) -> list[Document]:
    _show(console, f"{escape(f'ParallelSearchRetriever.invoke({question!r})')}\n")
    with console.status("searching …"):
        documents = ParallelSearchRetriever(client=client, k=RESULTS).invoke(question)
    for number, document in enumerate(documents, 1):
        date = document.metadata["published_at"] or "unknown"
        _source(console, number, document.metadata, document.page_content, f"published_at: {date}")
    return documents


def _sources(inputs: dict[str, Any]) -> str:
    found = (
        PageDocument(each.metadata["url"], each.page_content, each.metadata)
        for each in inputs["documents"]
    )
    return numbered(list(found))


def _llama_index(console: Console, client: ParallelClient, question: str) -> None:
    console.rule("LlamaIndex", align="left")
    with console.status("loading LlamaIndex …"):
        from llama_index.core.query_engine import RetrieverQueryEngine

        from parallel_integrations.llama_index import (
            ParallelLLM,
            ParallelQueryEngine,
            ParallelRetriever,
        )

    retriever = ParallelRetriever(client=client, max_results=RESULTS)
    engine = RetrieverQueryEngine.from_args(retriever, llm=ParallelLLM(client=client))
    _show(console, "RetrieverQueryEngine(ParallelRetriever, ParallelLLM):\n")
    with console.status("searching and answering …"):
        response = engine.query(question)
    _show(console, str(response), markup=False, soft_wrap=True)
    _show(console, "\nsource nodes:\n")
    for number, source in enumerate(response.source_nodes, 1):
        detail = f"score: {source.get_score():.2f}"
        _source(console, number, source.metadata, source.get_content(), detail)

    _show(console, "\nParallelQueryEngine(model='lite'), a researched answer with its evidence:\n")
    with console.status("researching, 10 to 60 seconds on the live API …"):
        researched = ParallelQueryEngine(client=client, model="lite").query(question)
    _show(console, str(researched), markup=False, soft_wrap=True)
    _show(console, "\ncited:\n")
    for number, source in enumerate(researched.source_nodes, 1):
        detail = f"confidence: {source.metadata['confidence'] or 'unknown'}"
        _source(console, number, source.metadata, source.get_content(), detail)


def _source(console: Console, number: int, meta: Mapping[str, Any], text: str, detail: str) -> None:
    """Print a numbered source: title, URL, the beginning of its text, and a detail."""
    excerpt = " ".join(text.split())
    excerpt = excerpt[:EXCERPT_CHARACTERS] + " …" * (len(excerpt) > EXCERPT_CHARACTERS)
    title = " ".join(meta["title"].split())
    _show(console, f"  {escape(f'[{number}]')} [bold]{escape(title)}[/bold]")
    _show(console, f"      {escape(meta['url'])}", soft_wrap=True)
    _show(console, f"      [dim]{escape(excerpt)}[/dim]", soft_wrap=True)
    _show(console, f"      {escape(detail)}")


def _show(console: Console, text: str, **options: Any) -> None:
    console.print(printable(text), **options)
