"""The two roads to a query engine's answer: a chat model, or a task."""

from typing import Any, Final, NamedTuple

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    MessageRole,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore
from pydantic import BaseModel, Field

from parallel_integrations.adapter import Adapter
from parallel_integrations.api import run_task
from parallel_integrations.api.basis import FieldBasis
from parallel_integrations.api.errors import UnexpectedAnswerError
from parallel_integrations.api.flow import Flow
from parallel_integrations.api.polling import DeadlineSeconds
from parallel_integrations.api.task_requests import CreateTaskRunRequest, TaskSettings
from parallel_integrations.api.task_types import TaskRunResult
from parallel_integrations.api.tasks import DEADLINE_SECONDS
from parallel_integrations.llama_index.citations import cited_nodes, grounds_of
from parallel_integrations.llama_index.llms import ParallelLLM

QUESTION: Final = PromptTemplate("{question}")
# Left to itself a task answers with a JSON of its own design.
TEXT: Final = {"type": "text"}


class Answer(NamedTuple):
    """An answer and what it rests on.

    Attributes:
        content: Text, a JSON value, or the object asked for.
        metadata: `basis` and ids, as plain JSON.
    """

    content: Any
    metadata: dict[str, Any]

    def nodes(self) -> list[NodeWithScore]:
        """The cited excerpts."""
        return cited_nodes(read_basis(self.metadata))


def read_basis(metadata: dict[str, Any]) -> list[FieldBasis]:
    """The basis in a response's metadata."""
    return [FieldBasis.model_validate(field) for field in metadata.get("basis", ())]


class ChatAnswerer:
    """Asks a chat model, through the room's own LLM and so with its events."""

    def __init__(
        self,
        model: str,
        output_cls: type[BaseModel] | None,
        callback_manager: CallbackManager,
        settings: dict[str, Any],
    ) -> None:
        self._llm = ParallelLLM(model=model, callback_manager=callback_manager, **settings)
        self._output_cls = output_cls

    def ask(self, question: str) -> Answer:
        """The answer."""
        if self._output_cls is not None:
            value = self._llm.structured_predict(self._output_cls, QUESTION, question=question)
            return Answer(value, grounds_of(value))
        return _told(self._llm.chat(self._messages(question)))

    async def aask(self, question: str) -> Answer:
        """The answer, awaiting."""
        if self._output_cls is not None:
            value = await self._llm.astructured_predict(
                self._output_cls, QUESTION, question=question
            )
            return Answer(value, grounds_of(value))
        return _told(await self._llm.achat(self._messages(question)))

    def stream(self, question: str) -> ChatResponseGen:
        """The answer piece by piece."""
        stream: ChatResponseGen = self._llm.stream_chat(self._messages(question))
        return stream

    async def astream(self, question: str) -> ChatResponseAsyncGen:
        """The answer piece by piece, awaiting."""
        stream: ChatResponseAsyncGen = await self._llm.astream_chat(self._messages(question))
        return stream

    def _messages(self, question: str) -> list[ChatMessage]:
        asked = [ChatMessage(role=MessageRole.USER, content=question)]
        if self._llm.system_prompt:
            asked.insert(0, ChatMessage(role=MessageRole.SYSTEM, content=self._llm.system_prompt))
        return asked


def _told(response: ChatResponse) -> Answer:
    return Answer(response.message.content or "", dict(response.additional_kwargs))


class TaskAnswererSettings(Adapter, TaskSettings):
    """What a developer fixes about the tasks of a query engine."""

    previous_interaction_id: str | None = Field(default=None, min_length=1)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS


class TaskAnswerer:
    """Runs a task for every question."""

    def __init__(
        self, processor: str, output_cls: type[BaseModel] | None, settings: dict[str, Any]
    ) -> None:
        if output_cls is not None and settings.get("output_schema") is not None:
            raise ValueError("output_cls= and output_schema= exclude each other: both say the form")
        form = output_cls or settings.get("output_schema") or TEXT
        self._settings = TaskAnswererSettings.model_validate(
            {**settings, "processor": processor, "output_schema": form}
        )
        self._output_cls = output_cls

    def ask(self, question: str) -> Answer:
        """The answer."""
        return self._read(self._settings.connection().run(self._flow(question)))

    async def aask(self, question: str) -> Answer:
        """The answer, awaiting."""
        return self._read(await self._settings.connection().arun(self._flow(question)))

    def _flow(self, question: str) -> Flow[TaskRunResult]:
        request = CreateTaskRunRequest.from_settings(self._settings, input=question)
        return run_task(request, deadline_seconds=self._settings.deadline_seconds)

    def _read(self, result: TaskRunResult) -> Answer:
        run, output = result.run, result.output
        content = output.content
        if self._output_cls is not None:
            if result.parsed is None:
                raise _misfit(self._output_cls, result)
            content = result.parsed
        ids = {"interaction_id": run.interaction_id, "run_id": run.run_id}
        basis = [field.model_dump(mode="json") for field in output.basis]
        known = {name: value for name, value in ids.items() if value}
        return Answer(content, {"basis": basis, **known})


def _misfit(output_cls: type[BaseModel], result: TaskRunResult) -> UnexpectedAnswerError:
    error = UnexpectedAnswerError(
        f"The answer of task run {result.run.run_id} does not fit {output_cls.__name__}: "
        f"{result.misfit}"
    )
    error.run_id = result.run.run_id
    return error
