"""A server that can misbehave in ways that no HTTP library lets a server do."""

import socket
import struct
import threading
from collections.abc import Callable
from typing import Self


class Talk:
    """One connection, from the server's side."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def request(self) -> bytes:
        """The next request, head and body; empty where the client has gone."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return b""
        head, _, rest = self._received.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(rest) < length:
            if not self._receive():
                return b""
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def answer(
        self,
        body: bytes = b"",
        *,
        status: str = "200 OK",
        content_type: str | None = "application/json",
        headers: tuple[str, ...] = (),
    ) -> None:
        """Send a whole, well-formed answer."""
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
        if content_type is not None:
            lines.append(f"content-type: {content_type}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def finish(self) -> None:
        """End the connection in order (FIN)."""
        self._connection.close()

    def reset(self) -> None:
        """End the connection without order (RST)."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def _receive(self) -> bool:
        data = self._connection.recv(65536)
        self._received += data
        return bool(data)


class RawServer:
    """Gives every request on every connection to `play`, in a thread per connection.

    Args:
        play: Called with the connection and the request's bytes; answers, or does not.
    """

    def __init__(self, play: Callable[[Talk, bytes], None]) -> None:
        self._play = play
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has ended yet."""
        return sum(connection.fileno() >= 0 for connection in self._open)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake `accept`
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        talk = Talk(connection)
        try:
            while request := talk.request():
                self.requests.append(request)
                self._play(talk, request)
        except OSError:  # the client went away, or the test is over
            pass
        finally:
            connection.close()
