"""Parallel's web search and research APIs for LangChain and LlamaIndex.

The rooms `parallel_integrations.langchain` and `parallel_integrations.llama_index` hold the classes
for each framework; this door holds what both stand on and imports neither.
"""

from typing import TYPE_CHECKING

from parallel_integrations._lazy import by_module, lazy_names
from parallel_integrations._version import __version__

if TYPE_CHECKING:
    from parallel_integrations._protocol.routes import CloudflareGateway
    from parallel_integrations._transport.cache import DirectoryCache
    from parallel_integrations._transport.usage import Usage
    from parallel_integrations.client import ParallelClient
    from parallel_integrations.errors import (
        AuthenticationError,
        ConflictError,
        ConnectionFailedError,
        InvalidRequestError,
        JournalError,
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
        TaskFailedError,
        TaskTimeoutError,
        UnexpectedAnswerError,
    )
    from parallel_integrations.models.chat import ChatMessage, ChatRequest, ChatResponse
    from parallel_integrations.models.entity import EntitySearchRequest
    from parallel_integrations.models.extract import ExtractRequest, ExtractResponse
    from parallel_integrations.models.findall import (
        CreateFindallRunRequest,
        EnrichFindallRequest,
        ExtendFindallRequest,
        IngestFindallRequest,
    )
    from parallel_integrations.models.memory import (
        ClearMemoryRequest,
        EvictMemoryRequest,
        RetrieveMemoryRequest,
    )
    from parallel_integrations.models.monitor import (
        CreateMonitorRequest,
        EventStreamSettings,
        SnapshotSettings,
        UpdateMonitorRequest,
    )
    from parallel_integrations.models.policies import FetchPolicy, McpServer, SourcePolicy, Webhook
    from parallel_integrations.models.search import SearchRequest, SearchResponse
    from parallel_integrations.models.task import (
        CreateTaskRunRequest,
        TaskRun,
        TaskRunResult,
        TaskSettings,
    )
    from parallel_integrations.models.task_group import (
        AddTaskGroupRunsRequest,
        CreateTaskGroupRequest,
        TaskGroupResult,
    )

__all__ = [
    "AddTaskGroupRunsRequest",
    "AuthenticationError",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "ClearMemoryRequest",
    "CloudflareGateway",
    "ConflictError",
    "ConnectionFailedError",
    "CreateFindallRunRequest",
    "CreateMonitorRequest",
    "CreateTaskGroupRequest",
    "CreateTaskRunRequest",
    "DirectoryCache",
    "EnrichFindallRequest",
    "EntitySearchRequest",
    "EventStreamSettings",
    "EvictMemoryRequest",
    "ExtendFindallRequest",
    "ExtractRequest",
    "ExtractResponse",
    "FetchPolicy",
    "IngestFindallRequest",
    "InvalidRequestError",
    "JournalError",
    "McpServer",
    "MissingKeyError",
    "NotFoundError",
    "ParallelClient",
    "ParallelError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "RetrieveMemoryRequest",
    "SearchRequest",
    "SearchResponse",
    "ServerError",
    "SnapshotSettings",
    "SourcePolicy",
    "StatusError",
    "StreamInterruptedError",
    "TaskFailedError",
    "TaskGroupResult",
    "TaskRun",
    "TaskRunResult",
    "TaskSettings",
    "TaskTimeoutError",
    "UnexpectedAnswerError",
    "UpdateMonitorRequest",
    "Usage",
    "Webhook",
    "__version__",
]

__getattr__ = lazy_names(
    __name__,
    by_module(
        {
            "_protocol.routes": "CloudflareGateway",
            "_transport.cache": "DirectoryCache",
            "_transport.usage": "Usage",
            "client": "ParallelClient",
            "errors": """
                AuthenticationError ConflictError ConnectionFailedError InvalidRequestError
                JournalError MissingKeyError NotFoundError ParallelError PaymentRequiredError
                PermissionDeniedError RateLimitError RequestTimeoutError ServerError StatusError
                StreamInterruptedError TaskFailedError TaskTimeoutError UnexpectedAnswerError
            """,
            "models.chat": "ChatMessage ChatRequest ChatResponse",
            "models.entity": "EntitySearchRequest",
            "models.extract": "ExtractRequest ExtractResponse",
            "models.findall": """
                CreateFindallRunRequest EnrichFindallRequest ExtendFindallRequest
                IngestFindallRequest
            """,
            "models.memory": "ClearMemoryRequest EvictMemoryRequest RetrieveMemoryRequest",
            "models.monitor": """
                CreateMonitorRequest EventStreamSettings SnapshotSettings UpdateMonitorRequest
            """,
            "models.policies": "FetchPolicy McpServer SourcePolicy Webhook",
            "models.search": "SearchRequest SearchResponse",
            "models.task": "CreateTaskRunRequest TaskRun TaskRunResult TaskSettings",
            "models.task_group": "AddTaskGroupRunsRequest CreateTaskGroupRequest TaskGroupResult",
        }
    ),
)
