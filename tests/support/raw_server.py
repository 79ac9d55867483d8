"""Scripted server: a loopback server that can misbehave in ways that no HTTP library allows."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Self, cast

Observer = Callable[[bytes, int], None]


class Talk:
    """One connection, from the server's side.

    Attributes:
        pieces: What has been received so far; under TLS a piece is a record.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pieces: list[bytes] = []
        self._received = b""
        self._request = b""

    def request(self) -> bytes:
        """The next request, headers and body; empty where the client has gone."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return b""
        headers, _, rest = self._received.partition(b"\r\n\r\n")
        length = 0
        for line in headers.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(rest) < length:
            if not self._receive():
                return b""
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[length:]
        self._request = headers + b"\r\n\r\n" + rest[:length]
        return self._request

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def respond(
        self,
        body: bytes = b"",
        *rest: bytes,
        status: str = "200 OK",
        content_type: str | None = "application/json",
        headers: tuple[str, ...] = (),
    ) -> None:
        """Send a whole, well-formed response; what is large is not copied as the `rest` of it."""
        self._report(int(status[:3]))
        length = sum(map(len, (body, *rest)))
        lines = [f"HTTP/1.1 {status}", f"content-length: {length}", *headers]
        if content_type is not None:
            lines.append(f"content-type: {content_type}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        for part in rest:
            self.send(part)

    def begin_stream(self) -> None:
        """Send the headers of an event stream."""
        self._report(200)
        self.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )

    def send_chunk(self, data: bytes) -> None:
        """Send a chunk of a stream; an empty one would end it and is left out."""
        if data:
            self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        """End a stream in order; the connection stays open."""
        self.send(b"0\r\n\r\n")

    def wait_until_closed(self, seconds: float = 10.0) -> None:
        """Send nothing until the client closes the connection; what it still sends is lost."""
        self._connection.settimeout(seconds)
        try:
            while self._connection.recv(65536):
                pass
        except OSError:
            pass

    def finish(self) -> None:
        """End the connection in order (FIN)."""
        self._connection.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Encrypt what follows, as behind a proxy."""
        self._connection = context.wrap_socket(self._connection, server_side=True)

    def end_tls(self) -> None:
        """Say that nothing follows (close_notify), and leave the connection open."""
        self._connection.setblocking(False)
        with suppress(ssl.SSLWantReadError):  # the client's own is not waited for
            cast(ssl.SSLSocket, self._connection).unwrap()
        self._connection.setblocking(True)

    def reset(self) -> None:
        """End the connection without order (RST)."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def _report(self, status: int) -> None:
        # Before the response is sent: once the client has it, its test may be over.
        for observe in RawServer.observers:
            observe(self._request, status)

    def _receive(self) -> bool:
        data = self._connection.recv(65536)
        self._received += data
        self.pieces.append(data)
        return bool(data)


def together(count: int, body: bytes) -> Callable[[Talk, bytes], None]:
    """Responds once so many requests wait for it; to calls made one after another, never."""
    barrier = threading.Barrier(count)

    def respond(talk: Talk, request: bytes) -> None:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(20)
            talk.respond(body)

    return respond


class RawServer:
    """Gives every request on every connection to `respond`, in a thread per connection.

    Args:
        respond: Called with the connection and the request's bytes; sends a response, or does not.
        context: For TLS; None for none.

    Attributes:
        observers: Called with each request that gets a well-formed response, and its status; of all
            servers.
        requests: The requests so far.
        connections: How many connections were made.
    """

    observers: ClassVar[list[Observer]] = []

    def __init__(
        self, respond: Callable[[Talk, bytes], None], context: ssl.SSLContext | None = None
    ) -> None:
        self._respond = respond
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        """Base URL."""
        address = "http://127.0.0.1" if self._context is None else "https://localhost"
        return f"{address}:{self._listener.getsockname()[1]}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has ended yet."""
        return sum(connection.fileno() >= 0 for connection in self._open)

    def settle(self, num_open: int) -> int:
        """How many connections are open, once no more than `num_open` are or none more closes."""
        for _ in range(20_000):
            if self.open_connections <= num_open:
                break
            threading.Event().wait(0.001)  # not `time.sleep`, which tests speed up
        return self.open_connections

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake `accept`
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):  # which wakes its thread; of the socket, past its TLS
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:  # the handshake comes with the first request
                connection = self._context.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        talk = Talk(connection)
        try:
            while request := talk.request():
                self.requests.append(request)
                self._respond(talk, request)
        except OSError:  # the client went away, or the test is over
            pass
        finally:
            talk.finish()
