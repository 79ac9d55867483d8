"""Routes to the API: direct, or through Cloudflare's AI Gateway (docs/reference/facts.md, 15)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from parallel_integrations.errors import InvalidArgumentError, NotServedError
from parallel_integrations.models.shared import ApiVersion, RequestModel

SEARCH_PATH: Final = "/v1/search"
EXTRACT_PATH: Final = "/v1/extract"
CHAT_PATH: Final = "/chat/completions"
GATEWAY_URL: Final = "https://gateway.ai.cloudflare.com/v1"
KEYS_AT: Final = "https://platform.parallel.ai"
SEARCH_MCP_URL: Final = "https://search.parallel.ai/mcp"
EU_HOST: Final = "eu.parallel.ai"
"""Serves search and extract only (docs/reference/facts.md, 18.5)."""
NO_SEGMENTS: Final = frozenset({".", ".."})
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")


NO_REMEDIES: Final[Mapping[int, str]] = {}


class Route(Protocol):
    """Where a request goes and what proves who sent it."""

    @property
    def needs_key(self) -> bool:
        """Whether a call without a Parallel key is hopeless."""

    @property
    def base_url(self) -> str:
        """The gateway's address; empty where the client's own base URL counts."""

    def target(self, path: str, *, base_url: str, chat_path: str) -> str:
        """The whole URL for one of the API's paths."""

    def auth_headers(self, path: str, key: str | None) -> list[tuple[str, str]]:
        """The headers that carry key and token."""

    def model(self, name: str) -> str:
        """The chat model's name as this route wants it."""

    @property
    def has_sessions(self) -> bool:
        """Whether requests go as calls of an MCP server's tools."""

    def check(
        self, path: str, request: RequestModel | None, *, base_url: str, has_key: bool
    ) -> None:
        """Refuse, before anything is sent, what is not served there."""

    def has_modes(self, *, has_key: bool) -> bool:
        """Whether a search may say its mode."""

    def skus(
        self, request: RequestModel, version: ApiVersion, *, has_key: bool
    ) -> Mapping[str, int]:
        """What is billed for a success, by SKU."""

    def remedies(self, *, has_key: bool) -> Mapping[int, str]:
        """What to do about a status, where this route knows better than the error."""


class PlainRoute:
    """What most routes have in common: everything is served, and billed as published."""

    __slots__ = ()

    has_sessions = False

    def model(self, name: str) -> str:
        """The name without the prefix that it has in a body for a gateway."""
        return name.removeprefix("parallel/")

    def check(
        self, path: str, request: RequestModel | None, *, base_url: str, has_key: bool
    ) -> None:
        """Refuse what the host in the European Union does not serve.

        Raises:
            NotServedError: It is something else than search or extract.
        """
        if (
            EU_HOST in base_url
            and urlsplit(base_url).hostname == EU_HOST
            and path not in (SEARCH_PATH, EXTRACT_PATH)
        ):
            raise NotServedError(
                f"{path} is not served by {EU_HOST}, which has search and extract only: leave "
                "base_url= and PARALLEL_BASE_URL out for it. Nothing was sent."
            )

    def has_modes(self, *, has_key: bool) -> bool:
        """Always."""
        return True

    def skus(
        self, request: RequestModel, version: ApiVersion, *, has_key: bool
    ) -> Mapping[str, int]:
        """As the request itself says."""
        return request.skus(version)

    def remedies(self, *, has_key: bool) -> Mapping[int, str]:
        """None: the errors have their own."""
        return NO_REMEDIES


@dataclass(frozen=True, slots=True)
class Direct(PlainRoute):
    """Straight to `base_url`; `x-api-key` everywhere, Chat with the Bearer form as well."""

    needs_key: bool = True
    base_url: str = ""

    def target(self, path: str, *, base_url: str, chat_path: str) -> str:
        """`base_url`, its own path kept, and the API's path."""
        return base_url + (chat_path if path == CHAT_PATH else path)

    def auth_headers(self, path: str, key: str | None) -> list[tuple[str, str]]:
        """`x-api-key`, on Chat `Authorization` too: its documentation and OpenAPI disagree."""
        if key is None:
            return []
        headers = [("x-api-key", key)]
        if path == CHAT_PATH:
            headers.append(("authorization", f"Bearer {key}"))
        return headers


DIRECT: Final = Direct()


@dataclass(frozen=True, slots=True)
class CloudflareGateway(PlainRoute):
    """Through Cloudflare's AI Gateway: native for everything, OpenAI-compatible for Chat.

    Attributes:
        account_id: Cloudflare account.
        gateway_id: Name of the gateway.
        token: Cloudflare token of an authenticated gateway, sent as `cf-aig-authorization`.
        base: Cloudflare's own prefix; another one only for tests.

    Raises:
        ValueError: An id that cannot be a path segment, a token that no header can carry.

    Example:
        ```python
        from parallel_integrations import CloudflareGateway, ParallelClient

        client = ParallelClient(
            api_key="your-key", route=CloudflareGateway(account_id="abc", gateway_id="my-gateway")
        )
        ```
    """

    account_id: str
    gateway_id: str
    token: SecretStr | str | None = None
    base: str = GATEWAY_URL
    needs_key: bool = False

    def __post_init__(self) -> None:
        for name in ("account_id", "gateway_id"):
            value = getattr(self, name)
            if not isinstance(value, str) or not _SEGMENT.fullmatch(value) or value in NO_SEGMENTS:
                raise InvalidArgumentError(
                    f"{name}={value!r} must be one path segment of letters and digits"
                )
        if not isinstance(self.base, str) or not self.base:
            raise InvalidArgumentError(
                f"base={self.base!r} must be an address like {GATEWAY_URL!r}"
            )
        token = self.token
        if not isinstance(token, SecretStr | str | None):
            raise InvalidArgumentError(f"token must be a string, not {type(token).__name__}")
        plain = (token.get_secret_value() if isinstance(token, SecretStr) else token or "").strip()
        if not plain.isascii() or not plain.isprintable() or " " in plain:
            raise InvalidArgumentError(
                "token holds blanks or characters outside printable ASCII (the value is not shown)"
            )
        object.__setattr__(self, "token", SecretStr(plain) if plain else None)

    @property
    def base_url(self) -> str:
        """The gateway's address."""
        return f"{self.base.rstrip('/')}/{self.account_id}/{self.gateway_id}"

    def target(self, path: str, *, base_url: str, chat_path: str) -> str:
        """`…/compat/chat/completions` for Chat, `…/parallel` and the path for the rest."""
        if path == CHAT_PATH:
            return f"{base_url}/compat{CHAT_PATH}"
        return f"{base_url}/parallel{path}"

    def auth_headers(self, path: str, key: str | None) -> list[tuple[str, str]]:
        """The key as this route wants it; none where Cloudflare keeps it; the token if given."""
        headers = []
        if key is not None:
            chat = path == CHAT_PATH
            headers.append(("authorization", f"Bearer {key}") if chat else ("x-api-key", key))
        if isinstance(self.token, SecretStr):
            headers.append(("cf-aig-authorization", f"Bearer {self.token.get_secret_value()}"))
        return headers

    def model(self, name: str) -> str:
        """`parallel/` and the name, never twice."""
        return name if name.startswith("parallel/") else f"parallel/{name}"
