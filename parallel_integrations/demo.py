"""The demonstration: one question, through search and chat, in LangChain and in LlamaIndex."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from rich.console import Console
from rich.markup import escape

from parallel_integrations.api.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations.client import ParallelClient
from parallel_integrations.langchain import ChatParallel, ParallelSearchRetriever

# Two searches and two chats of 0.005 USD each (API facts 3.4).
COST_USD: Final = 0.02
RESULTS: Final = 3

PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from these numbered sources and cite them like [1].\n\n{sources}"),
        ("human", "{question}"),
    ]
)


def run_demo(question: str) -> None:
    """Ask `question` and print what comes back.

    Args:
        question: What to ask.

    Raises:
        ParallelError: The API or the network failed; nothing is hidden.
    """
    console = Console(highlight=False)
    with _stage(console) as client:
        _langchain(console, client, question)
        _llama_index(console, client, question)


@contextmanager
def _stage(console: Console) -> Iterator[ParallelClient]:
    if key_from_environment():
        with ParallelClient() as client:
            console.print(
                f"Live API at {client.settings.base_url}, because {KEY_VARIABLE} is set; "
                f"this costs about {COST_USD:.2f} USD."
            )
            yield client
        return
    from parallel_integrations.sandbox import Sandbox

    with (
        Sandbox() as sandbox,
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        console.print(
            f"Sandbox, because {KEY_VARIABLE} is not set: a local server plays Parallel's API over "
            "the Python language reference. Nothing leaves this machine, nothing is billed."
        )
        yield client


def _langchain(console: Console, client: ParallelClient, question: str) -> None:
    console.rule("LangChain", align="left")
    retriever = ParallelSearchRetriever(client=client, k=RESULTS)
    documents = retriever.invoke(question)
    console.print(f"{escape(f'ParallelSearchRetriever.invoke({question!r})')}\n")
    for number, document in enumerate(documents, 1):
        meta = document.metadata
        console.print(f"  {escape(f'[{number}]')} [bold]{escape(meta['title'])}[/bold]")
        console.print(f"      {escape(meta['url'])}", soft_wrap=True)
        console.print(f"      published_at: {meta['published_at'] or 'unknown'}")
    chain: Runnable[dict[str, Any], str] = (
        RunnablePassthrough.assign(sources=_sources)
        | PROMPT
        | ChatParallel(client=client, model="speed")
        | StrOutputParser()
    )
    console.print("\nprompt | ChatParallel(model='speed'), streamed:\n")
    for text in chain.stream({"question": question, "documents": documents}):
        console.print(text, end="", markup=False, soft_wrap=True)
    console.print("\n")


def _sources(asked: dict[str, Any]) -> str:
    return "\n\n".join(
        f"[{number}] {document.metadata['title']} <{document.metadata['url']}>\n"
        f"{document.page_content}"
        for number, document in enumerate(asked["documents"], 1)
    )


def _llama_index(console: Console, client: ParallelClient, question: str) -> None:
    from llama_index.core.query_engine import RetrieverQueryEngine

    from parallel_integrations.llama_index import ParallelLLM, ParallelRetriever

    console.rule("LlamaIndex", align="left")
    engine = RetrieverQueryEngine.from_args(
        ParallelRetriever(client=client, max_results=RESULTS), llm=ParallelLLM(client=client)
    )
    response = engine.query(question)
    console.print("RetrieverQueryEngine(ParallelRetriever, ParallelLLM):\n")
    console.print(str(response), markup=False, soft_wrap=True)
    console.print("\nsource nodes:\n")
    for source in response.source_nodes:
        meta = source.metadata
        console.print(f"  {source.get_score():.2f}  [bold]{escape(meta['title'])}[/bold]")
        console.print(f"        {escape(meta['url'])}", soft_wrap=True)
