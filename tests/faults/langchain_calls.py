"""Every class of the LangChain subpackage that calls the API, by every method that does."""

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from langchain_core.exceptions import ModelError
from langchain_core.tools import ToolException

from parallel_integrations import langchain, models
from tests.faults import calls
from tests.faults.calls import Call, Connection, Step, Title
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

_RESUMED: Final = (calls.PROGRESS, calls.RESULT)
_RESEARCH: Final = (calls.CREATE_RUN, *_RESUMED)

_call: Final = partial(calls.method, langchain)
_research: Final = partial(_call, processor="lite", waits=True)


def _tool(name: str, *steps: Step, inputs: dict[str, Any], **settings: Any) -> Call:
    call = _call(f"{name}.invoke", inputs, steps=steps, handle_tool_error=False, **settings)
    return replace(call, wrapped=ToolException)


def _chat(name: str, step: Step, **settings: Any) -> Call:
    call = _call(f"ChatParallel.{name}", QUESTION, steps=(step,), result=_text, **settings)
    return replace(call, also=ModelError)


def _text(found: Any) -> Any:
    return [each.text for each in found] if isinstance(found, list) else found.text


def _structured(at: Connection) -> Any:
    return langchain.ChatParallel(**at.settings).with_structured_output(Title)


LANGCHAIN: tuple[Call, ...] = (
    _call("ParallelSearchRetriever.invoke", QUESTION, steps=(calls.SEARCH,)),
    _call("ParallelExtractLoader.lazy_load", urls=[PAGE_URL], steps=(calls.EXTRACT,)),
    _tool("ParallelSearchTool", calls.SEARCH, inputs={"objective": QUESTION}),
    _tool("ParallelExtractTool", calls.EXTRACT, inputs={"urls": [PAGE_URL]}),
    _tool("ParallelStartResearchTool", calls.CREATE_RUN, inputs={"input": QUESTION}),
    _tool("ParallelGetResearchTool", calls.RUN_STATUS, calls.RUN_RESULT, inputs={"run_id": RUN_ID}),
    _tool(
        "ParallelTaskRunTool",
        *_RESEARCH,
        inputs={"input": QUESTION},
        processor="lite",
        waits=True,
    ),
    _tool(
        "ParallelFindAllTool",
        calls.INGEST,
        calls.LATER_FINDALL,
        FOUND_EVENTS,
        calls.FOUND_STATUS,
        calls.FOUND_RESULT,
        inputs={"objective": "Python statements that bind names"},
        waits=True,
    ),
    _call("ParallelEntityRetriever.invoke", QUESTION, steps=(calls.ENTITIES,)),
    _tool(
        "ParallelEntitySearchTool",
        calls.ENTITIES,
        inputs={"objective": QUESTION, "entity_type": "people"},
    ),
    _tool("ParallelMemoryTool", calls.MEMORY, inputs={"query": QUESTION}),
    _call("ParallelMonitor.create", QUESTION, steps=(calls.CREATE_MONITOR,)),
    _call("ParallelMonitor.events", MONITOR_ID, steps=(calls.MONITOR_EVENTS,)),
    _chat("invoke", calls.CHAT),
    _chat("stream", calls.CHAT_STREAM),
    _chat("invoke parallel", calls.RESPONSE, model="parallel"),
    _chat("stream parallel", calls.RESPONSE_STREAM, model="parallel"),
    Call(
        "ChatParallel.with_structured_output",
        lambda at: _structured(at).invoke(QUESTION),
        lambda at: _structured(at).ainvoke(QUESTION),
        (calls.CHAT,),
        also=ModelError,
    ),
    _research("ParallelDeepResearch.invoke", QUESTION, steps=_RESEARCH),
    _research("ParallelDeepResearch.invoke run_id", {"run_id": RUN_ID}, steps=_RESUMED),
    _research(
        "ParallelDeepResearch.stream", QUESTION, steps=_RESEARCH, result=lambda found: found[-1]
    ),
)
if HAS_DECISIONS:
    _decision = _call("ParallelDecisions.invoke", DECISION, steps=(calls.DECISION,))
    LANGCHAIN += (replace(_decision, also=ModelError),)
