"""Chat and Task as a LlamaIndex query engine."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any, ClassVar, Final, NamedTuple, Never, TypedDict, Unpack

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    MessageRole,
)
from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.prompts import PromptTemplate
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import BaseModel, Field

from parallel_integrations._documents.adapter import (
    Adapter,
    ConnectionOptions,
    described,
    refuse_unknown,
)
from parallel_integrations._documents.answers import read_annotations, sources_in
from parallel_integrations._documents.evidence import dump_basis, read_basis, report_as_text
from parallel_integrations._documents.queries import readable
from parallel_integrations._documents.research import TEXT
from parallel_integrations._protocol.flow import Flow
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, DeadlineSeconds
from parallel_integrations.api import run_task, wait_task_run
from parallel_integrations.errors import (
    ArgumentTypeError,
    InvalidArgumentError,
    UnexpectedAnswerError,
)
from parallel_integrations.llama_index.arguments import as_callbacks, as_query, checking
from parallel_integrations.llama_index.citations import cited_nodes, evidence_of, span_nodes
from parallel_integrations.llama_index.llms import ParallelLLM
from parallel_integrations.llama_index.structured_output import check_class
from parallel_integrations.models._validation import by_name
from parallel_integrations.models.response import Effort
from parallel_integrations.models.task import CreateTaskRunRequest, TaskRunResult, TaskSettings

QUESTION: Final = PromptTemplate("{question}")


class EngineAnswer(NamedTuple):
    """The content of an answer (text, a JSON value or an object), and its basis and ids."""

    content: Any
    metadata: dict[str, Any]

    def nodes(self) -> list[NodeWithScore]:
        """The cited excerpts or spans as source nodes; no score, because the API ranks none."""
        nodes = cited_nodes(TextNode, read_basis(self.metadata))
        text = self.content if isinstance(self.content, str) else ""
        nodes += span_nodes(TextNode, read_annotations(self.metadata), text)
        return [NodeWithScore(node=node) for node in nodes]


class Awaited(dict[str, Any]):
    """Metadata that come with the last piece; a router replaces those that are false."""

    def __bool__(self) -> bool:
        return True


class ChatResponder:
    """Answers with a chat model, through `ParallelLLM` and so with its events."""

    def __init__(
        self,
        model: str,
        output_cls: type[BaseModel] | None,
        callback_manager: CallbackManager,
        settings: dict[str, Any],
    ) -> None:
        self.settings = ParallelLLM(model=model, callback_manager=callback_manager, **settings)
        self._output_cls = output_cls

    def respond(self, question: str) -> EngineAnswer:
        """Answer a question."""
        if self._output_cls is not None:
            value = self.settings.structured_predict(self._output_cls, QUESTION, question=question)
            return EngineAnswer(value, evidence_of(value))
        return _engine_answer(self.settings.chat(self._messages(question)))

    async def arespond(self, question: str) -> EngineAnswer:
        """Answer a question, awaiting."""
        if self._output_cls is not None:
            value = await self.settings.astructured_predict(
                self._output_cls, QUESTION, question=question
            )
            return EngineAnswer(value, evidence_of(value))
        return _engine_answer(await self.settings.achat(self._messages(question)))

    def stream(self, question: str) -> ChatResponseGen:
        """Stream the answer to a question."""
        stream: ChatResponseGen = self.settings.stream_chat(self._messages(question))
        return stream

    async def astream(self, question: str) -> ChatResponseAsyncGen:
        """Stream the answer to a question, awaiting."""
        stream: ChatResponseAsyncGen = await self.settings.astream_chat(self._messages(question))
        return stream

    def _messages(self, question: str) -> list[ChatMessage]:
        messages = [ChatMessage(role=MessageRole.USER, content=question)]
        if self.settings.system_prompt:
            messages.insert(
                0, ChatMessage(role=MessageRole.SYSTEM, content=self.settings.system_prompt)
            )
        return messages


def _engine_answer(response: ChatResponse) -> EngineAnswer:
    return EngineAnswer(response.message.content or "", dict(response.additional_kwargs))


class TaskResponderSettings(Adapter, TaskSettings):
    """The validated arguments of a query engine that answers with tasks."""

    shown_as: ClassVar[str] = "ParallelQueryEngine"

    previous_interaction_id: str | None = Field(default=None, min_length=1)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS


class TaskResponder:
    """Answers with a task."""

    def __init__(
        self, processor: str, output_cls: type[BaseModel] | None, settings: dict[str, Any]
    ) -> None:
        if output_cls is not None and settings.get("output_schema") is not None:
            raise InvalidArgumentError(
                "output_cls= and output_schema= exclude each other: both set the schema"
            )
        # Without a schema, processors from `pro` up give fields of their own, and no text to show.
        schema = output_cls or settings.get("output_schema") or TEXT
        self.settings = TaskResponderSettings.model_validate(
            {**settings, "processor": processor, "output_schema": schema}
        )
        self._output_cls = output_cls

    def respond(self, question: str) -> EngineAnswer:
        """Answer a question."""
        return self._read(self.settings.resolved_client().run(self._flow(question)))

    async def arespond(self, question: str) -> EngineAnswer:
        """Answer a question, awaiting."""
        return self._read(await self.settings.resolved_client().arun(self._flow(question)))

    def resume(self, run_id: str) -> EngineAnswer:
        """The answer of a run that exists already."""
        return self._read(self.settings.resolved_client().run(self._waiting(run_id)))

    async def aresume(self, run_id: str) -> EngineAnswer:
        """The answer of a run that exists already, awaiting."""
        return self._read(await self.settings.resolved_client().arun(self._waiting(run_id)))

    def _waiting(self, run_id: str) -> Flow[TaskRunResult]:
        return wait_task_run(
            run_id,
            output_schema=self.settings.output_schema,
            deadline_seconds=self.settings.deadline_seconds,
        )

    def _flow(self, question: str) -> Flow[TaskRunResult]:
        request = CreateTaskRunRequest.from_settings(self.settings, input=question)
        return run_task(request, deadline_seconds=self.settings.deadline_seconds)

    def _read(self, result: TaskRunResult) -> EngineAnswer:
        run, output = result.run, result.output
        content = output.content
        if self._output_cls is not None:
            if result.parsed is None:
                raise _validation_failure(self._output_cls, result)
            content = result.parsed
        ids = {"interaction_id": run.interaction_id, "run_id": run.run_id}
        known = {name: value for name, value in ids.items() if value}
        return EngineAnswer(content, {"basis": dump_basis(output.basis), **known})


def _validation_failure(
    output_cls: type[BaseModel], result: TaskRunResult
) -> UnexpectedAnswerError:
    error = UnexpectedAnswerError(
        f"The answer of task run {result.run.run_id} does not fit {output_cls.__name__}: "
        f"{result.validation_error}"
    )
    error.run_id = result.run.run_id
    return error


DEFAULT_MODEL: Final = "lite"


class ChatEngineOptions(TypedDict, total=False):
    """Arguments that only a chat model takes."""

    system_prompt: str | None
    """Instructions for the model."""
    reasoning_effort: Effort | None
    """Of `parallel`: `low`, `medium` (the API's default) or `high`."""
    previous_response_id: str | None
    """Of `parallel`: continues an earlier response by its id."""
    extra_body: dict[str, Any] | None
    """Further fields of the request's body."""
    extra_headers: dict[str, str] | None
    """Sent besides the client's own."""


class TaskEngineOptions(TypedDict, total=False):
    """Arguments that only a Task takes."""

    output_schema: Any
    """What a task answers with: a text's description, a JSON schema or a pydantic class."""
    source_policy: Any
    """Which sources may be used, and how old they may be."""
    mcp_servers: Any
    """Tool servers that a task may use; at most 10."""
    location: str | None
    """ISO 3166 alpha-2 code of the country to search from, e.g. `us`."""
    data_sources: dict[str, list[str]] | None
    """`{"free": […], "pay_per_use": […]}`: sources besides the web."""
    memory_scope_key: str | None
    """Name of the memory that a task reads and adds to (beta)."""
    deadline_seconds: float
    """How long to wait in all; 3600."""


class QueryEngineOptions(ConnectionOptions, ChatEngineOptions, TaskEngineOptions, total=False):
    """Further keyword arguments of `ParallelQueryEngine`."""

    previous_interaction_id: str | None
    """Continues an earlier answer by its `interaction_id`."""


_OWN: Final = ("model", "processor", "output_cls", "streaming", "sources_footer")


@checking("str_or_query_bundle", 1, as_query, "query", "aquery")
class ParallelQueryEngine(BaseQueryEngine):
    """Answers questions from the web; its source nodes are the excerpts that an answer cites.

    A chat model answers (`model`), or a Task (`processor`), which costs the same and more, takes
    longer, and goes deeper. No index, no embeddings and no other LLM are involved.

    A source node's text is a cited excerpt, its metadata `url`, `title`, `field`, `confidence`
    (`low`, `medium`, `high`) and `reasoning`; it has no score. With `model="parallel"` its text is
    empty, because Responses quote no page: `start_index`, `end_index` and `statement` say which
    words of the answer the page supports. A response's `metadata` holds
    `basis` (as plain JSON) and `interaction_id`, and `run_id` of a Task: `citation_blocks` and
    `evidence_of` take it. With `streaming=True` both are filled once the last piece has come.

    Args:
        model: A chat model: `"lite"` (default, 0.005 USD a question, 10 to 60 s), `"base"` (0.010)
            or `"core"` (0.025); `"speed"` answers in seconds and cites nothing; `"parallel"` (0.010
            to 0.250 by `reasoning_effort`, 5 to 60 s) cites a page for each span of its text.
        processor: A Task's processor instead: `"lite"` (0.005 USD), `"base"`, `"core"`, `"pro"`
            (0.10), `"ultra"` …, each also with `-fast`.
        output_cls: A pydantic class to answer with; the response is a `PydanticResponse`.
        streaming: Whether the answer is streamed; chat models only, text only.
        sources_footer: Whether the answer's text ends with its sources. A
            `QueryEngineTool` passes nothing but the text on to an agent.
        callback_manager: LlamaIndex's, for its events.
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds, `max_retries` (2),
            `client`. With either: `previous_interaction_id`. With a chat model: `system_prompt`,
            `extra_body`, `extra_headers`; with `parallel` `reasoning_effort` and
            `previous_response_id`. With a Task: `output_schema` (text unless given),
            `source_policy`, `mcp_servers`, `location`, `data_sources`, `memory_scope_key`,
            `deadline_seconds` (3600).

    Raises:
        ParallelError: From `query` and `aquery`; `UnexpectedAnswerError` where the answer does not
            fit `output_cls`. After a Task was created, `run_id` on it, with which `resume` goes on.
        ValueError: Arguments that exclude each other; a blank question, before anything is sent.
        TypeError: An unknown argument, or one of a Task with a chat model, or the reverse.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelQueryEngine

        response = ParallelQueryEngine().query("How does the with statement handle exceptions?")
        print(response)
        for node in response.source_nodes:
            print(node.metadata["title"], node.metadata["url"], node.text[:80])
        ```
    """

    def __init__(
        self,
        model: str | None = None,
        *unnamed: Never,
        processor: str | None = None,
        output_cls: type[BaseModel] | None = None,
        streaming: bool = False,
        sources_footer: bool = False,
        callback_manager: CallbackManager | None = None,
        **settings: Unpack[QueryEngineOptions],
    ) -> None:
        if unnamed:
            raise by_name(type(self).__name__, "processor")
        super().__init__(as_callbacks(callback_manager))
        if output_cls is not None:
            check_class(output_cls, "give a Task output_schema=")
        _refuse("model", model, "processor", processor, "one of them gives the answer")
        _refuse("streaming", streaming, "processor", processor, "a Task does not stream its answer")
        _refuse("streaming", streaming, "output_cls", output_cls, "an object is not streamed")
        _refuse("sources_footer", sources_footer, "output_cls", output_cls, "an object has no end")
        refuse_unknown(type(self), settings, (*_OWN, *QueryEngineOptions.__annotations__))
        other, option = (
            (TaskEngineOptions, "processor") if processor is None else (ChatEngineOptions, "model")
        )
        for name in settings.keys() & other.__annotations__:
            raise ArgumentTypeError(f"{name}= goes with {option}= only")
        self._streaming = streaming
        self._sources_footer = sources_footer
        self._responder: ChatResponder | TaskResponder
        if processor is None:
            self._responder = ChatResponder(
                model or DEFAULT_MODEL, output_cls, self.callback_manager, dict(settings)
            )
        else:
            self._responder = TaskResponder(processor, output_cls, dict(settings))

    def __repr__(self) -> str:
        return described(self, self._responder.settings.__repr_args__())

    def resume(self, run_id: str) -> RESPONSE_TYPE:
        """Wait for a run that exists already and give its answer; there is no second bill.

        Args:
            run_id: Its id: `run_id` of an error, of a response's `metadata`, or of
                `parallel_start_research`.

        Raises:
            ParallelError: As from `query`.
            TypeError: The engine answers with a chat model, which has no runs.
            ValueError: It is no id.
        """
        return self._whole(self._tasks().resume(run_id))

    async def aresume(self, run_id: str) -> RESPONSE_TYPE:
        """Wait for a run that exists already, awaiting; everything else as in `resume`."""
        return self._whole(await self._tasks().aresume(run_id))

    def _tasks(self) -> TaskResponder:
        if not isinstance(self._responder, TaskResponder):
            raise ArgumentTypeError(
                "a chat model has no runs to resume: give the engine processor="
            )
        return self._responder

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        question = _question(query_bundle)
        response: RESPONSE_TYPE
        with self.callback_manager.event(
            CBEventType.QUERY, {EventPayload.QUERY_STR: question}
        ) as event:
            if self._streaming and isinstance(self._responder, ChatResponder):
                response = self._streamed(self._responder, question)
            else:
                response = self._whole(self._responder.respond(question))
            event.on_end({EventPayload.RESPONSE: response})
        return response

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        question = _question(query_bundle)
        response: RESPONSE_TYPE
        with self.callback_manager.event(
            CBEventType.QUERY, {EventPayload.QUERY_STR: question}
        ) as event:
            if self._streaming and isinstance(self._responder, ChatResponder):
                response = await self._astreamed(self._responder, question)
            else:
                response = self._whole(await self._responder.arespond(question))
            event.on_end({EventPayload.RESPONSE: response})
        return response

    def _whole(self, answer: EngineAnswer) -> RESPONSE_TYPE:
        nodes = answer.nodes()
        if isinstance(answer.content, BaseModel):
            return PydanticResponse(answer.content, nodes, answer.metadata)
        basis = sources_in(answer.metadata) if self._sources_footer else []
        return Response(report_as_text(answer.content, basis), nodes, answer.metadata)

    # The generators hold the lists that they fill, not the response that holds them: a response
    # that is dropped closes its connection at once.

    def _streamed(self, responder: ChatResponder, question: str) -> StreamingResponse:
        stream = responder.stream(question)
        nodes: list[NodeWithScore] = []
        metadata = Awaited()

        def pieces() -> Generator[str, None, None]:
            with closing(stream):
                for piece in stream:
                    if piece.delta:
                        yield piece.delta
                    self._fill(nodes, metadata, piece)
            if footer := self._footer(metadata):
                yield footer

        return StreamingResponse(pieces(), nodes, metadata)

    async def _astreamed(self, responder: ChatResponder, question: str) -> AsyncStreamingResponse:
        stream = await responder.astream(question)
        nodes: list[NodeWithScore] = []
        metadata = Awaited()

        async def pieces() -> AsyncGenerator[str, None]:
            async with aclosing(stream):
                async for piece in stream:
                    if piece.delta:
                        yield piece.delta
                    self._fill(nodes, metadata, piece)
            if footer := self._footer(metadata):
                yield footer

        return AsyncStreamingResponse(pieces(), nodes, metadata)

    def _fill(
        self, nodes: list[NodeWithScore], metadata: dict[str, Any], piece: ChatResponse
    ) -> None:
        metadata.update(piece.additional_kwargs)
        nodes.extend(_engine_answer(piece).nodes())

    def _footer(self, metadata: dict[str, Any]) -> str:
        basis = sources_in(metadata) if self._sources_footer else []
        return report_as_text("", basis)


def _question(query_bundle: QueryBundle) -> str:
    question = readable(query_bundle.query_str).strip()
    if not question:
        raise InvalidArgumentError("the query is blank; give a question")
    return question


def _refuse(one: str, first: object, other: str, second: object, why: str) -> None:
    if first and second:
        raise InvalidArgumentError(f"{one}= and {other}= exclude each other: {why}")
