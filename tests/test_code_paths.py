"""One cassette proves every code path: bare client, LangChain and LlamaIndex send the same bytes.

Every code path replays the same file, blocking and awaiting, and comes to the same pages or words.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.tools import ToolException
from llama_index.core.llms import ChatMessage

from parallel_integrations import (
    AuthenticationError,
    ChatRequest,
    ExtractRequest,
    InvalidRequestError,
    ParallelClient,
    SearchRequest,
    SearchResponse,
)
from parallel_integrations._documents.evidence import page_documents, quoted
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelExtractTool,
    ParallelSearchRetriever,
    ParallelSearchTool,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelReader, ParallelRetriever
from tests.langchain.support import collected
from tests.support.cassettes import REPLAY_KEY, replaying
from tests.support.scenario import Question, run
from tests.support.scenarios import BY_NAME

Found: TypeAlias = list[tuple[str, str, str]]
"""Per page: id, url, text."""

SEARCHES = (
    "search/by_objective",
    "search/with_source_policy",
    "search/excerpt_limits",
    "search/older_generation",
    "search/oldest_generation",
)
EXTRACTS = ("extract/two_pages_one_missing", "extract/full_content", "extract/older_generation")
CHATS = (
    "chat/plain_answer",
    "chat/json_schema",
    "chat/research_with_basis",
    "chat/older_path",
    "chat/conversation",
    "chat/continued_research",
)
STREAMS = ("chat/streamed_answer", "chat/streamed_research")


def connected(name: str, **settings: Any) -> ParallelClient:
    """A client for this cassette at the public address; only the cassette can respond."""
    return BY_NAME[name].set_up(api_key=REPLAY_KEY, **settings)


def fixed(question: Question, *given: str) -> dict[str, Any]:
    """What of a request is fixed on an adapter, as opposed to `given` per call."""
    return {
        name: getattr(question, name)
        for name in question.model_fields_set
        if name not in given and name != "search_queries"
    }


def searched(question: SearchRequest) -> dict[str, Any]:
    """What of a search is fixed on an adapter; the cassettes leave its mode to the API."""
    return {"mode": None, **fixed(question, "objective")}


@dataclass(frozen=True)
class CodePath:
    """One code path, blocking and awaiting."""

    blocking: Callable[[Any, ParallelClient], Any]
    awaiting: Callable[[Any, ParallelClient], Awaitable[Any]]


def _langchain_found(documents: Sequence[Any]) -> Found:
    return [(each.id, each.metadata["url"], each.page_content) for each in documents]


def _llama_index_found(nodes: Sequence[Any]) -> Found:
    nodes = [getattr(each, "node", each) for each in nodes]
    return [(each.node_id, each.metadata["url"], each.text) for each in nodes]


def _tool_found(message: Any) -> Found:
    """The pages of a tool's artifact, once it is sure that the model reads each of them."""
    pages = SearchResponse.model_validate(message.artifact).results
    found = [(each.id, each.metadata["url"], each.text) for each in page_documents(pages)]
    assert all(url in message.content and quoted(text) in message.content for _, url, text in found)
    return found


