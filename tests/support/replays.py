"""Every adapter that calls the API, replaying a cassette; and the client by itself.

A replay gives a picture: all that somebody gets from the adapter, as plain data. What it must look
like stands in `tests/expected/<name>.yaml`, which no code derives from the cassette.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
from tests.support.twins import twins

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


LIBRARIES: Final = {"langchain": langchain, "llama_index": llama_index}
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
    called: str,
    *arguments: Any,
    picture: Callable[[Any], Picture],
    cassette: str = "",
    first: Callable[[], Any] | None = None,
    through: Callable[[Any], Any] = lambda adapter: adapter,
    named: dict[str, Any] | None = None,
    **settings: Any,
) -> Replay:
    """A replay of one method, whose awaiting twin is called the same with an `a` before it.

    Args:
        name: The subpackage and what it shows, as `langchain/search`.
        called: Class and method, as `ParallelSearchRetriever.invoke`.
        arguments: What the method takes.
        picture: Gives the picture of what it returns.
        cassette: Of the adapters, where it is not named as the second part of `name`.
        first: Makes an operation that comes before.
        through: Gives what the method is of, where that is not the adapter itself.
        named: What else the method takes.
        settings: Of the class.
    """
    library, _, shown = name.partition("/")
    adapter, _, method = called.partition(".")

    def make(client: ParallelClient) -> Any:
        if first:
            client.run(first())
        return through(getattr(LIBRARIES[library], adapter)(client=client, **settings))

    codes = twins(make, method, *arguments, result=picture, **named or {})
    return Replay(name, (f"{library}.{adapter}",), f"adapters/{cassette or shown}", *codes)


def _client_replay(cassette: str) -> Replay:
    def blocking(client: ParallelClient) -> Picture:
        return [plain(each) for each in run(BY_NAME[cassette], client)]

    async def awaiting(client: ParallelClient) -> Picture:
        return [plain(each) for each in await arun(BY_NAME[cassette], client)]

    return Replay(f"client/{cassette.replace('/', '_')}", (), cassette, blocking, awaiting)


def _tool_call(**arguments: Any) -> dict[str, Any]:
    """The call of a LangChain tool."""
    return {"type": "tool_call", "id": "1", "name": "any", "args": arguments}


def _langchain_tool(name: str, cassette: str, call: dict[str, Any], **settings: Any) -> Replay:
    return _replay(
        f"langchain/{cassette}", f"{name}.invoke", call, picture=_read_by_model, **settings
    )


def _spec_tool(tool: str, cassette: str, **arguments: Any) -> Replay:
    memory = {"first": remembered_task, "memory_scope_key": SCOPE}
    return _replay(
        f"llama_index/{tool}",
        "ParallelToolSpec.call",
        picture=_tool_output,
        cassette=cassette,
        through=lambda spec: spec.to_tool_list([tool])[0],
        named=arguments,
        processor="lite",
        match_limit=5,
        entity_limit=5,
        **(memory if tool == "parallel_memory" else {}),
        **_SEARCH,
    )


def _looked_up() -> Replay:
    def tools(client: ParallelClient) -> tuple[Any, Any]:
        start = langchain.ParallelStartResearchTool(
            client=client, processor="lite", output_schema="The length."
        )
        return start, langchain.ParallelGetResearchTool(client=client)

    def blocking(client: ParallelClient) -> Picture:
        start, get = tools(client)
        started = start.invoke(_tool_call(input=QUESTION))
        assert started.artifact, started.content
        found = get.invoke(_tool_call(run_id=started.artifact["run_id"]))
        return [_read_by_model(started), _read_by_model(found)]

    async def awaiting(client: ParallelClient) -> Picture:
        start, get = tools(client)
        started = await start.ainvoke(_tool_call(input=QUESTION))
        assert started.artifact, started.content
        found = await get.ainvoke(_tool_call(run_id=started.artifact["run_id"]))
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


def _merged_chunks(chunks: list[Any]) -> Picture:
    whole = sum(chunks[1:], chunks[0])
    texts = [str(each.text) for each in chunks]
    return {"texts": texts, "whole": _message(message_chunk_to_message(whole))}


def _last_response(responses: list[Any]) -> Picture:
    return {"deltas": [each.delta for each in responses], "last": _chat(responses[-1])}


def _ignore(error: Exception) -> None:
    """Say nothing of the page that there is not."""


_QUESTION: Final = [ChatMessage(role="user", content=QUESTION)]
_OFFSETS: Final[dict[str, Any]] = {"mode": None, "split": "excerpt", "published_day": True}
_DECISION: Final = {
    "state": "The harbour bridge is closed.",
    "questions": {"closed": Noul(instructions="Is it closed?")},
}

_found: Final = partial(_replay, picture=_documents)
_said: Final = partial(_replay, picture=_message)
_plain: Final = partial(_replay, picture=plain)
_streamed: Final = partial(_replay, picture=_merged_chunks)
_chatted: Final = partial(_replay, picture=_chat)
_responded: Final = partial(_replay, picture=_last_response)
_cited: Final = partial(_replay, picture=_engine_response)

REPLAYS: Final = (
    _found("langchain/search", "ParallelSearchRetriever.invoke", QUESTION, k=2),
    _found(
        "langchain/written_search",
        "ParallelSearchRetriever.invoke",
        QUESTION,
        k=2,
        query_writer=RunnableLambda(lambda question: WRITTEN),
    ),
    _found(
        "langchain/search_with_offsets",
        "ParallelSearchRetriever.invoke",
        QUESTION,
        k=2,
        **_OFFSETS,
    ),
    _langchain_tool("ParallelSearchTool", "tool_search", _tool_call(objective=QUESTION), **_SEARCH),
    _replay(
        "langchain/toolkit",
        "ParallelToolkit.invoke",
        _tool_call(objective=QUESTION),
        picture=_read_by_model,
        cassette="tool_search",
        through=lambda toolkit: toolkit.get_tools()[0],
        search=_SEARCH,
    ),
    _langchain_tool(
        "ParallelExtractTool",
        "tool_extract",
        _tool_call(urls=[BRIDGE, NO_PAGE], objective=QUESTION),
        session_id=SESSION,
    ),
    _langchain_tool(
        "ParallelTaskRunTool",
        "tool_task",
        _tool_call(input=QUESTION),
        processor="lite",
        output_schema="The length.",
    ),
    _langchain_tool(
        "ParallelFindAllTool", "tool_find_all", _tool_call(objective=THINGS), match_limit=5
    ),
    _langchain_tool(
        "ParallelEntitySearchTool",
        "entities",
        _tool_call(objective=MAKERS, entity_type="companies"),
        match_limit=5,
    ),
    _langchain_tool(
        "ParallelMemoryTool",
        "memory",
        _tool_call(query="harbour bridge"),
        first=remembered_task,
        memory_scope_key=SCOPE,
    ),
    _looked_up(),
    _monitor(langchain),
    _found(
        "langchain/entity_documents",
        "ParallelEntityRetriever.invoke",
        MAKERS,
        cassette="entities",
        k=5,
    ),
    _found(
        "langchain/whole_pages",
        "ParallelExtractLoader.load",
        urls=[BRIDGE, NO_PAGE],
        on_error=_ignore,
    ),
    _plain(
        "langchain/research",
        "ParallelDeepResearch.invoke",
        QUESTION,
        processor="lite",
        output_schema=Bridge,
    ),
    _plain(
        "langchain/enrichment",
        "ParallelEnrichment.invoke",
        [{"name": "The harbour bridge"}],
        output_schema=Bridge,
    ),
    _said("langchain/chat", "ChatParallel.invoke", QUESTION, model="lite"),
    _streamed("langchain/streamed_chat", "ChatParallel.stream", QUESTION, model="lite"),
    _streamed("langchain/streamed_response", "ChatParallel.stream", QUESTION, model="parallel"),
    _said("langchain/response", "ChatParallel.invoke", QUESTION, model="parallel"),
    _replay(
        "langchain/structured",
        "ChatParallel.invoke",
        QUESTION,
        picture=_structured,
        cassette="structured_langchain",
        through=lambda model: model.with_structured_output(Bridge, include_raw=True),
        model="lite",
    ),
    _plain("langchain/decision", "ParallelDecisions.invoke", _DECISION),
    _found("llama_index/search", "ParallelReader.load_data", QUESTION, max_results=2),
    _found(
        "llama_index/ranked_search",
        "ParallelRetriever.retrieve",
        QUESTION,
        cassette="search",
        max_results=2,
    ),
    _found(
        "llama_index/written_search",
        "ParallelRetriever.retrieve",
        QUESTION,
        max_results=2,
        query_writer=Writer(),
    ),
    _found(
        "llama_index/search_with_offsets",
        "ParallelReader.load_data",
        QUESTION,
        max_results=2,
        **_OFFSETS,
    ),
    _found("llama_index/entities", "ParallelEntityRetriever.retrieve", MAKERS, max_results=5),
    _found(
        "llama_index/whole_pages",
        "ParallelExtractReader.load_data",
        [BRIDGE, NO_PAGE],
        on_error=_ignore,
    ),
    _monitor(llama_index),
    _spec_tool("parallel_search", "tool_search", objective=QUESTION),
    _spec_tool("parallel_extract", "tool_extract", urls=[BRIDGE, NO_PAGE], objective=QUESTION),
    _spec_tool("parallel_task", "task", input=QUESTION),
    _spec_tool("parallel_find_all", "find_all", objective=THINGS),
    _spec_tool("parallel_entity_search", "entities", objective=MAKERS, entity_type="companies"),
    _spec_tool("parallel_memory", "memory", query="harbour bridge"),
    _chatted("llama_index/chat", "ParallelLLM.chat", _QUESTION, model="lite"),
    _responded("llama_index/streamed_chat", "ParallelLLM.stream_chat", _QUESTION, model="lite"),
    _responded(
        "llama_index/streamed_response", "ParallelLLM.stream_chat", _QUESTION, model="parallel"
    ),
    _chatted("llama_index/response", "ParallelLLM.chat", _QUESTION, model="parallel"),
    _replay(
        "llama_index/structured",
        "ParallelLLM.chat",
        _QUESTION,
        picture=_structured_chat,
        cassette="structured_llama_index",
        through=lambda llm: llm.as_structured_llm(Bridge),
        model="lite",
    ),
    _cited(
        "llama_index/query_engine",
        "ParallelQueryEngine.query",
        QUESTION,
        cassette="chat",
        model="lite",
    ),
    _cited(
        "llama_index/query_engine_with_tasks",
        "ParallelQueryEngine.query",
        QUESTION,
        cassette="task",
        processor="lite",
    ),
    _found(
        "llama_index/extractor",
        "ParallelExtractor.process_nodes",
        [TextNode(id_="node", text="The harbour bridge")],
        output_schema=Bridge,
        processor="lite",
        in_place=False,
    ),
    _plain("llama_index/selection", "ParallelSelector.select", CHOICES, QUESTION),
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
