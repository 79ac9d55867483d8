"""Every class of the LlamaIndex subpackage that calls the API, by every method that does."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, cast

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import TextNode
from llama_index.core.workflow import Context

from parallel_integrations import llama_index
from tests.faults import calls
from tests.faults.calls import Call, Connection, Step, Title, plain
from tests.faults.table import Kind
from tests.support.operations import MONITOR_ID, PAGE_URL, RUN_ID

QUESTION: Final = "What is a slot?"
_PROMPT: Final = PromptTemplate("{question}")
_CHOICES: Final = ["Statements.", "Modules."]
_MESSAGES: Final = [ChatMessage(role="user", content=QUESTION)]


class Listening:
    """Stands for an agent's context, of which a tool uses this one method."""

    def write_event_to_stream(self, event: Any) -> None:
        """Take an event."""


def _llm(at: Connection) -> llama_index.ParallelLLM:
    return llama_index.ParallelLLM(**at.settings)


def _spec(at: Connection) -> llama_index.ParallelToolSpec:
    return llama_index.ParallelToolSpec(
        processor="lite", deadline_seconds=at.deadline_seconds, **at.settings
    )


def _monitors(at: Connection) -> llama_index.ParallelMonitor:
    return llama_index.ParallelMonitor(**at.settings)


def _engine(at: Connection, **more: Any) -> llama_index.ParallelQueryEngine:
    return llama_index.ParallelQueryEngine(**more, **at.settings)


async def _aresume(at: Connection) -> str:
    engine = _engine(at, processor="lite", deadline_seconds=at.deadline_seconds)
    return str(await engine.aresume(RUN_ID))


def _extractor(at: Connection) -> llama_index.ParallelExtractor:
    return llama_index.ParallelExtractor(
        output_schema="What it is about.",
        processor="lite",
        deadline_seconds=at.deadline_seconds,
        **at.settings,
    )


def _nodes() -> list[TextNode]:
    return [TextNode(text="The with statement"), TextNode(text="The nonlocal statement")]


def _call(
    name: str,
    run: Callable[[Connection], Any] | None,
    arun: Callable[[Connection], Awaitable[Any]],
    *steps: Step,
) -> Call:
    async def awaited(at: Connection) -> Any:
        return plain(await arun(at))

    blocking = None if run is None else (lambda at: plain(run(at)))
    return Call(name, blocking, awaited, steps)


async def _stream_chat(at: Connection) -> list[str | None]:
    return [each.delta async for each in await _llm(at).astream_chat(_MESSAGES)]


def _responses(at: Connection) -> llama_index.ParallelLLM:
    return llama_index.ParallelLLM(model="parallel", **at.settings)


async def _respond(at: Connection) -> str:
    text: str = (await _responses(at).acomplete(QUESTION)).text
    return text


async def _stream_response(at: Connection) -> list[str | None]:
    return [each.delta async for each in await _responses(at).astream_chat(_MESSAGES)]


async def _stream_complete(at: Connection) -> list[str | None]:
    return [each.delta async for each in await _llm(at).astream_complete(QUESTION)]


async def _chat(at: Connection) -> str | None:
    content: str | None = (await _llm(at).achat(_MESSAGES)).message.content
    return content


async def _complete(at: Connection) -> str:
    text: str = (await _llm(at).acomplete(QUESTION)).text
    return text


async def _stream_structured(at: Connection) -> Any:
    stream = await _llm(at).astream_structured_predict(Title, _PROMPT, question=QUESTION)
    return [each async for each in stream][-1]


def _ask(at: Connection, **more: Any) -> str:
    return str(_engine(at, **more).query(QUESTION))


async def _aask(at: Connection, **more: Any) -> str:
    return str(await _engine(at, **more).aquery(QUESTION))


def _ask_streaming(at: Connection) -> list[str]:
    response = cast(StreamingResponse, _engine(at, streaming=True).query(QUESTION))
    return list(response.response_gen)


async def _aask_streaming(at: Connection) -> list[str]:
    response = cast(AsyncStreamingResponse, await _engine(at, streaming=True).aquery(QUESTION))
    return [each async for each in response.async_response_gen()]


