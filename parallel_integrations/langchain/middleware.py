"""`ParallelBudgetMiddleware`: an agent that stops, or warns, at a sum of money."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from langchain_core.messages import AIMessage, ToolMessage

from parallel_integrations._documents.adapter import described
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain.tools import ParallelTool
from parallel_integrations.models._validation import check_amount

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware, hook_config
    from langchain.agents.middleware.types import ToolCallRequest

    Base = AgentMiddleware[Any, Any, Any]
else:
    try:
        from langchain.agents.middleware import AgentMiddleware as Base
        from langchain.agents.middleware import hook_config
    except ImportError:  # the package needs langchain-core only
        Base = object

        def hook_config(**_: object) -> Callable[[Any], Any]:
            """Leave a hook as it is: there is no agent that could call it."""
            return lambda hook: hook


ToolResult: TypeAlias = Any
OnLimit: TypeAlias = Literal["stop", "warn"]

log: Final = logging.getLogger("parallel_integrations")


class ParallelBudgetMiddleware(Base):
    """Ends an agent's run, or warns, once a client has spent a sum of money.

    What is spent is `client.usage.usd`, an estimate that counts from when the client was made, or
    `client.usage.reset()` was called, over all agents, tools and models that use the client. It is
    looked at before each call of the model and of this package's tools, so the calls that are under
    way together may pass the limit once.

    Args:
        client: Whose spend counts; give the same one to the tools.
        max_usd: The limit in US dollars, 0 or more.
        on_limit: `stop` refuses further calls of this package's tools and ends the run with a
            message that says so; `warn` only writes a warning to the logger
            `parallel_integrations`, once.

    Raises:
        ImportError: `langchain` is not installed.
        ValueError: An argument that cannot be right.

    Example:
        ```python
        from langchain.agents import create_agent
        from langchain_core.language_models import FakeListChatModel

        from parallel_integrations import ParallelClient
        from parallel_integrations.langchain import ParallelBudgetMiddleware

        client = ParallelClient()
        model = FakeListChatModel(responses=["Done."])  # yours, with ParallelToolkit(client=client)
        budget = ParallelBudgetMiddleware(client, max_usd=0.10)
        agent = create_agent(model, middleware=[budget])
        print(agent.invoke({"messages": [("human", "What is a closure?")]})["messages"][-1].text)
        ```
    """

    def __init__(self, client: ParallelClient, max_usd: float, on_limit: OnLimit = "stop") -> None:
        if Base is object:
            raise ImportError(
                "ParallelBudgetMiddleware is for agents of the package langchain, which is not "
                "installed: pip install langchain"
            )
        if not isinstance(client, ParallelClient):
            raise InvalidArgumentError(
                f"client must be a ParallelClient, not {type(client).__name__}"
            )
        check_amount("max_usd", max_usd)
        if on_limit not in ("stop", "warn"):
            raise InvalidArgumentError(f"on_limit={on_limit!r} must be 'stop' or 'warn'")
        super().__init__()
        self.client = client
        self.max_usd = max_usd
        self.on_limit = on_limit
        self._has_warned = False

    def __repr__(self) -> str:
        return described(self, {"max_usd": self.max_usd, "on_limit": self.on_limit}.items())

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """End the run where the budget is used up."""
        if (reason := self._reason_to_stop()) is None:
            return None
        return {"jump_to": "end", "messages": [AIMessage(reason)]}

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """As `before_model`."""
        return self.before_model(state, runtime)

    def wrap_tool_call(
        self, request: "ToolCallRequest", handler: "Callable[[ToolCallRequest], ToolResult]"
    ) -> ToolResult:
        """Call a tool, unless it is one of this package and the budget is used up."""
        refused = self._refused(request)
        return handler(request) if refused is None else refused

    async def awrap_tool_call(
        self,
        request: "ToolCallRequest",
        handler: "Callable[[ToolCallRequest], Awaitable[ToolResult]]",
    ) -> ToolResult:
        """As `wrap_tool_call`."""
        refused = self._refused(request)
        return await handler(request) if refused is None else refused

    def _refused(self, request: "ToolCallRequest") -> ToolMessage | None:
        # Tools of others spend nothing that this budget counts: the agent may go on with them.
        if not isinstance(request.tool, ParallelTool):
            return None
        if (reason := self._reason_to_stop()) is None:
            return None
        call = request.tool_call
        return ToolMessage(reason, tool_call_id=call["id"], name=call["name"], status="error")

    def _reason_to_stop(self) -> str | None:
        usd = self.client.usage.usd
        if usd < self.max_usd:
            return None
        reason = (
            f"The budget is used up: {usd:.4f} of {self.max_usd:.4f} USD were spent on web search "
            "and research."
        )
        if self.on_limit == "stop":
            return reason
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s The agent goes on.", reason)
        return None
