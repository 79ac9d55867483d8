"""Operations of Parallel's APIs: each is a function that returns a flow for a client to run."""

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__)
