"""Search and extract as tools for LangChain agents."""

from typing import Any, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
)
from langchain_core.tools import ToolException
from pydantic import BaseModel, Field

from parallel_integrations.api import extract, search
from parallel_integrations.api.evidence import (
    Evidence,
    as_text,
    evidence,
    notes_of,
    numbered,
    one_line,
    quoted,
    web_address,
)
from parallel_integrations.api.extract import ExtractRequest, ExtractResponse, ExtractSettings
from parallel_integrations.api.search import (
    DEFAULT_RESULTS,
    MOST_RESULTS,
    SearchRequest,
    SearchResponse,
    SearchSettings,
)
from parallel_integrations.api.tool_descriptions import EXTRACT, SEARCH
from parallel_integrations.langchain.tool_base import (
    ContentAndArtifact,
    SessionTool,
    cut,
    input_schema,
    inspected,
    tool_errors,
)

LEAST_BLOCK_CHARS = 300
"""So much room a content block gets at least; where there is less, fewer results are shown."""

ParallelSearchInput = input_schema(
    "ParallelSearchInput", __name__, SearchRequest, "objective", "search_queries"
)
ParallelExtractInput = input_schema(
    "ParallelExtractInput", __name__, ExtractRequest, "urls", "objective"
)


class ParallelSearchTool(SearchSettings, SessionTool):
    """Searches the web for an agent.

    The model sees `objective` and `search_queries`. Everything else is fixed on the instance
    (`max_results`, `mode`, `source_policy`, `fetch_policy`, `location`, `max_chars_total`,
    `max_chars_per_result`, `session_id`, `client_model`) or passed by code per call under the same
    names. The content is numbered text with title, url, date and excerpts; the artifact is the
    API's answer as plain JSON. An error becomes an error tool message that says what to do; set
    `handle_tool_error=False` to have it raised as `ToolException`.

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.
        content_format: `"text"`, or `"search_result"` for content blocks that models with native
            citations (Anthropic's) understand.
        max_output_chars: Most characters of the content, 40,000 by default; what is cut is said.
        session_per_thread: True joins the calls of one LangGraph thread to one session.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelSearchTool

        tool = ParallelSearchTool(max_results=3)
        print(tool.invoke({"objective": "What is a descriptor?", "search_queries": ["descriptor"]}))
        print(tool.invoke("What is a descriptor?"))
        ```
    """

    name: str = "parallel_search"
    description: str = SEARCH
    args_schema: type[BaseModel] = ParallelSearchInput
    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MOST_RESULTS)
    content_format: Literal["text", "search_result"] = "text"

    @inspected
    def _run(
        self,
        objective: str | None = None,
        search_queries: list[str] | str | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(objective, search_queries, settings)
            return self._answer(self.connection().run(search(request)))

    @inspected
    async def _arun(
        self,
        objective: str | None = None,
        search_queries: list[str] | str | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(objective, search_queries, settings)
            return self._answer(await self.connection().arun(search(request)))

    def _request(
        self,
        objective: str | None,
        search_queries: list[str] | str | None,
        settings: dict[str, Any],
    ) -> SearchRequest:
        asked = {"session_id": self.thread_session(), **_given(settings)}
        return SearchRequest.from_settings(
            self, objective=objective, search_queries=search_queries, **asked
        )

    def _answer(self, response: SearchResponse) -> ContentAndArtifact:
        notes = notes_of(response)
        artifact = response.model_dump(mode="json")
        found = list(evidence(response.results))
        if not found:
            notes.insert(0, "No pages were found. Try other keywords or a broader objective.")
        elif self.content_format == "search_result":
            return self._blocks(found, notes), artifact
        return self.with_notes(lambda room: numbered(found, room), notes), artifact

    def _blocks(self, found: list[Evidence], notes: list[str]) -> list[str | dict[str, Any]]:
        tail = [cut("\n\n".join(notes), self.max_output_chars // 2)] if notes else []
        room = self.max_output_chars - sum(map(len, tail))
        shown = found[: max(1, room // LEAST_BLOCK_CHARS)]
        if len(shown) < len(found):
            tail.append(f"{len(found) - len(shown)} more results were left out.")
        share = (room - 50) // len(shown)
        return [*(_search_result_block(item, share) for item in shown), *tail]


ParallelWebSearchTool = ParallelSearchTool
"""The name that langchain-parallel also has for it."""


class ParallelExtractTool(ExtractSettings, SessionTool):
    """Reads web pages for an agent.

    The model sees `urls` and `objective`; everything else is fixed on the instance
    (`full_content`, `fetch_policy`, `max_chars_total`, `max_chars_per_result`, `session_id`,
    `client_model`) or passed by code per call. Pages that cannot be read are named in the content,
    URL by URL; when none can, that is an error tool message. `max_output_chars` and
    `session_per_thread` are those of `ParallelSearchTool`.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelExtractTool

        tool = ParallelExtractTool()
        url = "https://docs.python.org/3/reference/compound_stmts.html"
        print(tool.invoke({"urls": [url], "objective": "How does the with statement work?"}))
        ```
    """

    name: str = "parallel_extract"
    description: str = EXTRACT
    args_schema: type[BaseModel] = ParallelExtractInput

    @inspected
    def _run(
        self,
        urls: list[str] | str,
        objective: str | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(urls, objective, settings)
            return self._answer(self.connection().run(extract(request)))

    @inspected
    async def _arun(
        self,
        urls: list[str] | str,
        objective: str | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(urls, objective, settings)
            return self._answer(await self.connection().arun(extract(request)))

    def _request(
        self, urls: list[str] | str, objective: str | None, settings: dict[str, Any]
    ) -> ExtractRequest:
        asked = {"session_id": self.thread_session(), **_given(settings)}
        return ExtractRequest.from_settings(self, urls=urls, objective=objective, **asked)

    def _answer(self, response: ExtractResponse) -> ContentAndArtifact:
        failed = [one_line(f"Could not be read: {error}") for error in response.errors]
        if failed and not any(evidence(response.results)):
            told = cut("\n".join(failed), self.max_output_chars - 50)
            raise ToolException(f"{told}\nTry other URLs, or search for the content.")
        content = self.with_notes(
            lambda room: as_text(response.results, room) or "The pages hold no text.",
            [*failed, *notes_of(response)],
        )
        return content, response.model_dump(mode="json")


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _search_result_block(item: Evidence, most: int) -> dict[str, Any]:
    url, title = web_address(item.metadata["url"]), one_line(item.metadata["title"])
    if not url:  # nothing to cite it by
        return {"type": "text", "text": cut(f"{title}\n{quoted(item.text)}", most)}
    return {
        "type": "search_result",
        "source": url,
        "title": title,
        "content": [{"type": "text", "text": cut(item.text, most - len(url) - len(title))}],
        "citations": {"enabled": True},
    }