def _tool_call(**arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": "1", "name": "any", "args": arguments}


def _searching(question: SearchRequest) -> dict[str, Any]:
    """The call of a search tool."""
    queries = question.search_queries
    given = {"search_queries": queries} if queries and question.objective else {}
    return _tool_call(objective=question.objective, **given)


def _search_retriever(question: SearchRequest, client: ParallelClient) -> ParallelSearchRetriever:
    return ParallelSearchRetriever(client=client, **searched(question))


def _search_tool(question: SearchRequest, client: ParallelClient) -> ParallelSearchTool:
    return ParallelSearchTool(client=client, handle_tool_error=False, **searched(question))


def _llama_retriever(question: SearchRequest, client: ParallelClient) -> ParallelRetriever:
    return ParallelRetriever(client=client, **searched(question))


def _reader(question: SearchRequest, client: ParallelClient) -> ParallelReader:
    return ParallelReader(client=client, **searched(question))


async def _from_search_retriever(question: Any, client: ParallelClient) -> Found:
    return _langchain_found(await _search_retriever(question, client).ainvoke(question.objective))


async def _from_search_tool(question: Any, client: ParallelClient) -> Found:
    return _tool_found(await _search_tool(question, client).ainvoke(_searching(question)))


async def _from_llama_retriever(question: Any, client: ParallelClient) -> Found:
    return _llama_index_found(
        await _llama_retriever(question, client).aretrieve(question.objective)
    )


async def _from_reader(question: Any, client: ParallelClient) -> Found:
    return _llama_index_found(await _reader(question, client).aload_data(question.objective))


SEARCH_CODE_PATHS = {
    "langchain-retriever": CodePath(
        lambda question, client: _langchain_found(
            _search_retriever(question, client).invoke(question.objective)
        ),
        _from_search_retriever,
    ),
    "langchain-tool": CodePath(
        lambda question, client: _tool_found(
            _search_tool(question, client).invoke(_searching(question))
        ),
        _from_search_tool,
    ),
    "llama-index-retriever": CodePath(
        lambda question, client: _llama_index_found(
            _llama_retriever(question, client).retrieve(question.objective)
        ),
        _from_llama_retriever,
    ),
    "llama-index-reader": CodePath(
        lambda question, client: _llama_index_found(
            _reader(question, client).load_data(question.objective)
        ),
        _from_reader,
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("code_path", SEARCH_CODE_PATHS.values(), ids=SEARCH_CODE_PATHS)
async def test_every_code_path_of_search_replays_the_same_cassette(
    code_path: CodePath, name: str
) -> None:
    (question,) = BY_NAME[name].talk()
    async with connected(name) as client:
        with replaying(name):
            (bare,) = run(BY_NAME[name], client)
        with replaying(name):
            blocking = code_path.blocking(question, client)
        with replaying(name):
            awaiting = await code_path.awaiting(question, client)
    wanted = [(each.id, each.metadata["url"], each.text) for each in page_documents(bare.results)]
    assert wanted
    assert blocking == awaiting == wanted


@pytest.mark.parametrize(
    ("name", "error"),
    [("search/wrong_key", AuthenticationError), ("search/invalid_request", InvalidRequestError)],
)
@pytest.mark.parametrize("code_path", SEARCH_CODE_PATHS.values(), ids=SEARCH_CODE_PATHS)
async def test_every_code_path_of_search_reports_the_same_error(
    code_path: CodePath, name: str, error: type[Exception]
) -> None:
    (question,) = BY_NAME[name].talk()
    async with connected(name) as client:
        with replaying(name):
            (bare,) = run(BY_NAME[name], client)
        with replaying(name), pytest.raises((error, ToolException)) as blocking:
            code_path.blocking(question, client)
        with replaying(name), pytest.raises((error, ToolException)) as awaiting:
            await code_path.awaiting(question, client)
    for caught in (blocking.value, awaiting.value):
        assert str(bare) in str(caught)
        assert isinstance(caught, error) or isinstance(caught.__cause__, error)


@pytest.mark.parametrize("name", EXTRACTS)
async def test_every_code_path_of_extract_replays_the_same_cassette(name: str) -> None:
    (question,) = BY_NAME[name].talk()
    assert isinstance(question, ExtractRequest)
    call = _tool_call(urls=question.urls, objective=question.objective)
    async with connected(name) as client:
        tool = ParallelExtractTool(client=client, **fixed(question, "urls", "objective"))
        with replaying(name):
            (bare,) = run(BY_NAME[name], client)
        with replaying(name):
            blocking = tool.invoke(call)
        with replaying(name):
            awaiting = await tool.ainvoke(call)
    assert blocking == awaiting
    assert blocking.artifact == bare.model_dump(mode="json")
    for page in bare.results:
        assert quoted(page.text) in blocking.content
    for failed in bare.errors:
        assert str(failed) in blocking.content


def _langchain_messages(question: ChatRequest) -> list[BaseMessage]:
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[turn.role](turn.content) for turn in question.messages]


def _llama_messages(question: ChatRequest) -> list[ChatMessage]:
    return [ChatMessage(role=turn.role, content=turn.content) for turn in question.messages]


def _per_call(question: ChatRequest) -> dict[str, Any]:
    names = ("response_format", "previous_interaction_id")
    return {name: value for name in names if (value := getattr(question, name)) is not None}


def _conversation(name: str, client: ParallelClient) -> tuple[list[ChatRequest], list[Any]]:
    """The requests of a conversation, with what the recorded responses put into them."""
    talk = BY_NAME[name].talk()
    questions: list[Any] = []
    with replaying(name):
        results = run(BY_NAME[name], client)
    questions.append(next(talk))
    questions.extend(talk.send(result) for result in results[:-1])
    return questions, [result[0] for result in results]


@pytest.mark.parametrize("name", CHATS)
async def test_every_code_path_of_chat_replays_the_same_cassette(name: str) -> None:
    async with connected(name) as client:
        questions, bare = _conversation(name, client)
        model = ChatParallel(client=client, model=questions[0].model)
        llm = ParallelLLM(client=client, model=questions[0].model)
        with replaying(name):
            chained = [model.invoke(_langchain_messages(q), **_per_call(q)) for q in questions]
        with replaying(name):
            awaited = [
                await model.ainvoke(_langchain_messages(q), **_per_call(q)) for q in questions
            ]
        with replaying(name):
            indexed = [llm.chat(_llama_messages(q), **_per_call(q)) for q in questions]
        with replaying(name):
            also = [await llm.achat(_llama_messages(q), **_per_call(q)) for q in questions]
    texts = [result.text for result in bare]
    assert all(texts)
    assert [str(message.text) for message in chained] == texts
    assert [str(message.text) for message in awaited] == texts
    assert [result.message.content for result in indexed] == texts
    assert [result.message.content for result in also] == texts
    for result, message, response in zip(bare, chained, indexed, strict=True):
        if result.basis:
            fields = [each.field for each in result.basis]
            for evidence in (message.additional_kwargs, response.additional_kwargs):
                assert [each["field"] for each in evidence["basis"]] == fields


@pytest.mark.parametrize("name", STREAMS)
async def test_every_code_path_of_streamed_chat_replays_the_same_cassette(name: str) -> None:
    (question,) = BY_NAME[name].talk()
    async with connected(name) as client:
        model = ChatParallel(client=client, model=question.model)
        llm = ParallelLLM(client=client, model=question.model)
        with replaying(name):
            (bare,) = run(BY_NAME[name], client)
        with replaying(name):
            chunks = list(model.stream(_langchain_messages(question)))
        with replaying(name):
            awaited = [each async for each in model.astream(_langchain_messages(question))]
        with replaying(name):
            deltas = [each.delta or "" for each in llm.stream_chat(_llama_messages(question))]
        with replaying(name):
            stream = await llm.astream_chat(_llama_messages(question))
            also = [each.delta or "" async for each in stream]
    text = "".join(chunk.text for chunk in bare)
    assert text
    assert "".join(str(chunk.text) for chunk in chunks) == text
    assert "".join(str(chunk.text) for chunk in awaited) == text
    assert "".join(deltas) == "".join(also) == text
    whole = collected(chunks)
    basis = [each.field for chunk in bare for each in chunk.basis]
    message = message_chunk_to_message(whole)
    assert [each["field"] for each in message.additional_kwargs.get("basis", [])] == basis


def test_a_completion_of_llama_index_is_a_conversation_of_one_turn() -> None:
    name = "chat/plain_answer"
    (question,) = BY_NAME[name].talk()
    with connected(name) as client:
        with replaying(name):
            (bare,) = run(BY_NAME[name], client)
        with replaying(name):
            completed = ParallelLLM(client=client).complete(question.messages[0].content)
    assert completed.text == bare[0].text
