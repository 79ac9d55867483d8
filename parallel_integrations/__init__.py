"""Parallel's web search and research APIs for LangChain and LlamaIndex.

The rooms `parallel_integrations.langchain` and `parallel_integrations.llama_index` hold the classes
for each framework; this door holds what both stand on and imports neither.
"""

from typing import TYPE_CHECKING

from parallel_integrations._version import __version__
from parallel_integrations.lazy import by_module, lazy_names

if TYPE_CHECKING:
    from parallel_integrations.api.chat_types import ChatMessage, ChatRequest, ChatResponse
    from parallel_integrations.api.errors import (
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
    from parallel_integrations.api.extract import ExtractRequest, ExtractResponse
    from parallel_integrations.api.findall_requests import (
        CreateFindallRunRequest,
        EnrichFindallRequest,
        EntitySearchRequest,
        ExtendFindallRequest,
        IngestFindallRequest,
    )
    from parallel_integrations.api.memory import (
        ClearMemoryRequest,
        EvictMemoryRequest,
        RetrieveMemoryRequest,
    )
    from parallel_integrations.api.monitor_requests import (
        CreateMonitorRequest,
        EventStreamSettings,
        SnapshotSettings,
        UpdateMonitorRequest,
    )
    from parallel_integrations.api.policies import FetchPolicy, McpServer, SourcePolicy, Webhook
    from parallel_integrations.api.routes import CloudflareGateway
    from parallel_integrations.api.search import SearchRequest, SearchResponse
    from parallel_integrations.api.task_group_types import TaskGroupResult
    from parallel_integrations.api.task_groups import (
        AddTaskGroupRunsRequest,
        CreateTaskGroupRequest,
    )
    from parallel_integrations.api.task_requests import CreateTaskRunRequest, TaskSettings
    from parallel_integrations.api.task_types import TaskRun, TaskRunResult
    from parallel_integrations.client import ParallelClient

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
    "Webhook",
    "__version__",
]

__getattr__ = lazy_names(
    __name__,
    by_module(
        {
            "api.chat_types": "ChatMessage ChatRequest ChatResponse",
            "api.errors": """
                AuthenticationError ConflictError ConnectionFailedError InvalidRequestError
                JournalError MissingKeyError NotFoundError ParallelError PaymentRequiredError
                PermissionDeniedError RateLimitError RequestTimeoutError ServerError StatusError
                StreamInterruptedError TaskFailedError TaskTimeoutError UnexpectedAnswerError
            """,
            "api.extract": "ExtractRequest ExtractResponse",
            "api.findall_requests": """
                CreateFindallRunRequest EnrichFindallRequest EntitySearchRequest
                ExtendFindallRequest IngestFindallRequest
            """,
            "api.memory": "ClearMemoryRequest EvictMemoryRequest RetrieveMemoryRequest",
            "api.monitor_requests": """
                CreateMonitorRequest EventStreamSettings SnapshotSettings UpdateMonitorRequest
            """,
            "api.policies": "FetchPolicy McpServer SourcePolicy Webhook",
            "api.routes": "CloudflareGateway",
            "api.search": "SearchRequest SearchResponse",
            "api.task_group_types": "TaskGroupResult",
            "api.task_groups": "AddTaskGroupRunsRequest CreateTaskGroupRequest",
            "api.task_types": "TaskRun TaskRunResult",
            "api.task_requests": "CreateTaskRunRequest TaskSettings",
            "client": "ParallelClient",
        }
    ),
)
