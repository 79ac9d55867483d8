"""Requests and responses of Parallel's APIs, and what they share."""

from typing import TYPE_CHECKING

from parallel_integrations._lazy import by_module, lazy_names

if TYPE_CHECKING:
    from parallel_integrations.models.basis import Citation, FieldBasis
    from parallel_integrations.models.chat import (
        ChatChoice,
        ChatChunk,
        ChatDelta,
        ChatMessage,
        ChatRequest,
        ChatResponse,
        ChatSettings,
    )
    from parallel_integrations.models.entity import (
        Entity,
        EntitySearchRequest,
        EntitySearchResponse,
    )
    from parallel_integrations.models.extract import (
        ExtractError,
        ExtractRequest,
        ExtractResponse,
        ExtractResult,
        ExtractSettings,
        FullContentSettings,
    )
    from parallel_integrations.models.findall import (
        CreateFindallRunRequest,
        EnrichFindallRequest,
        ExcludedEntity,
        ExtendFindallRequest,
        FindallCandidate,
        FindallCandidateEvent,
        FindallMetrics,
        FindallResult,
        FindallRun,
        FindallSchema,
        FindallSchemaEvent,
        FindallStatus,
        FindallStatusEvent,
        IngestFindallRequest,
        MatchCondition,
    )
    from parallel_integrations.models.memory import (
        ClearMemoryRequest,
        EvictMemoryRequest,
        Memory,
        RetrieveMemoryRequest,
        RetrieveMemoryResponse,
    )
    from parallel_integrations.models.monitor import (
        CreateMonitorRequest,
        EventStreamSettings,
        Monitor,
        MonitorEvent,
        MonitorEventPage,
        MonitorPage,
        SnapshotOutput,
        SnapshotSettings,
        UpdateMonitorRequest,
    )
    from parallel_integrations.models.output_schema import SchemaWarning
    from parallel_integrations.models.pages import PageResult, PageSettings, PagesResponse
    from parallel_integrations.models.policies import FetchPolicy, McpServer, SourcePolicy, Webhook
    from parallel_integrations.models.prices import PRICES_USD
    from parallel_integrations.models.search import (
        SearchRequest,
        SearchResponse,
        SearchResult,
        SearchSettings,
    )
    from parallel_integrations.models.shared import (
        Excerpt,
        RequestModel,
        ResponseModel,
        StreamEvent,
        UsageItem,
        Warning,  # noqa: A004 - the API's own word
    )
    from parallel_integrations.models.task import (
        CreateTaskRunRequest,
        McpToolCall,
        RunError,
        SourceStats,
        TaskOptions,
        TaskOutput,
        TaskRun,
        TaskRunInput,
        TaskRunProgressMessageEvent,
        TaskRunProgressStatsEvent,
        TaskRunResult,
        TaskRunStateEvent,
        TaskSettings,
    )
    from parallel_integrations.models.task_group import (
        AddedTaskGroupRuns,
        AddTaskGroupRunsRequest,
        CreateTaskGroupRequest,
        TaskGroup,
        TaskGroupResult,
        TaskGroupStatus,
        TaskGroupStatusEvent,
    )
    from parallel_integrations.models.webhook import MonitorNotice, WebhookPayload

