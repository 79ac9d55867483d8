"""Webhooks: signed events, posted to the URL of a request until it is accepted."""

import base64
import binascii
import heapq
import hmac
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

# The classes themselves: what replays cassettes replaces the attributes of http.client while a test
# runs, and a delivery may be under way then, repeated from the test before.
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

WEBHOOK_SECRET = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldA=="  # noqa: S105 - public on purpose
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix that everyone knows
FIRST_PAUSE_SECONDS = 0.05
ATTEMPTS = 5
"""How often a message is sent at most; the live service goes on for 48 hours."""
TIMEOUT_SECONDS = 5.0
WORKERS = 4
LAST_SECONDS = 1.0


def objection(webhook: Mapping[str, Any]) -> str | None:
    """Return why nothing will be sent to a webhook, or None.

    Example:
        ```python
        from parallel_integrations.sandbox.state.webhooks import objection

        objection({"url": "http://127.0.0.1:8000/hook", "event_types": ["task_run.status"]})
        assert (
            objection({"url": "https://example.com/hook", "event_types": ["task_run.status"]})
            == "webhook.url: the sandbox sends only to http on this machine; nothing is sent"
        )
        ```
    """
    try:
        parts = urlsplit(webhook["url"])
        local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
        # Port 0 cannot be connected to. Asking for the port also raises for one out of range.
        local = local and parts.port != 0
    except ValueError:
        local = False
    if not local:
        return "webhook.url: the sandbox sends only to http on this machine; nothing is sent"
    if not webhook.get("event_types"):
        return "webhook.event_types: names no event; nothing is sent"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address, the same however often it is sent.

    Attributes:
        message_id: Sent as ``webhook-id``; receivers know repeats by it.
        url: Where it goes.
        body: The JSON text, signed byte for byte.
    """

    message_id: str
    url: str
    body: bytes


@dataclass(order=True, slots=True)
class _Job:
    due: float
    number: int
    message: Message = field(compare=False)
    attempt: int = field(default=1, compare=False)


class Webhooks:
    """Sends messages from threads of its own, from the first message until it is stopped.

    Args:
        secret: ``whsec_`` and the base64 text of the key.

    Raises:
        ValueError: If the rest of the secret is no base64 text.
    """

    def __init__(self, secret: str = WEBHOOK_SECRET) -> None:
        self.secret = secret
        try:
            # The key is what the base64 stands for, as Standard Webhooks has it; a strict decoder
            # finds typos.
            self._key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError("webhook_secret is not 'whsec_' and base64") from error
        self._lock = threading.Lock()
        self._sender: _Sender | None = None

    def send(self, message: Message, *, after: float = 0.0) -> None:
        """Send a message in `after` seconds; returns at once."""
        with self._lock:
            if self._sender is None:
                self._sender = _Sender(self._key)
            self._sender.take(message, after)

    def stop(self) -> None:
        """Forget what was not sent and end the threads; sending starts them again."""
        with self._lock:
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()


def encode(kind: str, timestamp: str, data: Mapping[str, Any]) -> bytes:
    """Return a message's body."""
    content = {"type": kind, "timestamp": timestamp, "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def signature(key: bytes, message: Message, timestamp: int) -> str:
    """Return the ``webhook-signature`` of a message sent at `timestamp` (Unix seconds)."""
    signed = f"{message.message_id}.{timestamp}.".encode() + message.body
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()


class _Sender:
    """The messages waiting and the threads that send them, until it is stopped for good."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._count = 0
        self._threads: list[threading.Thread] = []
        self._open: set[HTTPConnection] = set()

    def take(self, message: Message, after: float) -> None:
        with self._changed:
            self._count += 1
            heapq.heappush(self._jobs, _Job(time.monotonic() + after, self._count, message))
            # Threads start with the first messages: most sandboxes never send one.
            if len(self._threads) < WORKERS:
                thread = threading.Thread(
                    target=self._work, name="parallel-sandbox-webhooks", daemon=True
                )
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            for connection in self._open:
                # A receiver that never responds must not hold the sandbox up.
                if connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LAST_SECONDS)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if self._post(job.message) or job.attempt == ATTEMPTS:
                continue
            # Doubling pauses, in milliseconds, so that a test sees several attempts.
            job.due = time.monotonic() + FIRST_PAUSE_SECONDS * 2 ** (job.attempt - 1)
            job.attempt += 1
            with self._changed:
                heapq.heappush(self._jobs, job)
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._stopped:
                left = self._jobs[0].due - time.monotonic() if self._jobs else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._jobs)
                self._changed.wait(left)
        return None

    def _post(self, message: Message) -> bool:
        parts = urlsplit(message.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        now = int(time.time())  # receivers compare it with their own clock
        headers = {
            "content-type": "application/json",
            "user-agent": "parallel-integrations-sandbox",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._key, message, now),
        }
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        with self._changed:
            if self._stopped:
                return True
            self._open.add(connection)
        try:
            # http.client refuses spaces and control characters, which a URL of a test may hold.
            target = quote(target, safe="/?&=%:@+,;~!$'()*")
            connection.request("POST", target, message.body, headers)
            return 200 <= connection.getresponse().status < 300
        except (OSError, HTTPException):
            return False
        finally:
            with self._changed:
                self._open.discard(connection)
            connection.close()
