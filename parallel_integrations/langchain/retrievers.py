"""Search and entity search as LangChain retrievers."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, TypedDict, Unpack

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.documents import Document
from langchain_core.language_models import BaseLanguageModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import AliasChoices, Field, WithJsonSchema, model_validator

from parallel_integrations._documents.adapter import NO_JSON, PacedAdapter, refuse_unknown
from parallel_integrations._documents.entities import DEFAULT_ENTITIES, entity_request, listed
from parallel_integrations._documents.evidence import DocumentSettings, PageDocument
from parallel_integrations._documents.query_writer import PROMPT, QueriedSearch, falling_back
from parallel_integrations._documents.searching import RETRIEVER_MODE
from parallel_integrations.api import entity_search, search
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models.findall import MAX_MATCHES, EntitySearchResponse, EntityType
from parallel_integrations.models.pages import Objective
from parallel_integrations.models.search import (
    DEFAULT_RESULTS,
    MAX_RESULTS,
    SearchResponse,
    SearchSettings,
)

SEARCH_EVENT: Final = "parallel_search"
ENTITY_EVENT: Final = "parallel_entity_search"


def _number(default: int, most: int) -> Any:
    return Field(default=default, ge=1, le=most, validation_alias=AliasChoices("k", "max_results"))


class Call(TypedDict, total=False):
    """What one call of a retriever may set."""

    k: int | None
    max_results: int | None


class SearchCall(Call, total=False):
    """What one call of a `ParallelSearchRetriever` may set."""

    objective: str | None
    search_queries: Sequence[str] | None


class EntityCall(Call, total=False):
    """What one call of a `ParallelEntityRetriever` may set."""

    entity_type: EntityType | None


class _Numbered(PacedAdapter):
    """A retriever whose `k` also goes by the name that the rest of the package has for it."""

    call_names: ClassVar[frozenset[str]]
    k: int
    """How many documents a call gives."""

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, values: Any) -> Any:
        if isinstance(values, dict):
            _agreed(values.get("k"), values.get("max_results"), 0)
        return values

    def _count(self, call: Call) -> int:
        """How many documents a call gives; refuses whatever else it was given."""
        # LangChain passes on whatever `invoke` is given: a misspelled setting would be ignored.
        refuse_unknown(type(self), call, self.call_names)
        return _agreed(call.get("k"), call.get("max_results"), self.k)


class ParallelSearchRetriever(_Numbered, SearchSettings, DocumentSettings, BaseRetriever):
    """Finds web pages for a question and returns them as documents with their sources.

    The question is the search's objective; keyword queries are derived from it without a model. One
    of more than 5000 characters is shortened, with a warning in the log. A call may bring its own:
    `retriever.invoke(question, search_queries=[…], objective="…")`.
    A document's metadata is `url`, `title`, `published_at` (ISO 8601 or None) and `source`
    (= url); its id depends on the url alone, with `split="excerpt"` on url and text. Pages without
    text give no document.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, `max_retries`, `client`)
    and the settings of a search (`source_policy`, `fetch_policy`, `location`,
    `max_chars_total`, `max_chars_per_result`, `session_id`, `client_model`) it takes:

    Attributes:
        k: Number of results, 1 to 40; 10 by default, which a search's price includes. Also
            accepted as `max_results`; both can be given per call too.
        mode: `advanced` by default, because one search has to find it all; `fast` costs a fifth and
            takes about 2 seconds less.
        objective: The objective of all searches, or of one call; the question then decides the
            keyword queries alone.
        split: `"page"` (default) for one document per page, `"excerpt"` for one per excerpt, with
            `start_char` and `end_char` in its metadata where the wire gives them.
        published_day: True adds the day of publication to the metadata as a number (20240501, 0
            where unknown), for stores that compare only numbers.
        constant_keys: True gives every document the same metadata keys, with values of the same
            types.
        rate_limiter: LangChain's, as on chat models: waited for before each search.
        query_writer: A chat model, or any runnable that takes the question and gives `objective`
            and `search_queries` (object, dict or JSON text). If it fails in any way, queries are
            derived from the question, with a warning in the log.

    What changes from call to call (`search_id`, `session_id`, `warnings`, `usage`) is no metadata:
    callbacks receive it as the custom event `parallel_search`.

    Raises:
        ParallelError: From `invoke` and `ainvoke`; never an empty list in place of an error.
        InvalidArgumentError: A setting or a question past its limit, before anything is sent.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelSearchRetriever

        retriever = ParallelSearchRetriever(k=3)
        for document in retriever.invoke("How does the with statement handle exceptions?"):
            print(document.metadata["title"], document.metadata["url"])
        ```
    """

    call_names = SearchCall.__optional_keys__
    k: int = _number(DEFAULT_RESULTS, MAX_RESULTS)
    """Number of results, 1 to 40; 10 by default, which a search's price includes. Also accepted as
    `max_results`; both can be given per call too.
    """
    mode: str | None = Field(default=RETRIEVER_MODE, min_length=1)
    """`advanced` by default, because one search has to find it all; `fast` costs a fifth and takes
    about 2 seconds less.
    """
    objective: Objective | None = None
    """The objective of all searches, or of one call; the question then decides the keyword queries
    alone.
    """
    query_writer: Annotated[Runnable[Any, Any] | None, WithJsonSchema(NO_JSON)] = None
    """A chat model, or any runnable that takes the question and gives `objective` and
    `search_queries` (object, dict or JSON text). If it fails in any way, queries are derived from
    the question, with a warning in the log.
    """

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **call: Unpack[SearchCall],
    ) -> list[Document]:
        found = self._search(query, call)
        if self.query_writer is not None and call.get("search_queries") is None:
            with falling_back():
                found.rewrite(self.query_writer.invoke(self._prompt(query), _within(run_manager)))
        response = self.resolved_client().run(search(found.request))
        if run_manager.handlers:  # without any, dumping the response would be wasted
            dispatch_custom_event(SEARCH_EVENT, _volatile(response), config=_within(run_manager))
        return self._documents(response)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **call: Unpack[SearchCall],
    ) -> list[Document]:
        found = self._search(query, call)
        if self.query_writer is not None and call.get("search_queries") is None:
            with falling_back():
                written = self.query_writer.ainvoke(self._prompt(query), _within(run_manager))
                found.rewrite(await written)
        response = await self.resolved_client().arun(search(found.request))
        if run_manager.handlers:  # without any, dumping the response would be wasted
            config = _within(run_manager)
            await adispatch_custom_event(SEARCH_EVENT, _volatile(response), config=config)
        return self._documents(response)

    def _search(self, query: str, call: SearchCall) -> QueriedSearch:
        count, objective = self._count(call), call.get("objective")
        return QueriedSearch(
            self,
            query,
            objective=self.objective if objective is None else objective,
            search_queries=call.get("search_queries"),
            max_results=count,
        )

    def _prompt(self, query: str) -> str:
        wants_prompt = isinstance(self.query_writer, BaseLanguageModel)
        return PROMPT.format(question=query) if wants_prompt else query

    def _documents(self, response: SearchResponse) -> list[Document]:
        return [as_document(each) for each in self.documents_of(response.results)]


class ParallelEntityRetriever(_Numbered, BaseRetriever):
    """Lists companies or people that fit a description, within a second and unchecked.

    A document's text is the entity's description. Its metadata is that of a found page: `url`,
    `title` (the entity's name), `published_at` (None) and `source` (= url); its id depends on url
    and name, and is that of a FindAll match of the same entity.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, `max_retries`, `client`)
    it takes:

    Attributes:
        entity_type: `companies` (the default) or `people`; can be given per call, too.
        k: How many, 1 to 1000; 10 by default, 100 are included in the price of 0.005 USD. Also
            accepted as `max_results`; both can be given per call too.
        rate_limiter: LangChain's, as on chat models: waited for before each call.

    What changes from call to call (`entity_set_id`, `warnings`) is no metadata: callbacks receive
    it as the custom event `parallel_entity_search`.

    Raises:
        ParallelError: From `invoke` and `ainvoke`; never an empty list in place of an error.
        InvalidArgumentError: A setting past its limit, before anything is sent.
    """

    call_names = EntityCall.__optional_keys__
    entity_type: EntityType = "companies"
    """`companies` (the default) or `people`; can be given per call, too."""
    k: int = _number(DEFAULT_ENTITIES, MAX_MATCHES)
    """How many, 1 to 1000; 10 by default, 100 are included in the price of 0.005 USD. Also accepted
    as `max_results`; both can be given per call too.
    """

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **call: Unpack[EntityCall],
    ) -> list[Document]:
        k = self._count(call)
        request = entity_request(query, call.get("entity_type") or self.entity_type, k)
        response = self.resolved_client().run(entity_search(request))
        if run_manager.handlers:
            config = _within(run_manager)
            dispatch_custom_event(ENTITY_EVENT, _volatile(response), config=config)
        return [as_document(each) for each in listed(response, k)]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **call: Unpack[EntityCall],
    ) -> list[Document]:
        k = self._count(call)
        request = entity_request(query, call.get("entity_type") or self.entity_type, k)
        response = await self.resolved_client().arun(entity_search(request))
        if run_manager.handlers:
            config = _within(run_manager)
            await adispatch_custom_event(ENTITY_EVENT, _volatile(response), config=config)
        return [as_document(each) for each in listed(response, k)]


def as_document(page: PageDocument) -> Document:
    """A page as LangChain's document."""
    return Document(id=page.id, page_content=page.text, metadata=page.metadata)


def _agreed(k: int | None, max_results: int | None, default: int) -> int:
    if k is not None and max_results is not None and k != max_results:
        raise InvalidArgumentError(
            f"k={k} and max_results={max_results} are two names of one number; give one of them"
        )
    given = max_results if k is None else k
    return default if given is None else given


def _within(
    run: CallbackManagerForRetrieverRun | AsyncCallbackManagerForRetrieverRun,
) -> RunnableConfig:
    return {"callbacks": run.get_child()}


def _volatile(response: SearchResponse | EntitySearchResponse) -> dict[str, Any]:
    return response.model_dump(mode="json", exclude={"results", "entities"})
