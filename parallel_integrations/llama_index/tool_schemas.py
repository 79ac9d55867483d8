"""What a model is told of each tool: name, description, arguments."""

from typing import Any, Final

from llama_index.core.tools import ToolMetadata
from pydantic import BaseModel, ConfigDict, Field, create_model

from parallel_integrations.api.extract import ExtractRequest
from parallel_integrations.api.models import RequestModel
from parallel_integrations.api.search import SearchRequest
from parallel_integrations.api.tool_descriptions import EXTRACT, FIND_ALL, SEARCH, TASK


def _visible(name: str, request: type[RequestModel], *fields: str) -> type[BaseModel]:
    """A schema of some of a request's fields, described where the request describes them."""
    chosen: dict[str, Any] = {
        field: (request.model_fields[field].annotation, request.model_fields[field])
        for field in fields
    }
    schema: type[BaseModel] = create_model(
        name, __config__=ConfigDict(extra="forbid"), __module__=__name__, **chosen
    )
    return schema


class TaskQuestion(BaseModel):
    """Arguments of `parallel_task` and `parallel_deep_research`."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(
        min_length=1,
        description="What is to be found out, in natural language, with all context it needs.",
    )


class FindAllWish(BaseModel):
    """Arguments of `parallel_find_all`."""

    model_config = ConfigDict(extra="forbid")

    objective: str = Field(
        min_length=1,
        description="Which entities to find and what each must fulfil, in natural language.",
    )


METADATA: Final = {
    each.get_name(): each
    for each in (
        ToolMetadata(
            SEARCH,
            "parallel_search",
            _visible("ParallelSearchInput", SearchRequest, "objective", "search_queries"),
        ),
        ToolMetadata(
            EXTRACT,
            "parallel_extract",
            _visible("ParallelExtractInput", ExtractRequest, "urls", "objective"),
        ),
        ToolMetadata(TASK, "parallel_task", TaskQuestion),
        ToolMetadata(FIND_ALL, "parallel_find_all", FindAllWish),
        ToolMetadata(TASK, "parallel_deep_research", TaskQuestion),
    )
}