_DEEP: Final = (calls.CREATE_RUN, calls.PROGRESS, calls.RESULT)
_ENRICHMENT: Final = (
    replace(calls.CREATE_GROUP, kind=Kind.GROUP),
    replace(calls.ADD, kind=Kind.ROWS),
    replace(calls.GROUP_STATUS, kind=Kind.LOOK, polled=True),
    replace(calls.LISTING, kind=Kind.LOOK, polled=True),
)

LLAMA_INDEX: Final[tuple[Call, ...]] = (
    _call(
        "ParallelReader.load_data",
        lambda at: llama_index.ParallelReader(**at.settings).load_data(QUESTION),
        lambda at: llama_index.ParallelReader(**at.settings).aload_data(QUESTION),
        calls.SEARCH,
    ),
    _call(
        "ParallelReader.lazy_load_data",
        lambda at: list(llama_index.ParallelReader(**at.settings).lazy_load_data(QUESTION)),
        lambda at: llama_index.ParallelReader(**at.settings).alazy_load_data(QUESTION),
        calls.SEARCH,
    ),
    _call(
        "ParallelExtractReader.load_data",
        lambda at: llama_index.ParallelExtractReader(**at.settings).load_data([PAGE_URL]),
        lambda at: llama_index.ParallelExtractReader(**at.settings).aload_data([PAGE_URL]),
        calls.EXTRACT,
    ),
    _call(
        "ParallelExtractReader.lazy_load_data",
        lambda at: list(
            llama_index.ParallelExtractReader(**at.settings).lazy_load_data([PAGE_URL])
        ),
        lambda at: llama_index.ParallelExtractReader(**at.settings).alazy_load_data([PAGE_URL]),
        calls.EXTRACT,
    ),
    _call(
        "ParallelRetriever.retrieve",
        lambda at: llama_index.ParallelRetriever(**at.settings).retrieve(QUESTION),
        lambda at: llama_index.ParallelRetriever(**at.settings).aretrieve(QUESTION),
        calls.SEARCH,
    ),
    _call(
        "ParallelEntityRetriever.retrieve",
        lambda at: llama_index.ParallelEntityRetriever(**at.settings).retrieve(QUESTION),
        lambda at: llama_index.ParallelEntityRetriever(**at.settings).aretrieve(QUESTION),
        calls.ENTITIES,
    ),
    _call(
        "ParallelMonitor.create",
        lambda at: _monitors(at).create(QUESTION),
        lambda at: _monitors(at).acreate(QUESTION),
        calls.CREATE_MONITOR,
    ),
    _call(
        "ParallelMonitor.events",
        lambda at: _monitors(at).events(MONITOR_ID),
        lambda at: _monitors(at).aevents(MONITOR_ID),
        calls.MONITOR_EVENTS,
    ),
    _call(
        "ParallelSelector.select",
        lambda at: llama_index.ParallelSelector(**at.settings).select(_CHOICES, QUESTION),
        lambda at: llama_index.ParallelSelector(**at.settings).aselect(_CHOICES, QUESTION),
        calls.DECISION,
    ),
    _call(
        "ParallelLLM.chat", lambda at: _llm(at).chat(_MESSAGES).message.content, _chat, calls.CHAT
    ),
    _call(
        "ParallelLLM.complete", lambda at: _llm(at).complete(QUESTION).text, _complete, calls.CHAT
    ),
    _call(
        "ParallelLLM.stream_chat",
        lambda at: [each.delta for each in _llm(at).stream_chat(_MESSAGES)],
        _stream_chat,
        calls.CHAT_STREAM,
    ),
    _call(
        "ParallelLLM.stream_complete",
        lambda at: [each.delta for each in _llm(at).stream_complete(QUESTION)],
        _stream_complete,
        calls.CHAT_STREAM,
    ),
    _call(
        "ParallelLLM.stream_chat parallel",
        lambda at: [each.delta for each in _responses(at).stream_chat(_MESSAGES)],
        _stream_response,
        calls.RESPONSE_STREAM,
    ),
    _call(
        "ParallelLLM.complete parallel",
        lambda at: _responses(at).complete(QUESTION).text,
        _respond,
        calls.RESPONSE,
    ),
    _call(
        "ParallelLLM.structured_predict",
        lambda at: _llm(at).structured_predict(Title, _PROMPT, question=QUESTION),
        lambda at: _llm(at).astructured_predict(Title, _PROMPT, question=QUESTION),
        calls.CHAT,
    ),
    _call(
        "ParallelLLM.stream_structured_predict",
        lambda at: list(_llm(at).stream_structured_predict(Title, _PROMPT, question=QUESTION))[-1],
        _stream_structured,
        calls.CHAT_STREAM,
    ),
    _call(
        "ParallelToolSpec.parallel_search",
        lambda at: _spec(at).parallel_search(QUESTION),
        lambda at: _spec(at).aparallel_search(QUESTION),
        calls.SEARCH,
    ),
    _call(
        "ParallelToolSpec.parallel_extract",
        lambda at: _spec(at).parallel_extract([PAGE_URL]),
        lambda at: _spec(at).aparallel_extract([PAGE_URL]),
        calls.EXTRACT,
    ),
    _call(
        "ParallelToolSpec.parallel_task",
        lambda at: _spec(at).parallel_task(QUESTION),
        lambda at: _spec(at).aparallel_task(QUESTION),
        calls.CREATE_RUN,
        calls.RESULT,
    ),
    _call(
        "ParallelToolSpec.parallel_start_research",
        lambda at: _spec(at).parallel_start_research(QUESTION),
        lambda at: _spec(at).aparallel_start_research(QUESTION),
        calls.CREATE_RUN,
    ),
    _call(
        "ParallelToolSpec.parallel_get_research",
        lambda at: _spec(at).parallel_get_research(RUN_ID),
        lambda at: _spec(at).aparallel_get_research(RUN_ID),
        calls.RUN_STATUS,
        calls.RUN_RESULT,
    ),
    _call(
        "ParallelToolSpec.parallel_find_all",
        lambda at: _spec(at).parallel_find_all("Python statements that bind names"),
        lambda at: _spec(at).aparallel_find_all("Python statements that bind names"),
        calls.INGEST,
        calls.LATER_FINDALL,
        calls.FOUND_STATUS,
        calls.FOUND_RESULT,
    ),
    _call(
        "ParallelToolSpec.parallel_entity_search",
        lambda at: _spec(at).parallel_entity_search(QUESTION, "people"),
        lambda at: _spec(at).aparallel_entity_search(QUESTION, "people"),
        calls.ENTITIES,
    ),
    _call(
        "ParallelToolSpec.parallel_memory",
        lambda at: _spec(at).parallel_memory(QUESTION),
        lambda at: _spec(at).aparallel_memory(QUESTION),
        calls.MEMORY,
    ),
    _call(
        "ParallelToolSpec.parallel_deep_research",
        None,
        lambda at: _spec(at).parallel_deep_research(cast(Context, Listening()), QUESTION),
        *_DEEP,
    ),
    _call("ParallelQueryEngine model", _ask, _aask, calls.CHAT),
    _call("ParallelQueryEngine streaming", _ask_streaming, _aask_streaming, calls.CHAT_STREAM),
    _call(
        "ParallelQueryEngine processor",
        lambda at: _ask(at, processor="lite", deadline_seconds=at.deadline_seconds),
        lambda at: _aask(at, processor="lite", deadline_seconds=at.deadline_seconds),
        calls.CREATE_RUN,
        calls.RESULT,
    ),
    _call(
        "ParallelQueryEngine.resume",
        lambda at: str(
            _engine(at, processor="lite", deadline_seconds=at.deadline_seconds).resume(RUN_ID)
        ),
        _aresume,
        Step("result", calls.RESULT.place, calls.RESULT.kind, ids=calls.RUN),
    ),
    _call(
        "ParallelQueryEngine output_cls",
        lambda at: str(_engine(at, output_cls=Title).query(QUESTION)),
        lambda at: _aask(at, output_cls=Title),
        calls.CHAT,
    ),
    _call(
        "ParallelExtractor.extract",
        lambda at: _extractor(at).extract(_nodes()),
        lambda at: _extractor(at).aextract(_nodes()),
        *_ENRICHMENT,
    ),
)
