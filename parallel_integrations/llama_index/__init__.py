"""Parallel for LlamaIndex: readers, retriever, LLM, tools, query engine and extractor."""

from typing import TYPE_CHECKING

from parallel_integrations._lazy import by_module, lazy_names

if TYPE_CHECKING:
    from parallel_integrations.llama_index.citations import citation_blocks, evidence_of
    from parallel_integrations.llama_index.evaluators import ParallelFactEvaluator
    from parallel_integrations.llama_index.extractors import ParallelExtractor
    from parallel_integrations.llama_index.llms import ParallelLLM
    from parallel_integrations.llama_index.query_engines import ParallelQueryEngine
    from parallel_integrations.llama_index.readers import ParallelExtractReader, ParallelReader
    from parallel_integrations.llama_index.resolved_citations import resolve_citations
    from parallel_integrations.llama_index.retrievers import ParallelRetriever
    from parallel_integrations.llama_index.selectors import ParallelSelector
    from parallel_integrations.llama_index.tools import ParallelProgressEvent, ParallelToolSpec

__all__ = [
    "ParallelExtractReader",
    "ParallelExtractor",
    "ParallelFactEvaluator",
    "ParallelLLM",
    "ParallelProgressEvent",
    "ParallelQueryEngine",
    "ParallelReader",
    "ParallelRetriever",
    "ParallelSelector",
    "ParallelToolSpec",
    "citation_blocks",
    "evidence_of",
    "resolve_citations",
]

__getattr__ = lazy_names(
    __name__,
    by_module(
        {
            "citations": "citation_blocks evidence_of",
            "evaluators": "ParallelFactEvaluator",
            "extractors": "ParallelExtractor",
            "llms": "ParallelLLM",
            "query_engines": "ParallelQueryEngine",
            "readers": "ParallelExtractReader ParallelReader",
            "resolved_citations": "resolve_citations",
            "retrievers": "ParallelRetriever",
            "selectors": "ParallelSelector",
            "tools": "ParallelProgressEvent ParallelToolSpec",
        }
    ),
    needs="llama_index",
    extra="llama-index",
)
