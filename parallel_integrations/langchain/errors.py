"""Our errors joined with langchain_core's of the same meaning, for its retry and error handling."""

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions

from parallel_integrations import errors
from parallel_integrations.errors import ParallelError


class ChatInvalidArgumentError(errors.InvalidArgumentError, exceptions.ModelInvalidRequestError):
    """What the model cannot be given; nothing was sent."""


class ChatArgumentTypeError(errors.ArgumentTypeError, exceptions.ModelInvalidRequestError):
    """An argument that the model does not know, or a value of another kind."""


class ChatPromptTooLongError(errors.PromptTooLongError, exceptions.ContextOverflowError):
    """More text than the model takes: langchain's summarization then tries it with less."""


class ChatMissingKeyError(errors.MissingKeyError, exceptions.ModelAuthenticationError):
    """No API key when the model was called."""


class ChatNotServedError(errors.NotServedError, exceptions.ModelInvalidRequestError):
    """The host or route serves no chat."""


class ChatAuthenticationError(errors.AuthenticationError, exceptions.ModelAuthenticationError):
    """401."""


class ChatPaymentRequiredError(errors.PaymentRequiredError, exceptions.ModelPermissionDeniedError):
    """402: langchain_core has no class for it; repeating the call is as useless as at 403."""


class ChatPermissionDeniedError(
    errors.PermissionDeniedError, exceptions.ModelPermissionDeniedError
):
    """403."""


class ChatNotFoundError(errors.NotFoundError, exceptions.ModelNotFoundError):
    """404."""


class ChatInvalidRequestError(errors.InvalidRequestError, exceptions.ModelInvalidRequestError):
    """400 or 422."""


class ChatRateLimitError(errors.RateLimitError, exceptions.ModelRateLimitError):
    """429."""


class ChatServerError(errors.ServerError, exceptions.ModelAPIError):
    """5xx."""


class ChatConflictError(errors.ConflictError, exceptions.ModelError):
    """409: langchain_core has no class for it."""


class ChatStatusError(errors.StatusError, exceptions.ModelError):
    """Any other status, such as a redirect; langchain_core has no class for it."""


class ChatTimeoutError(errors.RequestTimeoutError, exceptions.ModelTimeoutError):
    """No response in time."""


class ChatConnectionFailedError(errors.ConnectionFailedError, exceptions.ModelConnectionError):
    """No connection, or it broke."""


class ChatStreamInterruptedError(errors.StreamInterruptedError, exceptions.ModelConnectionError):
    """The stream was cut short; `partial` holds what had arrived."""


class ChatUnexpectedAnswerError(errors.UnexpectedAnswerError, exceptions.ModelAPIError):
    """A response that cannot be read."""


_JOINED: dict[type[ParallelError], type[ParallelError]] = {
    joined.__bases__[0]: joined
    for name, joined in list(globals().items())
    if name.startswith("Chat")
}


@contextmanager
def model_errors() -> Iterator[None]:
    """Raise our errors as the subclass that is also langchain_core's; others pass unchanged."""
    try:
        yield
    except exceptions.ModelError:
        raise
    except ParallelError as error:
        joined = _JOINED.get(type(error))
        if joined is None:
            raise
        raised = joined(*error.args)
        raised.__dict__.update(error.__dict__)
        # By its class a timeout may be repeated; what was sent may have been billed all the same.
        raised.__dict__["is_retryable"] = error.repeatable
        raise raised.with_traceback(error.__traceback__) from error.__cause__
