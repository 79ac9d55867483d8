"""Parallel's web search and research APIs for LangChain and LlamaIndex.

The classes for the frameworks are in `parallel_integrations.langchain` and
`parallel_integrations.llama_index`; here is what both use and what plain code needs.
"""

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__)
