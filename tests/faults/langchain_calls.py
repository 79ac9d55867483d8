"""Every class of the LangChain subpackage that calls the API, by every method that does."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from langchain_core.exceptions import ModelError
from langchain_core.tools import ToolException

from parallel_integrations import langchain, models
from tests.faults import calls
from tests.faults.calls import Call, Connection, Step, Title, plain
from tests.faults.table import Kind, Sort
from tests.support.operations import MONITOR_ID, PAGE_URL, RUN_ID

QUESTION: Final = "What is a slot?"
HAS_DECISIONS: Final = find_spec("langchain_core.decisions") is not None
"""Since langchain-core 1.8."""
DECISION: Final[Any] = {
    "state": "The with statement closes the file.",
    "questions": {"true": models.Noul(instructions="Is that so?")},
}
FOUND_EVENTS: Final = Step(
    "events",
    "GET /v1beta/findall/runs/[^/]+/events",
    Kind.COURTESY,
    Sort.EVENTS,
    calls.FOUND,
    first=False,
)


def _tool(name: str, make: Callable[[Connection], Any], inputs: Any, *steps: Step) -> Call:
    async def arun(at: Connection) -> Any:
        return await make(at).ainvoke(inputs)

    return Call(name, lambda at: make(at).invoke(inputs), arun, steps, wrapped=ToolException)


def _raising(tool: Any, at: Connection, **more: Any) -> Any:
    return tool(**at.settings, handle_tool_error=False, **more)


def _chat(at: Connection) -> langchain.ChatParallel:
    return langchain.ChatParallel(**at.settings)


def _retriever(at: Connection) -> langchain.ParallelSearchRetriever:
    return langchain.ParallelSearchRetriever(**at.settings)


def _loader(at: Connection) -> langchain.ParallelExtractLoader:
    return langchain.ParallelExtractLoader(urls=[PAGE_URL], **at.settings)


def _research(at: Connection) -> langchain.ParallelDeepResearch:
    return langchain.ParallelDeepResearch(
        processor="lite", deadline_seconds=at.deadline_seconds, **at.settings
    )


async def _aretrieve(at: Connection) -> Any:
    return plain(await _retriever(at).ainvoke(QUESTION))


async def _aload(at: Connection) -> Any:
    return plain([each async for each in _loader(at).alazy_load()])


async def _alist_entities(at: Connection) -> Any:
    return plain(await langchain.ParallelEntityRetriever(**at.settings).ainvoke(QUESTION))


def _monitors(at: Connection) -> langchain.ParallelMonitor:
    return langchain.ParallelMonitor(**at.settings)


async def _acreate_monitor(at: Connection) -> Any:
    return plain(await _monitors(at).acreate(QUESTION))


async def _amonitor_events(at: Connection) -> Any:
    return plain(await _monitors(at).aevents(MONITOR_ID))


async def _achat(at: Connection) -> Any:
    return (await _chat(at).ainvoke(QUESTION)).text


async def _astream(at: Connection) -> Any:
    return [each.text async for each in _chat(at).astream(QUESTION)]


async def _astructured(at: Connection) -> Any:
    return plain(await _chat(at).with_structured_output(Title).ainvoke(QUESTION))


def _responses(at: Connection) -> langchain.ChatParallel:
    return langchain.ChatParallel(model="parallel", **at.settings)


async def _arespond(at: Connection) -> Any:
    return (await _responses(at).ainvoke(QUESTION)).text


async def _astream_response(at: Connection) -> Any:
    return [each.text async for each in _responses(at).astream(QUESTION)]


def _decisions(at: Connection) -> langchain.ParallelDecisions:
    return langchain.ParallelDecisions(**at.settings)


async def _adecide(at: Connection) -> Any:
    return plain(await _decisions(at).ainvoke(DECISION))


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
        (calls.SEARCH,),
    ),
    Call(
        "ParallelExtractLoader.lazy_load",
        lambda at: plain(list(_loader(at).lazy_load())),
        _aload,
        (calls.EXTRACT,),
    ),
    _tool(
        "ParallelSearchTool",
        lambda at: _raising(langchain.ParallelSearchTool, at),
        {"objective": QUESTION},
        calls.SEARCH,
    ),
    _tool(
        "ParallelExtractTool",
        lambda at: _raising(langchain.ParallelExtractTool, at),
        {"urls": [PAGE_URL]},
        calls.EXTRACT,
    ),
    _tool(
        "ParallelStartResearchTool",
        lambda at: _raising(langchain.ParallelStartResearchTool, at),
        {"input": QUESTION},
        calls.CREATE_RUN,
    ),
    _tool(
        "ParallelGetResearchTool",
        lambda at: _raising(langchain.ParallelGetResearchTool, at),
        {"run_id": RUN_ID},
        calls.RUN_STATUS,
        calls.RUN_RESULT,
    ),
    _tool(
        "ParallelTaskRunTool",
        lambda at: _raising(
            langchain.ParallelTaskRunTool,
            at,
            processor="lite",
            deadline_seconds=at.deadline_seconds,
        ),
        {"input": QUESTION},
        calls.CREATE_RUN,
        calls.PROGRESS,
        calls.RESULT,
    ),
    _tool(
        "ParallelFindAllTool",
        lambda at: _raising(
            langchain.ParallelFindAllTool, at, deadline_seconds=at.deadline_seconds
        ),
        {"objective": "Python statements that bind names"},
        calls.INGEST,
        calls.LATER_FINDALL,
        FOUND_EVENTS,
        calls.FOUND_STATUS,
        calls.FOUND_RESULT,
    ),
    Call(
        "ParallelEntityRetriever.invoke",
        lambda at: plain(langchain.ParallelEntityRetriever(**at.settings).invoke(QUESTION)),
        _alist_entities,
        (calls.ENTITIES,),
    ),
    _tool(
        "ParallelEntitySearchTool",
        lambda at: _raising(langchain.ParallelEntitySearchTool, at),
        {"objective": QUESTION, "entity_type": "people"},
        calls.ENTITIES,
    ),
    _tool(
        "ParallelMemoryTool",
        lambda at: _raising(langchain.ParallelMemoryTool, at),
        {"query": QUESTION},
        calls.MEMORY,
    ),
    Call(
        "ParallelMonitor.create",
        lambda at: plain(_monitors(at).create(QUESTION)),
        _acreate_monitor,
        (calls.CREATE_MONITOR,),
    ),
    Call(
        "ParallelMonitor.events",
        lambda at: plain(_monitors(at).events(MONITOR_ID)),
        _amonitor_events,
        (calls.MONITOR_EVENTS,),
    ),
    Call(
        "ChatParallel.invoke",
        lambda at: _chat(at).invoke(QUESTION).text,
        _achat,
        (calls.CHAT,),
        also=ModelError,
    ),
    Call(
        "ChatParallel.stream",
        lambda at: [each.text for each in _chat(at).stream(QUESTION)],
        _astream,
        (calls.CHAT_STREAM,),
        also=ModelError,
    ),
    Call(
        "ChatParallel.invoke parallel",
        lambda at: _responses(at).invoke(QUESTION).text,
        _arespond,
        (calls.RESPONSE,),
        also=ModelError,
    ),
    Call(
        "ChatParallel.stream parallel",
        lambda at: [each.text for each in _responses(at).stream(QUESTION)],
        _astream_response,
        (calls.RESPONSE_STREAM,),
        also=ModelError,
    ),
    Call(
        "ChatParallel.with_structured_output",
        lambda at: plain(_chat(at).with_structured_output(Title).invoke(QUESTION)),
        _astructured,
        (calls.CHAT,),
        also=ModelError,
    ),
    Call(
        "ParallelDeepResearch.invoke",
        lambda at: _research(at).invoke(QUESTION),
        _aresearch,
        (calls.CREATE_RUN, calls.PROGRESS, calls.RESULT),
    ),
    Call(
        "ParallelDeepResearch.invoke run_id",
        lambda at: _research(at).invoke({"run_id": RUN_ID}),
        _aresume,
        (calls.PROGRESS, calls.RESULT),
    ),
    Call(
        "ParallelDeepResearch.stream",
        lambda at: list(_research(at).stream(QUESTION))[-1],
        _astream_research,
        (calls.CREATE_RUN, calls.PROGRESS, calls.RESULT),
    ),
    *(
        [
            Call(
                "ParallelDecisions.invoke",
                lambda at: plain(_decisions(at).invoke(DECISION)),
                _adecide,
                (calls.DECISION,),
                also=ModelError,
            )
        ]
        if HAS_DECISIONS
        else []
    ),
)
