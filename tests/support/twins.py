"""A method and its awaiting twin, which has an `a` before its name."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Twins: TypeAlias = tuple[Callable[[T], Any], Callable[[T], Awaitable[Any]]]


def twins(
    make: Callable[[T], Any],
    method: str,
    *inputs: Any,
    result: Callable[[Any], Any],
    **named: Any,
) -> Twins[T]:
    """Two functions that call a method of what is made of their argument, blocking and awaiting.

    Args:
        make: Gives what the method is of.
        method: Name of the blocking one.
        inputs: What it takes.
        result: What becomes of what it returns; a stream is a list by then.
        named: What else it takes.
    """

    def run(argument: T) -> Any:
        found = getattr(make(argument), method)(*inputs, **named)
        return result(list(found) if isinstance(found, Iterator) else found)

    async def arun(argument: T) -> Any:
        found = getattr(make(argument), f"a{method}")(*inputs, **named)
        if inspect.isawaitable(found):
            found = await found
        if isinstance(found, AsyncIterator):
            found = [each async for each in found]
        return result(found)

    return run, arun
