"""Every adapter that calls the API, replaying a cassette; and the client by itself.

A replay gives a picture: all that somebody gets from the adapter, as plain data. What it must look
like stands in `tests/expected/<name>.yaml`, which no code derives from the cassette.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from langchain_core.decisions import Noul
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.runnables import RunnableLambda
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.schema import TextNode
from pydantic import BaseModel, Field

from parallel_integrations import ParallelClient, langchain, llama_index
from tests.support.adapter_scenarios import (
    BRIDGE,
    MAKERS,
    NO_PAGE,
    OBJECTIVE,
    QUERIES,
    QUESTION,
    SCOPE,
    SESSION,
    THINGS,
    remembered_task,
)
from tests.support.cassettes import REPLAY_KEY, Edit, Tape, replaying
from tests.support.scenario import arun, run
from tests.support.scenarios import BY_NAME

Picture: TypeAlias = Any


class Bridge(BaseModel):
    """A bridge."""

    length: str = Field(description="How long the bridge is.")


class Writer(CustomLLM):
    """An LLM that has read the question."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=str(WRITTEN).replace("'", '"'))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        yield self.complete(prompt, formatted, **kwargs)


@dataclass(frozen=True)
class Replay:
    """One adapter and a cassette.

    Attributes:
        name: The file of the expectation.
        adapters: Names of what replays, as they are imported; none where it is the client itself.
        cassette: Name of the cassette.
        blocking: Gives the picture.
        awaiting: Gives the same, awaiting.
    """

    name: str
    adapters: tuple[str, ...]
    cassette: str
    blocking: Callable[[ParallelClient], Picture]
    awaiting: Callable[[ParallelClient], Awaitable[Picture]]

    def picture(self, tape: Tape, number: int = 0, edit: Edit | None = None) -> Picture:
        """What comes of its cassette, or of that with one response edited."""
        with (
            BY_NAME[self.cassette].set_up(api_key=REPLAY_KEY) as client,
            tape.replaying(number, edit),
        ):
            return self.blocking(client)

    async def apicture(self) -> Picture:
        """What comes of the cassette, awaiting."""
        async with BY_NAME[self.cassette].set_up(api_key=REPLAY_KEY) as client:
            with replaying(self.cassette):
                return await self.awaiting(client)


WRITTEN: Final = {"objective": OBJECTIVE, "search_queries": QUERIES}
CHOICES: Final = ["About bridges.", "About ferries."]
_SEARCH: Final = {"max_results": 2, "session_id": SESSION}


def _documents(found: Sequence[Any]) -> Picture:
    """Documents of either framework, and nodes with their score."""
    return [_document(each) for each in found]


def _document(each: Any) -> Picture:
    score = {"score": round(each.score, 3)} if getattr(each, "score", None) is not None else {}
    each = getattr(each, "node", each)
    text = each.page_content if hasattr(each, "page_content") else each.text
    name = each.id if hasattr(each, "page_content") else each.id_
    return {"id": name, "text": text, "metadata": plain(each.metadata), **score}


def _read_by_model(message: Any) -> Picture:
    """The message of a LangChain tool."""
    return {"content": message.content, "artifact": message.artifact, "status": message.status}


def _tool_output(output: Any) -> Picture:
    """The output of a LlamaIndex tool."""
    return {"content": output.content, "documents": _documents(output.raw_output)}


def _message(message: Any) -> Picture:
    """A message of LangChain, without the id that LangChain counts up."""
    return {
        "text": str(message.text),
        "blocks": [
            {name: value for name, value in block.items() if name != "id"}
            for block in message.content_blocks
        ],
        "additional_kwargs": message.additional_kwargs,
        "response_metadata": message.response_metadata,
        "usage_metadata": message.usage_metadata,
    }


def _structured(found: Any) -> Picture:
    return {"parsed": plain(found["parsed"]), "raw": _message(found["raw"])}


def _chat(response: Any) -> Picture:
    return {
        "text": response.message.content,
        "blocks": [plain(block) for block in response.message.blocks],
        "additional_kwargs": plain(response.additional_kwargs),
    }


def _structured_chat(response: Any) -> Picture:
    return {"raw": plain(response.raw), "evidence": llama_index.evidence_of(response.raw)}


