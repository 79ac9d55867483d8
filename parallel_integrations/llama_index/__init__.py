"""Parallel for LlamaIndex: readers, retriever, LLM, tools, query engine and extractor."""

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__, needs="llama_index", extra="llama-index")
