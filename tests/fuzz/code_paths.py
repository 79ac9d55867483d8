"""Every way that an answer takes: each operation, and what both rooms build on it."""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any, Final

import httpx
from llama_index.core.base.llms.types import ChatMessage as LlamaMessage
from llama_index.core.schema import TextNode
from pydantic import BaseModel

from parallel_integrations import (
    AddTaskGroupRunsRequest,
    ChatRequest,
    ClearMemoryRequest,
    CreateFindallRunRequest,
    CreateMonitorRequest,
    CreateTaskRunRequest,
    EnrichFindallRequest,
    EntitySearchRequest,
    EventStreamSettings,
    EvictMemoryRequest,
    ExtendFindallRequest,
    ExtractRequest,
    IngestFindallRequest,
    ParallelClient,
    RetrieveMemoryRequest,
    SearchRequest,
    TaskSettings,
    UpdateMonitorRequest,
    api,
)
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelDeepResearch,
    ParallelExtractLoader,
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelTaskRunTool,
)
from parallel_integrations.llama_index import (
    ParallelExtractor,
    ParallelExtractReader,
    ParallelLLM,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
    ParallelToolSpec,
    citation_blocks,
)
from tests.fuzz.fuzzer import WEBHOOK_PATH, CodePath
from tests.fuzz.seeds import WEBHOOK

PAGE: Final = "https://docs.python.org/3/reference/compound_stmts.html"
TURN: Final = [{"role": "user", "content": "the with statement"}]
SCHEMA: Final = {
    "type": "object",
    "properties": {"statement": {"type": "string"}},
    "required": ["statement"],
    "additionalProperties": False,
}


class Statement(BaseModel):
    """What structured answers are read as."""

    statement: str
    explanation: str = ""


def _task() -> CreateTaskRunRequest:
    return CreateTaskRunRequest(input="with", processor="lite", output_schema=SCHEMA)


def _wish() -> CreateFindallRunRequest:
    condition = {"name": "binds", "description": "The statement binds a name."}
    return CreateFindallRunRequest(
        objective="statements", entity_type="statements", match_conditions=[condition]
    )


FLOWS: Final[Mapping[str, Callable[[], Any]]] = {
    "search": lambda: api.search(SearchRequest(search_queries=["with"])),
    "extract": lambda: api.extract(ExtractRequest(urls=[PAGE])),
    "chat": lambda: api.chat(ChatRequest(messages=TURN)),
    "create_task_run": lambda: api.create_task_run(_task()),
    "retrieve_task_run": lambda: api.retrieve_task_run("trun_1"),
    "retrieve_task_run_input": lambda: api.retrieve_task_run_input("trun_1"),
    "wait_task_run": lambda: api.wait_task_run("trun_1", output_schema=SCHEMA),
    "create_task_group": lambda: api.create_task_group(),
    "retrieve_task_group": lambda: api.retrieve_task_group("tg_1"),
    "add_task_group_runs": lambda: api.add_task_group_runs(
        "tg_1", AddTaskGroupRunsRequest(inputs=[_task()])
    ),
    "retrieve_task_group_run": lambda: api.retrieve_task_group_run("tg_1", "trun_1"),
    "ingest_findall": lambda: api.ingest_findall(IngestFindallRequest(objective="with")),
    "create_findall_run": lambda: api.create_findall_run(_wish()),
    "retrieve_findall_run": lambda: api.retrieve_findall_run("findall_1"),
    "findall_result": lambda: api.findall_result("findall_1"),
    "findall_schema": lambda: api.findall_schema("findall_1"),
    "enrich_findall": lambda: api.enrich_findall(
        "findall_1", EnrichFindallRequest(output_schema=SCHEMA)
    ),
    "extend_findall": lambda: api.extend_findall(
        "findall_1", ExtendFindallRequest(additional_match_limit=5)
    ),
    "cancel_findall": lambda: api.cancel_findall("findall_1"),
    "entity_search": lambda: api.entity_search(
        EntitySearchRequest(entity_type="people", objective="with")
    ),
    "create_monitor": lambda: api.create_monitor(
        CreateMonitorRequest(
            type="event_stream", frequency="1d", settings=EventStreamSettings(query="with")
        )
    ),
    "list_monitors": lambda: api.list_monitors(),
    "retrieve_monitor": lambda: api.retrieve_monitor("monitor_1"),
    "monitor_events": lambda: api.monitor_events("monitor_1"),
    "update_monitor": lambda: api.update_monitor("monitor_1", UpdateMonitorRequest(frequency="1w")),
    "cancel_monitor": lambda: api.cancel_monitor("monitor_1"),
    "trigger_monitor": lambda: api.trigger_monitor("monitor_1"),
    "retrieve_memory": lambda: api.retrieve_memory(RetrieveMemoryRequest()),
    "clear_memory": lambda: api.clear_memory(ClearMemoryRequest()),
    "evict_memory": lambda: api.evict_memory(EvictMemoryRequest(kind="task", id="trun_1")),
}
"""Each operation with one answer, by the name of the operation that is mutated."""

