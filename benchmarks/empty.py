"""Retrievers that fetch, parse and check nothing: what each framework costs by itself."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from llama_index.core.base.base_retriever import BaseRetriever as LlamaRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from benchmarks.measure import Call


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


class UncheckedLangChain(EmptyLangChain):
    """A retriever that makes the same documents of whatever comes."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [
            Document(id=_id(page), page_content=_text(page), metadata=_metadata(page))
            for page in self.fetch()["results"]
        ]


class UncheckedLlamaIndex(EmptyLlamaIndex):
    """A retriever that makes the same nodes of whatever comes."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        nodes = [
            TextNode(id_=_id(page), text=_text(page), metadata=_metadata(page))
            for page in self._fetch()["results"]
        ]
        return [NodeWithScore(node=node, score=1 / rank) for rank, node in enumerate(nodes, 1)]


def _id(page: dict[str, Any]) -> str:
    return str(uuid5(NAMESPACE_URL, page["url"]))


def _text(page: dict[str, Any]) -> str:
    return "\n\n".join(page["excerpts"])


def _metadata(page: dict[str, Any]) -> dict[str, Any]:
    facts = {"url": page["url"], "title": page["title"], "published_at": page["publish_date"]}
    return {**facts, "source": page["url"]}
