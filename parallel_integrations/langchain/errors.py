"""Our errors joined with langchain_core's of the same meaning, for its retry and error handling."""

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from parallel_integrations.errors import (
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InvalidRequestError,
    MissingKeyError,
    NotFoundError,
    ParallelError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)


class ChatMissingKeyError(MissingKeyError, ModelAuthenticationError):
    """No API key when the model was called."""


class ChatAuthenticationError(AuthenticationError, ModelAuthenticationError):
    """401."""


class ChatPaymentRequiredError(PaymentRequiredError, ModelPermissionDeniedError):
    """402: langchain_core has no word for credit; asking again is as hopeless as at 403."""


class ChatPermissionDeniedError(PermissionDeniedError, ModelPermissionDeniedError):
    """403."""


class ChatNotFoundError(NotFoundError, ModelNotFoundError):
    """404."""


class ChatInvalidRequestError(InvalidRequestError, ModelInvalidRequestError):
    """400 or 422."""


class ChatRateLimitError(RateLimitError, ModelRateLimitError):
    """429."""


class ChatServerError(ServerError, ModelAPIError):
    """5xx."""


class ChatConflictError(ConflictError, ModelError):
    """409: langchain_core has no word for it."""


class ChatStatusError(StatusError, ModelError):
    """Any other status, such as a redirect; langchain_core has no word for it."""


class ChatTimeoutError(RequestTimeoutError, ModelTimeoutError):
    """No answer in time."""


class ChatConnectionFailedError(ConnectionFailedError, ModelConnectionError):
    """No connection, or it broke."""


class ChatStreamInterruptedError(StreamInterruptedError, ModelConnectionError):
    """The stream was cut short; `partial` holds what had arrived."""


class ChatUnexpectedAnswerError(UnexpectedAnswerError, ModelAPIError):
    """An answer that cannot be read."""


_JOINED: dict[type[ParallelError], type[ParallelError]] = {
    joined.__bases__[0]: joined
    for joined in (
        ChatMissingKeyError,
        ChatAuthenticationError,
        ChatPaymentRequiredError,
        ChatPermissionDeniedError,
        ChatNotFoundError,
        ChatInvalidRequestError,
        ChatRateLimitError,
        ChatServerError,
        ChatConflictError,
        ChatStatusError,
        ChatTimeoutError,
        ChatConnectionFailedError,
        ChatStreamInterruptedError,
        ChatUnexpectedAnswerError,
    )
}


@contextmanager
def model_errors() -> Iterator[None]:
    """Raise our errors as their joined subclasses; the rest passes."""
    try:
        yield
    except ModelError:
        raise
    except ParallelError as error:
        joined = _JOINED.get(type(error))
        if joined is None:
            raise
        twin = joined(*error.args)
        twin.__dict__.update(error.__dict__)
        raise twin.with_traceback(error.__traceback__) from error.__cause__