STREAMS: Final[Mapping[str, tuple[str, Callable[[], Any]]]] = {
    "stream_chat": ("chat", lambda: api.stream_chat(ChatRequest(messages=TURN))),
    "task_run_events": ("task_run_events", lambda: api.task_run_events("trun_1")),
    "task_group_events": ("task_group_events", lambda: api.task_group_events("tg_1")),
    "task_group_runs": ("task_group_runs", lambda: api.task_group_runs("tg_1")),
    "findall_events": ("findall_events", lambda: api.findall_events("findall_1")),
    "all_monitors": ("list_monitors", lambda: api.all_monitors()),
    "all_monitor_events": ("monitor_events", lambda: api.all_monitor_events("monitor_1")),
}
"""Each stream of events, or of pages, with the operation that is mutated."""

LONG: Final[Mapping[str, Callable[[], Any]]] = {
    "run_task": lambda: api.run_task(_task()),
    "resume_task": lambda: api.resume_task("trun_1"),
    "run_task_group": lambda: api.run_task_group(
        ["with", "nonlocal"], TaskSettings(processor="lite")
    ),
    "run_findall": lambda: api.run_findall(_wish()),
}
"""What takes several operations, all of them mutated."""

STREAMED: Final = {"resume_task"}


def _search(client: ParallelClient) -> Any:
    return ParallelSearchRetriever(client=client, split="excerpt").invoke("with")


def _extract_loader(client: ParallelClient) -> Any:
    return ParallelExtractLoader(urls=[PAGE], client=client, full_content=True).load()


def _chat_model(client: ParallelClient) -> Any:
    message = ChatParallel(client=client).invoke("with")
    return message.content_blocks, message.usage_metadata


def _chat_model_stream(client: ParallelClient) -> Any:
    chunks = list(ChatParallel(client=client).stream("with"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole.content_blocks


def _structured(client: ParallelClient) -> Any:
    model = ChatParallel(client=client).with_structured_output(Statement, include_raw=True)
    return model.invoke("with")


def _deep_research(client: ParallelClient) -> Any:
    return ParallelDeepResearch(client=client, processor="lite", output_schema=SCHEMA).invoke("x")


def _llm(client: ParallelClient) -> Any:
    response = ParallelLLM(client=client).chat([LlamaMessage(content="with")])
    return response.message.blocks, citation_blocks(response)


def _llm_stream(client: ParallelClient) -> Any:
    return list(ParallelLLM(client=client).stream_chat([LlamaMessage(content="with")]))


def _query_engine(client: ParallelClient) -> Any:
    response = ParallelQueryEngine(client=client).query("with")
    return response.source_nodes, citation_blocks(response)


def _task_query_engine(client: ParallelClient) -> Any:
    engine = ParallelQueryEngine(client=client, processor="lite", output_schema=SCHEMA)
    return engine.query("with").source_nodes


def _extractor(client: ParallelClient) -> Any:
    extractor = ParallelExtractor(client=client, processor="lite", output_schema=SCHEMA)
    return extractor.extract([TextNode(text="with"), TextNode(text="nonlocal")])


def _tool(name: str, **asked: Any) -> Callable[[ParallelClient], Any]:
    def play(client: ParallelClient) -> Any:
        [tool] = ParallelToolSpec(client=client, processor="lite").to_tool_list([name])
        return tool(**asked).content

    return play


ADAPTERS: Final[Mapping[str, Callable[[ParallelClient], Any]]] = {
    "langchain retriever": _search,
    "langchain loader": _extract_loader,
    "langchain search tool": lambda client: ParallelSearchTool(client=client).invoke(
        {"objective": "with"}
    ),
    "langchain extract tool": lambda client: ParallelExtractTool(client=client).invoke(
        {"urls": [PAGE]}
    ),
    "langchain task tool": lambda client: ParallelTaskRunTool(
        client=client, processor="lite"
    ).invoke({"input": "with"}),
    "langchain findall tool": lambda client: ParallelFindAllTool(client=client).invoke(
        {"objective": "with"}
    ),
    "langchain chat": _chat_model,
    "langchain chat stream": _chat_model_stream,
    "langchain structured output": _structured,
    "langchain deep research": _deep_research,
    "llama_index reader": lambda client: ParallelReader(client=client).load_data("with"),
    "llama_index retriever": lambda client: ParallelRetriever(client=client).retrieve("with"),
    "llama_index extract reader": lambda client: ParallelExtractReader(client=client).load_data(
        [PAGE]
    ),
    "llama_index chat": _llm,
    "llama_index chat stream": _llm_stream,
    "llama_index query engine": _query_engine,
    "llama_index task query engine": _task_query_engine,
    "llama_index extractor": _extractor,
    "llama_index search tool": _tool("parallel_search", objective="with"),
    "llama_index task tool": _tool("parallel_task", input="with"),
    "llama_index findall tool": _tool("parallel_find_all", objective="with"),
}
"""What both rooms build, on answers of every operation that it takes."""


def _run(make: Callable[[], Any]) -> Callable[[ParallelClient], Any]:
    def play(client: ParallelClient) -> Any:
        result = client.run(make())
        if isinstance(result, BaseModel):
            result.model_dump_json()
        return result

    return play


def _listen(make: Callable[[], Any]) -> Callable[[ParallelClient], Any]:
    def play(client: ParallelClient) -> Any:
        events = list(client.stream(make()))
        for event in events:
            if isinstance(event, BaseModel):
                event.model_dump_json()
        return events

    return play


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
    for name, play in ADAPTERS.items():
        yield CodePath(name, play)


CODE_PATHS: Final = {code_path.name: code_path for code_path in code_paths()}
