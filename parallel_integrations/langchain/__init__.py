"""Parallel for LangChain: chat model, retriever and tools."""

from typing import TYPE_CHECKING

from parallel_integrations.lazy import lazy_names

if TYPE_CHECKING:
    from parallel_integrations.langchain.chat_models import ChatParallel
    from parallel_integrations.langchain.retrievers import ParallelSearchRetriever
    from parallel_integrations.langchain.tools import ParallelExtractTool, ParallelSearchTool

__all__ = ["ChatParallel", "ParallelExtractTool", "ParallelSearchRetriever", "ParallelSearchTool"]

__getattr__ = lazy_names(
    __name__,
    {
        "ChatParallel": "chat_models",
        "ParallelExtractTool": "tools",
        "ParallelSearchRetriever": "retrievers",
        "ParallelSearchTool": "tools",
    },
    needs="langchain_core",
    extra="langchain",
)
