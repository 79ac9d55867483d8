"""Every class of the LangChain room that calls the API, by every method that does."""

from collections.abc import Callable
from typing import Any, Final

from langchain_core.exceptions import ModelError
from langchain_core.tools import ToolException

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
from tests.faults.calls import (
    CHAT,
    CHAT_STREAM,
    CREATE_RUN,
    EXTRACT,
    FOUND,
    FOUND_RESULT,
    FOUND_STATUS,
    INGEST,
    LATER_FINDALL,
    PROGRESS,
    RESULT,
    SEARCH,
    Call,
    Connection,
    Step,
    Title,
    plain,
)
from tests.faults.responses import PAGE_URL, RUN_ID
from tests.faults.table import Kind, Sort

QUESTION: Final = "What is a slot?"
FOUND_EVENTS: Final = Step(
    "events",
    "GET /v1beta/findall/runs/[^/]+/events",
    Kind.COURTESY,
    Sort.EVENTS,
    FOUND,
    first=False,
)


def _tool(name: str, make: Callable[[Connection], Any], asked: Any, *steps: Step) -> Call:
    async def arun(at: Connection) -> Any:
        return await make(at).ainvoke(asked)

    return Call(name, lambda at: make(at).invoke(asked), arun, steps, wrapped=ToolException)


def _raising(tool: Any, at: Connection, **more: Any) -> Any:
    return tool(**at.settings, handle_tool_error=False, **more)


def _chat(at: Connection) -> ChatParallel:
    return ChatParallel(**at.settings)


def _retriever(at: Connection) -> ParallelSearchRetriever:
    return ParallelSearchRetriever(**at.settings)


def _loader(at: Connection) -> ParallelExtractLoader:
    return ParallelExtractLoader(urls=[PAGE_URL], **at.settings)


def _research(at: Connection) -> ParallelDeepResearch:
    return ParallelDeepResearch(
        processor="lite", deadline_seconds=at.deadline_seconds, **at.settings
    )


async def _aretrieve(at: Connection) -> Any:
    return plain(await _retriever(at).ainvoke(QUESTION))


async def _aload(at: Connection) -> Any:
    return plain([each async for each in _loader(at).alazy_load()])


async def _achat(at: Connection) -> Any:
    return (await _chat(at).ainvoke(QUESTION)).text


async def _astream(at: Connection) -> Any:
    return [each.text async for each in _chat(at).astream(QUESTION)]


async def _astructured(at: Connection) -> Any:
    return plain(await _chat(at).with_structured_output(Title).ainvoke(QUESTION))


async def _aresearch(at: Connection) -> Any:
    return await _research(at).ainvoke(QUESTION)


async def _aresume(at: Connection) -> Any:
    return await _research(at).ainvoke({"run_id": RUN_ID})


async def _astream_research(at: Connection) -> Any:
    return [each async for each in _research(at).astream(QUESTION)][-1]


LANGCHAIN: Final[tuple[Call, ...]] = (
    Call(
        "ParallelSearchRetriever.invoke",
        lambda at: plain(_retriever(at).invoke(QUESTION)),
        _aretrieve,
        (SEARCH,),
    ),
    Call(
        "ParallelExtractLoader.lazy_load",
        lambda at: plain(list(_loader(at).lazy_load())),
        _aload,
        (EXTRACT,),
    ),
    _tool(
        "ParallelSearchTool",
        lambda at: _raising(ParallelSearchTool, at),
        {"objective": QUESTION},
        SEARCH,
    ),
    _tool(
        "ParallelExtractTool",
        lambda at: _raising(ParallelExtractTool, at),
        {"urls": [PAGE_URL]},
        EXTRACT,
    ),
    _tool(
        "ParallelTaskRunTool",
        lambda at: _raising(
            ParallelTaskRunTool, at, processor="lite", deadline_seconds=at.deadline_seconds
        ),
        {"input": QUESTION},
        CREATE_RUN,
        PROGRESS,
        RESULT,
    ),
    _tool(
        "ParallelFindAllTool",
        lambda at: _raising(ParallelFindAllTool, at, deadline_seconds=at.deadline_seconds),
        {"objective": "Python statements that bind names"},
        INGEST,
        LATER_FINDALL,
        FOUND_EVENTS,
        FOUND_STATUS,
        FOUND_RESULT,
    ),
    Call(
        "ChatParallel.invoke",
        lambda at: _chat(at).invoke(QUESTION).text,
        _achat,
        (CHAT,),
        also=ModelError,
    ),
    Call(
        "ChatParallel.stream",
        lambda at: [each.text for each in _chat(at).stream(QUESTION)],
        _astream,
        (CHAT_STREAM,),
        also=ModelError,
    ),
    Call(
        "ChatParallel.with_structured_output",
        lambda at: plain(_chat(at).with_structured_output(Title).invoke(QUESTION)),
        _astructured,
        (CHAT,),
        also=ModelError,
    ),
    Call(
        "ParallelDeepResearch.invoke",
        lambda at: _research(at).invoke(QUESTION),
        _aresearch,
        (CREATE_RUN, PROGRESS, RESULT),
    ),
    Call(
        "ParallelDeepResearch.invoke run_id",
        lambda at: _research(at).invoke({"run_id": RUN_ID}),
        _aresume,
        (PROGRESS, RESULT),
    ),
    Call(
        "ParallelDeepResearch.stream",
        lambda at: list(_research(at).stream(QUESTION))[-1],
        _astream_research,
        (CREATE_RUN, PROGRESS, RESULT),
    ),
)
