"""Every class of the LlamaIndex room that calls the API, by every method that does."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, cast

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import TextNode
from llama_index.core.workflow import Context

from parallel_integrations.llama_index import (
    ParallelExtractor,
    ParallelExtractReader,
    ParallelLLM,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
    ParallelToolSpec,
)
from tests.faults.calls import (
    ADD,
    CHAT,
    CHAT_STREAM,
    CREATE_GROUP,
    CREATE_RUN,
    EXTRACT,
    FOUND_RESULT,
    FOUND_STATUS,
    GROUP_STATUS,
    INGEST,
    LATER_FINDALL,
    LISTING,
    PROGRESS,
    RESULT,
    SEARCH,
    Call,
    Connection,
    Step,
    Title,
    plain,
)
from tests.faults.responses import PAGE_URL
from tests.faults.table import Kind

QUESTION: Final = "What is a slot?"
_PROMPT: Final = PromptTemplate("{question}")
_MESSAGES: Final = [ChatMessage(role="user", content=QUESTION)]


class Listening:
    """Stands for an agent's context, of which a tool uses this one method."""

    def write_event_to_stream(self, event: Any) -> None:
        """Take an event."""


def _llm(at: Connection) -> ParallelLLM:
    return ParallelLLM(**at.settings)


def _spec(at: Connection) -> ParallelToolSpec:
    return ParallelToolSpec(processor="lite", deadline_seconds=at.deadline_seconds, **at.settings)


def _engine(at: Connection, **more: Any) -> ParallelQueryEngine:
    return ParallelQueryEngine(**more, **at.settings)


def _extractor(at: Connection) -> ParallelExtractor:
    return ParallelExtractor(
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


_DEEP: Final = (CREATE_RUN, PROGRESS, RESULT)
_ENRICHMENT: Final = (
    replace(CREATE_GROUP, kind=Kind.GROUP),
    replace(ADD, kind=Kind.ROWS),
    replace(GROUP_STATUS, kind=Kind.LOOK, polled=True),
    replace(LISTING, kind=Kind.LOOK, polled=True),
)

LLAMA_INDEX: Final[tuple[Call, ...]] = (
    _call(
        "ParallelReader.load_data",
        lambda at: ParallelReader(**at.settings).load_data(QUESTION),
        lambda at: ParallelReader(**at.settings).aload_data(QUESTION),
        SEARCH,
    ),
    _call(
        "ParallelReader.lazy_load_data",
        lambda at: list(ParallelReader(**at.settings).lazy_load_data(QUESTION)),
        lambda at: ParallelReader(**at.settings).alazy_load_data(QUESTION),
        SEARCH,
    ),
    _call(
        "ParallelExtractReader.load_data",
        lambda at: ParallelExtractReader(**at.settings).load_data([PAGE_URL]),
        lambda at: ParallelExtractReader(**at.settings).aload_data([PAGE_URL]),
        EXTRACT,
    ),
    _call(
        "ParallelExtractReader.lazy_load_data",
        lambda at: list(ParallelExtractReader(**at.settings).lazy_load_data([PAGE_URL])),
        lambda at: ParallelExtractReader(**at.settings).alazy_load_data([PAGE_URL]),
        EXTRACT,
    ),
    _call(
        "ParallelRetriever.retrieve",
        lambda at: ParallelRetriever(**at.settings).retrieve(QUESTION),
        lambda at: ParallelRetriever(**at.settings).aretrieve(QUESTION),
        SEARCH,
    ),
    _call("ParallelLLM.chat", lambda at: _llm(at).chat(_MESSAGES).message.content, _chat, CHAT),
    _call("ParallelLLM.complete", lambda at: _llm(at).complete(QUESTION).text, _complete, CHAT),
    _call(
        "ParallelLLM.stream_chat",
        lambda at: [each.delta for each in _llm(at).stream_chat(_MESSAGES)],
        _stream_chat,
        CHAT_STREAM,
    ),
    _call(
        "ParallelLLM.stream_complete",
        lambda at: [each.delta for each in _llm(at).stream_complete(QUESTION)],
        _stream_complete,
        CHAT_STREAM,
    ),
    _call(
        "ParallelLLM.structured_predict",
        lambda at: _llm(at).structured_predict(Title, _PROMPT, question=QUESTION),
        lambda at: _llm(at).astructured_predict(Title, _PROMPT, question=QUESTION),
        CHAT,
    ),
    _call(
        "ParallelLLM.stream_structured_predict",
        lambda at: list(_llm(at).stream_structured_predict(Title, _PROMPT, question=QUESTION))[-1],
        _stream_structured,
        CHAT_STREAM,
    ),
    _call(
        "ParallelToolSpec.parallel_search",
        lambda at: _spec(at).parallel_search(QUESTION),
        lambda at: _spec(at).aparallel_search(QUESTION),
        SEARCH,
    ),
    _call(
        "ParallelToolSpec.parallel_extract",
        lambda at: _spec(at).parallel_extract([PAGE_URL]),
        lambda at: _spec(at).aparallel_extract([PAGE_URL]),
        EXTRACT,
    ),
    _call(
        "ParallelToolSpec.parallel_task",
        lambda at: _spec(at).parallel_task(QUESTION),
        lambda at: _spec(at).aparallel_task(QUESTION),
        CREATE_RUN,
        RESULT,
    ),
    _call(
        "ParallelToolSpec.parallel_find_all",
        lambda at: _spec(at).parallel_find_all("Python statements that bind names"),
        lambda at: _spec(at).aparallel_find_all("Python statements that bind names"),
        INGEST,
        LATER_FINDALL,
        FOUND_STATUS,
        FOUND_RESULT,
    ),
    _call(
        "ParallelToolSpec.parallel_deep_research",
        None,
        lambda at: _spec(at).parallel_deep_research(cast(Context, Listening()), QUESTION),
        *_DEEP,
    ),
    _call("ParallelQueryEngine model", _ask, _aask, CHAT),
    _call("ParallelQueryEngine streaming", _ask_streaming, _aask_streaming, CHAT_STREAM),
    _call(
        "ParallelQueryEngine processor",
        lambda at: _ask(at, processor="lite", deadline_seconds=at.deadline_seconds),
        lambda at: _aask(at, processor="lite", deadline_seconds=at.deadline_seconds),
        CREATE_RUN,
        RESULT,
    ),
    _call(
        "ParallelQueryEngine output_cls",
        lambda at: str(_engine(at, output_cls=Title).query(QUESTION)),
        lambda at: _aask(at, output_cls=Title),
        CHAT,
    ),
    _call(
        "ParallelExtractor.extract",
        lambda at: _extractor(at).extract(_nodes()),
        lambda at: _extractor(at).aextract(_nodes()),
        *_ENRICHMENT,
    ),
)
