"""What LlamaIndex's methods are handed by mistake: a sentence, before anything is sent."""

from collections.abc import AsyncGenerator, Generator, Iterator
from functools import partial
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers.base import (  # type: ignore[attr-defined]
    BaseEventHandler,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import QueryBundle, TextNode
from llama_index.core.tools import ToolMetadata
from pydantic import BaseModel, PrivateAttr

from parallel_integrations import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.llama_index import (
    ParallelEntityRetriever,
    ParallelExtractor,
    ParallelFactEvaluator,
    ParallelLLM,
    ParallelQueryEngine,
    ParallelRetriever,
    ParallelSelector,
    ParallelToolSpec,
    resolve_citations,
)
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.support import check_failure
from tests.support.connected import made
from tests.support.requests import QUESTION

TURN = ChatMessage(role="user", content=QUESTION)
PROMPT = PromptTemplate("{question}")


class Statement(BaseModel):
    """A statement of the language."""

    purpose: str


async def both(adapter: Any, method: str, *given: Any, **named: Any) -> list[Any]:
    """What a method and its awaiting twin give, streams read to their end."""
    blocking = getattr(adapter, method)(*given, **named)
    if isinstance(blocking, Generator):
        blocking = list(blocking)
    awaited = await getattr(adapter, f"a{method}")(*given, **named)
    if isinstance(awaited, AsyncGenerator):
        awaited = [each async for each in awaited]
    return [blocking, awaited]


refused = partial(check_failure, ArgumentTypeError)
blank = partial(check_failure, InvalidArgumentError)


QUERIES = [
    (None, "query must be a text or a QueryBundle, not None"),
    (5, "not a int"),
    (["a", "b"], "not a list"),
    ({"query_str": "a"}, "not a dict"),
    (QueryBundle(None), "query_str of the QueryBundle must be a text, not None"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("query", "words"), QUERIES)
async def test_what_is_no_query(sandbox: Sandbox, query: Any, words: str) -> None:
    for make, method in (
        (ParallelRetriever, "retrieve"),
        (ParallelEntityRetriever, "retrieve"),
        (ParallelQueryEngine, "query"),
    ):
        adapter = made(make, sandbox)
        await refused(words, adapter, method, query)
        await refused(words, adapter, method, str_or_query_bundle=query)
    await refused(words, made(ParallelSelector, sandbox), "select", ["a", "b"], query)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (QUESTION, r"messages must be a list, like \[ChatMessage\(content='…'\)\], not a str"),
        (TURN, "messages must be a list, .* not a ChatMessage"),
        (None, "messages must be a list, .* not None"),
        ([QUESTION], r"messages\[0\] must be a ChatMessage, not a str"),
        ([TURN, None], r"messages\[1\] must be a ChatMessage, not None"),
        ({"role": "user", "content": QUESTION}, "not a dict"),
    ],
)
async def test_what_is_no_conversation(sandbox: Sandbox, messages: Any, words: str) -> None:
    llm = made(ParallelLLM, sandbox)
    for method in ("chat", "stream_chat"):
        await refused(words, llm, method, messages)
        await refused(words, llm, method, messages=messages)
    assert not sandbox.requests


@pytest.mark.parametrize("prompt", [None, 5, [QUESTION], TURN])
async def test_what_is_no_prompt(sandbox: Sandbox, prompt: Any) -> None:
    llm = made(ParallelLLM, sandbox)
    for method in ("complete", "stream_complete"):
        await refused("prompt must be a text, not", llm, method, prompt)
        await refused("prompt must be a text, not", llm, method, prompt=prompt)
    assert not sandbox.requests


@pytest.mark.parametrize("prompt", [QUESTION, None, TURN])
async def test_what_is_no_template(sandbox: Sandbox, prompt: Any) -> None:
    llm = made(ParallelLLM, sandbox)
    words = r"prompt must be a template, like PromptTemplate\('What is \{thing\}\?'\), not"
    for method in ("predict", "stream"):
        await refused(words, llm, method, prompt)
    for method in ("structured_predict", "stream_structured_predict"):
        await refused(words, llm, method, Statement, prompt)
        await refused(words, llm, method, output_cls=Statement, prompt=prompt)
    assert not sandbox.requests


async def test_choices_and_nodes_of_the_wrong_kind(sandbox: Sandbox) -> None:
    selector = made(ParallelSelector, sandbox)
    await refused("choices must be a list, like .*, not None", selector, "select", None, QUESTION)
    words = r"choices\[1\] must be a ToolMetadata or text, not a int"
    await refused(words, selector, "select", ["a", 5], QUESTION)
    await blank("the query is blank", selector, "select", ["a", ToolMetadata("b")], " \n")
    extractor = made(ParallelExtractor, sandbox, output_schema=Statement)
    words = r"nodes must be a list, like \[TextNode\(text='…'\)\], not None"
    await refused(words, extractor, "extract", None)
    await refused(
        r"nodes\[1\] must be a BaseNode, not a str", extractor, "extract", [TextNode(), ""]
    )
    retriever = made(ParallelEntityRetriever, sandbox)
    await blank("is the objective, is blank: describe the entities", retriever, "retrieve", " ")
    assert not sandbox.requests


