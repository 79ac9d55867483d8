"""The public names, each imported from its module when it is first used."""

from parallel_integrations.models.basis import Citation as Citation
from parallel_integrations.models.basis import FieldBasis as FieldBasis
from parallel_integrations.models.chat import ChatChoice as ChatChoice
from parallel_integrations.models.chat import ChatChunk as ChatChunk
from parallel_integrations.models.chat import ChatDelta as ChatDelta
from parallel_integrations.models.chat import ChatMessage as ChatMessage
from parallel_integrations.models.chat import ChatRequest as ChatRequest
from parallel_integrations.models.chat import ChatResponse as ChatResponse
from parallel_integrations.models.chat import ChatSettings as ChatSettings
from parallel_integrations.models.decision import Choice as Choice
from parallel_integrations.models.decision import ChoiceAnswer as ChoiceAnswer
from parallel_integrations.models.decision import DecideRequest as DecideRequest
from parallel_integrations.models.decision import DecideResponse as DecideResponse
from parallel_integrations.models.decision import DecisionAnswer as DecisionAnswer
from parallel_integrations.models.decision import Noul as Noul
from parallel_integrations.models.decision import NoulAnswer as NoulAnswer
from parallel_integrations.models.decision import NoulCriteria as NoulCriteria
from parallel_integrations.models.decision import RefusalAnswer as RefusalAnswer
from parallel_integrations.models.decision import Score as Score
from parallel_integrations.models.decision import ScoreAnswer as ScoreAnswer
from parallel_integrations.models.entity import Entity as Entity
from parallel_integrations.models.entity import EntitySearchRequest as EntitySearchRequest
from parallel_integrations.models.entity import EntitySearchResponse as EntitySearchResponse
from parallel_integrations.models.extract import ExtractError as ExtractError
from parallel_integrations.models.extract import ExtractRequest as ExtractRequest
from parallel_integrations.models.extract import ExtractResponse as ExtractResponse
from parallel_integrations.models.extract import ExtractResult as ExtractResult
from parallel_integrations.models.extract import ExtractSettings as ExtractSettings
from parallel_integrations.models.extract import FullContentSettings as FullContentSettings
from parallel_integrations.models.findall import CreateFindallRunRequest as CreateFindallRunRequest
from parallel_integrations.models.findall import EnrichFindallRequest as EnrichFindallRequest
from parallel_integrations.models.findall import ExcludedEntity as ExcludedEntity
from parallel_integrations.models.findall import ExtendFindallRequest as ExtendFindallRequest
from parallel_integrations.models.findall import FindallCandidate as FindallCandidate
from parallel_integrations.models.findall import FindallCandidateEvent as FindallCandidateEvent
from parallel_integrations.models.findall import FindallMetrics as FindallMetrics
from parallel_integrations.models.findall import FindallResult as FindallResult
from parallel_integrations.models.findall import FindallRun as FindallRun
from parallel_integrations.models.findall import FindallSchema as FindallSchema
from parallel_integrations.models.findall import FindallSchemaEvent as FindallSchemaEvent
from parallel_integrations.models.findall import FindallStatus as FindallStatus
from parallel_integrations.models.findall import FindallStatusEvent as FindallStatusEvent
from parallel_integrations.models.findall import IngestFindallRequest as IngestFindallRequest
from parallel_integrations.models.findall import MatchCondition as MatchCondition
from parallel_integrations.models.memory import ClearMemoryRequest as ClearMemoryRequest
from parallel_integrations.models.memory import EvictMemoryRequest as EvictMemoryRequest
from parallel_integrations.models.memory import Memory as Memory
from parallel_integrations.models.memory import RetrieveMemoryRequest as RetrieveMemoryRequest
from parallel_integrations.models.memory import RetrieveMemoryResponse as RetrieveMemoryResponse
from parallel_integrations.models.monitor import CreateMonitorRequest as CreateMonitorRequest
from parallel_integrations.models.monitor import EventStreamSettings as EventStreamSettings
from parallel_integrations.models.monitor import Monitor as Monitor
from parallel_integrations.models.monitor import MonitorEvent as MonitorEvent
from parallel_integrations.models.monitor import MonitorEventPage as MonitorEventPage
from parallel_integrations.models.monitor import MonitorPage as MonitorPage
from parallel_integrations.models.monitor import SnapshotOutput as SnapshotOutput
from parallel_integrations.models.monitor import SnapshotSettings as SnapshotSettings
from parallel_integrations.models.monitor import UpdateMonitorRequest as UpdateMonitorRequest
from parallel_integrations.models.output_schema import SchemaWarning as SchemaWarning
from parallel_integrations.models.pages import PageResult as PageResult
from parallel_integrations.models.pages import PageSettings as PageSettings
from parallel_integrations.models.pages import PagesResponse as PagesResponse
from parallel_integrations.models.policies import FetchPolicy as FetchPolicy
from parallel_integrations.models.policies import McpServer as McpServer
from parallel_integrations.models.policies import SourcePolicy as SourcePolicy
from parallel_integrations.models.policies import Webhook as Webhook
from parallel_integrations.models.prices import PRICES_USD as PRICES_USD
from parallel_integrations.models.response import IncompleteDetails as IncompleteDetails
from parallel_integrations.models.response import RespondMessage as RespondMessage
from parallel_integrations.models.response import RespondRequest as RespondRequest
from parallel_integrations.models.response import RespondResponse as RespondResponse
from parallel_integrations.models.response import RespondText as RespondText
from parallel_integrations.models.response import ResponseAnnotationEvent as ResponseAnnotationEvent
from parallel_integrations.models.response import ResponseEvent as ResponseEvent
from parallel_integrations.models.response import ResponseFailure as ResponseFailure
from parallel_integrations.models.response import ResponseItem as ResponseItem
from parallel_integrations.models.response import ResponsePart as ResponsePart
from parallel_integrations.models.response import ResponsePartEvent as ResponsePartEvent
from parallel_integrations.models.response import ResponseStateEvent as ResponseStateEvent
from parallel_integrations.models.response import ResponseTextEvent as ResponseTextEvent
from parallel_integrations.models.response import ResponseUsage as ResponseUsage
from parallel_integrations.models.response import UrlCitation as UrlCitation
from parallel_integrations.models.search import SearchRequest as SearchRequest
from parallel_integrations.models.search import SearchResponse as SearchResponse
from parallel_integrations.models.search import SearchResult as SearchResult
from parallel_integrations.models.search import SearchSettings as SearchSettings
from parallel_integrations.models.shared import ApiResponse as ApiResponse
from parallel_integrations.models.shared import Excerpt as Excerpt
from parallel_integrations.models.shared import RequestModel as RequestModel
from parallel_integrations.models.shared import ResponseModel as ResponseModel
from parallel_integrations.models.shared import StreamEvent as StreamEvent
from parallel_integrations.models.shared import UnreadableEvent as UnreadableEvent
from parallel_integrations.models.shared import UsageItem as UsageItem
from parallel_integrations.models.shared import Warning as Warning  # noqa: A004 - the API's own word
from parallel_integrations.models.suggestion import SuggestedProcessors as SuggestedProcessors
from parallel_integrations.models.suggestion import SuggestedTask as SuggestedTask
from parallel_integrations.models.suggestion import (
    SuggestProcessorRequest as SuggestProcessorRequest,
)
from parallel_integrations.models.suggestion import SuggestTaskRequest as SuggestTaskRequest
from parallel_integrations.models.task import CreateTaskRunRequest as CreateTaskRunRequest
from parallel_integrations.models.task import McpToolCall as McpToolCall
from parallel_integrations.models.task import RunError as RunError
from parallel_integrations.models.task import SourceStats as SourceStats
from parallel_integrations.models.task import TaskOptions as TaskOptions
from parallel_integrations.models.task import TaskOutput as TaskOutput
from parallel_integrations.models.task import TaskRun as TaskRun
from parallel_integrations.models.task import TaskRunInput as TaskRunInput
from parallel_integrations.models.task import (
    TaskRunProgressMessageEvent as TaskRunProgressMessageEvent,
)
from parallel_integrations.models.task import TaskRunProgressStatsEvent as TaskRunProgressStatsEvent
from parallel_integrations.models.task import TaskRunResult as TaskRunResult
from parallel_integrations.models.task import TaskRunStateEvent as TaskRunStateEvent
from parallel_integrations.models.task import TaskSettings as TaskSettings
from parallel_integrations.models.task_group import AddedTaskGroupRuns as AddedTaskGroupRuns
from parallel_integrations.models.task_group import (
    AddTaskGroupRunsRequest as AddTaskGroupRunsRequest,
)
from parallel_integrations.models.task_group import CreateTaskGroupRequest as CreateTaskGroupRequest
from parallel_integrations.models.task_group import TaskGroup as TaskGroup
from parallel_integrations.models.task_group import TaskGroupResult as TaskGroupResult
from parallel_integrations.models.task_group import TaskGroupStatus as TaskGroupStatus
from parallel_integrations.models.task_group import TaskGroupStatusEvent as TaskGroupStatusEvent
from parallel_integrations.models.webhook import MonitorNotice as MonitorNotice
from parallel_integrations.models.webhook import WebhookPayload as WebhookPayload
