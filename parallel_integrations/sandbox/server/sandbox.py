"""`Sandbox`: a server that runs the API offline in a thread of its own."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from starlette.types import ASGIApp

from parallel_integrations._counted import counted
from parallel_integrations.sandbox.operations.monitors import publish, with_page
from parallel_integrations.sandbox.server.app import SERVED, KeyCheck, build
from parallel_integrations.sandbox.server.faults import Faults
from parallel_integrations.sandbox.server.recorder import RecordedRequest, Recorder
from parallel_integrations.sandbox.server.runner import Running
from parallel_integrations.sandbox.state.ledger import Ledger
from parallel_integrations.sandbox.state.state import (
    SANDBOX_TIME,
    Clock,
    State,
    python_reference_index,
)
from parallel_integrations.sandbox.state.tasks import TASK_SECONDS, Tasks
from parallel_integrations.sandbox.state.waiting import Waiting
from parallel_integrations.sandbox.state.webhooks import WEBHOOK_SECRET, Webhooks
from parallel_integrations.sandbox.web.corpus import Corpus, Page, as_page
from parallel_integrations.sandbox.web.index import Index

MAX_PORT: Final = 65_535


class Sandbox:
    """Parallel's web API on loopback: same paths, keys, bodies, errors and event streams.

    Args:
        pages: The web it searches: a folder of Markdown, HTML and text files, a `Corpus`, any
            iterable of pages (each a `Page`, or a dict with `url` and `content`, see `Corpus`), or
            None for the Python language reference that ships inside CPython.
        port: TCP port; 0 takes a free one.
        host: Address to listen on.
        api_key: The key it accepts. The default is public on purpose: it opens nothing else.
        gateway_token: If given, requests through a gateway prefix must carry
            ``cf-aig-authorization: Bearer <token>``.
        stream_done: Whether a chat stream ends with ``data: [DONE]``. The live service leaves it
            open, so clients must accept both.
        clean: Whether pages are clean: nothing but their text in up to four excerpts, every page of
            the built-in web with a date, and an error for each address without a page. The default
            is what the live service returns: one text a page with titles of sections, navigation
            and cookie notes, most pages without a date, and a page that says "couldn't find" with
            status 200 where a site does not have an address.
        quickstart: Whether ``/v1beta/search`` with its ``parallel-beta`` header responds as the
            older quickstart shows (`rank`, `published_at`, excerpts with offsets). The live service
            was never seen to.
        service_times: Share of the live service's waiting times that search, extract, chat, tasks
            and FindAll take: 1 waits as long, 0.01 a hundredth. `findall_seconds` and
            `task_seconds` then count for nothing.
        clock: Gives the time that responses carry. The default stands still, so that they repeat
            byte for byte.
        findall_seconds: How long a FindAll run works, in real seconds. A run or monitor fails when
            its metadata hold ``{"sandbox": "fail"}``.
        seed: Seeds the random numbers of faults with a probability.
        task_seconds: How long a task run takes, whatever its processor. A run fails when its
            metadata or its input object hold ``{"sandbox": "fail"}``.
        webhook_secret: Signs webhooks: ``whsec_`` and base64. The default is public on purpose.

    Attributes:
        middleware: ASGI middleware of every sandbox made from then on, between its faults and its
            operations: for tools that watch what the sandbox itself responds.
        faults: The injected faults.
        requests: What came in, as `RecordedRequest`, oldest first.
        api_key: The key it accepts.
        webhook_secret: The secret its webhooks are signed with.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: If `pages` is no folder with pages.
        TypeError, ValueError: If one of `pages` is no page; names it, its field and the value.
        ValueError: If a duration, the port or the key cannot be right, or the secret is none.

    Example:
        ```python
        from parallel_integrations.sandbox import Sandbox

        with Sandbox() as sandbox:
            print(sandbox.url)  # http://127.0.0.1:43117
        ```
    """

    middleware: ClassVar[list[Callable[[ASGIApp], ASGIApp]]] = []

    def __init__(
        self,
        pages: str | Path | Corpus | Iterable[Page | Mapping[str, Any]] | None = None,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        api_key: str = "sandbox-key",
        gateway_token: str | None = None,
        stream_done: bool = True,
        clean: bool = False,
        quickstart: bool = False,
        service_times: float = 0.0,
        clock: Clock = lambda: SANDBOX_TIME,
        findall_seconds: float = 0.05,
        seed: int = 0,
        task_seconds: float = TASK_SECONDS,
        webhook_secret: str = WEBHOOK_SECRET,
    ) -> None:
        for name, value in (
            ("findall_seconds", findall_seconds),
            ("task_seconds", task_seconds),
            ("service_times", service_times),
        ):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value < inf:
                raise ValueError(f"{name}={value!r:.100} must be a number, 0 or more")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= MAX_PORT:
            raise ValueError(f"port={port!r:.100} must be a whole number from 0 to {MAX_PORT}")
        if not isinstance(api_key, str) or not api_key.strip():
            raise ValueError("api_key must be a text, and not blank")
        if pages is None:
            index = python_reference_index(clean=clean)
        else:
            if isinstance(pages, str | Path):
                pages = Corpus.folder(pages)
            index = Index(pages if isinstance(pages, Corpus) else Corpus(pages))
        self.api_key = api_key
        self.faults = Faults(seed, SERVED)
        self.webhook_secret = webhook_secret
        self._state = State(
            index,
            clock=clock,
            stream_done=stream_done,
            tasks=Tasks(task_seconds),
            webhooks=Webhooks(webhook_secret),
            findall_seconds=findall_seconds,
            clean=clean,
            quickstart=quickstart,
            waiting=Waiting(service_times),
        )
        self._recorder = Recorder()
        self._app = build(
            self._state,
            self.faults,
            self._recorder,
            KeyCheck(api_key, gateway_token),
            self.middleware,
        )
        self._host = host
        self._port = port
        self._running: Running | None = None
        self._publishing = threading.Lock()

    @property
    def url(self) -> str:
        """Its base URL, such as ``http://127.0.0.1:40123``.

        Raises:
            RuntimeError: If it is not running.
        """
        if self._running is None:
            raise RuntimeError("the sandbox is not running: use `with Sandbox()` or start()")
        port = self._running.port
        # Nobody can call "every address"; loopback is one of them.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def corpus(self) -> Corpus:
        """The pages it knows."""
        return self._state.corpus

    @property
    def ledger(self) -> Ledger:
        """What its responses would have cost."""
        return self._state.ledger

    @property
    def requests(self) -> Sequence[RecordedRequest]:
        """The requests since the start or the last reset, oldest first."""
        return self._recorder.requests

    @property
    def connections(self) -> int:
        """How many TCP connections it has accepted since it was made."""
        return self._recorder.accepted

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now.

        One that a client just left counts for a moment longer, until the sandbox has read its end.
        """
        return self._recorder.open

    def start(self) -> Self:
        """Start to listen; returns once requests are accepted.

        Raises:
            RuntimeError: If it is running already.
            OSError: If the port is taken.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        self._running = Running(self._app, self._recorder, self._host, self._port)
        return self

    def stop(self) -> None:
        """Stop at once: open connections are closed, their responses end where they are.

        Stopping twice is no error. A stopped sandbox can be started again.
        """
        running, self._running = self._running, None
        if running is not None:
            running.stop()
        self._state.webhooks.stop()

    def publish(self, *, url: str, title: str, text: str, published: date | None = None) -> None:
        """Add a page to the web of this sandbox, or put it in the place of the one at its address.

        Once it returns, requests find the page, and the active monitors that it concerns have run.

        Args:
            url: Where the page is published.
            title: What it is called.
            text: The whole page.
            published: The day it was published, None when unknown.

        Raises:
            TypeError, ValueError: If the page has no address or no text, or another field cannot be
                right.
        """
        page = as_page(
            "page", {"url": url, "title": title, "content": text, "published": published}
        )
        # The index is built outside the server's thread; two at once would lose one of the pages.
        with self._publishing:
            index = with_page(self.corpus, page)
            if self._running is None:
                publish(self._state, page, index)
            else:
                # In the server's thread, so that no request sees a new page before its monitors
                # have run.
                self._running.run(lambda: publish(self._state, page, index))

    def reset(self) -> None:
        """Forget all that happened: requests, bills, faults, ids, runs, monitors, new pages."""
        self.faults.clear()
        self._recorder.clear()
        self._state.reset()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = self.url if self._running else "stopped"
        return f"<Sandbox {state}, {counted(len(self.corpus), 'page')}>"
