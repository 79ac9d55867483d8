"""Base of all LangChain and LlamaIndex classes: client settings, and no unknown arguments."""

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Annotated, Any, Final, Self, TypedDict

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from parallel_integrations._protocol.pacing import check_rate_limiter
from parallel_integrations._protocol.settings import (
    MAX_TIMEOUT_SECONDS,
    checked_base_url,
    checked_key,
    key_from_environment,
    refuse_api_paths,
    settings_of,
)
from parallel_integrations._version import __version__
from parallel_integrations.client import ParallelClient, check_picklable
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._validation import (
    CheckedModel,
    argument_names,
    refused_argument,
    unknown_argument,
)

NO_JSON: Final[dict[str, Any]] = {"type": "null"}
"""The schema of what only code can give: without one, a class would have none."""
CONNECTION: Final = ("api_key", "base_url", "timeout", "max_retries")


def refuse_unknown(cls: type, given: Iterable[str], known: Collection[str]) -> None:
    """Raise an `ArgumentTypeError` for an unknown keyword argument; it says what is meant.

    Args:
        cls: What takes the arguments, when it is made or for one call.
        given: The names that were given.
        known: Those that are taken.
    """
    for name in given:
        if name not in known:
            raise refused_argument(cls, str(name), known)


def refuse_unknown_fields(call: str, request: type[BaseModel], given: Collection[str]) -> None:
    """As `refuse_unknown`, for the keyword arguments of a call that makes a request."""
    known = argument_names(request)
    for name in given:
        if name not in known:
            raise unknown_argument(call, name, known)


_UNSHOWN: Final = frozenset(
    "metadata profile callback_manager messages_to_prompt completion_to_prompt rate_limiter".split()
)
"""Fields that the frameworks fill, or whose values say nothing."""


def described(adapter: object, arguments: Iterable[tuple[str, Any]]) -> str:
    """An adapter as its constructor's call."""
    given = ", ".join(f"{name}={value!r}" for name, value in arguments)
    return f"{type(adapter).__name__}({given})"


