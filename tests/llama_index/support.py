"""Helpers of the LlamaIndex tests: a pipeline that counts, failures blocking and awaiting."""

from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.readers.base import BasePydanticReader, ReaderConfig
from llama_index.core.schema import BaseNode, TransformComponent
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from pydantic import PrivateAttr

from parallel_integrations import AuthenticationError, RateLimitError, ServerError

ERRORS = [(401, AuthenticationError), (429, RateLimitError), (500, ServerError)]
"""A status of a search, and what it becomes."""


class Counted(TransformComponent):
    """Counts the nodes that a pipeline really works on."""

    _count: int = PrivateAttr(default=0)

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        self._count += len(nodes)
        return nodes


def ingestion(reader: BasePydanticReader, **inputs: Any) -> tuple[IngestionPipeline, Counted]:
    """A pipeline that indexes what a reader gives and is not there yet, and its counter."""
    counted = Counted()
    pipeline = IngestionPipeline(
        readers=[ReaderConfig(reader=reader, reader_kwargs=inputs)],
        transformations=[SentenceSplitter(), counted, MockEmbedding(embed_dim=8)],
        docstore=SimpleDocumentStore(),
        vector_store=SimpleVectorStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        disable_cache=True,
    )
    return pipeline, counted


async def check_failure(
    error: type[Exception], match: str, adapter: Any, method: str, *inputs: Any, **named: Any
) -> None:
    """A method fails so, and its awaiting twin as well."""
    with pytest.raises(error, match=match):
        getattr(adapter, method)(*inputs, **named)
    with pytest.raises(error, match=match):
        await getattr(adapter, f"a{method}")(*inputs, **named)
