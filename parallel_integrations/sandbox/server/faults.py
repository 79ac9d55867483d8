"""Fault injection: which request fails, and how."""

import fnmatch
import json
import random
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

Reset = Literal["before", "headers", "body"]
Cut = Literal["fin", "reset"]

ERROR_FROM_STATUS = 300
"""From this status on a fault responds instead of the operation, which is then not billed."""


@dataclass(eq=False, slots=True)
class Fault:
    """One injected fault; `Faults.add` makes it and explains its fields.

    Attributes:
        fired: How many requests it has been applied to.
    """

    path: str | None = None
    method: str | None = None
    times: int | None = 1
    status: int | None = None
    retry_after: float | str | None = None
    body: bytes | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    delay: float = 0.0
    reset: Reset | None = None
    cut_after_bytes: int | None = None
    cut_after_events: int | None = None
    cut: Cut = "fin"
    error_event: bool = False
    chunk_delay: float = 0.0
    redirect: str | None = None
    echo_key: bool = False
    probability: float = 1.0
    fired: int = 0

    @property
    def refuses(self) -> bool:
        """Whether the operation is not carried out, and so not billed."""
        is_error = self.status is not None and self.status >= ERROR_FROM_STATUS
        return is_error or self.redirect is not None or self.reset == "before"

    @property
    def cuts(self) -> bool:
        """Whether the response ends early."""
        return self.cut_after_bytes is not None or self.cut_after_events is not None

    @property
    def spent(self) -> bool:
        """Whether it has been applied as often as it may be."""
        return self.times is not None and self.fired >= self.times

    def matches(self, method: str, paths: Iterable[str]) -> bool:
        """Return whether it is meant for a request of `method` to any of `paths`."""
        if self.method is not None and self.method != method:
            return False
        pattern = self.path
        return pattern is None or any(
            path == pattern or fnmatch.fnmatchcase(path, pattern) for path in paths
        )


