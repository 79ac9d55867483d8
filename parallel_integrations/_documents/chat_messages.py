"""Turns of a conversation that Parallel's Chat does not know, as text; and those it cannot take."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from pydantic_core import to_json

from parallel_integrations._documents.evidence import one_line, quoted
from parallel_integrations._documents.queries import readable
from parallel_integrations.errors import InvalidArgumentError

Message = TypeVar("Message")
WireMessage: TypeAlias = Callable[[int, Message, dict[str, str]], dict[str, Any]]
RESULT_ROLE: Final = "user"
TOOL_ROLES: Final = frozenset({"tool", "function"})


class ToolCall(NamedTuple):
    """A call of a tool that a model made earlier in a conversation.

    Attributes:
        arguments: An object, or text where the model wrote no JSON.
    """

    id: str
    name: str
    arguments: Any

    @property
    def text(self) -> str:
        """The call as part of the assistant's turn."""
        given = self.arguments
        shown = given if isinstance(given, str) else to_json(given, fallback=str).decode()
        return f"(I called the tool {one_line(self.name)} with {one_line(shown)})"


def sendable(messages: Sequence[Message], wire: WireMessage[Message]) -> list[dict[str, Any]]:
    """Messages as Chat accepts them: role and text. Calls and results of tools become text.

    Args:
        messages: Of a framework.
        wire: Turns one into the wire's; given its place, for errors, and the names of the tools
            called before by the ids of the calls, which it adds its own to.

    Raises:
        InvalidArgumentError: A message that Chat does not accept.
    """
    tools: dict[str, str] = {}
    turns = (wire(place, message, tools) for place, message in enumerate(messages))
    # Half a character, which another model's stream may leave in a history, ends no conversation.
    return [{**turn, "content": readable(turn["content"])} for turn in turns]


def with_calls(text: str, calls: Iterable[ToolCall], tools: dict[str, str]) -> str:
    """An assistant's turn with the calls it made; `tools` is given their names."""
    lines = [text]
    for call in calls:
        tools[call.id] = call.name
        lines.append(call.text)
    return "\n".join(filter(None, lines))


def result_turn(name: str, text: str, *, failed: bool = False) -> dict[str, Any]:
    """What a tool gave back, as a turn whose content cannot pass for the user's own words."""
    tool = f"the tool {one_line(name)}" if name else "a tool"
    # As a quotation: a page that a tool read must not speak as the user, nor as the assistant.
    content = f"({'Error' if failed else 'Result'} of {tool})\n{quoted(text)}"
    return {"role": RESULT_ROLE, "content": content}


def openai_calls(additional_kwargs: Mapping[str, Any]) -> Iterator[ToolCall]:
    """The calls that OpenAI-like models leave in a message's `additional_kwargs`."""
    for call in additional_kwargs.get("tool_calls") or ():
        function = _field(call, "function") or call
        name = _field(function, "name") or _field(function, "tool_name")
        arguments = _field(function, "arguments", _field(function, "tool_kwargs"))
        call_id = _field(call, "id") or _field(call, "tool_id")
        yield ToolCall(str(call_id or ""), str(name or ""), arguments or {})
    if function := additional_kwargs.get("function_call"):
        yield ToolCall("", str(_field(function, "name") or ""), _field(function, "arguments"))


def unsendable(place: int, why: str) -> InvalidArgumentError:
    """The error for the message at a place in the conversation."""
    return InvalidArgumentError(
        f"messages[{place}] cannot be sent to Parallel: {why}, and its Chat takes text only. Leave "
        "the message out or turn it into text.",
        field="messages",
    )


def _field(value: Any, name: str, default: Any = None) -> Any:
    """A field of an object or a dict."""
    return value.get(name, default) if isinstance(value, dict) else getattr(value, name, default)
