"""Every code path that reads a response: each operation, and what both adapters build on it."""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any, Final

import httpx
from llama_index.core.base.llms.types import ChatMessage as LlamaMessage
from llama_index.core.schema import TextNode
from pydantic import BaseModel

from parallel_integrations import (
    CreateTaskRunRequest,
    ParallelClient,
    TaskSettings,
    api,
    langchain,
    llama_index,
    models,
)
from tests.faults.langchain_calls import HAS_DECISIONS
from tests.fuzz.fuzzer import WEBHOOK_PATH, CodePath
from tests.fuzz.seeds import WEBHOOK
from tests.langchain.support import collected
from tests.support import operations
from tests.support.operations import (
    EXAMPLES,
    FINDALL,
    MONITOR_ID,
    PAGE_URL,
    QUESTION,
    RESPOND,
    RUN_ID,
    SCHEMA,
)


class Statement(BaseModel):
    """What structured output is read into."""

    title: str
    explanation: str = ""


def _task() -> CreateTaskRunRequest:
    return CreateTaskRunRequest(input="with", processor="lite", output_schema=SCHEMA)


FLOWS: Final = {name: make for name, make in EXAMPLES.items() if name not in operations.STREAMS}
"""Each operation with one response, by the name of the operation that is mutated."""

STREAMS: Final[Mapping[str, tuple[str, Callable[[], Any]]]] = {
    **{name: (name, EXAMPLES[name]) for name in operations.STREAMS},
    "stream_chat": ("chat", lambda: api.stream_chat(QUESTION)),
    "stream_response": ("respond", lambda: api.stream_response(RESPOND)),
    "all_monitors": ("list_monitors", lambda: api.all_monitors()),
    "all_monitor_events": ("monitor_events", lambda: api.all_monitor_events(MONITOR_ID)),
}
"""Each stream of events, or of pages, with the operation that is mutated."""

LONG: Final[Mapping[str, Callable[[], Any]]] = {
    "run_task": lambda: api.run_task(_task()),
    "resume_task": lambda: api.resume_task(RUN_ID),
    "run_task_group": lambda: api.run_task_group(
        ["with", "nonlocal"], TaskSettings(processor="lite")
    ),
    "run_findall": lambda: api.run_findall(FINDALL),
}
"""What takes several operations, all of them mutated."""

STREAMED: Final = {"resume_task"}


def _search(client: ParallelClient) -> Any:
    return langchain.ParallelSearchRetriever(client=client, split="excerpt").invoke("with")


def _extract_loader(client: ParallelClient) -> Any:
    return langchain.ParallelExtractLoader(urls=[PAGE_URL], client=client, full_content=True).load()


def _chat_model(client: ParallelClient) -> Any:
    message = langchain.ChatParallel(client=client).invoke("with")
    return message.content_blocks, message.usage_metadata


def _chat_model_stream(client: ParallelClient) -> Any:
    chunks = list(langchain.ChatParallel(client=client).stream("with"))
    return collected(chunks).content_blocks


def _responses(client: ParallelClient) -> Any:
    message = langchain.ChatParallel(model="parallel", client=client).invoke("with")
    return message.content_blocks, message.usage_metadata


def _responses_stream(client: ParallelClient) -> Any:
    chunks = list(langchain.ChatParallel(model="parallel", client=client).stream("with"))
    return collected(chunks).content_blocks


def _structured(client: ParallelClient) -> Any:
    model = langchain.ChatParallel(client=client).with_structured_output(
        Statement, include_raw=True
    )
    return model.invoke("with")


def _deep_research(client: ParallelClient) -> Any:
    return langchain.ParallelDeepResearch(
        client=client, processor="lite", output_schema=SCHEMA
    ).invoke("x")


def _decisions(client: ParallelClient) -> Any:
    questions: Any = {"true": models.Noul(instructions="Is that so?")}
    model = langchain.ParallelDecisions(client=client)
    return model.invoke({"state": "with", "questions": questions}).model_dump_json()


def _llm(client: ParallelClient) -> Any:
    response = llama_index.ParallelLLM(client=client).chat([LlamaMessage(content="with")])
    return response.message.blocks, llama_index.citation_blocks(response)


def _llm_stream(client: ParallelClient) -> Any:
    return list(llama_index.ParallelLLM(client=client).stream_chat([LlamaMessage(content="with")]))


def _responses_engine(client: ParallelClient) -> Any:
    engine = llama_index.ParallelQueryEngine(model="parallel", client=client)
    response = engine.query("with")
    return response.source_nodes, llama_index.citation_blocks(response)


