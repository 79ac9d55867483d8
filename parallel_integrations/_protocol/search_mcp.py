"""Search and extract without an account, over Parallel's hosted MCP server (facts.md, 18.3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from parallel_integrations._protocol.mcp import MCP_PATH, Tool, ToolCall
from parallel_integrations._protocol.routes import (
    EXTRACT_PATH,
    KEYS_AT,
    SEARCH_MCP_URL,
    SEARCH_PATH,
    PlainRoute,
)
from parallel_integrations.errors import InvalidArgumentError, MissingKeyError, NotServedError
from parallel_integrations.models.extract import ExtractRequest
from parallel_integrations.models.search import DEFAULT_RESULTS, SearchRequest
from parallel_integrations.models.shared import NOTHING, ApiVersion, RequestModel

MAX_LABEL_CHARACTERS: Final = 100
_SESSION_ID: Final = re.compile(
    r"[0-9a-f]{32,100}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)
_WITH_ACCOUNT: Final = (
    f"Leave it out, or use an API key ({KEYS_AT}) with ParallelClient() and no route="
)
_REMEDIES: Final = {
    401: f"This address demands an account: set PARALLEL_API_KEY (keys: {KEYS_AT}).",
    429: "Searching without an account is limited: wait (`retry_after`), or raise the limit with a "
    f"key (PARALLEL_API_KEY; keys: {KEYS_AT}).",
}


@dataclass(frozen=True, slots=True)
class SearchMcp(PlainRoute):
    """Search and extract without an account: real web pages before anybody has a key.

    Goes to Parallel's hosted MCP server (docs/reference/facts.md, 18.3). Every other operation
    needs a key and says so before anything is sent. A client with a key sends it as a Bearer
    token, which raises the limits.

    The server takes an objective, queries, URLs, `full_content=True`, a session and a model's
    name. `max_results` up to 10 shortens its list; what else a request may hold is refused, because
    it would be ignored.

    Attributes:
        url: The MCP server's address; another one for tests, such as a sandbox's `url + "/mcp"`.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SearchMcp
        from parallel_integrations.langchain import ParallelSearchRetriever
        from parallel_integrations.sandbox import Sandbox

        with Sandbox() as s:  # SearchMcp() alone searches the web
            client = ParallelClient(route=SearchMcp(url=s.url + "/mcp"))
            print(ParallelSearchRetriever(client=client).invoke("What is a closure?")[0].metadata)
        ```
    """

    url: str = SEARCH_MCP_URL
    needs_key: bool = field(default=False, init=False, repr=False)
    has_sessions: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.url, str) or not self.url:
            raise InvalidArgumentError(
                f"url={self.url!r} must be an address like {SEARCH_MCP_URL!r}"
            )

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self.url

    def target(self, path: str, *, base_url: str, chat_path: str) -> str:
        """The same address for everything."""
        return base_url

    def auth_headers(self, path: str, key: str | None) -> list[tuple[str, str]]:
        """The key as a Bearer token, where there is one."""
        return [("authorization", f"Bearer {key}")] if key is not None else []

    def check(
        self, path: str, request: RequestModel | None, *, base_url: str, has_key: bool
    ) -> None:
        """Refuse what the server does not carry.

        Raises:
            MissingKeyError: Another operation, and no key.
            NotServedError: Another operation, with a key.
            ValueError: A field that the server would ignore.
        """
        if path != MCP_PATH:
            self.tool(path, request, has_key=has_key)

    def tool(self, path: str, request: RequestModel | None, *, has_key: bool) -> Tool:
        """The tool that carries a request, with its arguments; raises as `check`."""
        match request:
            case SearchRequest() if path == SEARCH_PATH:
                return self._search(request, has_key=has_key)
            case ExtractRequest() if path == EXTRACT_PATH:
                return self._fetch(request)
        if has_key:
            raise NotServedError(
                f"{path} is not carried by route=SearchMcp(), which serves search and extract "
                "only: use ParallelClient() with your key and no route=. Nothing was sent."
            )
        raise MissingKeyError(
            f"{path} needs an API key: route=SearchMcp() carries search and extract only. Set "
            f"PARALLEL_API_KEY (keys: {KEYS_AT}) and use ParallelClient() with no route=. Nothing "
            "was sent."
        )

    def has_modes(self, *, has_key: bool) -> bool:
        """With a key."""
        return has_key

    def skus(
        self, request: RequestModel, version: ApiVersion, *, has_key: bool
    ) -> Mapping[str, int]:
        """What is counted: with a key as everywhere, without one units that cost nothing."""
        if isinstance(request, ToolCall):
            request = request.carried
        match request:
            case _ if has_key:
                return request.skus(version)
            case SearchRequest():
                return {"search_free": 1}
            case ExtractRequest():
                return {"extract_free": len(request.urls)}
        return NOTHING

    def remedies(self, *, has_key: bool) -> Mapping[int, str]:
        """What helps against a limit, and where an account is demanded."""
        return {} if has_key else _REMEDIES

    def _search(self, request: SearchRequest, *, has_key: bool) -> Tool:
        ignored = ("location", "source_policy", "fetch_policy", *_EXCERPT_LIMITS)
        _refuse(request, ignored if self.has_modes(has_key=has_key) else ("mode", *ignored))
        if request.max_results > DEFAULT_RESULTS:
            raise InvalidArgumentError(
                f"max_results={request.max_results} is more than route=SearchMcp() gives: "
                f"{DEFAULT_RESULTS} at most. {_WITH_ACCOUNT}"
            )
        queries = request.search_queries or []
        arguments = {
            "objective": request.objective or "; ".join(queries),  # the tool demands both
            "search_queries": queries,
            **_labels(request),
        }
        params = (("mode", request.mode),) if request.mode else ()
        return Tool("web_search", arguments, params, max_results=request.max_results)

    def _fetch(self, request: ExtractRequest) -> Tool:
        _refuse(request, ("fetch_policy", *_EXCERPT_LIMITS))
        if not isinstance(request.full_content, bool):
            raise InvalidArgumentError(
                "full_content with max_chars_per_result would be ignored by route=SearchMcp(): "
                "give full_content=True"
            )
        arguments: dict[str, Any] = {"urls": request.urls, **_labels(request)}
        if request.objective:
            arguments["objective"] = request.objective
        if request.search_queries:
            arguments["search_queries"] = request.search_queries
        if request.full_content:
            arguments["full_content"] = True
        return Tool("web_fetch", arguments)


_EXCERPT_LIMITS: Final = ("max_chars_total", "max_chars_per_result")


def _refuse(request: SearchRequest | ExtractRequest, ignored: tuple[str, ...]) -> None:
    for name in ignored:
        if (value := getattr(request, name)) is not None:
            raise InvalidArgumentError(
                f"{name}={value!r:.100} would be ignored by route=SearchMcp(). {_WITH_ACCOUNT}"
            )


def _labels(request: SearchRequest | ExtractRequest) -> dict[str, str]:
    labels = {}
    if (session := request.session_id) is not None:
        # The server takes nothing else; the same name becomes the same UUID, so calls stay joined.
        if not _SESSION_ID.fullmatch(session):
            session = str(uuid5(NAMESPACE_URL, session))
        labels["session_id"] = session
    if (model := request.client_model) is not None:
        if len(model) > MAX_LABEL_CHARACTERS:
            raise InvalidArgumentError(
                f"client_model has {len(model)} characters; route=SearchMcp() takes "
                f"{MAX_LABEL_CHARACTERS} at most"
            )
        labels["model_name"] = model
    return labels
