"""All tools for one agent, with one client and one session."""

from typing import Any
from uuid import uuid4

from langchain_core.tools import BaseTool, BaseToolkit

from parallel_integrations._documents.adapter import PacedAdapter
from parallel_integrations.langchain.tools import (
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelSearchTool,
    ParallelTaskRunTool,
)


class ParallelToolkit(PacedAdapter, BaseToolkit):
    """Search, extract, deep research and FindAll for one agent.

    All tools share a client and a session: one per LangGraph thread where there is one, else one
    per `get_tools` call.

    Attributes:
        search: Arguments of `ParallelSearchTool`; without the tool if None.
        extract: Arguments of `ParallelExtractTool`; without it if None.
        task: Arguments of `ParallelTaskRunTool`; without it if None.
        find_all: Arguments of `ParallelFindAllTool`; without it if None, the default: it is
            the one tool with which an agent can spend dollars in one call.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelToolkit

        toolkit = ParallelToolkit(search={"max_results": 5}, task={"processor": "lite"})
        print([tool.name for tool in toolkit.get_tools()])
        ```
    """

    search: dict[str, Any] | None = {}
    extract: dict[str, Any] | None = {}
    task: dict[str, Any] | None = {}
    find_all: dict[str, Any] | None = None

    def get_tools(self) -> list[BaseTool]:
        """The tools, in the order search, extract, task, find_all."""
        client = self.resolved_client()
        session = {"session_id": f"toolkit-{uuid4()}", "session_per_thread": True}
        tools: list[BaseTool] = []
        if self.search is not None:
            tools.append(ParallelSearchTool(client=client, **{**session, **self.search}))
        if self.extract is not None:
            tools.append(ParallelExtractTool(client=client, **{**session, **self.extract}))
        if self.task is not None:
            tools.append(ParallelTaskRunTool(client=client, **self.task))
        if self.find_all is not None:
            tools.append(ParallelFindAllTool(client=client, **self.find_all))
        return tools
