"""What the tools have in common: their arguments, their errors, their session, their progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from uuid import NAMESPACE_URL, uuid5

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool, InjectedToolArg, ToolException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from parallel_integrations.adapter import Adapter
from parallel_integrations.api.errors import (
    ConnectionFailedError,
    ParallelError,
    RequestTimeoutError,
    TaskFailedError,
    UnexpectedAnswerError,
)
from parallel_integrations.api.events import StreamEvent
from parallel_integrations.api.models import RequestModel, explain_arguments
from parallel_integrations.api.output_schema import OutputSchema
from parallel_integrations.api.task_requests import CreateTaskRunRequest, TaskOptions, TaskSettings

MAX_OUTPUT_CHARS = 40_000
PROGRESS_EVENT = "parallel_progress"

Content: TypeAlias = str | list[str | dict[str, Any]]
Run = TypeVar("Run", bound=Callable[..., Any])
ContentAndArtifact: TypeAlias = tuple[Content, dict[str, Any]]


def input_schema(name: str, module: str, request: type[RequestModel], *visible: str) -> Any:
    """A tool's arguments: `visible` ones for the model, the request's others for code only."""
    fields: dict[str, Any] = {
        field: (request.model_fields[field].annotation, request.model_fields[field])
        for field in visible
    }
    for field, info in request.model_fields.items():
        if field not in fields:
            hidden = Annotated[Any, InjectedToolArg]
            fields[field] = (hidden, Field(default=None, description=info.description))
    schema = create_model(name, __config__=ConfigDict(extra="forbid"), __module__=module, **fields)
    _HIDDEN[schema] = frozenset(fields).difference(visible) | {"run_manager", "callbacks"}
    return schema


_HIDDEN: dict[type[BaseModel], frozenset[str]] = {}
"""What is no part of a traced input, for each of our own schemas."""


def inspected(run: Run) -> Run:
    """Spare langchain_core to inspect a method at each call: only its parameters' names count."""
    run.__signature__ = signature(run)  # type: ignore[attr-defined]
    run.__no_type_check__ = True  # type: ignore[attr-defined]
    return run


def cut(text: str, most: int) -> str:
    """At most `most` characters of a text; says how many there were."""
    if len(text) <= most:
        return text
    said = f" […cut, {len(text)} characters in all]"
    return text[: max(0, most - len(said))] + said


# What the errors that name no remedy themselves leave to do. The first that fits is said.
REMEDIES: tuple[tuple[type[ParallelError], str], ...] = (
    (TaskFailedError, "Ask for it in other words, or for less at once."),
    (RequestTimeoutError, "Try again, or ask for less at once."),
    (ConnectionFailedError, "Try again; if it fails again, go on without this tool."),
    (UnexpectedAnswerError, "Try again; if it fails again, go on without this tool."),
)


@contextmanager
def tool_errors() -> Iterator[None]:
    """Turn our errors into the one that LangChain hands to the model instead of crashing."""
    try:
        yield
    except ValidationError as error:
        raise ToolException(explain_arguments(error)) from error
    except ParallelError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        remedy = next((f" - {said}" for kind, said in REMEDIES if isinstance(error, kind)), "")
        raise ToolException(f"{type(error).__name__}: {error}{notes}{remedy}") from error


