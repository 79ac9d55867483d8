"""Parallel for LangChain: chat model, retriever, loader, tools, toolkit and deep research."""

from typing import TYPE_CHECKING

from parallel_integrations.lazy import lazy_names

if TYPE_CHECKING:
    from parallel_integrations.langchain.chat_models import ChatParallel, ChatParallelWeb
    from parallel_integrations.langchain.document_loaders import ParallelExtractLoader
    from parallel_integrations.langchain.enrichment import ParallelEnrichment
    from parallel_integrations.langchain.retrievers import ParallelSearchRetriever
    from parallel_integrations.langchain.runnables import ParallelDeepResearch
    from parallel_integrations.langchain.task_tools import (
        ParallelFindAllTool,
        ParallelTaskRunTool,
    )
    from parallel_integrations.langchain.toolkits import ParallelToolkit
    from parallel_integrations.langchain.tools import (
        ParallelExtractTool,
        ParallelSearchTool,
        ParallelWebSearchTool,
    )

__all__ = [
    "ChatParallel",
    "ChatParallelWeb",
    "ParallelDeepResearch",
    "ParallelEnrichment",
    "ParallelExtractLoader",
    "ParallelExtractTool",
    "ParallelFindAllTool",
    "ParallelSearchRetriever",
    "ParallelSearchTool",
    "ParallelTaskRunTool",
    "ParallelToolkit",
    "ParallelWebSearchTool",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ChatParallel": "chat_models",
        "ChatParallelWeb": "chat_models",
        "ParallelDeepResearch": "runnables",
        "ParallelEnrichment": "enrichment",
        "ParallelExtractLoader": "document_loaders",
        "ParallelExtractTool": "tools",
        "ParallelFindAllTool": "task_tools",
        "ParallelSearchRetriever": "retrievers",
        "ParallelSearchTool": "tools",
        "ParallelTaskRunTool": "task_tools",
        "ParallelToolkit": "toolkits",
        "ParallelWebSearchTool": "tools",
    },
    needs="langchain_core",
    extra="langchain",
)
