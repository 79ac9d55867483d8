"""Parallel for LangChain: chat model, retriever, loader, tools, toolkit and deep research."""

from typing import TYPE_CHECKING

from parallel_integrations._lazy import by_module, lazy_names

if TYPE_CHECKING:
    from parallel_integrations.langchain.chat_models import ChatParallel, ChatParallelWeb
    from parallel_integrations.langchain.citations import resolve_citations
    from parallel_integrations.langchain.decisions import ParallelDecisions
    from parallel_integrations.langchain.document_loaders import ParallelExtractLoader
    from parallel_integrations.langchain.middleware import ParallelBudgetMiddleware
    from parallel_integrations.langchain.retrievers import ParallelSearchRetriever
    from parallel_integrations.langchain.runnables import ParallelDeepResearch, ParallelEnrichment
    from parallel_integrations.langchain.toolkits import ParallelToolkit
    from parallel_integrations.langchain.tools import (
        ParallelExtractTool,
        ParallelFindAllTool,
        ParallelGetResearchTool,
        ParallelSearchTool,
        ParallelStartResearchTool,
        ParallelTaskRunTool,
        ParallelWebSearchTool,
    )

__all__ = [
    "ChatParallel",
    "ChatParallelWeb",
    "ParallelBudgetMiddleware",
    "ParallelDecisions",
    "ParallelDeepResearch",
    "ParallelEnrichment",
    "ParallelExtractLoader",
    "ParallelExtractTool",
    "ParallelFindAllTool",
    "ParallelGetResearchTool",
    "ParallelSearchRetriever",
    "ParallelSearchTool",
    "ParallelStartResearchTool",
    "ParallelTaskRunTool",
    "ParallelToolkit",
    "ParallelWebSearchTool",
    "resolve_citations",
]

__getattr__ = lazy_names(
    __name__,
    by_module(
        {
            "chat_models": "ChatParallel ChatParallelWeb",
            "citations": "resolve_citations",
            "decisions": "ParallelDecisions",
            "document_loaders": "ParallelExtractLoader",
            "middleware": "ParallelBudgetMiddleware",
            "retrievers": "ParallelSearchRetriever",
            "runnables": "ParallelDeepResearch ParallelEnrichment",
            "toolkits": "ParallelToolkit",
            "tools": """
                ParallelExtractTool ParallelFindAllTool ParallelGetResearchTool ParallelSearchTool
                ParallelStartResearchTool ParallelTaskRunTool ParallelWebSearchTool
            """,
        }
    ),
    needs="langchain_core",
    extra="langchain",
)