class ParallelTool(Adapter, BaseTool):
    """Base of the tools: text for the model, an artifact for code, errors that the model reads.

    Attributes:
        max_output_chars: Most characters of the content, 40,000 by default; what is cut is said.
    """

    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    handle_validation_error: bool | str | Callable[[Any], str] | None = explain_arguments
    max_output_chars: int = Field(default=MAX_OUTPUT_CHARS, ge=500)

    # langchain_core inspects all fields' annotations twice a call. Of our own schemas it is known
    # which are hidden from models, and that none is filled from the call's id.

    def _filter_injected_args(self, tool_input: dict[str, Any]) -> dict[str, Any]:
        hidden = _HIDDEN.get(self.args_schema)  # type: ignore[arg-type]
        if hidden is None:
            return super()._filter_injected_args(tool_input)
        return {name: value for name, value in tool_input.items() if name not in hidden}

    def _parse_input(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> str | dict[str, Any]:
        schema = self.args_schema
        if isinstance(tool_input, str) or schema not in _HIDDEN:
            return super()._parse_input(tool_input, tool_call_id)
        return dict(schema.model_validate(tool_input))

    def with_notes(self, body: Callable[[int], str], notes: list[str]) -> str:
        """A content and the notes behind it, both within the budget; the notes get half at most.

        Args:
            body: Gives the content for the number of characters that are left for it.
            notes: What is said after it.
        """
        tail = cut("\n\n".join(notes), self.max_output_chars // 2)
        room = self.max_output_chars - len(tail) - 2
        return "\n\n".join(part for part in (cut(body(room), room), tail) if part)


class SessionTool(ParallelTool):
    """A tool whose calls can be joined to one session.

    Attributes:
        session_per_thread: True sends one session id for all calls of a LangGraph thread
            (`configurable.thread_id`), so that search and extract of one agent run belong together.
    """

    session_per_thread: bool = False

    def thread_session(self) -> str | None:
        """The session of the thread that calls; None outside of one."""
        if not self.session_per_thread:
            return None
        thread = ensure_config().get("configurable", {}).get("thread_id")
        if thread is None:
            return None
        return str(uuid5(NAMESPACE_URL, f"langgraph-thread:{thread}"))


class ResearchSettings(TaskOptions):
    """How tasks are done, in a LangChain class.

    Every runnable has an `input_schema` and an `output_schema` of its own, so the task's are given
    under these names and kept under others.

    Attributes:
        task_output_schema: `output_schema=` of the constructor: a description of a text, a JSON
            schema, a pydantic class, or the wire's own form; left out, the processor decides.
        task_input_schema: `input_schema=` of the constructor, in the same forms.
    """

    task_output_schema: OutputSchema | None = Field(default=None, alias="output_schema")
    task_input_schema: OutputSchema | None = Field(default=None, alias="input_schema")

    def task_request(self, asked: Any, called: dict[str, Any]) -> CreateTaskRunRequest:
        """The request of one call, whose own settings win."""
        schemas = {
            "output_schema": self.task_output_schema,
            "input_schema": self.task_input_schema,
        }
        given = {name: value for name, value in called.items() if value is not None}
        return CreateTaskRunRequest.from_settings(self, input=asked, **{**schemas, **given})

    def task_settings(self, called: dict[str, Any]) -> TaskSettings:
        """The settings of one call that asks for many things; its own win."""
        if unknown := sorted(called.keys() - TaskSettings.model_fields.keys()):
            raise TypeError(f"{type(self).__name__} takes no {unknown[0]!r} for a call")
        request = self.task_request("-", called)
        # Checked already: what is said about a schema is said once.
        return TaskSettings.model_construct(
            **{name: getattr(request, name) for name in TaskSettings.model_fields}
        )


def progress(event: StreamEvent) -> dict[str, Any]:
    """An event as it is told to callbacks and stream writers."""
    return event.model_dump(mode="json", exclude_none=True)


def tell(data: dict[str, Any]) -> None:
    """Tell progress to callbacks (`on_custom_event`) and to LangGraph's stream writer."""
    with suppress(RuntimeError):  # no run to belong to, as when `_run` is called directly
        dispatch_custom_event(PROGRESS_EVENT, data)
    _write(data)


async def atell(data: dict[str, Any]) -> None:
    """Tell progress, awaiting."""
    with suppress(RuntimeError):  # no run to belong to, as when `_arun` is called directly
        await adispatch_custom_event(PROGRESS_EVENT, data)
    _write(data)


def _write(data: dict[str, Any]) -> None:
    # Outside a graph there is no writer (RuntimeError, or KeyError in a bare tool run); without
    # LangGraph there is no graph.
    with suppress(ImportError, KeyError, RuntimeError):
        from langgraph.config import get_stream_writer

        get_stream_writer()(data)