class Turns(BaseEventHandler):  # type: ignore[misc]
    """Counts the turns in the events of a conversation."""

    _seen: list[int] = PrivateAttr(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        if event.class_name() in ("LLMChatStartEvent", "LLMChatEndEvent"):
            self._seen.append(len(event.messages))


async def test_an_iterator_of_messages_is_read_once(sandbox: Sandbox) -> None:
    def turns() -> Iterator[ChatMessage]:
        yield ChatMessage(role="system", content="Be brief.")
        yield TURN

    handler = Turns()
    get_dispatcher().add_event_handler(handler)
    try:
        llm = made(ParallelLLM, sandbox)
        answers = [llm.chat(turns()), await llm.achat(messages=turns())]
        answers += [list(llm.stream_chat(turns()))[-1]]
        answers += [[each async for each in await llm.astream_chat(turns())][-1]]
    finally:
        get_dispatcher().event_handlers.remove(handler)
    assert all(isinstance(each, ChatResponse) and each.message.content for each in answers)
    assert [len(each.body["messages"]) for each in sandbox.requests] == [2] * 4
    assert handler._seen == [2] * 8


async def test_what_is_right_goes_through_with_and_without_its_name(sandbox: Sandbox) -> None:
    llm = made(ParallelLLM, sandbox, model="lite")
    engine, retriever = made(ParallelQueryEngine, sandbox), made(ParallelRetriever, sandbox)
    for one, other in (
        await both(llm, "complete", QUESTION),
        await both(llm, "stream_complete", prompt=QUESTION),
        await both(llm, "predict", prompt=PROMPT, question=QUESTION),
        await both(llm, "stream", PROMPT, question=QUESTION),
        await both(llm, "stream_structured_predict", Statement, prompt=PROMPT, question=QUESTION),
        await both(retriever, "retrieve", str_or_query_bundle=QueryBundle(QUESTION)),
        await both(engine, "query", str_or_query_bundle=QUESTION),
    ):
        assert one
        assert str(one)[:60] == str(other)[:60]


def test_what_stands_first_without_its_name_as_in_llama_index(sandbox: Sandbox) -> None:
    url = {"base_url": sandbox.url, "api_key": sandbox.api_key}
    positional: Any = ParallelLLM  # type checkers know the names alone
    assert positional("base", **url).complete(QUESTION).additional_kwargs["basis"]
    assert ParallelQueryEngine("core", **url).query(QUESTION).source_nodes
    assert [each.body["model"] for each in sandbox.requests] == ["base", "core"]
    spec = ParallelToolSpec(sandbox.api_key, base_url=sandbox.url)
    assert spec.parallel_search(QUESTION)
    assert sandbox.api_key not in repr(spec)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["search"], r"has no function 'search'; it has parallel_search, parallel_extract, .*deep"),
        (["parallel_serch"], "has no function 'parallel_serch'"),
        ([None], "has no function None"),
        ([("parallel_search", "search")], "has no function 'search'"),
        ("parallel_search", r"must be a list, like \['parallel_search'\]"),
    ],
)
def test_a_tool_that_there_is_not(wanted: Any, words: str) -> None:
    spec = ParallelToolSpec()
    with pytest.raises(InvalidArgumentError, match=words):
        spec.to_tool_list(wanted)
    with pytest.raises(InvalidArgumentError, match="no function 'search'; it has parallel_search"):
        spec.to_tool_list(func_to_metadata_mapping={"search": ToolMetadata("Search.", "search")})


@pytest.mark.parametrize("make", [ParallelLLM, ParallelQueryEngine, ParallelRetriever])
@pytest.mark.parametrize("given", ["handler", [LlamaDebugHandler()]])
def test_what_is_no_callback_manager(make: Any, given: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"like CallbackManager\(\[handler\]\), not a"):
        make(callback_manager=given)


@pytest.mark.parametrize("given", ["gpt", print, ParallelRetriever])
def test_what_cannot_write_queries(given: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="query_writer must be an LLM of LlamaIndex"):
        ParallelRetriever(query_writer=given)


@pytest.mark.parametrize("nodes", [None, "a", ["a"], [{"url": "https://a.example/"}], TextNode()])
def test_what_is_no_node_that_is_cited(nodes: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"nodes.* must be a"):
        resolve_citations("It is [1].", nodes)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"query": 5}, "query must be a text, not a int"),
        ({"response": ["a"]}, "response must be a text, not a list"),
        ({"contexts": "a page"}, r"contexts must be a list, like \['…', '…'\], not a str"),
        ({"contexts": ["a page", 5]}, r"contexts\[1\] must be a text, not a int"),
    ],
)
async def test_what_an_evaluator_cannot_score(given: dict[str, Any], words: str) -> None:
    right = {"query": QUESTION, "response": "a", "contexts": ["a"], "reference": "a"}
    evaluator = ParallelFactEvaluator()
    with pytest.raises(ArgumentTypeError, match=words):
        await evaluator.aevaluate(**{**right, **given})
    with pytest.raises(InvalidArgumentError, match="min_score='all' must be a number"):
        ParallelFactEvaluator(min_score="all")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="min_score=True must be a number"):
        ParallelFactEvaluator(min_score=True)
