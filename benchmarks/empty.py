"""Retrievers, models and a tool that fetch, parse and check nothing: what a framework costs."""

from collections.abc import Iterator
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from llama_index.core.base.base_retriever import BaseRetriever as LlamaRetriever
from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from benchmarks.measure import Call
from benchmarks.server import CHUNKS
from benchmarks.unchecked import id_of, metadata_of, text_of


class EmptyLangChain(BaseRetriever):
    """A retriever that only fetches and parses."""

    fetch: Any

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.fetch()
        return []


class EmptyLlamaIndex(LlamaRetriever):
    """A retriever that only fetches and parses."""

    def __init__(self, fetch: Call) -> None:
        super().__init__()
        self._fetch: Any = fetch

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._fetch()
        return []


class UncheckedLlamaIndex(EmptyLlamaIndex):
    """A retriever that makes the same nodes of whatever comes."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        nodes = [
            TextNode(id_=id_of(page), text=text_of(page), metadata=metadata_of(page))
            for page in self._fetch()["results"]
        ]
        return [NodeWithScore(node=node, score=1 / rank) for rank, node in enumerate(nodes, 1)]


class EmptyTool(BaseTool):
    """A tool that gives its model nothing."""

    name: str = "empty"
    description: str = "Fetches."
    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    fetch: Any

    def _run(self, objective: str, search_queries: list[str]) -> tuple[str, Any]:
        return "", self.fetch()


class EmptyLangChainModel(BaseChatModel):
    """A chat model that gives a response's text and nothing else; streamed, it fetches nothing."""

    fetch: Any = None

    @property
    def _llm_type(self) -> str:
        return "empty"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(content=_reply(self.fetch()))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for _ in range(CHUNKS):
            yield ChatGenerationChunk(message=AIMessageChunk(content="word "))


class EmptyLlamaIndexModel(CustomLLM):
    """An LLM that gives a response's text and nothing else; streamed, it fetches nothing."""

    fetch: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="empty")

    @llm_completion_callback()
    def complete(self, prompt: str, *args: Any, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=_reply(self.fetch()))

    @llm_chat_callback()
    def stream_chat(self, *args: Any, **kwargs: Any) -> Iterator[ChatResponse]:
        return (ChatResponse(message=ChatMessage(content="word ")) for _ in range(CHUNKS))

    def stream_complete(self, *args: Any, **kwargs: Any) -> Any:
        """LlamaIndex wants one; nothing here calls it."""
        raise NotImplementedError


def _reply(response: dict[str, Any]) -> str:
    return str(response["choices"][0]["message"]["content"])