class Adapter(CheckedModel):
    """Client settings that every LangChain and LlamaIndex class of this package takes."""

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)

    api_key: SecretStr | str | None = Field(
        default_factory=key_from_environment, exclude=True, repr=False
    )
    """Parallel's key; `PARALLEL_API_KEY` if left out. Kept as a `SecretStr`, never part of repr,
    pickle or serialization.
    """
    base_url: str | None = None
    """The API's address; `PARALLEL_BASE_URL`, else the public API."""
    timeout: float | None = Field(default=None, gt=0, le=MAX_TIMEOUT_SECONDS)
    """Seconds that a call may take, or between two pieces of a stream; by default each operation
    has its own.
    """
    max_retries: int | None = Field(default=None, ge=0)
    """How often a failed call is repeated where that cannot be paid twice; 2 by default."""
    client: Annotated[ParallelClient | None, WithJsonSchema(NO_JSON)] = Field(
        default=None, exclude=True, repr=False
    )
    """A `ParallelClient` to use instead of the four above; adapters with equal settings share one
    anyway.
    """

    _shared: tuple[tuple[object, ...], ParallelClient] | None = PrivateAttr(default=None)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """What differs from the defaults, as a caller would write it; never the key."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name, None)
            given = name in self.model_fields_set and name not in _UNSHOWN
            if given and field.repr and value != field.get_default():
                yield name, value

    def __repr__(self) -> str:
        return described(self, self.__repr_args__())

    def __str__(self) -> str:
        return repr(self)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        refuse_unknown(cls, values, argument_names(cls))
        # None is left out: a caller that builds a copy of an adapter from its fields, as LangChain
        # does for `configurable_fields`, gives the defaults, too.
        beside = [name for name in CONNECTION if values.get(name) is not None]
        if beside and values.get("client") is not None:
            raise InvalidArgumentError(
                f"client= and {beside[0]}= exclude each other: the client has its own, give "
                f"{beside[0]}= to ParallelClient(…)",
                field=beside[0],
            )
        return values

    @model_validator(mode="after")
    def _no_key_beside_a_client(self) -> Self:
        if self.client is not None:
            self.__dict__["api_key"] = None  # the environment's: the client has its own
        return self

    @field_validator("api_key", mode="before")
    @classmethod
    def _check_key(cls, value: Any) -> Any:
        return checked_key(value) or key_from_environment()

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        base_url = checked_base_url(value)
        refuse_api_paths(base_url)
        return base_url

    def resolved_client(self) -> ParallelClient:
        """The client that sends the requests: the given one, or one shared by equal settings."""
        integration = _integration(type(self))
        if self.client is not None:
            return self.client.on_behalf_of(integration) if integration else self.client
        # Settings may be assigned after the first call; the client is looked up again then only.
        key = (self.api_key, self.base_url, self.timeout, self.max_retries)
        # Not `self._shared`: for that, pydantic takes as long as all of this.
        private = self.__pydantic_private__ or {}
        shared: tuple[tuple[object, ...], ParallelClient] | None = private.get("_shared")
        if shared is None or shared[0] != key:
            shared = self._shared = (key, ParallelClient.shared(settings_of(*key)))
        return shared[1].on_behalf_of(integration) if integration else shared[1]

    # A pickle holds no key: the loaded object reads the environment of its process.

    def __getstate__(self) -> dict[Any, Any]:
        if (limiter := self._limiter()) is not None:
            check_picklable(
                limiter,
                f"{type(self).__name__} with rate_limiter={type(limiter).__name__}",
                "build both in the other process",
            )
        state = super().__getstate__()
        fields = {**state["__dict__"], "api_key": None}
        private = {**(state["__pydantic_private__"] or {}), "_shared": None}
        return {**state, "__dict__": fields, "__pydantic_private__": private}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        if self.client is None:
            self.__dict__["api_key"] = key_from_environment()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        memo[id(self._limiter())] = self._limiter()
        copy = super().__deepcopy__(memo)
        copy._shared = None  # noqa: SLF001 - its own class
        return copy

    def _limiter(self) -> Any:
        """What paces the calls: of this package's classes, or of their frameworks' chat models."""
        return getattr(self, "rate_limiter", None)


INTEGRATIONS: Final = {
    "parallel_integrations.langchain.": f"langchain/{__version__}",
    "parallel_integrations.llama_index.": f"llama-index/{__version__}",
}


@cache
def _integration(cls: type) -> str:
    """Which integration a class belongs to, a user's subclass too; empty for none."""
    modules = (base.__module__ for base in cls.__mro__)
    found = (
        name
        for module in modules
        for prefix, name in INTEGRATIONS.items()
        if module.startswith(prefix)
    )
    return next(found, "")


class PacedAdapter(Adapter):
    """An adapter whose calls can be paced."""

    rate_limiter: Any = Field(default=None, exclude=True, repr=False)
    """Waited for before each call: LangChain's or LlamaIndex's, or any object with `acquire()`, and
    `aacquire()` or `async_acquire()`. Copies share it.
    """

    @field_validator("rate_limiter")
    @classmethod
    def _check_rate_limiter(cls, value: Any) -> Any:
        return None if value is None else check_rate_limiter(value)

    def resolved_client(self) -> ParallelClient:
        """The client that sends the requests, which waits for `rate_limiter` where one is given."""
        client = super().resolved_client()
        return client if self.rate_limiter is None else client.paced(self.rate_limiter)


class ConnectionOptions(TypedDict, total=False):
    """Keyword arguments of `Adapter`, for constructors that take `**settings`."""

    api_key: str | SecretStr | None
    """Parallel's key; `PARALLEL_API_KEY` if left out."""
    base_url: str | None
    """The API's address; `PARALLEL_BASE_URL`, else the public API."""
    timeout: float | None
    """Seconds that a call may take; by default each operation has its own."""
    max_retries: int | None
    """How often a failed call is repeated where that cannot be paid twice; 2 by default."""
    client: ParallelClient | None
    """A `ParallelClient` to use instead of the four above."""
