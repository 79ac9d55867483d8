"""Retrievers that only fetch and parse: what each framework costs by itself."""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from llama_index.core.base.base_retriever import BaseRetriever as LlamaRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

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
        self._fetch = fetch

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._fetch()
        return []