def _query_engine(client: ParallelClient) -> Any:
    response = llama_index.ParallelQueryEngine(client=client).query("with")
    return response.source_nodes, llama_index.citation_blocks(response)


def _task_query_engine(client: ParallelClient) -> Any:
    engine = llama_index.ParallelQueryEngine(client=client, processor="lite", output_schema=SCHEMA)
    return engine.query("with").source_nodes


def _extractor(client: ParallelClient) -> Any:
    extractor = llama_index.ParallelExtractor(client=client, processor="lite", output_schema=SCHEMA)
    return extractor.extract([TextNode(text="with"), TextNode(text="nonlocal")])


def _tool(name: str, **inputs: Any) -> Callable[[ParallelClient], Any]:
    def run(client: ParallelClient) -> Any:
        [tool] = llama_index.ParallelToolSpec(client=client, processor="lite").to_tool_list([name])
        return tool(**inputs).content

    return run


ADAPTERS: Final[Mapping[str, Callable[[ParallelClient], Any]]] = {
    "langchain retriever": _search,
    "langchain loader": _extract_loader,
    "langchain search tool": lambda client: langchain.ParallelSearchTool(client=client).invoke(
        {"objective": "with"}
    ),
    "langchain extract tool": lambda client: langchain.ParallelExtractTool(client=client).invoke(
        {"urls": [PAGE_URL]}
    ),
    "langchain task tool": lambda client: langchain.ParallelTaskRunTool(
        client=client, processor="lite"
    ).invoke({"input": "with"}),
    "langchain findall tool": lambda client: langchain.ParallelFindAllTool(client=client).invoke(
        {"objective": "with"}
    ),
    "langchain chat": _chat_model,
    "langchain chat stream": _chat_model_stream,
    "langchain responses": _responses,
    "langchain responses stream": _responses_stream,
    "langchain structured output": _structured,
    **({"langchain decisions": _decisions} if HAS_DECISIONS else {}),
    "langchain deep research": _deep_research,
    "llama_index reader": lambda client: llama_index.ParallelReader(client=client).load_data(
        "with"
    ),
    "llama_index retriever": lambda client: llama_index.ParallelRetriever(client=client).retrieve(
        "with"
    ),
    "llama_index extract reader": lambda client: llama_index.ParallelExtractReader(
        client=client
    ).load_data([PAGE_URL]),
    "llama_index selector": lambda client: llama_index.ParallelSelector(client=client).select(
        ["Modules.", "Statements."], "with"
    ),
    "llama_index chat": _llm,
    "llama_index chat stream": _llm_stream,
    "llama_index responses engine": _responses_engine,
    "llama_index query engine": _query_engine,
    "llama_index task query engine": _task_query_engine,
    "llama_index extractor": _extractor,
    "llama_index search tool": _tool("parallel_search", objective="with"),
    "llama_index task tool": _tool("parallel_task", input="with"),
    "llama_index findall tool": _tool("parallel_find_all", objective="with"),
}
"""What both adapters build, on responses of every operation that it takes."""


def _run(make: Callable[[], Any]) -> Callable[[ParallelClient], Any]:
    def run(client: ParallelClient) -> Any:
        result = client.run(make())
        if isinstance(result, BaseModel):
            result.model_dump_json()
        return result

    return run


def _listen(make: Callable[[], Any]) -> Callable[[ParallelClient], Any]:
    def run(client: ParallelClient) -> Any:
        events = list(client.stream(make()))
        for event in events:
            if isinstance(event, BaseModel):
                event.model_dump_json()
        return events

    return run


def _webhook(client: ParallelClient) -> Any:
    try:
        request = httpx.Request("POST", f"https://api.example{WEBHOOK_PATH}")
        body = client._pools.blocking().open(request, inf).read()
    except httpx.HTTPError:  # how it arrives is a matter of the user's own server
        return None
    return api.parse_webhook(body)


def code_paths() -> Iterator[CodePath]:
    """All of them."""
    for name, make in FLOWS.items():
        yield CodePath(name, _run(make), name)
    for name, (operation, make) in STREAMS.items():
        yield CodePath(name, _listen(make), operation)
    yield CodePath("parse_webhook", _webhook, WEBHOOK)
    for name, make in LONG.items():
        yield CodePath(name, _listen(make) if name in STREAMED else _run(make))
    for name, run in ADAPTERS.items():
        yield CodePath(name, run)


CODE_PATHS: Final = {code_path.name: code_path for code_path in code_paths()}
