"""Parallel for LlamaIndex: readers, retriever, LLM, tools, query engine and extractor."""

from typing import TYPE_CHECKING

from parallel_integrations.lazy import lazy_names

if TYPE_CHECKING:
    from parallel_integrations.llama_index.citations import citation_blocks, grounds_of
    from parallel_integrations.llama_index.extract_readers import ParallelExtractReader
    from parallel_integrations.llama_index.extractors import ParallelExtractor
    from parallel_integrations.llama_index.llms import ParallelLLM
    from parallel_integrations.llama_index.query_engines import ParallelQueryEngine
    from parallel_integrations.llama_index.readers import ParallelReader
    from parallel_integrations.llama_index.retrievers import ParallelRetriever
    from parallel_integrations.llama_index.tool_answers import ParallelProgressEvent
    from parallel_integrations.llama_index.tools import ParallelToolSpec

__all__ = [
    "ParallelExtractReader",
    "ParallelExtractor",
    "ParallelLLM",
    "ParallelProgressEvent",
    "ParallelQueryEngine",
    "ParallelReader",
    "ParallelRetriever",
    "ParallelToolSpec",
    "citation_blocks",
    "grounds_of",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ParallelExtractReader": "extract_readers",
        "ParallelExtractor": "extractors",
        "ParallelLLM": "llms",
        "ParallelProgressEvent": "tool_answers",
        "ParallelQueryEngine": "query_engines",
        "ParallelReader": "readers",
        "ParallelRetriever": "retrievers",
        "ParallelToolSpec": "tools",
        "citation_blocks": "citations",
        "grounds_of": "citations",
    },
    needs="llama_index",
    extra="llama-index",
)
