"""Parallel's web search and research APIs for LangChain and LlamaIndex.

The rooms `parallel_integrations.langchain` and `parallel_integrations.llama_index` hold the classes
for each framework; this door holds what both stand on and imports neither.
"""

from parallel_integrations._version import __version__
from parallel_integrations.api.chat import ChatMessage, ChatRequest, ChatResponse
from parallel_integrations.api.errors import (
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
from parallel_integrations.api.extract import ExtractRequest, ExtractResponse
from parallel_integrations.api.policies import FetchPolicy, McpServer, SourcePolicy, Webhook
from parallel_integrations.api.routes import CloudflareGateway
from parallel_integrations.api.search import SearchRequest, SearchResponse
from parallel_integrations.client import ParallelClient

__all__ = [
    "AuthenticationError",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "CloudflareGateway",
    "ConflictError",
    "ConnectionFailedError",
    "ExtractRequest",
    "ExtractResponse",
    "FetchPolicy",
    "InvalidRequestError",
    "McpServer",
    "MissingKeyError",
    "NotFoundError",
    "ParallelClient",
    "ParallelError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "SearchRequest",
    "SearchResponse",
    "ServerError",
    "SourcePolicy",
    "StatusError",
    "StreamInterruptedError",
    "UnexpectedAnswerError",
    "Webhook",
    "__version__",
]
