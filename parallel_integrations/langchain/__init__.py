"""Parallel for LangChain: chat model, retriever, loader, tools, toolkit and deep research."""

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__, needs="langchain_core", extra="langchain")
