"""How a user writes against the LangChain subpackage; never run, only read by type checkers."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel, SecretStr

from parallel_integrations import (
    FetchPolicy,
    McpServer,
    ParallelClient,
    ParallelError,
    SourcePolicy,
)
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelDeepResearch,
    ParallelEnrichment,
    ParallelExtractLoader,
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelTaskRunTool,
    ParallelToolkit,
)
from parallel_integrations.models import ExtractError


class Statement(BaseModel):
    """What a user wants back."""

    name: str
    purpose: str | None = None


client = ParallelClient(api_key="key", timeout=30, max_retries=1)
policy = SourcePolicy(include_domains=["docs.python.org"])


def models() -> list[BaseChatModel]:
    """Every constructor of a model."""
    return [
        ChatParallel(max_retries=None),
        ChatParallel(model="lite", api_key="key", base_url="https://example.com"),
        ChatParallel(
            client=client,
            model="core",
            previous_interaction_id="trun_1",
            extra_body={"user": "u"},
            extra_headers={"x-tenant": "a"},
            temperature=0.0,
            max_tokens=10,
            stop=["x"],
            streaming=True,
            output_version="v1",
        ),
    ]


def reply(model: ChatParallel) -> str:
    """What comes back, and its evidence."""
    message: AIMessage = model.invoke("What is a closure?", previous_interaction_id="trun_1")
    for block in message.content_blocks:
        if block["type"] == "text":
            for annotation in block.get("annotations", []):
                if annotation["type"] == "citation":
                    print(annotation.get("url"), annotation.get("cited_text"))
    chunks: Iterator[AIMessageChunk] = model.stream("What is a closure?")
    return message.text + "".join(chunk.text for chunk in chunks)


async def awaited(model: ChatParallel) -> AsyncIterator[str]:
    """The same, awaiting."""
    yield (await model.ainvoke("What is a closure?")).text
    async for chunk in model.astream("What is a closure?"):
        yield chunk.text


def structured(model: ChatParallel) -> Statement:
    """A response as an object."""
    raw: dict[str, Any] | BaseModel
    raw = model.with_structured_output(Statement, include_raw=True).invoke("with")
    print(raw, model.with_structured_output({"title": "Statement"}).invoke("with"))
    return model.with_structured_output(Statement, method="json_schema").invoke("with")


def chain(model: ChatParallel) -> Runnable[dict[str, Any], str]:
    """A chain, its model chosen at run time."""
    chosen = model.configurable_fields(model=ConfigurableField(id="model"))
    return ChatPromptTemplate.from_template("{question}") | chosen | StrOutputParser()


def retrievers(writer: BaseChatModel) -> list[BaseRetriever]:
    """Every constructor of a retriever."""
    return [
        ParallelSearchRetriever(),
        ParallelSearchRetriever(k=3, split="excerpt", query_writer=writer),
        ParallelSearchRetriever(
            api_key=SecretStr("key"),
            mode="basic",
            location="us",
            objective="Python",
            source_policy=policy,
            fetch_policy=FetchPolicy(max_age_seconds=3600),
            max_chars_per_result=2000,
        ),
    ]


def documents(retriever: ParallelSearchRetriever) -> list[Document]:
    """Documents of a search and of addresses."""
    failed: list[ExtractError] = []
    loader = ParallelExtractLoader(
        urls=["https://docs.python.org/3/"],
        objective="statements",
        full_content=False,
        max_concurrency=2,
        on_error=failed.append,
    )
    found: list[Document] = retriever.invoke("What is a closure?", k=2)
    one = ParallelExtractLoader(urls="https://docs.python.org/3/")
    return [*found, *loader.lazy_load(), *loader.load(), *one.load()]


def rows() -> list[dict[str, Any]]:
    """Rows with what was found, journaled."""
    return ParallelEnrichment(journal="rows.db", output_schema=Statement).invoke(["with"])


def tools() -> list[BaseTool]:
    """Every tool, and all at once."""
    server = McpServer(name="docs", url="https://example.com/mcp")
    search = ParallelSearchTool(
        max_results=3, content_format="search_result", max_output_chars=4000, source_policy=policy
    )
    extract = ParallelExtractTool(client=client, full_content=True, session_per_thread=True)
    task = ParallelTaskRunTool(
        processor="lite", output_schema=Statement, mcp_servers=[server], deadline_seconds=60
    )
    find_all = ParallelFindAllTool(generator="preview", match_limit=5)
    toolkit = ParallelToolkit(client=client, search={"max_results": 3}, find_all=None)
    content = search.invoke({"objective": "What is a closure?"})
    print(content)
    return [search, extract, task, find_all, *toolkit.get_tools()]


async def research() -> Any:
    """A report, streamed, resumed, parsed."""
    made = ParallelDeepResearch(processor="lite", output_schema=Statement, timeout=30)
    for step in made.stream("What is a closure?"):
        print(step["type"])
    try:
        report: dict[str, Any] = await made.ainvoke({"statement": "with"}, processor="base")
    except ParallelError as error:
        report = made.invoke({"run_id": error.run_id})
    reports: list[dict[str, Any]] = made.batch(["a", "b"])
    return [report["parsed"], *reports]
