"""The tools know their own schemas by heart; another schema is inspected by langchain_core."""

from typing import Annotated, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tools import InjectedToolArg, InjectedToolCallId
from pydantic import BaseModel

from parallel_integrations.langchain import ParallelSearchTool
from parallel_integrations.sandbox import Sandbox


class Inputs(BaseCallbackHandler):
    """Records the inputs of tools."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self.seen.append(kwargs["inputs"])


def test_settings_of_a_call_are_not_traced(sandbox: Sandbox) -> None:
    inputs = Inputs()
    tool = ParallelSearchTool(
        api_key=sandbox.api_key, base_url=sandbox.url, callbacks=[inputs], max_results=1
    )
    settings = {"session_id": "secret-session"}
    tool.invoke(
        {"objective": "What is a closure?"}, {"configurable": {"parallel_search": settings}}
    )
    assert inputs.seen == [{"objective": "What is a closure?"}]
    assert sandbox.requests[-1].body["session_id"] == "secret-session"


class OtherInput(BaseModel):
    """A user's own schema, with what langchain_core injects."""

    objective: str
    call: Annotated[str, InjectedToolCallId]
    hidden: Annotated[str, InjectedToolArg] = "hidden"


class OtherTool(ParallelSearchTool):
    """Uses the id of its call."""

    args_schema: type[BaseModel] = OtherInput

    def _run(self, objective: str, call: str, hidden: str, **kwargs: Any) -> Any:  # type: ignore[override]
        content, artifact = super()._run(objective)
        return f"{call} {hidden} {content}", artifact


def test_a_tool_takes_an_argument_schema_of_the_user(sandbox: Sandbox) -> None:
    inputs = Inputs()
    tool = OtherTool(
        api_key=sandbox.api_key, base_url=sandbox.url, callbacks=[inputs], max_results=1
    )
    call = {"name": tool.name, "args": {"objective": "closure"}, "id": "call_1"}
    answer = tool.invoke({**call, "type": "tool_call"})
    assert answer.content.startswith("call_1 hidden [1] ")
    assert inputs.seen == [{"objective": "closure"}]
