"""Search as a LangChain retriever."""

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import AliasChoices, Field, model_validator

from parallel_integrations.adapter import Adapter
from parallel_integrations.api import search
from parallel_integrations.api.evidence import Split, evidence
from parallel_integrations.api.search import (
    DEFAULT_RESULTS,
    MOST_RESULTS,
    SearchRequest,
    SearchResponse,
    SearchSettings,
)


class ParallelSearchRetriever(Adapter, SearchSettings, BaseRetriever):
    """Finds web pages for a question and returns them as documents with their sources.

    The question is the search's objective; keyword queries are derived from it without a model.
    A document's metadata is `url`, `title`, `published_at` (ISO 8601 or None) and `source`
    (= url); its id depends on the url alone. Pages without text give no document.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, `max_retries`, `client`)
    and the settings of a search (`mode`, `source_policy`, `fetch_policy`, `location`,
    `max_chars_total`, `max_chars_per_result`, `session_id`, `client_model`) it takes:

    Attributes:
        k: Number of results, 1 to 40; 10 by default, which a search's price includes. Also
            accepted as `max_results`; both can be given per call too.
        split: `"page"` for one document per page, `"excerpt"` for one per excerpt, with
            `start_char` and `end_char` in its metadata where the wire gives them.

    Raises:
        ParallelError: From `invoke` and its twins; never an empty list in place of an error.
        pydantic.ValidationError: A setting or a question past its limit, before anything is sent.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelSearchRetriever

        retriever = ParallelSearchRetriever(k=3)
        for document in retriever.invoke("How does the with statement handle exceptions?"):
            print(document.metadata["title"], document.metadata["url"])
        ```
    """

    k: int = Field(
        default=DEFAULT_RESULTS,
        ge=1,
        le=MOST_RESULTS,
        validation_alias=AliasChoices("k", "max_results"),
    )
    split: Split = "page"

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, values: Any) -> Any:
        if isinstance(values, dict):
            _agreed(values.get("k"), values.get("max_results"))
        return values

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        max_results: int | None = None,
    ) -> list[Document]:
        request = self._request(query, _agreed(k, max_results))
        return self._documents(self.connection().run(search(request)))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        max_results: int | None = None,
    ) -> list[Document]:
        request = self._request(query, _agreed(k, max_results))
        return self._documents(await self.connection().arun(search(request)))

    def _request(self, query: str, k: int | None) -> SearchRequest:
        return SearchRequest.from_settings(
            self, objective=query, max_results=self.k if k is None else k
        )

    def _documents(self, response: SearchResponse) -> list[Document]:
        return [
            Document(id=item.id, page_content=item.text, metadata=item.metadata)
            for item in evidence(response.results, self.split)
        ]


def _agreed(k: int | None, max_results: int | None) -> int | None:
    if k is not None and max_results is not None and k != max_results:
        raise TypeError(  # no ValueError: pydantic would show all arguments, the key among them
            f"k={k} and max_results={max_results} are two names of one number; give one of them"
        )
    return max_results if k is None else k
