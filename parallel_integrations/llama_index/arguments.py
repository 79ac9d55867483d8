"""Arguments of LlamaIndex's methods, checked before LlamaIndex puts them into its events."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeVar, cast, get_args

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle, QueryType
from llama_index.core.tools.types import ToolMetadata
from llama_index.core.workflow import Context
from pydantic import BaseModel

from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError, ParallelError

T = TypeVar("T")


@contextmanager
def surfacing() -> Iterator[None]:
    """Make a refused request an error that is no `ValueError`.

    LlamaIndex's synthesizers take that for an answer that does not fit, and give "Empty Response":
    a prompt that is too long would look like pages that say nothing.
    """
    try:
        yield
    except InvalidArgumentError as error:
        raise ParallelError(str(error)) from error


def checking(
    name: str,
    place: int,
    check: Callable[[Any], Any],
    *methods: str,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Callable[[type[T]], type[T]]:
    """Make methods of a class pass one of their arguments through a check first.

    LlamaIndex puts arguments into an event before a method of ours is called. A wrong one would be
    pydantic's error about that event, and an iterator would be used up by it.

    Args:
        name: The argument.
        place: Where it stands without its name; `self` is 0.
        check: Gives the argument to go on with, or raises.
        *methods: Their names; those that the class inherits, too.
        around: A context that they run in, after the check.
    """

    def decorate(cls: type[T]) -> type[T]:
        for method in methods:
            # LlamaIndex's wrappers look a method's signature up at each call, and three times as
            # long for one that the class gave.
            static = inspect.getattr_static(cls, method)
            setattr(cls, method, _checked(static, name, place - 1, check, around))
        return cls

    return decorate


def _checked(
    method: Any,
    name: str,
    place: int,
    check: Callable[[Any], Any],
    around: Callable[[], AbstractContextManager[None]],
) -> Callable[..., Any]:
    def arguments(given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        if name in named:
            named[name] = check(named[name])
        elif len(given) > place:
            return (*given[:place], check(given[place]), *given[place + 1 :])
        return given

    @wraps(method)
    async def awaiting(self: Any, *given: Any, **named: Any) -> Any:
        checked = arguments(given, named)
        with around():
            return await method.__get__(self)(*checked, **named)

    @wraps(method)
    def blocking(self: Any, *given: Any, **named: Any) -> Any:
        checked = arguments(given, named)
        with around():
            return method.__get__(self)(*checked, **named)

    return awaiting if inspect.iscoroutinefunction(method) else blocking


def as_query(given: Any) -> QueryType:
    """A question as retrievers and query engines take it."""
    if isinstance(given, QueryBundle) and not isinstance(given.query_str, str):
        raise _wrong("query_str of the QueryBundle", "a text", given.query_str)
    if not isinstance(given, str | QueryBundle):
        raise _wrong("query", "a text or a QueryBundle", given)
    return given


def as_prompt(given: Any) -> str:
    """A prompt of a completion."""
    if not isinstance(given, str):
        raise _wrong("prompt", "a text", given)
    return given


def as_template(given: Any) -> BasePromptTemplate:
    """A prompt with variables."""
    if not isinstance(given, BasePromptTemplate):
        raise _wrong("prompt", "a template, like PromptTemplate('What is {thing}?')", given)
    return given


def as_messages(given: Any) -> list[ChatMessage]:
    """The turns of a conversation."""
    return _items("messages", given, ChatMessage, "[ChatMessage(content='…')]")


def as_choices(given: Any) -> list[ToolMetadata | str]:
    """The choices of a selector."""
    return _items("choices", given, ToolMetadata | str, "['the web', 'our own pages']")


def as_given_nodes(given: Any) -> list[BaseNode]:
    """The nodes that a pipeline hands over."""
    return _items("nodes", given, BaseNode, "[TextNode(text='…')]")


def as_found_nodes(given: Any) -> list[NodeWithScore | BaseNode]:
    """The nodes that a retriever or engine found."""
    return _items("nodes", given, NodeWithScore | BaseNode, "response.source_nodes")


def as_texts(name: str, given: Any) -> list[str]:
    """Texts; none for None."""
    return [] if given is None else _items(name, given, str, "['…', '…']")


def as_text(name: str, given: Any) -> str:
    """A text; an empty one for None."""
    if not isinstance(given, str | None):
        raise _wrong(name, "a text", given)
    return given or ""


def as_callbacks(given: Any) -> CallbackManager | None:
    """What LlamaIndex reports to; without it, what `Settings` has."""
    if not isinstance(given, CallbackManager | None):
        example = "a CallbackManager, like CallbackManager([handler])"
        raise _wrong("callback_manager", example, given)
    return given


def as_context(given: Any) -> Context:
    """Where a tool streams its progress to: it could fail when a task is paid for."""
    if not isinstance(given, Context):
        raise _wrong("ctx", "the Context of an agent or workflow", given)
    return given


def as_query_writer(given: Any) -> LLM | None:
    """What writes queries: it could fail unseen, because then they are derived."""
    methods = ("complete", "acomplete")
    if given is not None and not all(callable(getattr(given, each, None)) for each in methods):
        raise _wrong("query_writer", "an LLM of LlamaIndex", given)
    return cast("LLM | None", given)


def _items(name: str, given: Any, kind: Any, example: str) -> list[Any]:
    if isinstance(given, str | Mapping | BaseModel) or not isinstance(given, Iterable):
        raise _wrong(name, f"a list, like {example}", given)
    items = list(given)
    for place, item in enumerate(items):
        if not isinstance(item, kind):
            kinds = ("text" if each is str else each.__name__ for each in get_args(kind) or (kind,))
            raise _wrong(f"{name}[{place}]", f"a {' or '.join(kinds)}", item)
    return items


def _wrong(name: str, expected: str, given: Any) -> ArgumentTypeError:
    found = "None" if given is None else f"a {type(given).__name__}"
    return ArgumentTypeError(f"{name} must be {expected}, not {found}", field=name.split("[")[0])
