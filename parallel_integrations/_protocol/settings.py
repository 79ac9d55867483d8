"""What a client is set up with; the environment is read here and nowhere else."""

import os
import platform
import re
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from parallel_integrations._protocol.routes import (
    CHAT_PATH,
    DIRECT,
    EU_HOST,
    CloudflareGateway,
    Route,
)
from parallel_integrations._version import __version__
from parallel_integrations.errors import InvalidArgumentError, MissingKeyError
from parallel_integrations.models._validation import check_count, is_number
from parallel_integrations.models.headers import checked_headers
from parallel_integrations.models.shared import ApiVersion

KEY_VARIABLE: Final = "PARALLEL_API_KEY"
BASE_URL_VARIABLE: Final = "PARALLEL_BASE_URL"
BASE_URL: Final = "https://api.parallel.ai"
CONNECT_TIMEOUT_SECONDS: Final = 10.0
MAX_RETRIES: Final = 2
MAX_KEPT_SETTINGS: Final = 16
MAX_RESPONSE_BYTES: Final = 100_000_000
USER_AGENT: Final = (
    f"parallel-integrations/{__version__} "
    f"(python {platform.python_version()}; httpx {httpx.__version__})"
)
PLAIN_HTTP_VARIABLE: Final = "PARALLEL_PLAIN_HTTP_HOSTS"
API_VERSIONS: Final = ("v1", "v1beta", "v1beta-processor")

MAX_TIMEOUT_SECONDS: Final = 100_000_000
"""Three years; the operating system's own limit is not much further."""
NOT_IN_URLS: Final = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")

# Hosts of Parallel's that do not serve the API: a key sent there would be shown to them.
_WEBSITES: Final = frozenset(f"{name}parallel.ai" for name in ("", "www.", "docs.", "platform."))
_MCP_HOSTS: Final = frozenset(
    f"{name}.parallel.ai" for name in ("mcp", "search", "search-mcp", "task-mcp")
)
# A gateway's address, `…/v1/<account>/<gateway>/parallel`, is none of the API's own paths.
_API_PATH: Final = re.compile(
    r"/(v\d+(alpha|beta)?(?!/[^/]+/[^/]+/parallel$)(/[a-z/-]+)?|chat/completions)$"
)


# Quotes that an .env file kept, a placeholder, a variable that no shell filled in, its assignment.
_NO_KEY: Final = re.compile(rf"""^["'`$%<{{]|["'`]$|{KEY_VARIABLE}=""")


def key_from_environment() -> SecretStr | None:
    """The key in `PARALLEL_API_KEY`; None where it is absent or blank.

    Raises:
        MissingKeyError: It is none that an HTTP header can carry; the message never shows it.
    """
    return checked_key(os.environ.get(KEY_VARIABLE), KEY_VARIABLE)


def checked_key(key: object, name: str = "api_key") -> SecretStr | None:
    """`key` without surrounding blanks, None where nothing is left.

    Raises:
        MissingKeyError: It is no text, or none that an HTTP header can carry. The message never
            shows it; as no `ValueError`, it is not wrapped into pydantic's, which shows the input.
    """
    if isinstance(key, SecretStr):
        key = key.get_secret_value()
    if key is None:
        return None
    if not isinstance(key, str):
        raise MissingKeyError(f"{name} must be a string, not {type(key).__name__}")
    plain = key.strip()
    if not plain.isascii() or not plain.isprintable() or " " in plain:
        raise MissingKeyError(
            f"{name} holds blanks or characters outside printable ASCII (the value is not shown): "
            "copy it again without line breaks or quotes"
        )
    if _NO_KEY.search(plain):
        raise MissingKeyError(
            f"{name} is no key but has quotes or a variable's name in it (the value is not shown): "
            "give the key alone; docker's --env-file and some readers of .env files keep quotes"
        )
    return SecretStr(plain) if plain else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its own name: `localhost`, all of 127.0.0.0/8, or ::1."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def checked_base_url(
    base_url: str, name: str = "base_url", plain_http_hosts: Collection[str] = ()
) -> str:
    """`base_url`, else `PARALLEL_BASE_URL`, else the public API; without a trailing slash.

    Scheme and host come back in lower case, in which they mean the same.

    Args:
        base_url: The address; empty for the environment's.
        name: What it is called in an error.
        plain_http_hosts: Hosts that may be called by http, besides loopback and those in
            `PARALLEL_PLAIN_HTTP_HOSTS`.

    Raises:
        ValueError: It is no URL, not https (loopback excepted), or holds more than host and path.
    """
    if not isinstance(base_url, str):
        raise InvalidArgumentError(f"{name}={base_url!r} must be a string like {BASE_URL!r}")
    name = name if base_url else BASE_URL_VARIABLE
    url = (base_url or os.environ.get(BASE_URL_VARIABLE, "").strip() or BASE_URL).rstrip("/")
    plain = [*plain_http_hosts, *os.environ.get(PLAIN_HTTP_VARIABLE, "").split(",")]
    return _checked_url(url, name, frozenset(each.strip().lower() for each in plain))