def _engine_response(response: Any) -> Picture:
    return {
        "text": response.response,
        "metadata": plain(response.metadata),
        "sources": _documents(response.source_nodes),
    }


def plain(value: Any) -> Picture:
    """Models and what holds them as JSON-like data; what a class adds to the wire is left out."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _replay(
    name: str,
    adapter: str,
    cassette: str,
    make: Callable[[ParallelClient], Any],
    method: str,
    *arguments: Any,
    picture: Callable[[Any], Picture],
    **named: Any,
) -> Replay:
    """A replay of one method, whose awaiting twin is called the same with an `a` before it."""

    def blocking(client: ParallelClient) -> Picture:
        return picture(getattr(make(client), method)(*arguments, **named))

    async def awaiting(client: ParallelClient) -> Picture:
        return picture(await getattr(make(client), f"a{method}")(*arguments, **named))

    return Replay(name, (adapter,), f"adapters/{cassette}", blocking, awaiting)


def _client_replay(cassette: str) -> Replay:
    def blocking(client: ParallelClient) -> Picture:
        return [plain(each) for each in run(BY_NAME[cassette], client)]

    async def awaiting(client: ParallelClient) -> Picture:
        return [plain(each) for each in await arun(BY_NAME[cassette], client)]

    return Replay(f"client/{cassette.replace('/', '_')}", (), cassette, blocking, awaiting)


def _langchain_tool(
    name: str, cassette: str, make: Callable[[ParallelClient], Any], **arguments: Any
) -> Replay:
    call = {"type": "tool_call", "id": "1", "name": "any", "args": arguments}
    return _replay(
        f"langchain/{cassette}",
        f"langchain.{name}",
        cassette,
        make,
        "invoke",
        call,
        picture=_read_by_model,
    )


def _spec_tool(tool: str, cassette: str, **arguments: Any) -> Replay:
    def make(client: ParallelClient) -> Any:
        spec = llama_index.ParallelToolSpec(
            client=client,
            processor="lite",
            match_limit=5,
            entity_limit=5,
            memory_scope_key=SCOPE if tool == "parallel_memory" else None,
            **_SEARCH,
        )
        if tool == "parallel_memory":
            client.run(remembered_task())
        return spec.to_tool_list([tool])[0]

    return _replay(
        f"llama_index/{tool}",
        "llama_index.ParallelToolSpec",
        cassette,
        make,
        "call",
        picture=_tool_output,
        **arguments,
    )


def _after_a_task(tool: Callable[..., Any]) -> Callable[[ParallelClient], Any]:
    """A memory tool, once there is something to remember."""

    def make(client: ParallelClient) -> Any:
        client.run(remembered_task())
        return tool(client=client, memory_scope_key=SCOPE)

    return make


def _looked_up() -> Replay:
    def tools(client: ParallelClient) -> tuple[Any, Any]:
        start = langchain.ParallelStartResearchTool(
            client=client, processor="lite", output_schema="The length."
        )
        return start, langchain.ParallelGetResearchTool(client=client)

    def call(**arguments: Any) -> dict[str, Any]:
        return {"type": "tool_call", "id": "1", "name": "any", "args": arguments}

    def blocking(client: ParallelClient) -> Picture:
        start, get = tools(client)
        started = start.invoke(call(input=QUESTION))
        assert started.artifact, started.content
        found = get.invoke(call(run_id=started.artifact["run_id"]))
        return [_read_by_model(started), _read_by_model(found)]

    async def awaiting(client: ParallelClient) -> Picture:
        start, get = tools(client)
        started = await start.ainvoke(call(input=QUESTION))
        assert started.artifact, started.content
        found = await get.ainvoke(call(run_id=started.artifact["run_id"]))
        return [_read_by_model(started), _read_by_model(found)]

    names = ("langchain.ParallelStartResearchTool", "langchain.ParallelGetResearchTool")
    cassette = "adapters/research_looked_up"
    return Replay("langchain/research_looked_up", names, cassette, blocking, awaiting)


def _monitor(framework: Any) -> Replay:
    def blocking(client: ParallelClient) -> Picture:
        monitors = framework.ParallelMonitor(client=client)
        created = monitors.create(OBJECTIVE, frequency="1d", include_backfill=True)
        events = monitors.events(created.monitor_id)
        return [plain(created), _documents(events), plain(monitors.cancel(created.monitor_id))]

    async def awaiting(client: ParallelClient) -> Picture:
        monitors = framework.ParallelMonitor(client=client)
        created = await monitors.acreate(OBJECTIVE, frequency="1d", include_backfill=True)
        events = await monitors.aevents(created.monitor_id)
        cancelled = await monitors.acancel(created.monitor_id)
        return [plain(created), _documents(events), plain(cancelled)]

    name = framework.__name__.rpartition(".")[2]
    return Replay(
        f"{name}/monitor", (f"{name}.ParallelMonitor",), "adapters/monitor", blocking, awaiting
    )


def _streamed_langchain(model: str, cassette: str) -> Replay:
    def merged(chunks: list[Any]) -> Picture:
        whole = sum(chunks[1:], chunks[0])
        texts = [str(each.text) for each in chunks]
        return {"texts": texts, "whole": _message(message_chunk_to_message(whole))}

    def make(client: ParallelClient) -> Any:
        return langchain.ChatParallel(client=client, model=model)

    async def awaiting(client: ParallelClient) -> Picture:
        return merged([each async for each in make(client).astream(QUESTION)])

    return Replay(
        f"langchain/{cassette}",
        ("langchain.ChatParallel",),
        f"adapters/{cassette}",
        lambda client: merged(list(make(client).stream(QUESTION))),
        awaiting,
    )


def _streamed_llama_index(model: str, cassette: str) -> Replay:
    def merged(responses: list[Any]) -> Picture:
        return {"deltas": [each.delta for each in responses], "last": _chat(responses[-1])}

    def make(client: ParallelClient) -> Any:
        return llama_index.ParallelLLM(client=client, model=model)

    async def awaiting(client: ParallelClient) -> Picture:
        return merged([each async for each in await make(client).astream_chat(_QUESTION)])

    return Replay(
        f"llama_index/{cassette}",
        ("llama_index.ParallelLLM",),
        f"adapters/{cassette}",
        lambda client: merged(list(make(client).stream_chat(_QUESTION))),
        awaiting,
    )


def _pages(reader: Callable[..., Any]) -> Callable[[ParallelClient], Any]:
    """A reader that says nothing of the page that there is not."""
    return lambda client: reader(client=client, urls=[BRIDGE, NO_PAGE], on_error=lambda error: None)


_QUESTION: Final = [ChatMessage(role="user", content=QUESTION)]
_ENGINE: Final = llama_index.ParallelQueryEngine
REPLAYS: Final = (
    _replay(
        "langchain/search",
        "langchain.ParallelSearchRetriever",
        "search",
        lambda client: langchain.ParallelSearchRetriever(client=client, k=2),
        "invoke",
        QUESTION,
        picture=_documents,
    ),
    _replay(
        "langchain/written_search",
        "langchain.ParallelSearchRetriever",
        "written_search",
        lambda client: langchain.ParallelSearchRetriever(
            client=client, k=2, query_writer=RunnableLambda(lambda question: WRITTEN)
        ),
        "invoke",
        QUESTION,
        picture=_documents,
    ),
    _replay(
        "langchain/search_with_offsets",
        "langchain.ParallelSearchRetriever",
        "search_with_offsets",
        lambda client: langchain.ParallelSearchRetriever(
            client=client, k=2, mode=None, split="excerpt", published_day=True
        ),
        "invoke",
        QUESTION,
        picture=_documents,
    ),
    _langchain_tool(
        "ParallelSearchTool",
        "tool_search",
        lambda client: langchain.ParallelSearchTool(client=client, **_SEARCH),
        objective=QUESTION,
    ),
    _replay(
        "langchain/toolkit",
        "langchain.ParallelToolkit",
        "tool_search",
        lambda client: langchain.ParallelToolkit(client=client, search=_SEARCH).get_tools()[0],
        "invoke",
        {"type": "tool_call", "id": "1", "name": "any", "args": {"objective": QUESTION}},
        picture=_read_by_model,
    ),
    _langchain_tool(
        "ParallelExtractTool",
        "tool_extract",
        lambda client: langchain.ParallelExtractTool(client=client, session_id=SESSION),
        urls=[BRIDGE, NO_PAGE],
        objective=QUESTION,
    ),
    _langchain_tool(
        "ParallelTaskRunTool",
        "tool_task",
        lambda client: langchain.ParallelTaskRunTool(
            client=client, processor="lite", output_schema="The length."
        ),
        input=QUESTION,
    ),
    _langchain_tool(
        "ParallelFindAllTool",
        "tool_find_all",
        lambda client: langchain.ParallelFindAllTool(client=client, match_limit=5),
        objective=THINGS,
    ),
    _langchain_tool(
        "ParallelEntitySearchTool",
        "entities",
        lambda client: langchain.ParallelEntitySearchTool(client=client, match_limit=5),
        objective=MAKERS,
        entity_type="companies",
    ),
    _langchain_tool(
        "ParallelMemoryTool",
        "memory",
        _after_a_task(langchain.ParallelMemoryTool),
        query="harbour bridge",
    ),
    _looked_up(),
    _monitor(langchain),
    _replay(
        "langchain/entity_documents",
        "langchain.ParallelEntityRetriever",
        "entities",
        lambda client: langchain.ParallelEntityRetriever(client=client, k=5),
        "invoke",
        MAKERS,
        picture=_documents,
    ),
    _replay(
        "langchain/whole_pages",
        "langchain.ParallelExtractLoader",
        "whole_pages",
        _pages(langchain.ParallelExtractLoader),
        "load",
        picture=_documents,
    ),
    _replay(
        "langchain/research",
        "langchain.ParallelDeepResearch",
        "research",
        lambda client: langchain.ParallelDeepResearch(
            client=client, processor="lite", output_schema=Bridge
        ),
        "invoke",
        QUESTION,
        picture=plain,
    ),
    _replay(
        "langchain/enrichment",
        "langchain.ParallelEnrichment",
        "enrichment",
        lambda client: langchain.ParallelEnrichment(client=client, output_schema=Bridge),
        "invoke",
        [{"name": "The harbour bridge"}],
        picture=plain,
    ),
    _replay(
        "langchain/chat",
        "langchain.ChatParallel",
        "chat",
        lambda client: langchain.ChatParallel(client=client, model="lite"),
        "invoke",
        QUESTION,
        picture=_message,
    ),
    _streamed_langchain("lite", "streamed_chat"),
    _streamed_langchain("parallel", "streamed_response"),
    _replay(
        "langchain/response",
        "langchain.ChatParallel",
        "response",
        lambda client: langchain.ChatParallel(client=client, model="parallel"),
        "invoke",
        QUESTION,
        picture=_message,
    ),
    _replay(
        "langchain/structured",
        "langchain.ChatParallel",
        "structured_langchain",
        lambda client: langchain.ChatParallel(client=client, model="lite").with_structured_output(
            Bridge, include_raw=True
        ),
        "invoke",
        QUESTION,
        picture=_structured,
    ),
    _replay(
        "langchain/decision",
        "langchain.ParallelDecisions",
        "decision",
        lambda client: langchain.ParallelDecisions(client=client),
        "invoke",
        {
            "state": "The harbour bridge is closed.",
            "questions": {"closed": Noul(instructions="Is it closed?")},
        },
        picture=plain,
    ),
    _replay(
        "llama_index/search",
        "llama_index.ParallelReader",
        "search",
        lambda client: llama_index.ParallelReader(client=client, max_results=2),
        "load_data",
        QUESTION,
        picture=_documents,
    ),
    _replay(
        "llama_index/ranked_search",
        "llama_index.ParallelRetriever",
        "search",
        lambda client: llama_index.ParallelRetriever(client=client, max_results=2),
        "retrieve",
        QUESTION,
        picture=_documents,
    ),
    _replay(
        "llama_index/written_search",
        "llama_index.ParallelRetriever",
        "written_search",
        lambda client: llama_index.ParallelRetriever(
            client=client, max_results=2, query_writer=Writer()
        ),
        "retrieve",
        QUESTION,
        picture=_documents,
    ),
    _replay(
        "llama_index/search_with_offsets",
        "llama_index.ParallelReader",
        "search_with_offsets",
        lambda client: llama_index.ParallelReader(
            client=client, max_results=2, mode=None, split="excerpt", published_day=True
        ),
        "load_data",
        QUESTION,
        picture=_documents,
    ),
    _replay(
        "llama_index/entities",
        "llama_index.ParallelEntityRetriever",
        "entities",
        lambda client: llama_index.ParallelEntityRetriever(client=client, max_results=5),
        "retrieve",
        MAKERS,
        picture=_documents,
    ),
    _replay(
        "llama_index/whole_pages",
        "llama_index.ParallelExtractReader",
        "whole_pages",
        lambda client: llama_index.ParallelExtractReader(
            client=client, on_error=lambda error: None
        ),
        "load_data",
        [BRIDGE, NO_PAGE],
        picture=_documents,
    ),
    _monitor(llama_index),
    _spec_tool("parallel_search", "tool_search", objective=QUESTION),
    _spec_tool("parallel_extract", "tool_extract", urls=[BRIDGE, NO_PAGE], objective=QUESTION),
    _spec_tool("parallel_task", "task", input=QUESTION),
    _spec_tool("parallel_find_all", "find_all", objective=THINGS),
    _spec_tool("parallel_entity_search", "entities", objective=MAKERS, entity_type="companies"),
    _spec_tool("parallel_memory", "memory", query="harbour bridge"),
    _replay(
        "llama_index/chat",
        "llama_index.ParallelLLM",
        "chat",
        lambda client: llama_index.ParallelLLM(client=client, model="lite"),
        "chat",
        _QUESTION,
        picture=_chat,
    ),
    _streamed_llama_index("lite", "streamed_chat"),
    _streamed_llama_index("parallel", "streamed_response"),
    _replay(
        "llama_index/response",
        "llama_index.ParallelLLM",
        "response",
        lambda client: llama_index.ParallelLLM(client=client, model="parallel"),
        "chat",
        _QUESTION,
        picture=_chat,
    ),
    _replay(
        "llama_index/structured",
        "llama_index.ParallelLLM",
        "structured_llama_index",
        lambda client: llama_index.ParallelLLM(client=client, model="lite").as_structured_llm(
            Bridge
        ),
        "chat",
        _QUESTION,
        picture=_structured_chat,
    ),
    _replay(
        "llama_index/query_engine",
        "llama_index.ParallelQueryEngine",
        "chat",
        lambda client: _ENGINE(client=client, model="lite"),
        "query",
        QUESTION,
        picture=_engine_response,
    ),
    _replay(
        "llama_index/query_engine_with_tasks",
        "llama_index.ParallelQueryEngine",
        "task",
        lambda client: _ENGINE(client=client, processor="lite"),
        "query",
        QUESTION,
        picture=_engine_response,
    ),
    _replay(
        "llama_index/extractor",
        "llama_index.ParallelExtractor",
        "extractor",
        lambda client: llama_index.ParallelExtractor(
            client=client, output_schema=Bridge, processor="lite", in_place=False
        ),
        "process_nodes",
        [TextNode(id_="node", text="The harbour bridge")],
        picture=_documents,
    ),
    _replay(
        "llama_index/selection",
        "llama_index.ParallelSelector",
        "selection",
        lambda client: llama_index.ParallelSelector(client=client),
        "select",
        CHOICES,
        QUESTION,
        picture=plain,
    ),
    *map(
        _client_replay,
        (
            "adapters/search",
            "adapters/decision",
            "adapters/selection",
            "adapters/task",
            "adapters/find_all",
            "adapters/tool_find_all",
            "adapters/research",
            "adapters/search_with_offsets",
            "adapters/whole_pages",
            "adapters/chat",
            "adapters/streamed_chat",
            "adapters/response",
            "adapters/monitor",
            "adapters/memory",
            "tasks/followed",
            "task_groups/followed",
            "findall/managed",
            "monitors/managed",
            "tasks/quickstart_text",
            "tasks/quickstart_json",
            "tasks/quickstart_input_schema",
            "tasks/suggested",
            "extract/no_page_read",
            "findall/entity_search_older_path",
            "gateway/native",
            "gateway/oldest_generation",
            "gateway/compatible_chat",
            "decisions/three_kinds",
            "adapters/streamed_response",
        ),
    ),
)
