"""Parallel for LlamaIndex: LLM, reader and retriever."""

from typing import TYPE_CHECKING

from parallel_integrations.lazy import lazy_names

if TYPE_CHECKING:
    from parallel_integrations.llama_index.llms import ParallelLLM
    from parallel_integrations.llama_index.readers import ParallelReader
    from parallel_integrations.llama_index.retrievers import ParallelRetriever

__all__ = ["ParallelLLM", "ParallelReader", "ParallelRetriever"]

__getattr__ = lazy_names(
    __name__,
    {"ParallelLLM": "llms", "ParallelReader": "readers", "ParallelRetriever": "retrievers"},
    needs="llama_index",
    extra="llama-index",
)
