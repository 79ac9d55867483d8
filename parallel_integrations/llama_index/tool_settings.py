"""What a developer fixes about the tools, so that no model can change it."""

from typing import Any, Final

from pydantic import Field, ValidationInfo, field_validator

from parallel_integrations.adapter import Adapter
from parallel_integrations.api.extract import ExtractSettings
from parallel_integrations.api.findall_requests import (
    FEWEST_MATCHES,
    MOST_MATCHES,
    MOST_PREVIEW_MATCHES,
)
from parallel_integrations.api.polling import DeadlineSeconds
from parallel_integrations.api.search import DEFAULT_RESULTS, MOST_RESULTS, SearchSettings
from parallel_integrations.api.task_requests import TaskSettings
from parallel_integrations.api.tasks import DEADLINE_SECONDS
from parallel_integrations.llama_index.pages import ConnectionOptions, SearchOptions

MAX_OUTPUT_CHARS: Final = 40_000
FEWEST_OUTPUT_CHARS: Final = 500


class ParallelToolSettings(Adapter, SearchSettings, ExtractSettings, TaskSettings):
    """The arguments of a `ParallelToolSpec`, checked; each is an attribute of the same name."""

    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MOST_RESULTS)
    generator: str = Field(default="preview", min_length=1)
    match_limit: int = Field(default=10, ge=FEWEST_MATCHES, le=MOST_MATCHES)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS
    max_output_chars: int = Field(default=MAX_OUTPUT_CHARS, ge=FEWEST_OUTPUT_CHARS)

    @field_validator("match_limit")
    @classmethod
    def _preview_is_small(cls, value: int, info: ValidationInfo) -> int:
        # The API's own refusal would come only after the agent has asked.
        if info.data.get("generator") == "preview" and value > MOST_PREVIEW_MATCHES:
            raise ValueError(f"generator='preview' finds at most {MOST_PREVIEW_MATCHES}")
        return value


class ToolOptions(SearchOptions, ConnectionOptions, total=False):
    """Keyword arguments of `ParallelToolSpec`."""

    full_content: Any
    processor: str
    output_schema: Any
    input_schema: Any
    mcp_servers: Any
    data_sources: dict[str, list[str]] | None
    enable_events: bool | None
    webhook: Any
    memory_scope_key: str | None
    generator: str
    match_limit: int
    deadline_seconds: float
    max_output_chars: int