__all__ = [
    "PRICES_USD",
    "AddTaskGroupRunsRequest",
    "AddedTaskGroupRuns",
    "ChatChoice",
    "ChatChunk",
    "ChatDelta",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "ChatSettings",
    "Citation",
    "ClearMemoryRequest",
    "CreateFindallRunRequest",
    "CreateMonitorRequest",
    "CreateTaskGroupRequest",
    "CreateTaskRunRequest",
    "EnrichFindallRequest",
    "Entity",
    "EntitySearchRequest",
    "EntitySearchResponse",
    "EventStreamSettings",
    "EvictMemoryRequest",
    "Excerpt",
    "ExcludedEntity",
    "ExtendFindallRequest",
    "ExtractError",
    "ExtractRequest",
    "ExtractResponse",
    "ExtractResult",
    "ExtractSettings",
    "FetchPolicy",
    "FieldBasis",
    "FindallCandidate",
    "FindallCandidateEvent",
    "FindallMetrics",
    "FindallResult",
    "FindallRun",
    "FindallSchema",
    "FindallSchemaEvent",
    "FindallStatus",
    "FindallStatusEvent",
    "FullContentSettings",
    "IngestFindallRequest",
    "MatchCondition",
    "McpServer",
    "McpToolCall",
    "Memory",
    "Monitor",
    "MonitorEvent",
    "MonitorEventPage",
    "MonitorNotice",
    "MonitorPage",
    "PageResult",
    "PageSettings",
    "PagesResponse",
    "RequestModel",
    "ResponseModel",
    "RetrieveMemoryRequest",
    "RetrieveMemoryResponse",
    "RunError",
    "SchemaWarning",
    "SearchRequest",
    "SearchResponse",
    "SearchResult",
    "SearchSettings",
    "SnapshotOutput",
    "SnapshotSettings",
    "SourcePolicy",
    "SourceStats",
    "StreamEvent",
    "TaskGroup",
    "TaskGroupResult",
    "TaskGroupStatus",
    "TaskGroupStatusEvent",
    "TaskOptions",
    "TaskOutput",
    "TaskRun",
    "TaskRunInput",
    "TaskRunProgressMessageEvent",
    "TaskRunProgressStatsEvent",
    "TaskRunResult",
    "TaskRunStateEvent",
    "TaskSettings",
    "UpdateMonitorRequest",
    "UsageItem",
    "Warning",
    "Webhook",
    "WebhookPayload",
]

__getattr__ = lazy_names(
    __name__,
    by_module(
        {
            "basis": "Citation FieldBasis",
            "chat": """
                ChatChoice ChatChunk ChatDelta ChatMessage ChatRequest ChatResponse ChatSettings
            """,
            "entity": "Entity EntitySearchRequest EntitySearchResponse",
            "extract": """
                ExtractError ExtractRequest ExtractResponse ExtractResult ExtractSettings
                FullContentSettings
            """,
            "findall": """
                CreateFindallRunRequest EnrichFindallRequest ExcludedEntity ExtendFindallRequest
                FindallCandidate FindallCandidateEvent FindallMetrics FindallResult FindallRun
                FindallSchema FindallSchemaEvent FindallStatus FindallStatusEvent
                IngestFindallRequest MatchCondition
            """,
            "memory": """
                ClearMemoryRequest EvictMemoryRequest Memory RetrieveMemoryRequest
                RetrieveMemoryResponse
            """,
            "monitor": """
                CreateMonitorRequest EventStreamSettings Monitor MonitorEvent MonitorEventPage
                MonitorPage SnapshotOutput SnapshotSettings UpdateMonitorRequest
            """,
            "output_schema": "SchemaWarning",
            "pages": "PageResult PageSettings PagesResponse",
            "policies": "FetchPolicy McpServer SourcePolicy Webhook",
            "prices": "PRICES_USD",
            "search": "SearchRequest SearchResponse SearchResult SearchSettings",
            "shared": "ResponseModel Excerpt RequestModel StreamEvent UsageItem Warning",
            "task": """
                CreateTaskRunRequest McpToolCall RunError SourceStats TaskOptions TaskOutput
                TaskRun TaskRunInput TaskRunProgressMessageEvent TaskRunProgressStatsEvent
                TaskRunResult TaskRunStateEvent TaskSettings
            """,
            "task_group": """
                AddTaskGroupRunsRequest AddedTaskGroupRuns CreateTaskGroupRequest TaskGroup
                TaskGroupResult TaskGroupStatus TaskGroupStatusEvent
            """,
            "webhook": "MonitorNotice WebhookPayload",
        }
    ),
)
