"""Monitors: scheduled queries that report what is new (docs/reference/facts.md, 11)."""

from collections.abc import Iterator
from typing import Final

from parallel_integrations._protocol.flow import Emit, Flow, Send, Stream, call, order
from parallel_integrations._protocol.paths import segment, text_parameter
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.errors import InvalidArgumentError, UnexpectedAnswerError
from parallel_integrations.models._validation import check_count
from parallel_integrations.models.monitor import (
    MAX_MONITORS,
    CreateMonitorRequest,
    Monitor,
    MonitorEvent,
    MonitorEventPage,
    MonitorPage,
    UpdateMonitorRequest,
)

MAX_EVENTS: Final = 100
MAX_EMPTY_PAGES: Final = 100
"""Pages without anything, one after another, after which a listing counts as endless."""

PATH: Final = "/v1/monitors"


def create_monitor(request: CreateMonitorRequest) -> Flow[Monitor]:
    """Start a monitor; each execution is billed.

    Args:
        request: What to watch and how often.

    Returns:
        A flow whose result is the `Monitor`.

    Example:
        ```python
        from parallel_integrations import CreateMonitorRequest, EventStreamSettings, ParallelClient
        from parallel_integrations.api import cancel_monitor, create_monitor

        request = CreateMonitorRequest(
            type="event_stream", frequency="1d", settings=EventStreamSettings(query="new syntax")
        )
        with ParallelClient() as client:
            monitor = client.run(create_monitor(request))
            client.run(cancel_monitor(monitor.monitor_id))  # or it runs, and is billed, every day
        ```
    """
    CreateMonitorRequest.expect(request)
    return call(Send("POST", PATH, request, retry=RetryPolicy.CREATE), Monitor)


def list_monitors(
    *,
    cursor: str | None = None,
    limit: int | None = None,
    type: list[str] | None = None,  # noqa: A002 - the wire's own word
    status: list[str] | None = None,
) -> Flow[MonitorPage]:
    """Fetch one page of monitors, newest first.

    Args:
        cursor: `next_cursor` of the page before.
        limit: How many a page, 1 to 10,000; the API's default is 100.
        type: Only of these types.
        status: Only in these; the API's default is `active`.

    Returns:
        A flow whose result is the `MonitorPage`.

    Raises:
        ValueError: A value of another type, or a `limit` out of range.
    """
    params = [
        *_page_params(cursor, limit, MAX_MONITORS),
        *(("type", one) for one in _texts("type", type)),
        *(("status", one) for one in _texts("status", status)),
    ]
    return call(Send("GET", PATH, params=tuple(params), retry=RetryPolicy.READ), MonitorPage)


def all_monitors(
    *,
    type: list[str] | None = None,  # noqa: A002 - the wire's own word
    status: list[str] | None = None,
) -> Stream[Monitor]:
    """Go through all monitors, page by page.

    Args:
        type: Only of these types.
        status: Only in these; the API's default is `active`.

    Returns:
        A stream of `Monitor` for `ParallelClient.stream` or `astream`.
    """
    cursors = _Cursors()
    for cursor in cursors:
        page = yield from list_monitors(cursor=cursor, type=type, status=status)
        for monitor in page.monitors:
            yield Emit(monitor)
        cursors.add(page.next_cursor, is_empty=not page.monitors)


def retrieve_monitor(monitor_id: str) -> Flow[Monitor]:
    """Look up a monitor.

    Args:
        monitor_id: Its id.

    Returns:
        A flow whose result is the `Monitor`.
    """
    return call(Send("GET", _path(monitor_id), retry=RetryPolicy.READ), Monitor)


def update_monitor(monitor_id: str, request: UpdateMonitorRequest) -> Flow[Monitor]:
    """Change a monitor.

    Args:
        monitor_id: Its id; a cancelled one takes only metadata.
        request: What to change.

    Returns:
        A flow whose result is the `Monitor`.
    """
    UpdateMonitorRequest.expect(request)
    return call(
        Send("POST", f"{_path(monitor_id)}/update", request, retry=RetryPolicy.READ), Monitor
    )