class Faults:
    """The faults (`Fault`) of one sandbox; the first that matches a request is applied.

    Threads may share it.

    Args:
        seed: Seeds the random numbers behind `probability`, so that every run is the same.
        served: Method and path of each operation, with `{…}` for ids. A fault that fits none could
            never happen and is refused. None takes any.

    Example:
        ```python
        from parallel_integrations.sandbox import Faults

        faults = Faults()
        fault = faults.add(path="/v1/search", times=2, status=429, retry_after=1)
        assert fault.fired == 0
        try:
            faults.add(reset="sometimes")
        except ValueError as error:
            print(error)  # reset: 'sometimes' is none of 'before', 'headers', 'body'
        ```
    """

    def __init__(self, seed: int = 0, served: Sequence[tuple[str, str]] | None = None) -> None:
        self._seed = seed
        self._served = served
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        # No secret: a test must see the same faults in every run.
        self._random = random.Random(seed)  # noqa: S311

    def __len__(self) -> int:
        return len(self._faults)

    def add(
        self,
        path: str | None = None,
        method: str | None = None,
        times: int | None = 1,
        *,
        status: int | None = None,
        retry_after: float | str | None = None,
        body: bytes | str | Mapping[str, Any] | Sequence[Any] | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        reset: Reset | None = None,
        cut_after_bytes: int | None = None,
        cut_after_events: int | None = None,
        cut: Cut = "fin",
        error_event: bool = False,
        chunk_delay: float = 0.0,
        redirect: str | None = None,
        echo_key: bool = False,
        probability: float = 1.0,
    ) -> Fault:
        """Add a fault.

        A fault that responds with an error status or a redirect, or resets before any byte, is
        applied instead of the operation: nothing is billed. All others are applied after it: it is
        billed, as on the live service.

        Args:
            path: Which requests: a path or a pattern such as ``/v1/tasks/*``, compared with the
                path as sent and without its gateway prefix. None means every request.
            method: Which HTTP method; None means every one.
            times: How often it is applied; None means always.
            status: Respond with this status (200 to 599). Below 300 the operation is carried out.
            retry_after: The response's ``Retry-After``: seconds, or any text such as a date.
            body: Respond with this body: bytes, text, or an object or a list sent as JSON.
            content_type: The response's ``Content-Type``.
            headers: More headers of the response; they replace those of the same name.
            delay: Seconds before the response begins. The work is done before them.
            reset: Break the connection (RST): ``before`` any byte of the response, within the
                ``headers``, or within the ``body``.
            cut_after_bytes: End the response after so many bytes of its body; at least one byte is
                always lost.
            cut_after_events: End an event stream after so many events. A response that is no
                stream loses its second half.
            cut: How the response is cut: ``fin`` closes in order, ``reset`` breaks off.
            error_event: Send ``data: {"error": …}`` after `cut_after_events` events (0 by default)
                and then end the stream in order; with ``cut="reset"`` break off after it.
            chunk_delay: Seconds between two pieces of the body: between events of a stream,
                between eighths of any other response.
            redirect: Respond 307 with this ``Location``.
            echo_key: Repeat the caller's key in the error message, to prove that the caller never
                shows it.
            probability: How likely it is applied to a matching request, 0 to 1.

        Returns:
            The fault; its `fired` counts; `Faults.remove` removes it.

        Raises:
            ValueError: If an argument is out of range or does not go with the others, or if no
                operation has this path. The message begins with the argument's name.
        """
        fault = Fault(
            path=path,
            method=method.upper() if method else None,
            times=times,
            status=status,
            retry_after=retry_after,
            body=_encoded(body),
            content_type=content_type
            or (None if body is None or isinstance(body, bytes | str) else "application/json"),
            headers=MappingProxyType({k.lower(): v for k, v in (headers or {}).items()}),
            delay=delay,
            reset=reset,
            cut_after_bytes=cut_after_bytes,
            cut_after_events=0 if error_event and cut_after_events is None else cut_after_events,
            cut=cut,
            error_event=error_event,
            chunk_delay=chunk_delay,
            redirect=redirect,
            echo_key=echo_key,
            probability=probability,
        )
        check(fault)
        if self._served is not None:
            check_served(fault, self._served)
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Remove a fault; one that is gone already is no error."""
        with self._lock:
            self._faults = [each for each in self._faults if each is not fault]

    def clear(self) -> None:
        """Remove every fault and seed the random numbers again."""
        with self._lock:
            self._faults.clear()
            self._random.seed(self._seed)

    def take(self, method: str, paths: Iterable[str]) -> Fault | None:
        """Return the fault for this request, and count it."""
        paths = tuple(paths)
        with self._lock:
            for fault in self._faults:
                if fault.spent or not fault.matches(method, paths):
                    continue
                if fault.probability < 1 and self._random.random() >= fault.probability:
                    continue
                fault.fired += 1
                return fault
        return None


def check(fault: Fault) -> None:
    """Check that a fault does something and does not contradict itself.

    Raises:
        ValueError: Naming the argument.
    """
    for problem, name, why in _problems(fault):
        if problem:
            raise ValueError(f"{name}: {why}")


def check_served(fault: Fault, served: Sequence[tuple[str, str]]) -> None:
    """Check that a fault can happen: a typo in its path would make a test pass that tests nothing.

    Raises:
        ValueError: No operation has its method and path.
    """
    methods = {
        method for method, path in served if fault.path is None or _overlap(fault.path, path)
    }
    if fault.path is not None and "{" in fault.path:  # compared as it is written
        methods.clear()
    if not methods:
        paths = sorted({path for _, path in served if "{gateway}" not in path})
        near = get_close_matches(fault.path or "", paths, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"path: no operation has {fault.path!r}{meant} A path begins with '/' or '*', and has "
            "'*' where an id stands"
        )
    if fault.method is not None and fault.method not in methods:
        raise ValueError(
            f"method: {fault.path or 'the sandbox'} takes {', '.join(sorted(methods))}, not "
            f"{fault.method}"
        )


_ID = re.compile(r"\{\w+_id\}")
_NAME = re.compile(r"\{\w+\}")
_CLASS = re.compile(r"\[!?\]?[^\]]*\]")


def _overlap(pattern: str, path: str) -> bool:
    """Whether there is a text that a pattern of a fault and a path with `{…}` both fit."""
    # Both as characters, where "*" is any text, "?" any character, "+" any text without "/".
    left = _CLASS.sub("?", pattern)
    # Ids of the sandbox have a "_": else "*/serach" would fit every path that ends in an id.
    is_pattern = any(each in pattern for each in "*?[")
    right = _NAME.sub("+", _ID.sub("+_+" if is_pattern else "+", path))

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(left) or j == len(right):
            return not left[i:].strip("*") and not right[j:]
        if left[i] == "*":
            return meet(i + 1, j) or meet(i, j + 1)
        if right[j] == "+":
            return left[i] != "/" and (meet(i + 1, j + 1) or meet(i + 1, j))
        return left[i] in ("?", right[j]) and meet(i + 1, j + 1)

    return meet(0, 0)


_COUNTS: Final = ("times", "status", "cut_after_bytes", "cut_after_events")
_AMOUNTS: Final = ("delay", "chunk_delay", "probability")
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def _problems(fault: Fault) -> Iterable[tuple[bool, str, str]]:
    f = fault
    for name in _COUNTS:
        value = getattr(f, name)
        is_count = isinstance(value, int) and not isinstance(value, bool)
        yield value is not None and not is_count, name, f"{value!r:.100} is no whole number"
    for name in _AMOUNTS:
        value = getattr(f, name)
        is_amount = isinstance(value, int | float) and not isinstance(value, bool)
        yield not is_amount, name, f"{value!r:.100} is no number"
    for name in f.headers:
        yield not _HEADER_NAME.fullmatch(name), "headers", f"{name!r:.100} is no header's name"
    sent = [(name, getattr(f, name)) for name in ("content_type", "redirect")]
    for name, value in sent + [("headers", value) for value in f.headers.values()]:
        is_text = value is None or (isinstance(value, str) and _HEADER_VALUE.fullmatch(value))
        yield not is_text, name, f"{value!r:.100} cannot stand in a header"
    is_error = f.status is not None and f.status >= ERROR_FROM_STATUS
    yield (
        f.times is not None and f.times < 1,
        "times",
        f"{f.times} is less than 1; None means always",
    )
    yield not 0 < f.probability <= 1, "probability", f"{f.probability} is not above 0 and up to 1"
    yield (
        f.status is not None and not 200 <= f.status <= 599,
        "status",
        f"{f.status} is not between 200 and 599",
    )
    for name in ("delay", "chunk_delay", "cut_after_bytes", "cut_after_events"):
        value = getattr(f, name)
        yield value is not None and not value >= 0, name, f"{value} is not 0 or more"
    yield (
        f.reset not in (None, "before", "headers", "body"),
        "reset",
        f"{f.reset!r} is none of 'before', 'headers', 'body'",
    )
    yield f.cut not in ("fin", "reset"), "cut", f"{f.cut!r} is neither 'fin' nor 'reset'"
    yield f.cut == "reset" and not f.cuts, "cut", "needs cut_after_bytes or cut_after_events"
    yield (
        f.cut_after_bytes is not None and f.cut_after_events is not None,
        "cut_after_events",
        "choose it or cut_after_bytes",
    )
    yield f.reset is not None and f.cuts, "reset", "the response cannot be cut as well"
    yield (
        f.reset == "before" and (f.status is not None or f.body is not None),
        "reset",
        "'before' sends nothing, so there is no status and no body",
    )
    yield (
        f.cut_after_events is not None and (is_error or f.body is not None),
        "cut_after_events",
        "an error response or a body of your own is no event stream; use cut_after_bytes",
    )
    yield (
        f.redirect is not None
        and (f.status is not None or f.body is not None or f.reset is not None or f.cuts),
        "redirect",
        "goes with no other response",
    )
    yield (
        f.retry_after is not None and f.status is None,
        "retry_after",
        "needs a status such as 429 or 503",
    )
    yield (
        f.echo_key and not (is_error or f.error_event),
        "echo_key",
        "needs an error status or an error_event to speak of the key",
    )
    yield f.echo_key and f.body is not None, "echo_key", "a body of your own says what it says"
    yield (
        not (f.refuses or f.cuts or f.reset or f.status or f.delay or f.chunk_delay or f.headers)
        and f.body is None
        and f.content_type is None,
        "status",
        "this fault does nothing; give it a status, body, delay, reset, cut or redirect",
    )


def _encoded(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    try:
        return (body if isinstance(body, str) else json.dumps(body)).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"body: {error}") from error
