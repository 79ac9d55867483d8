"""Search and extract as tools for LangChain agents."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeAlias

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
)
from langchain_core.tools import BaseTool, InjectedToolArg, ToolException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from parallel_integrations.adapter import Adapter
from parallel_integrations.api import extract, search
from parallel_integrations.api.errors import ParallelError
from parallel_integrations.api.evidence import as_text
from parallel_integrations.api.extract import ExtractRequest, ExtractResponse, ExtractSettings
from parallel_integrations.api.models import RequestModel
from parallel_integrations.api.search import (
    DEFAULT_RESULTS,
    MOST_RESULTS,
    SearchRequest,
    SearchResponse,
    SearchSettings,
)

ContentAndArtifact: TypeAlias = tuple[str, dict[str, Any]]


def _input_schema(name: str, request: type[RequestModel], *visible: str) -> type[BaseModel]:
    """The tool's arguments: `visible` ones for the model, the request's others for code only."""
    fields: dict[str, Any] = {
        field: (request.model_fields[field].annotation, request.model_fields[field])
        for field in visible
    }
    for field, info in request.model_fields.items():
        if field not in fields:
            hidden = Annotated[Any, InjectedToolArg]
            fields[field] = (hidden, Field(default=None, description=info.description))
    return create_model(name, __config__=ConfigDict(extra="forbid"), __module__=__name__, **fields)


ParallelSearchInput = _input_schema(
    "ParallelSearchInput", SearchRequest, "objective", "search_queries"
)
ParallelExtractInput = _input_schema("ParallelExtractInput", ExtractRequest, "urls", "objective")


def _explain_arguments(error: Any) -> str:
    """What was wrong with a tool's arguments, in words that a model can act on."""
    faults = []
    for fault in error.errors(include_url=False):
        where = ".".join(map(str, fault["loc"])) or "arguments"
        given = "" if fault["type"] == "value_error" else f" (given: {str(fault['input'])[:100]!r})"
        faults.append(f"{where}: {fault['msg']}{given}")
    return f"Nothing was sent. Correct the arguments: {'; '.join(faults)}"


@contextmanager
def _tool_errors() -> Iterator[None]:
    """Turn our errors into the one that LangChain hands to the model instead of crashing."""
    try:
        yield
    except ValidationError as error:
        raise ToolException(_explain_arguments(error)) from error
    except ParallelError as error:
        raise ToolException(f"{type(error).__name__}: {error}") from error


class _ParallelTool(Adapter, BaseTool):
    """What the tools have in common: an artifact beside the text, errors that the model reads."""

    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    handle_validation_error: bool | str | Callable[[Any], str] | None = _explain_arguments


class ParallelSearchTool(SearchSettings, _ParallelTool):
    """Searches the web for an agent.

    The model sees `objective` and `search_queries`. Everything else is fixed on the instance
    (`max_results`, `mode`, `source_policy`, `fetch_policy`, `location`, `max_chars_total`,
    `max_chars_per_result`, `session_id`, `client_model`) or passed by code per call under the same
    names. The content is numbered text with title, url, date and excerpts; the artifact is the
    API's answer as plain JSON. An error becomes an error tool message that says what to do; set
    `handle_tool_error=False` to have it raised as `ToolException`.

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelSearchTool

        tool = ParallelSearchTool(max_results=3)
        print(tool.invoke({"objective": "What is a descriptor?", "search_queries": ["descriptor"]}))
        print(tool.invoke("What is a descriptor?"))
        ```
    """

    name: str = "parallel_search"
    description: str = (
        "Search the web. Returns the most relevant pages with title, URL, date and excerpts. "
        "Give the objective in natural language and 2-3 short keyword queries."
    )
    args_schema: type[BaseModel] = ParallelSearchInput
    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MOST_RESULTS)

    def _run(
        self,
        objective: str | None = None,
        search_queries: list[str] | str | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with _tool_errors():
            request = self._request(objective, search_queries, settings)
            return self._answer(self.connection().run(search(request)))

    async def _arun(
        self,
        objective: str | None = None,
        search_queries: list[str] | str | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with _tool_errors():
            request = self._request(objective, search_queries, settings)
            return self._answer(await self.connection().arun(search(request)))

    def _request(
        self,
        objective: str | None,
        search_queries: list[str] | str | None,
        settings: dict[str, Any],
    ) -> SearchRequest:
        return SearchRequest.from_settings(
            self, objective=objective, search_queries=search_queries, **settings
        )

    def _answer(self, response: SearchResponse) -> ContentAndArtifact:
        text = as_text(response.results) or (
            "No pages were found. Try other keywords or a broader objective."
        )
        notes = [f"Note: {warning.message}" for warning in response.warnings if warning.message]
        return "\n\n".join([text, *notes]), response.model_dump(mode="json")


class ParallelExtractTool(ExtractSettings, _ParallelTool):
    """Reads web pages for an agent.

    The model sees `urls` and `objective`; everything else is fixed on the instance
    (`full_content`, `fetch_policy`, `max_chars_total`, `max_chars_per_result`, `session_id`,
    `client_model`) or passed by code per call. Pages that cannot be read are named in the content,
    URL by URL; when none can, that is an error tool message.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelExtractTool

        tool = ParallelExtractTool()
        url = "https://docs.python.org/3/reference/compound_stmts.html"
        print(tool.invoke({"urls": [url], "objective": "How does the with statement work?"}))
        ```
    """

    name: str = "parallel_extract"
    description: str = (
        "Read web pages, PDFs included. Returns what each page says about the objective, or its "
        "beginning without one."
    )
    args_schema: type[BaseModel] = ParallelExtractInput

    def _run(
        self,
        urls: list[str] | str,
        objective: str | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with _tool_errors():
            request = ExtractRequest.from_settings(self, urls=urls, objective=objective, **settings)
            return self._answer(self.connection().run(extract(request)))

    async def _arun(
        self,
        urls: list[str] | str,
        objective: str | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with _tool_errors():
            request = ExtractRequest.from_settings(self, urls=urls, objective=objective, **settings)
            return self._answer(await self.connection().arun(extract(request)))

    def _answer(self, response: ExtractResponse) -> ContentAndArtifact:
        failed = [f"Could not be read: {error}" for error in response.errors]
        text = as_text(response.results)
        if failed and not text:
            raise ToolException("\n".join([*failed, "Try other URLs, or search for the content."]))
        notes = [f"Note: {warning.message}" for warning in response.warnings if warning.message]
        content = "\n\n".join([text or "The pages hold no text.", *failed, *notes])
        return content, response.model_dump(mode="json")
