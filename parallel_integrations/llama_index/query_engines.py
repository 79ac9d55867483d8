"""Chat and Task as a LlamaIndex query engine."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any, Final, TypedDict, Unpack

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import BaseModel

from parallel_integrations.adapter import refuse_unknown
from parallel_integrations.api.basis import FieldBasis
from parallel_integrations.api.evidence import report_as_text
from parallel_integrations.llama_index.answerers import (
    Answer,
    ChatAnswerer,
    TaskAnswerer,
    read_basis,
)
from parallel_integrations.llama_index.pages import ConnectionOptions

DEFAULT_MODEL: Final = "lite"


class ChatEngineOptions(TypedDict, total=False):
    """Arguments that only a chat model takes."""

    system_prompt: str | None
    extra_body: dict[str, Any] | None
    extra_headers: dict[str, str] | None


class TaskEngineOptions(TypedDict, total=False):
    """Arguments that only a Task takes."""

    output_schema: Any
    source_policy: Any
    mcp_servers: Any
    location: str | None
    data_sources: dict[str, list[str]] | None
    memory_scope_key: str | None
    deadline_seconds: float


class QueryEngineOptions(ConnectionOptions, ChatEngineOptions, TaskEngineOptions, total=False):
    """Further keyword arguments of `ParallelQueryEngine`."""

    previous_interaction_id: str | None


class ParallelQueryEngine(BaseQueryEngine):
    """Answers questions from the web; its source nodes are the excerpts that the answer cites.

    A chat model answers (`model`), or a Task (`processor`), which costs the same and more, takes
    longer, and goes deeper. No index, no embeddings and no other LLM are involved.

    A source node's text is a cited excerpt, its metadata `url`, `title`, `field`, `confidence`
    (`low`, `medium`, `high`) and `reasoning`; it has no score. A response's `metadata` holds
    `basis` (as plain JSON) and `interaction_id`, and `run_id` of a Task: `citation_blocks` and
    `grounds_of` take it. With `streaming=True` both are filled once the last piece has come.

    Args:
        model: A chat model: `"lite"` (default, 0.005 USD a question, 10 to 60 s), `"base"` (0.010)
            or `"core"` (0.025); `"speed"` answers in seconds and cites nothing.
        processor: A Task's processor instead: `"lite"` (0.005 USD), `"base"`, `"core"`, `"pro"`
            (0.10), `"ultra"` …, each also with `-fast`.
        output_cls: A pydantic class to answer with; the response is a `PydanticResponse`.
        streaming: Whether the answer comes piece by piece; chat models only, text only.
        sources_footer: Whether the answer's text ends with its numbered sources. A
            `QueryEngineTool` passes nothing but the text on to an agent.
        callback_manager: LlamaIndex's, for its events.
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds, `max_retries` (2),
            `client`. With either: `previous_interaction_id`. With a chat model: `system_prompt`,
            `extra_body`, `extra_headers`. With a Task: `output_schema` (text unless given),
            `source_policy`, `mcp_servers`, `location`, `data_sources`, `memory_scope_key`,
            `deadline_seconds` (3600).

    Raises:
        ParallelError: From `query` and `aquery`; `UnexpectedAnswerError` where the answer does not
            fit `output_cls`. After a Task was created, `run_id` on it.
        ValueError: Arguments that exclude each other; a blank question, before anything is sent.
        TypeError: An argument that is unknown, or not one of the chosen road.

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
        *,
        model: str | None = None,
        processor: str | None = None,
        output_cls: type[BaseModel] | None = None,
        streaming: bool = False,
        sources_footer: bool = False,
        callback_manager: CallbackManager | None = None,
        **settings: Unpack[QueryEngineOptions],
    ) -> None:
        super().__init__(callback_manager)
        _refuse("model", model, "processor", processor, "one of them answers")
        _refuse("streaming", streaming, "processor", processor, "a Task's answer comes whole")
        _refuse("streaming", streaming, "output_cls", output_cls, "an object comes whole")
        _refuse("sources_footer", sources_footer, "output_cls", output_cls, "an object has no end")
        refuse_unknown(type(self), settings, QueryEngineOptions.__annotations__)
        other, road = (
            (TaskEngineOptions, "processor") if processor is None else (ChatEngineOptions, "model")
        )
        for name in settings.keys() & other.__annotations__:
            raise TypeError(f"{name}= goes with {road}=, and not with what answers here")
        self._streaming = streaming
        self._sources_footer = sources_footer
        self._answerer: ChatAnswerer | TaskAnswerer
        if processor is None:
            self._answerer = ChatAnswerer(
                model or DEFAULT_MODEL, output_cls, self.callback_manager, dict(settings)
            )
        else:
            self._answerer = TaskAnswerer(processor, output_cls, dict(settings))

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        question = _question(query_bundle)
        if self._streaming and isinstance(self._answerer, ChatAnswerer):
            return self._streamed(self._answerer, question)
        return self._whole(self._answerer.ask(question))

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        question = _question(query_bundle)
        if self._streaming and isinstance(self._answerer, ChatAnswerer):
            return await self._astreamed(self._answerer, question)
        return self._whole(await self._answerer.aask(question))

    def _whole(self, answer: Answer) -> RESPONSE_TYPE:
        nodes = answer.nodes()
        if isinstance(answer.content, BaseModel):
            return PydanticResponse(answer.content, nodes, answer.metadata)
        basis = read_basis(answer.metadata) if self._sources_footer else []
        return Response(report_as_text(answer.content, basis), nodes, answer.metadata)

    # The generators hold the lists that they fill, not the response that holds them: a response
    # that is dropped closes its connection at once.

    def _streamed(self, answerer: ChatAnswerer, question: str) -> StreamingResponse:
        stream = answerer.stream(question)
        nodes: list[NodeWithScore] = []
        metadata: dict[str, Any] = {}

        def pieces() -> Generator[str, None, None]:
            with closing(stream):
                for piece in stream:
                    if piece.delta:
                        yield piece.delta
                    self._fill(nodes, metadata, piece.additional_kwargs)
            if footer := self._footer(metadata):
                yield footer

        return StreamingResponse(pieces(), nodes, metadata)

    async def _astreamed(self, answerer: ChatAnswerer, question: str) -> AsyncStreamingResponse:
        stream = await answerer.astream(question)
        nodes: list[NodeWithScore] = []
        metadata: dict[str, Any] = {}

        async def pieces() -> AsyncGenerator[str, None]:
            async with aclosing(stream):
                async for piece in stream:
                    if piece.delta:
                        yield piece.delta
                    self._fill(nodes, metadata, piece.additional_kwargs)
            if footer := self._footer(metadata):
                yield footer

        return AsyncStreamingResponse(pieces(), nodes, metadata)

    def _fill(
        self, nodes: list[NodeWithScore], metadata: dict[str, Any], grounds: dict[str, Any]
    ) -> None:
        metadata.update(grounds)
        nodes.extend(Answer("", grounds).nodes())

    def _footer(self, metadata: dict[str, Any]) -> str:
        basis: list[FieldBasis] = read_basis(metadata) if self._sources_footer else []
        return report_as_text("", basis)


def _question(query_bundle: QueryBundle) -> str:
    question = query_bundle.query_str.strip()
    if not question:
        raise ValueError("the query is blank: nothing is asked")
    return question


def _refuse(one: str, first: object, other: str, second: object, why: str) -> None:
    if first and second:
        raise ValueError(f"{one}= and {other}= exclude each other: {why}")
