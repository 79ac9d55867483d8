"""Monitors for both frameworks: made, listed and cancelled, their events as documents."""

import logging
from collections.abc import Sequence, Set
from typing import Any, Generic, TypeAlias, TypeVar

from parallel_integrations._counted import counted
from parallel_integrations._documents.adapter import PacedAdapter, refuse_unknown
from parallel_integrations._documents.evidence import (
    PAGES,
    PageDocument,
    cited,
    passage_name,
    report_as_text,
    web_address,
)
from parallel_integrations._documents.queries import as_queries
from parallel_integrations._protocol.flow import Flow, Operation, each
from parallel_integrations.api import (
    all_monitor_events,
    all_monitors,
    cancel_monitor,
    create_monitor,
    monitor_events,
)
from parallel_integrations.errors import InvalidArgumentError, TaskFailedError
from parallel_integrations.models.fields import Excerpt
from parallel_integrations.models.monitor import (
    CreateMonitorRequest,
    EventStreamSettings,
    Monitor,
    MonitorEvent,
)
from parallel_integrations.models.pages import PageResult

DocumentT = TypeVar("DocumentT")
# The method `list` hides the builtin from the annotations beside it.
Documents: TypeAlias = list[DocumentT]
Monitors: TypeAlias = list[Monitor]
Words: TypeAlias = list[str]

log = logging.getLogger("parallel_integrations")


class MonitorAdapter(PacedAdapter, Generic[DocumentT]):
    """Base of both frameworks' `ParallelMonitor`."""

    def _document(self, event: PageDocument) -> DocumentT:
        """What each framework adds: an event as its own document."""
        raise NotImplementedError

    def create(
        self, query: str | CreateMonitorRequest, *, frequency: str | None = None, **settings: Any
    ) -> Monitor:
        """Start a monitor. It runs, and is billed, at once and then until it is cancelled.

        Args:
            query: What to watch for; or a whole request, as for a `snapshot` of a task's output,
                with which nothing else is given.
            frequency: How often: `<n>h`, `<n>d` or `<n>w`, from `1h` to `30d`; `1d` by default.
            **settings: Further fields of `EventStreamSettings` (`output_schema`,
                `include_backfill`, `source_policy`, `location`) and of `CreateMonitorRequest`
                (`processor`, `webhook`, `metadata`, `memory_scope_key`).

        Returns:
            The monitor; its `monitor_id` is what the other methods take.

        Raises:
            InvalidArgumentError: A value that cannot be right; nothing was sent.
            ParallelError: The call failed.
        """
        return self.resolved_client().run(_created(query, frequency, settings))

    async def acreate(
        self, query: str | CreateMonitorRequest, *, frequency: str | None = None, **settings: Any
    ) -> Monitor:
        """Start a monitor, awaiting; everything else as in `create`."""
        return await self.resolved_client().arun(_created(query, frequency, settings))

    def events(
        self, monitor_id: str, *, event_group_id: str | None = None
    ) -> "Documents[DocumentT]":
        """What a monitor has found, newest first, one document for each event.

        The text is what was found, or what changed, with its sources at the end. The metadata is
        that of a page, of the first source (`url` is empty where there is none), with the event's
        date as `published_at`, and `monitor_id` and `event_id`. An event's document has the same
        id whenever it is fetched, so that a store which knows it can leave it out.

        Args:
            monitor_id: The monitor's id.
            event_group_id: Only what one execution found: the id in a webhook's message.

        Raises:
            TaskFailedError: There is nothing but failed executions; says why. Beside others, they
                are a warning in the log.
            ParallelError: The call failed.
        """
        found = self.resolved_client().run(_events(monitor_id, event_group_id))
        return [self._document(event) for event in event_documents(monitor_id, found)]

    async def aevents(
        self, monitor_id: str, *, event_group_id: str | None = None
    ) -> "Documents[DocumentT]":
        """What a monitor has found, awaiting; everything else as in `events`."""
        found = await self.resolved_client().arun(_events(monitor_id, event_group_id))
        return [self._document(event) for event in event_documents(monitor_id, found)]

    def cancel(self, monitor_id: str) -> Monitor:
        """Stop a monitor for good; stopping it again changes nothing.

        Args:
            monitor_id: The monitor's id.

        Raises:
            ParallelError: The call failed.
        """
        return self.resolved_client().run(cancel_monitor(monitor_id))

    async def acancel(self, monitor_id: str) -> Monitor:
        """Stop a monitor, awaiting; everything else as in `cancel`."""
        return await self.resolved_client().arun(cancel_monitor(monitor_id))

    def list(self, *, status: Words | None = None) -> Monitors:
        """All monitors of the account, newest first.

        Args:
            status: Only those in these states: `active` (the API's default), `cancelled`.

        Raises:
            ParallelError: The call failed.
        """
        return self.resolved_client().run(_listed(status))

    async def alist(self, *, status: Words | None = None) -> Monitors:
        """All monitors of the account, awaiting; everything else as in `list`."""
        return await self.resolved_client().arun(_listed(status))


