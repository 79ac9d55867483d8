"""Retrieval chains as users build them: pages in a vector store, answers that cite."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from parallel_integrations.langchain import (
    ChatParallel,
    ParallelExtractLoader,
    ParallelSearchRetriever,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.requests import QUESTION

PROMPT = ChatPromptTemplate.from_template("Use these pages:\n{pages}\n\nQuestion: {question}")


def joined(documents: list[Document]) -> str:
    return "\n\n".join(f"<{d.metadata['source']}>\n{d.page_content}" for d in documents)


@pytest.mark.parametrize("split", ["page", "excerpt"])
async def test_search_store_retrieve_answer(sandbox: Sandbox, split: Any) -> None:
    found = ParallelSearchRetriever(**connection(sandbox), k=5, split=split).invoke(QUESTION)
    store = InMemoryVectorStore.from_documents(found, DeterministicFakeEmbedding(size=64))
    chain = (
        {"pages": store.as_retriever(search_kwargs={"k": 3}) | joined}
        | RunnablePassthrough.assign(question=lambda _: QUESTION)
        | PROMPT
        | ChatParallel(**connection(sandbox))
        | StrOutputParser()
    )
    answer = chain.invoke(QUESTION)
    assert answer
    assert await chain.ainvoke(QUESTION) == answer
    assert "".join(chain.stream(QUESTION)) == answer
    sent = sandbox.requests[-1].body["messages"][0]["content"]
    assert sum(document.metadata["source"] in sent for document in found) >= 1


def test_read_pages_store_retrieve(sandbox: Sandbox) -> None:
    urls = [page.url for page in sandbox.corpus.pages][:3]
    loader = ParallelExtractLoader(**connection(sandbox), urls=urls)
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=64))
    ids = store.add_documents(loader.load())
    assert ids == [document.id for document in loader.load()]
    wanted = loader.load()[1]
    [nearest] = store.similarity_search(wanted.page_content, k=1)
    assert nearest.metadata == wanted.metadata
