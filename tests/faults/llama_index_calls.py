"""Every class of the LlamaIndex subpackage that calls the API, by every method that does."""

from dataclasses import replace
from functools import partial
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
_PROMPT: Final = PromptTemplate(QUESTION)
_CHOICES: Final = ["Statements.", "Modules."]
_MESSAGES: Final = [ChatMessage(role="user", content=QUESTION)]
_NODES: Final = [TextNode(text="The with statement"), TextNode(text="The nonlocal statement")]


class Listening(Context):
    """An agent's context without its agent; a tool uses this one method."""

    def __init__(self) -> None:
        pass

    def write_event_to_stream(self, ev: Any) -> None:
        """Take an event."""


def _text(response: Any) -> Any:
    return response.text


def _deltas(responses: list[Any]) -> list[str | None]:
    return [each.delta for each in responses]


def _last(found: list[Any]) -> Any:
    return found[-1]


def _streaming(at: Connection) -> llama_index.ParallelQueryEngine:
    return llama_index.ParallelQueryEngine(streaming=True, **at.settings)


def _stream_tokens(at: Connection) -> list[str]:
    response = cast(StreamingResponse, _streaming(at).query(QUESTION))
    return list(response.response_gen)


async def _astream_tokens(at: Connection) -> list[str]:
    response = cast(AsyncStreamingResponse, await _streaming(at).aquery(QUESTION))
    return [each async for each in response.async_response_gen()]


async def _adeep_research(at: Connection) -> Any:
    spec = llama_index.ParallelToolSpec(
        processor="lite", deadline_seconds=at.deadline_seconds, **at.settings
    )
    return plain(await spec.parallel_deep_research(Listening(), QUESTION))


_RESUMED: Final = Step("result", calls.RESULT.place, calls.RESULT.kind, ids=calls.RUN)
_ENRICHMENT: Final = (
    replace(calls.CREATE_GROUP, kind=Kind.GROUP),
    replace(calls.ADD, kind=Kind.ROWS),
    replace(calls.GROUP_STATUS, kind=Kind.LOOK, polled=True),
    replace(calls.LISTING, kind=Kind.LOOK, polled=True),
)

_call: Final = partial(calls.method, llama_index)
_tasks: Final = partial(_call, processor="lite", waits=True)


def _tool(name: str, *inputs: Any, steps: tuple[Step, ...]) -> Call:
    return _tasks(f"ParallelToolSpec.parallel_{name}", *inputs, steps=steps)


LLAMA_INDEX: Final[tuple[Call, ...]] = (
    _call("ParallelReader.load_data", QUESTION, steps=(calls.SEARCH,)),
    _call("ParallelReader.lazy_load_data", QUESTION, steps=(calls.SEARCH,)),
    _call("ParallelExtractReader.load_data", [PAGE_URL], steps=(calls.EXTRACT,)),
    _call("ParallelExtractReader.lazy_load_data", [PAGE_URL], steps=(calls.EXTRACT,)),
    _call("ParallelRetriever.retrieve", QUESTION, steps=(calls.SEARCH,)),
    _call("ParallelEntityRetriever.retrieve", QUESTION, steps=(calls.ENTITIES,)),
    _call("ParallelMonitor.create", QUESTION, steps=(calls.CREATE_MONITOR,)),
    _call("ParallelMonitor.events", MONITOR_ID, steps=(calls.MONITOR_EVENTS,)),
    _call("ParallelSelector.select", _CHOICES, QUESTION, steps=(calls.DECISION,)),
    _call(
        "ParallelLLM.chat",
        _MESSAGES,
        steps=(calls.CHAT,),
        result=lambda response: response.message.content,
    ),
    _call("ParallelLLM.complete", QUESTION, steps=(calls.CHAT,), result=_text),
    _call("ParallelLLM.stream_chat", _MESSAGES, steps=(calls.CHAT_STREAM,), result=_deltas),
    _call("ParallelLLM.stream_complete", QUESTION, steps=(calls.CHAT_STREAM,), result=_deltas),
    _call(
        "ParallelLLM.stream_chat parallel",
        _MESSAGES,
        steps=(calls.RESPONSE_STREAM,),
        result=_deltas,
        model="parallel",
    ),
    _call(
        "ParallelLLM.complete parallel",
        QUESTION,
        steps=(calls.RESPONSE,),
        result=_text,
        model="parallel",
    ),
    _call("ParallelLLM.structured_predict", Title, _PROMPT, steps=(calls.CHAT,)),
    _call(
        "ParallelLLM.stream_structured_predict",
        Title,
        _PROMPT,
        steps=(calls.CHAT_STREAM,),
        result=_last,
    ),
    _tool("search", QUESTION, steps=(calls.SEARCH,)),
    _tool("extract", [PAGE_URL], steps=(calls.EXTRACT,)),
    _tool("task", QUESTION, steps=(calls.CREATE_RUN, calls.RESULT)),
    _tool("start_research", QUESTION, steps=(calls.CREATE_RUN,)),
    _tool("get_research", RUN_ID, steps=(calls.RUN_STATUS, calls.RUN_RESULT)),
    _tool(
        "find_all",
        "Python statements that bind names",
        steps=(calls.INGEST, calls.LATER_FINDALL, calls.FOUND_STATUS, calls.FOUND_RESULT),
    ),
    _tool("entity_search", QUESTION, "people", steps=(calls.ENTITIES,)),
    _tool("memory", QUESTION, steps=(calls.MEMORY,)),
    Call(
        "ParallelToolSpec.parallel_deep_research",
        None,
        _adeep_research,
        (calls.CREATE_RUN, calls.PROGRESS, calls.RESULT),
    ),
    _call("ParallelQueryEngine.query model", QUESTION, steps=(calls.CHAT,), result=str),
    Call(
        "ParallelQueryEngine.query streaming",
        _stream_tokens,
        _astream_tokens,
        (calls.CHAT_STREAM,),
    ),
    _tasks(
        "ParallelQueryEngine.query processor",
        QUESTION,
        steps=(calls.CREATE_RUN, calls.RESULT),
        result=str,
    ),
    _tasks("ParallelQueryEngine.resume", RUN_ID, steps=(_RESUMED,), result=str),
    _call(
        "ParallelQueryEngine.query output_cls",
        QUESTION,
        steps=(calls.CHAT,),
        result=str,
        output_cls=Title,
    ),
    _tasks(
        "ParallelExtractor.extract",
        _NODES,
        steps=_ENRICHMENT,
        output_schema="What it is about.",
    ),
)