def event_documents(monitor_id: str, events: Sequence[MonitorEvent]) -> Documents[PageDocument]:
    """A monitor's events as documents: see `MonitorAdapter.events`."""
    documents = []
    failures = []
    for event in events:
        if _is_failure(event):
            failures.append(event.error_message or "no reason was given")
        elif output := event.changed_output or event.output:
            first = next((one for _, one in cited(output.basis) if web_address(one.url)), None)
            page = PageResult(
                url=first.url if first else "",
                title=first.title if first else None,
                publish_date=event.event_date,
                excerpts=[Excerpt(report_as_text(output.content, output.basis))],
            )
            own = {"monitor_id": monitor_id, "event_id": event.event_id}
            for document in PAGES.documents_of([page]):
                name = passage_name(monitor_id, event.event_id or document.text)
                documents.append(PageDocument(name, document.text, document.metadata | own))
    if failures:
        text = (
            f"{counted(len(failures), 'execution')} of monitor {monitor_id} failed, the last: "
            f"{failures[0]}"
        )
        if len(failures) == len(events):
            raise TaskFailedError(f"{text}. None found anything.")
        log.warning("%s", text)
    return documents


def _created(
    query: str | CreateMonitorRequest, frequency: str | None, settings: dict[str, Any]
) -> Flow[Monitor]:
    if isinstance(query, CreateMonitorRequest):
        if beside := [*settings, *(["frequency"] if frequency else [])]:
            raise InvalidArgumentError(
                f"{beside[0]}= belongs into the CreateMonitorRequest that was given",
                field=beside[0],
            )
        return create_monitor(query)
    # One flat list for users: which object of the request a field belongs to is the wire's concern.
    watched = EventStreamSettings.model_fields.keys() - {"query"}
    of_request = CreateMonitorRequest.model_fields.keys() - {"type", "frequency", "settings"}
    refuse_unknown(CreateMonitorRequest, settings, watched | of_request)
    request = CreateMonitorRequest.model_validate(
        {
            "type": "event_stream",
            "frequency": frequency or "1d",
            "settings": {"query": as_queries(query)} | _among(watched, settings),
            **_among(of_request, settings),
        }
    )
    return create_monitor(request)


def _among(names: Set[str], settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in names & settings.keys()}


def _is_failure(event: MonitorEvent) -> bool:
    return event.event_type == "error" or bool(event.error_message)


def _events(monitor_id: str, event_group_id: str | None) -> Operation[Documents[MonitorEvent]]:
    found = yield from _fetched(monitor_id, event_group_id)
    if found and all(map(_is_failure, found)):
        # Whether others ran and found nothing: executions without events are left out otherwise.
        found = yield from _fetched(monitor_id, event_group_id, include_completions=True)
    return found


def _fetched(
    monitor_id: str, event_group_id: str | None, *, include_completions: bool = False
) -> Operation[Documents[MonitorEvent]]:
    if event_group_id is not None:
        page = yield from monitor_events(
            monitor_id, event_group_id=event_group_id, include_completions=include_completions
        )
        return [*page.events]
    found: Documents[MonitorEvent] = []
    events = all_monitor_events(monitor_id, include_completions=include_completions)
    yield from each(events, found.append)
    return found


def _listed(status: Words | None) -> Operation[Monitors]:
    found: Monitors = []
    yield from each(all_monitors(status=status), found.append)
    return found
