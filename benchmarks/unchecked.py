"""A retriever of LangChain that makes documents of whatever comes; it needs no other framework."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever


class UncheckedLangChain(BaseRetriever):
    """A retriever that makes the same documents of whatever comes."""

    fetch: Any

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return _documents(self.fetch())

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return _documents(await self.fetch())


def _documents(body: Any) -> list[Document]:
    return [
        Document(id=id_of(page), page_content=text_of(page), metadata=metadata_of(page))
        for page in body["results"]
    ]


def id_of(page: dict[str, Any]) -> str:
    """An id that depends on nothing but the address."""
    return str(uuid5(NAMESPACE_URL, page["url"]))


def text_of(page: dict[str, Any]) -> str:
    """All excerpts."""
    return "\n\n".join(page["excerpts"])


def metadata_of(page: dict[str, Any]) -> dict[str, Any]:
    """What every document of this package has."""
    facts = {"url": page["url"], "title": page["title"], "published_at": page["publish_date"]}
    return {**facts, "source": page["url"]}
