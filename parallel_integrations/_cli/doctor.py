"""Command `doctor`: checks the configuration of this machine, and says how to correct it."""

import difflib
import os
import ssl
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from packaging.requirements import Requirement

from parallel_integrations._install import install_command
from parallel_integrations._protocol.retry import epoch_seconds
from parallel_integrations._protocol.routes import EU_HOST, KEYS_AT
from parallel_integrations._protocol.settings import (
    BASE_URL,
    BASE_URL_VARIABLE,
    CONNECT_TIMEOUT_SECONDS,
    KEY_VARIABLE,
    checked_base_url,
    is_loopback,
    key_from_environment,
    refuse_api_paths,
)
from parallel_integrations._version import __version__
from parallel_integrations.api.searches import search
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import MissingKeyError, ParallelError
from parallel_integrations.models.prices import PRICES_USD
from parallel_integrations.models.search import SearchRequest

Status: TypeAlias = Literal["ok", "note", "skip", "warn", "fail"]

DISTRIBUTION: Final = "parallel-integrations"
FRAMEWORKS: Final = {"langchain-core": "langchain", "llama-index-core": "llama-index"}
CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
FOREIGN_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# `verify_webhook` refuses a signature beyond this.
WRONG_CLOCK_SECONDS: Final = 300.0
INEXACT_CLOCK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        status: `ok`; `note` for information; `skip` was not checked; `warn` works but may
            surprise; `fail` does not work.
        what: The finding.
        remedy: How to correct it; may be empty.
    """

    status: Status
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.status:<5} {self.what}" + (f" - {self.remedy}" if self.remedy else "")


def examine(*, offline: bool = False) -> Iterator[Finding]:
    """Check everything that a call depends on, the cheapest first.

    Args:
        offline: Check this machine only; nothing is sent.

    Yields:
        Findings as they are made; the price of a call comes before the call.

    Example:
        ```python
        from parallel_integrations._cli.doctor import examine

        for finding in examine(offline=True):
            print(finding.status, finding.what, finding.remedy)
        ```
    """
    yield from _versions()
    key = yield from _key()
    base_url = yield from _base_url()
    if base_url is None:
        return
    proxied = yield from _proxy(base_url)
    trusted = yield from _certificates(base_url)
    if not (proxied and trusted):
        return
    if offline:
        yield Finding("skip", "the network: --offline")
        return
    reached = yield from _reach(base_url)
    if not key:
        yield Finding(
            "skip",
            "a live call: there is no key",
            f"set {KEY_VARIABLE} (keys: {KEYS_AT}); without an account, `{DISTRIBUTION} demo "
            f"--web` searches the web (ParallelClient(route=SearchMcp())), and `{DISTRIBUTION} "
            "sandbox` simulates the whole API on this machine",
        )
    elif reached:
        yield from _live_call(base_url)


def _versions() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", f"{DISTRIBUTION} {__version__} on Python {python}")
    try:
        needed = map(Requirement, requires(DISTRIBUTION) or ())
        requirements = {each.name: each for each in needed}.values()
    except PackageNotFoundError:
        yield Finding(
            "warn",
            f"{DISTRIBUTION} can be imported but is not installed: versions cannot be compared",
            install_command("all"),
        )
        return
    for requirement in requirements:
        always = requirement.marker is None
        if not always and requirement.name not in FRAMEWORKS:
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            extra = FRAMEWORKS.get(requirement.name)
            yield Finding(
                "skip" if extra else "fail",
                f"{requirement.name} is not installed",
                f"{install_command(extra)}, if you want it"
                if extra
                else f"pip install '{requirement.name}{requirement.specifier}'",
            )
            continue
        if requirement.specifier.contains(found, prereleases=True):
            yield Finding("ok", f"{requirement.name} {found} ({requirement.specifier})")
        else:
            yield Finding(
                "fail",
                f"{requirement.name} {found} is outside {requirement.specifier}",
                f"pip install '{requirement.name}{requirement.specifier}'",
            )


def _key() -> Generator[Finding, None, bool]:
    try:
        key = key_from_environment()
    except MissingKeyError as error:
        yield Finding("fail", str(error))
        return False
    if key is not None:
        yield Finding("ok", f"{KEY_VARIABLE} is set and well-formed")
        return True
    # The key may be there under a misspelled name.
    others = [name for name in os.environ if "PARALLEL" in name and name != BASE_URL_VARIABLE]
    near = difflib.get_close_matches(KEY_VARIABLE, others, 1)
    remedy = f"rename {near[0]} to it" if near else f"get a key at {KEYS_AT} and export it"
    yield Finding("warn", f"{KEY_VARIABLE} is not set", remedy)
    return False


def _base_url() -> Generator[Finding, None, str | None]:
    given = os.environ.get(BASE_URL_VARIABLE, "").strip()
    try:
        base_url = checked_base_url("")
        refuse_api_paths(base_url, BASE_URL_VARIABLE)
    except ValueError as error:
        yield Finding("fail", f"{BASE_URL_VARIABLE} cannot be used: {error}")
        return None
    where = f"base URL {base_url}" + (f" (from {BASE_URL_VARIABLE})" if given else "")
    host = urlsplit(base_url).hostname or ""
    if is_loopback(host):
        yield Finding("ok", f"{where}: on this machine, a sandbox perhaps; not the live API")
    elif host == EU_HOST:
        yield Finding("ok", f"{where}: the live API in Europe, which has search and extract only")
    elif base_url == BASE_URL:
        yield Finding("ok", f"{where}: the live API, directly")
    else:
        yield Finding("warn", where, f"unset {BASE_URL_VARIABLE} if you mean {BASE_URL}")
    return base_url


def _proxy(base_url: str) -> Generator[Finding, None, bool]:
    try:
        # With an empty TLS context: the proxy settings alone are what is tried here.
        httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).close()
        proxies = getproxies()
        parts = urlsplit(base_url)
        proxy = urlsplit(proxies.get(parts.scheme) or proxies.get("all") or "")
        # Host and port alone: a proxy's URL may hold a password.
        address = f"{proxy.hostname}:{proxy.port}" if proxy.port else proxy.hostname
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        yield Finding(
            "fail",
            f"the proxy settings cannot be used ({type(error).__name__})",
            "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY must look like http://proxy.example:8080; "
            "socks5:// needs pip install 'httpx[socks]'",
        )
        return False
    if not address:
        yield Finding("ok", "no proxy")
    elif proxy_bypass(parts.hostname or ""):
        yield Finding("ok", f"no proxy for {parts.hostname} (NO_PROXY), though {address} is set")
    else:
        yield Finding("ok", f"through the proxy {address}", "NO_PROXY=<host> goes around it")
    return True


def _certificates(base_url: str) -> Generator[Finding, None, bool]:
    if base_url.startswith("http://"):
        yield Finding("skip", "certificates: plain HTTP on this machine needs none")
        return True
    for name in CA_VARIABLES:
        path = os.environ.get(name)
        if path and not Path(path).exists():
            yield Finding("fail", f"{name}={path} does not exist", f"correct or unset {name}")
            return False
    try:
        httpx.create_ssl_context()
    except OSError as error:
        yield Finding(
            "fail",
            f"the certificates cannot be read ({type(error).__name__})",
            "SSL_CERT_FILE must be a PEM file; unset it to use the ones that come along",
        )
        return False
    used = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    ignored = next((name for name in FOREIGN_CA_VARIABLES if os.environ.get(name)), None)
    if ignored and not used:
        yield Finding(
            "warn", f"{ignored} is set, but not read by httpx", "set SSL_CERT_FILE to the same file"
        )
    else:
        yield Finding("ok", f"certificates from {used or 'certifi'}")
    return True


def _reach(base_url: str) -> Generator[Finding, None, bool]:
    host = urlsplit(base_url).hostname
    started = time.monotonic()
    try:
        # Certificates are read where they are needed alone: those of a sandbox would be another's.
        secure = base_url.startswith("https://")
        with httpx.Client(timeout=CONNECT_TIMEOUT_SECONDS, verify=secure) as client:
            response = client.get(base_url)  # without the key
    except httpx.HTTPError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            remedy = "a company's proxy? point SSL_CERT_FILE at its CA bundle"
        else:
            remedy = f"check the network, HTTPS_PROXY and {BASE_URL_VARIABLE}"
        yield Finding("fail", f"{host} cannot be reached ({type(error).__name__}: {error})", remedy)
        return False
    seconds = time.monotonic() - started
    yield Finding("ok", f"{host} responds ({seconds:.1f} s)")
    yield from _clock(response)
    return True


def _clock(response: httpx.Response) -> Iterator[Finding]:
    server = epoch_seconds(response.headers.get("date", ""))
    if server is None:
        yield Finding("skip", "the clock: the response has no date to compare with")
        return
    off = time.time() - server
    if abs(off) <= INEXACT_CLOCK_SECONDS:
        yield Finding("ok", "this machine's clock agrees with the server's")
        return
    behind = "ahead of" if off > 0 else "behind"
    broken = abs(off) > WRONG_CLOCK_SECONDS
    yield Finding(
        "fail" if broken else "warn",
        f"this machine's clock is {abs(off):.0f} s {behind} the server's",
        "set it by NTP: Retry-After dates are misread"
        + (" and the signatures of webhooks are refused" if broken else ""),
    )


def _live_call(base_url: str) -> Iterator[Finding]:
    yield Finding(
        "note",
        f"one search follows, for {PRICES_USD['search_fast']:.3f} USD "
        f"({PRICES_USD['search']:.3f} where the server does not know mode fast)",
    )
    started = time.monotonic()
    request = SearchRequest(objective="What is a web search API?", mode="fast", max_results=1)
    try:
        with ParallelClient() as client:
            response = client.run(search(request))
    except ParallelError as error:
        yield Finding("fail", f"{type(error).__name__}: {error}")
        return
    seconds = time.monotonic() - started
    if response.results:
        yield Finding("ok", f"the search succeeded ({seconds:.1f} s): {base_url} can be used")
    else:
        yield Finding("warn", "the search had no result", "try a question of your own")
