"""Rate limiters of the frameworks: how to wait for one."""

from typing import Any, Protocol, TypeVar

from parallel_integrations.errors import InvalidArgumentError

AWAITING = ("aacquire", "async_acquire")
"""How LangChain and LlamaIndex call the awaiting form of `acquire`."""

Given = TypeVar("Given")


class RateLimiter(Protocol):
    """LangChain's or LlamaIndex's rate limiter; each has an awaiting form under its own name."""

    def acquire(self) -> Any:
        """Block until one more call may go."""


def check_rate_limiter(given: Given) -> Given:
    """The same object, where it can pace blocking and awaiting calls.

    Raises:
        ValueError: It cannot.
    """
    has_awaiting = any(callable(getattr(given, name, None)) for name in AWAITING)
    if not callable(getattr(given, "acquire", None)) or not has_awaiting:
        raise InvalidArgumentError(
            "rate_limiter= must have acquire(), and aacquire() as LangChain's have or "
            f"async_acquire() as LlamaIndex's; {type(given).__name__} has not"
        )
    return given


async def aacquire(rate_limiter: Any) -> None:
    """Wait until one more call may go."""
    for name in AWAITING:
        if (acquire := getattr(rate_limiter, name, None)) is not None:
            await acquire()
            return
