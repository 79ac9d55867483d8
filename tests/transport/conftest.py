"""A certificate for servers of the tests' own."""

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.certificate import certificate
from parallel_integrations._transport import connection_pool


@pytest.fixture(scope="session")
def certificate_path() -> Iterator[Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    with certificate() as path:
        yield path


@pytest.fixture
def tls(
    certificate_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ssl.SSLContext]:
    """What a server of `localhost` needs; clients trust its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_path)
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate_path}.crt")
    connection_pool._shared_context.cache_clear()  # it lives as long as the process
    yield context
    connection_pool._shared_context.cache_clear()
