"""A certificate for servers on loopback, made on the spot."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def certificate() -> Iterator[Path]:
    """A certificate and its key in one file, trusted by this process while it lasts.

    It is for `localhost` and for `api.example`, as which a test's proxy poses.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "localhost.pem"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        names = "subjectAltName=DNS:localhost,DNS:api.example"
        files = ["-days", "1", "-keyout", str(path), "-out", f"{path}.crt"]
        named = ["-subj", "/CN=localhost", "-addext", names]
        subprocess.run([*command.split(), *named, *files], check=True, capture_output=True)
        path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = f"{path}.crt"
        try:
            yield path
        finally:
            del os.environ["SSL_CERT_FILE"]
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before