# A program may make adapters with each of its requests, always for the same address.
@lru_cache(maxsize=64)
def _checked_url(url: str, name: str, plain_http_hosts: frozenset[str]) -> str:
    # What may hold a password is not shown, wherever a parser would look for it.
    said = f"{name} (not shown, for its '@')" if "@" in url else f"{name}={url!r}"
    if "@" in re.split("[/?#]", re.sub(r"^[^/]*//", "", url))[0]:
        raise InvalidArgumentError(
            f"{name} must not hold a user name or password; pass api_key= instead"
        )
    if wrong := NOT_IN_URLS.search(url):
        raise InvalidArgumentError(
            f"{said} is not a URL: it holds {wrong[0]!r}. Write blanks, control characters and "
            "what is not ASCII percent-encoded, a host in its xn-- form"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        # Both are done for each connection, where a host that cannot be read is no error of HTTP's.
        (host or "").encode("idna")
        _ = httpx.URL(url).host
    except (ValueError, httpx.InvalidURL) as error:
        raise InvalidArgumentError(f"{said} is not a URL: {error}") from None
    if not host or parts.scheme not in ("http", "https") or port == 0:
        raise InvalidArgumentError(f"{said} is not an http(s) URL like {BASE_URL!r}")
    if parts.query or parts.fragment:
        raise InvalidArgumentError(f"{said} must not hold a query or fragment")
    if parts.scheme == "http" and not is_loopback(host) and host not in plain_http_hosts:
        raise InvalidArgumentError(
            f"{said} would send the key unencrypted: use https. For a host inside your own "
            f"network, ParallelClient(plain_http_hosts=[{host!r}]) or {PLAIN_HTTP_VARIABLE}="
            f"{host} permits it"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


@lru_cache(maxsize=64)
def refuse_api_paths(base_url: str, name: str = "base_url") -> None:
    """Refuse an address that the API's paths cannot follow: its own path, or a gateway's.

    Args:
        base_url: The address.
        name: What it is called in an error.

    Raises:
        InvalidArgumentError: It ends in `/v1`, as OpenAI's clients want it, is Cloudflare's, or a
            host of Parallel's that does not serve this API and must not be shown the key.
    """
    found = urlsplit(base_url.strip())
    if found.hostname in _WEBSITES:
        raise InvalidArgumentError(
            f"{name}={base_url!r} is a website: the API's address is {BASE_URL!r}, "
            f"which is taken where {name} is left out"
        )
    if found.hostname in _MCP_HOSTS:
        raise InvalidArgumentError(
            f"{name}={base_url!r} is an MCP server, which is a route: "
            "ParallelClient(route=SearchMcp()) searches and extracts through one"
        )
    if found.hostname == "gateway.ai.cloudflare.com":
        account, gateway = [*found.path.strip("/").split("/")[1:3], "…", "…"][:2]
        raise InvalidArgumentError(
            f"{name} is Cloudflare's AI Gateway, which is a route: ParallelClient(route="
            f"CloudflareGateway(account_id={account!r}, gateway_id={gateway!r}))"
        )
    path = found.path.rstrip("/")
    if (own := _API_PATH.search(path)) is not None:
        bare = base_url.strip().rstrip("/").removesuffix(own[0])
        raise InvalidArgumentError(
            f"{name}={base_url!r} ends in the API's own path, which each operation adds: "
            f"give {bare!r}"
        )


def checked_chat_path(path: str, base_url: str) -> str:
    """`chat_path` as it is.

    Raises:
        ValueError: It is no path, or none that can stand in an address.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidArgumentError(f"chat_path={path!r} must be a string that begins with '/'")
    return _checked_path(path, base_url)


@lru_cache(maxsize=64)
def _checked_path(path: str, base_url: str) -> str:
    if "#" in path or NOT_IN_URLS.search(path):
        raise InvalidArgumentError(
            f"chat_path={path!r} is not a URL's path: write blanks, control characters, '#' and "
            "what is not ASCII percent-encoded"
        )
    try:
        httpx.URL(base_url + path)
    except httpx.InvalidURL as error:
        raise InvalidArgumentError(
            f"chat_path={path!r:.100} is not a URL's path: {error}"
        ) from None
    return path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides where a request goes and how long it may take; hashable.

    What is left out comes from the environment or the package's defaults.

    Attributes:
        api_key: The key; None is an error at the first call.
        base_url: Scheme, host and any path that comes before the API's own.
        timeout: Seconds that one call may take, or a stream may bring nothing; None: as the
            operation has it.
        max_retries: How often a failed call is repeated where the retry table allows it.
        retry_timeouts: Whether search, extract and chat are repeated after a read timeout too.
        plain_http_hosts: Hosts other than loopback that may be called by plain http.
        api_version: Generation of the wire.
        chat_path: Where Chat is found under `base_url`.
        route: Direct, or through a gateway.
        headers: Sent with every request.
        max_response_bytes: Most bytes of one response, decompressed, or of one event of a stream.
        is_limited: Whether the route, or the host, carries some operations only.

    Raises:
        ValueError: A value that cannot be right; the message names it and the remedy.
        MissingKeyError: A key that no header can carry.
    """

    api_key: SecretStr | None = None
    base_url: str = ""
    timeout: float | None = None
    max_retries: int = MAX_RETRIES
    retry_timeouts: bool = False
    plain_http_hosts: tuple[str, ...] = ()
    api_version: ApiVersion = "v1"
    chat_path: str = CHAT_PATH
    route: Route = DIRECT
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    max_response_bytes: int = MAX_RESPONSE_BYTES

    is_limited: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.timeout is not None and not (
            is_number(self.timeout) and 0 < self.timeout <= MAX_TIMEOUT_SECONDS
        ):
            raise InvalidArgumentError(
                f"timeout={self.timeout!r} must be a number of seconds above 0, "
                f"{MAX_TIMEOUT_SECONDS:,} at most"
            )
        check_count("max_retries", self.max_retries, 0)
        check_count("max_response_bytes", self.max_response_bytes, 1)
        if self.api_version not in API_VERSIONS:
            raise InvalidArgumentError(
                f"api_version={self.api_version!r} must be one of {', '.join(API_VERSIONS)}"
            )
        gateway = getattr(self.route, "base_url", None)
        if gateway is None:
            raise InvalidArgumentError(
                f"route={self.route!r} must be CloudflareGateway(account_id=…, gateway_id=…) or "
                "SearchMcp(), or left out"
            )
        if gateway and self.base_url:
            raise InvalidArgumentError(
                "route= and base_url= exclude each other: the route has the base"
            )
        if self.route.has_sessions and self.api_version != "v1":
            raise InvalidArgumentError(
                f"api_version={self.api_version!r} has no meaning for route=SearchMcp(), which has "
                "one generation: leave it out"
            )
        change = object.__setattr__  # the fields are frozen from here on
        change(self, "api_key", checked_key(self.api_key) or key_from_environment())
        argument = "url" if self.route.has_sessions else "base"
        where = f"route={type(self.route).__name__}({argument}=…)" if gateway else "base_url"
        hosts, given = self.plain_http_hosts, self.base_url
        change(self, "base_url", checked_base_url(gateway or self.base_url, where, hosts))
        if not gateway:
            refuse_api_paths(self.base_url, "base_url" if given else BASE_URL_VARIABLE)
        change(self, "is_limited", self.route.has_sessions or EU_HOST in self.base_url)
        checked_chat_path(self.chat_path, self.base_url)
        change(self, "headers", checked_headers(self.headers))

    def with_header(self, name: str, value: str) -> "Settings":
        """The same settings with one more header.

        Raises:
            ValueError: A header that HTTP cannot carry.
        """
        changed = copy(self)  # not `replace`, which would take what was filled in as given
        headers = (*self.headers, *checked_headers([(name, value)]))
        object.__setattr__(changed, "headers", headers)
        return changed

    @property
    def has_modes(self) -> bool:
        """Whether a search may say its mode on this route."""
        return self.route.has_modes(has_key=self.api_key is not None)

    def without_secrets(self) -> dict[str, Any]:
        """What a pickle may hold: no key, no gateway token, no extra headers."""
        route = self.route
        if isinstance(route, CloudflareGateway):
            route = replace(route, token=None)
        kept = (
            *("timeout", "max_retries", "retry_timeouts", "plain_http_hosts"),
            *("api_version", "chat_path", "max_response_bytes"),
        )
        state = {name: getattr(self, name) for name in kept}
        return {**state, "route": route, "base_url": "" if route.base_url else self.base_url}


def settings_of(
    api_key: SecretStr | str | None,
    base_url: str | None,
    timeout: float | None,
    max_retries: int | None,
) -> Settings:
    """The settings of an adapter; those of the last ones are kept.

    A program may make an adapter for each request, and the checks take a fifth of making one.

    Raises:
        ValueError: A value that cannot be right; see `Settings`.
        MissingKeyError: A key that no header can carry.
    """
    names = (KEY_VARIABLE, BASE_URL_VARIABLE, PLAIN_HTTP_VARIABLE)
    given = (api_key, base_url, timeout, max_retries, *map(os.environ.get, names))
    try:
        return _kept_settings(*given)
    except TypeError:  # a value that cannot be looked up: the checks name it
        return _kept_settings.__wrapped__(*given)


@lru_cache(maxsize=MAX_KEPT_SETTINGS, typed=True)  # True is no timeout of 1
def _kept_settings(
    api_key: SecretStr | str | None,
    base_url: str | None,
    timeout: float | None,
    max_retries: int | None,
    *environment: str | None,
) -> Settings:
    return Settings(
        api_key=checked_key(api_key),
        base_url=base_url or "",
        timeout=timeout,
        max_retries=MAX_RETRIES if max_retries is None else max_retries,
    )
