"""Our errors joined with langchain_core's of the same meaning, for its retry and error handling."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from langchain_core import exceptions

from parallel_integrations import errors
from parallel_integrations.errors import ParallelError

_MEANING: Final[dict[type[ParallelError], type[exceptions.ModelError]]] = {
    errors.InvalidArgumentError: exceptions.ModelInvalidRequestError,
    errors.ArgumentTypeError: exceptions.ModelInvalidRequestError,
    # langchain's summarization then tries it with less.
    errors.PromptTooLongError: exceptions.ContextOverflowError,
    errors.MissingKeyError: exceptions.ModelAuthenticationError,
    errors.NotServedError: exceptions.ModelInvalidRequestError,
    errors.AuthenticationError: exceptions.ModelAuthenticationError,
    # langchain_core has no class for it; repeating the call is as useless as at 403.
    errors.PaymentRequiredError: exceptions.ModelPermissionDeniedError,
    errors.PermissionDeniedError: exceptions.ModelPermissionDeniedError,
    errors.NotFoundError: exceptions.ModelNotFoundError,
    errors.InvalidRequestError: exceptions.ModelInvalidRequestError,
    errors.RateLimitError: exceptions.ModelRateLimitError,
    errors.ServerError: exceptions.ModelAPIError,
    # It has none for these, either.
    errors.ConflictError: exceptions.ModelError,
    errors.StatusError: exceptions.ModelError,
    errors.RequestTimeoutError: exceptions.ModelTimeoutError,
    errors.ConnectionFailedError: exceptions.ModelConnectionError,
    errors.StreamInterruptedError: exceptions.ModelConnectionError,
    errors.UnexpectedAnswerError: exceptions.ModelAPIError,
}


def _joined(ours: type[ParallelError], theirs: type[exceptions.ModelError]) -> Any:
    """A class that is both, such as `ChatRateLimitError`; a pickle finds it in this module."""
    name = f"Chat{ours.__name__}"
    joined = globals()[name] = type(name, (ours, theirs), {"__doc__": ours.__doc__})
    return joined


_JOINED: Final = {ours: _joined(ours, theirs) for ours, theirs in _MEANING.items()}


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