def cancel_monitor(monitor_id: str) -> Flow[Monitor]:
    """Stop a monitor for good; stopping it again changes nothing.

    Args:
        monitor_id: Its id.

    Returns:
        A flow whose result is the `Monitor`.
    """
    return call(Send("POST", f"{_path(monitor_id)}/cancel", retry=RetryPolicy.READ), Monitor)


def trigger_monitor(monitor_id: str) -> Flow[None]:
    """Run a monitor once, now; billed like any execution.

    Args:
        monitor_id: Its id; not of a cancelled one.

    Returns:
        A flow without a result.
    """
    path = f"{_path(monitor_id)}/trigger"
    return order(Send("POST", path, retry=RetryPolicy.CREATE, max_skus=(("monitor_base", 1),)))


def monitor_events(
    monitor_id: str,
    *,
    event_group_id: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    include_completions: bool = False,
) -> Flow[MonitorEventPage]:
    """Fetch one page of a monitor's events, newest first.

    Args:
        monitor_id: Its id.
        event_group_id: Only of one run; there are no further pages then.
        cursor: `next_cursor` of the page before.
        limit: How many a page, 1 to 100; the API's default is 20.
        include_completions: With an event for each run that found nothing.

    Returns:
        A flow whose result is the `MonitorEventPage`.

    Raises:
        ValueError: A value of another type, or a `limit` out of range.
    """
    params = _page_params(cursor, limit, MAX_EVENTS)
    if event_group_id := text_parameter("event_group_id", event_group_id):
        params.append(("event_group_id", event_group_id))
    if include_completions:
        params.append(("include_completions", "true"))
    path = f"{_path(monitor_id)}/events"
    return call(Send("GET", path, params=tuple(params), retry=RetryPolicy.READ), MonitorEventPage)


def all_monitor_events(
    monitor_id: str, *, include_completions: bool = False
) -> Stream[MonitorEvent]:
    """Go through all events of a monitor, newest first, page by page.

    Args:
        monitor_id: Its id.
        include_completions: With an event for each run that found nothing.

    Returns:
        A stream of `MonitorEvent` for `ParallelClient.stream` or `astream`.
    """
    # The largest pages cost the fewest requests.
    cursors = _Cursors()
    for cursor in cursors:
        page = yield from monitor_events(
            monitor_id, cursor=cursor, limit=MAX_EVENTS, include_completions=include_completions
        )
        for event in page.events:
            yield Emit(event)
        cursors.add(page.next_cursor, is_empty=not page.events)


class _Cursors:
    """The cursors of pages, the first page's being None; one that comes again would never end."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._next: list[str | None] = [None]
        self._num_empty = 0

    def __iter__(self) -> Iterator[str | None]:
        while self._next:
            yield self._next.pop()

    def add(self, cursor: str | None, *, is_empty: bool) -> None:
        self._num_empty = self._num_empty + 1 if is_empty else 0
        if cursor and cursor not in self._seen:
            if self._num_empty >= MAX_EMPTY_PAGES:
                raise UnexpectedAnswerError(
                    f"{self._num_empty} pages in a row hold nothing, and each names another one. "
                    f"To go on all the same, fetch single pages, from cursor={cursor!r:.1000} on."
                )
            self._seen.add(cursor)
            self._next.append(cursor)


def _page_params(cursor: str | None, limit: int | None, max_limit: int) -> list[tuple[str, str]]:
    if limit is not None:
        check_count("limit", limit, 1, max_limit)
    cursor = text_parameter("cursor", cursor)
    params = [("cursor", cursor)] if cursor else []
    return [*params, ("limit", str(limit))] if limit is not None else params


def _texts(name: str, values: object) -> list[str]:
    """The values of a filter; a single text would be sent letter by letter."""
    if values is None:
        return []
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise InvalidArgumentError(
            f"{name}={values!r:.100} must be a list of texts, like ['active']"
        )
    return list(values)


def _path(monitor_id: str) -> str:
    return f"{PATH}/{segment('monitor_id', monitor_id)}"
