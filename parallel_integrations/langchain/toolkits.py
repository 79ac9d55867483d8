"""All tools for one agent, with one client and one session."""

from typing import Any, Literal
from uuid import uuid4

from langchain_core.tools import BaseTool, BaseToolkit

from parallel_integrations._documents.adapter import PacedAdapter
from parallel_integrations.langchain.tools import (
    ParallelEntitySearchTool,
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelGetResearchTool,
    ParallelMemoryTool,
    ParallelSearchTool,
    ParallelStartResearchTool,
    ParallelTaskRunTool,
    ParallelTool,
    SessionTool,
)


class ParallelToolkit(PacedAdapter, BaseToolkit):
    """Search, extract and deep research for one agent; FindAll, entities and memory on request.

    All tools share a client and a session: one per LangGraph thread where there is one, else one
    per `get_tools` call.

    Attributes:
        search: Arguments of `ParallelSearchTool`; without the tool if None.
        extract: Arguments of `ParallelExtractTool`; without it if None.
        task: Arguments of `ParallelTaskRunTool`; without research if None.
        research: `"blocking"` gives `ParallelTaskRunTool`, which waits for the report;
            `"background"` gives `ParallelStartResearchTool`, with the same arguments, and
            `ParallelGetResearchTool`, so that a run of minutes does not hold the agent's turn.
        find_all: Arguments of `ParallelFindAllTool`; without it if None, the default: it is
            the one tool with which an agent can spend dollars in one call.
        entity_search: Arguments of `ParallelEntitySearchTool`; without it if None, the default.
        memory: Arguments of `ParallelMemoryTool`; without it if None, the default.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelToolkit

        toolkit = ParallelToolkit(search={"max_results": 5}, task={"processor": "lite"})
        print([tool.name for tool in toolkit.get_tools()])
        ```
    """

    search: dict[str, Any] | None = {}
    """Arguments of `ParallelSearchTool`; without the tool if None."""
    extract: dict[str, Any] | None = {}
    """Arguments of `ParallelExtractTool`; without it if None."""
    task: dict[str, Any] | None = {}
    """Arguments of `ParallelTaskRunTool`; without research if None."""
    find_all: dict[str, Any] | None = None
    """Arguments of `ParallelFindAllTool`; without it if None, the default: it is the one tool with
    which an agent can spend dollars in one call.
    """
    entity_search: dict[str, Any] | None = None
    """Arguments of `ParallelEntitySearchTool`; without it if None, the default."""
    memory: dict[str, Any] | None = None
    """Arguments of `ParallelMemoryTool`; without it if None, the default."""
    research: Literal["blocking", "background"] = "blocking"
    """`"blocking"` gives `ParallelTaskRunTool`, which waits for the report; `"background"` gives
    `ParallelStartResearchTool`, with the same arguments, and `ParallelGetResearchTool`, so that a
    run of minutes does not hold the agent's turn.
    """

    def get_tools(self) -> list[BaseTool]:
        """The tools, in the order search, extract, research, find_all, entities, memory."""
        client, background = self.resolved_client(), self.research == "background"
        given: dict[type[ParallelTool], dict[str, Any] | None] = {
            ParallelSearchTool: self.search,
            ParallelExtractTool: self.extract,
            ParallelStartResearchTool if background else ParallelTaskRunTool: self.task,
            ParallelGetResearchTool: {} if background and self.task is not None else None,
            ParallelFindAllTool: self.find_all,
            ParallelEntitySearchTool: self.entity_search,
            ParallelMemoryTool: self.memory,
        }
        tools: list[BaseTool] = [
            kind(client=client, **each) for kind, each in given.items() if each is not None
        ]
        # To the API, search and extract of one agent are one job, which a session joins.
        session = f"toolkit-{uuid4()}"
        for tool in tools:
            if isinstance(tool, SessionTool):
                tool.join_session(session)
        return tools
