"""`ParallelLLM(model="parallel")`: Responses as an LLM, and its spans in engines."""

import json
from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import TextNode

from parallel_integrations import (
    InvalidArgumentError,
    ParallelClient,
    ParallelError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations.llama_index import (
    ParallelLLM,
    ParallelQueryEngine,
    citation_blocks,
    evidence_of,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.cassettes import replaying
from tests.support.raw_server import RawServer, Talk
from tests.support.scenario import run
from tests.support.scenarios import BY_NAME, QUESTION, Explained
from tests.support.scripted_operation import BOTH

TURN = [ChatMessage(role="user", content=QUESTION)]


@pytest.fixture
def llm(client: ParallelClient) -> ParallelLLM:
    return ParallelLLM(model="parallel", reasoning_effort="low", client=client)


async def answered(llm: ParallelLLM, *, awaiting: bool) -> tuple[ChatResponse, list[ChatResponse]]:
    """An answer as a whole, and in pieces."""
    if awaiting:
        return await llm.achat(TURN), [each async for each in await llm.astream_chat(TURN)]
    return llm.chat(TURN), list(llm.stream_chat(TURN))


@BOTH
async def test_spans_are_in_the_evidence_and_the_blocks_whole_and_streamed(
    llm: ParallelLLM, awaiting: bool
) -> None:
    whole, pieces = await answered(llm, awaiting=awaiting)
    text = whole.message.content or ""
    assert pieces[-1].message.content == text
    assert "".join(each.delta or "" for each in pieces) == text
    for response in (whole, pieces[-1]):
        evidence = evidence_of(response)
        assert evidence["response_id"].startswith("resp_")
        assert evidence == evidence_of(response.message)
        blocks = citation_blocks(response)
        assert len(blocks) == len(evidence["annotations"]) > 0
        for block in blocks:
            assert block.source.startswith("https://docs.python.org/")
            assert block.title
            place: Any = block.additional_location_info
            assert text[place["start_index"] : place["end_index"]].startswith("“")
        assert response.message.additional_kwargs == {}
        raw: Any = response.raw
        assert raw["usage"]["total_tokens"] > 0


def test_every_code_path_replays_the_cassettes_of_the_core(replayed: ParallelClient) -> None:
    llm = ParallelLLM(model="parallel", reasoning_effort="low", client=replayed)
    with replaying("responses/cited_text"):
        [bare] = run(BY_NAME["responses/cited_text"], replayed)
    with replaying("responses/cited_text"):
        assert llm.complete(QUESTION).text == bare.text
    with replaying("responses/cited_text"):
        response = llm.chat(TURN)
    assert evidence_of(response)["annotations"] == [
        each.model_dump(mode="json") for each in bare.annotations
    ]
    with replaying("responses/streamed"):
        assert list(llm.stream_complete(QUESTION))[-1].text == bare.text


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@BOTH
async def test_a_query_engines_source_nodes_say_which_words_a_page_supports(
    client: ParallelClient, streaming: bool, awaiting: bool
) -> None:
    engine = ParallelQueryEngine(
        model="parallel",
        reasoning_effort="low",
        client=client,
        streaming=streaming,
        sources_footer=True,
    )
    response: Any = await engine.aquery(QUESTION) if awaiting else engine.query(QUESTION)
    if not streaming:
        text = str(response)
    elif awaiting:
        text = "".join([each async for each in response.async_response_gen()])
    else:
        text = "".join(response.response_gen)
    assert response.source_nodes
    for node in response.source_nodes:
        meta = node.metadata
        assert meta["statement"] == text[meta["start_index"] : meta["end_index"]]
        assert f": {meta['url']}" in text.partition("Sources:\n")[2]
        assert node.text == ""
    assert len({node.node_id for node in response.source_nodes}) == len(response.source_nodes)
    assert len(citation_blocks(response)) == len(response.source_nodes)


@BOTH
async def test_structured_answers_keep_their_spans(llm: ParallelLLM, awaiting: bool) -> None:
    prompt = PromptTemplate("{question}")
    if awaiting:
        value = await llm.astructured_predict(Explained, prompt, question=QUESTION)
    else:
        value = llm.structured_predict(Explained, prompt, question=QUESTION)
    assert value.statement
    assert evidence_of(value)["annotations"]
    engine = ParallelQueryEngine(model="parallel", output_cls=Explained, client=llm.client)
    response: Any = await engine.aquery(QUESTION) if awaiting else engine.query(QUESTION)
    assert isinstance(response.response, Explained)
    assert response.source_nodes[0].metadata["end_index"] > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_chat_engine_goes_on_by_the_last_answers_id_on_request(
    llm: ParallelLLM, sandbox: Sandbox
) -> None:
    going_on = ParallelLLM(
        model="parallel",
        client=llm.client,
        use_previous_response_id=True,
        system_prompt="Be brief.",
    )
    memory = ChatMemoryBuffer.from_defaults(llm=going_on)  # the default one is left unclosed
    engine = SimpleChatEngine.from_defaults(llm=going_on, memory=memory)
    first_id = evidence_of(engine.chat(QUESTION))["response_id"]
    engine.chat("And why?")
    before, after = (each.body for each in sandbox.requests)
    assert "previous_response_id" not in before
    assert after["previous_response_id"] == first_id
    assert after["input"] == "And why?"
    history = [*TURN, llm.chat(TURN).message, ChatMessage(role="user", content="And why?")]
    llm.chat(history)
    assert len(sandbox.requests[-1].body["input"]) == 3
    llm.chat(TURN, previous_response_id=first_id, reasoning_effort="high")
    assert sandbox.requests[-1].body["reasoning"] == {"effort": "high"}


def test_two_conversations_that_read_alike_are_not_mixed(llm: ParallelLLM) -> None:
    texts = [llm.chat(TURN).message.content for _ in range(2)]
    assert texts[0] == texts[1]
    found = evidence_of(ChatMessage(role=MessageRole.ASSISTANT, content=texts[0]))
    assert found["annotations"]
    assert "response_id" not in found


def test_prompts_are_packed_into_what_the_endpoint_takes(llm: ParallelLLM) -> None:
    assert llm.metadata.context_window == 3333
    assert ParallelLLM(model="parallel", context_window=900).metadata.context_window == 900
    assert ParallelLLM().metadata.context_window == 128_000
    with pytest.raises(InvalidArgumentError, match="20001 characters"):
        llm.complete("x" * 20_001)
    with pytest.raises(TypeError, match="goes with model= only"):
        ParallelQueryEngine(processor="lite", reasoning_effort="low")
    copy = ParallelLLM.from_dict(llm.to_dict())
    assert (copy.model, copy.reasoning_effort) == ("parallel", "low")


def test_failures_are_this_packages_errors(llm: ParallelLLM) -> None:
    failing: Any = {"extra_body": {"metadata": {"sandbox": "fail"}}}
    with pytest.raises(UnexpectedAnswerError, match="set to fail"):
        llm.chat(TURN, **failing)
    with pytest.raises(StreamInterruptedError, match="set to fail"):
        list(llm.stream_chat(TURN, **failing))
    assert json.loads(llm.chat(TURN).model_dump_json())


ODD_SPANS = [(0, 2), (-4, 2), (1, 500), (2, 1), (None, 2), ("a", 2)]


def odd_spans(talk: Talk, request: bytes) -> None:
    """Respond with citations, most of which name no place of the text."""
    cited = [
        {"url": f"https://{n}.example/", "start_index": start, "end_index": end}
        for n, (start, end) in enumerate(ODD_SPANS)
    ]
    content = [{"type": "output_text", "text": "It is.", "annotations": cited}]
    whole = {"id": "resp_1", "status": "completed", "output": [{"content": content}]}
    if b'"stream":true' not in request:
        return talk.respond(json.dumps(whole).encode())
    talk.begin_stream()
    event = json.dumps({"type": "response.completed", "response": whole})
    talk.send_chunk(f"data: {event}\n\n".encode())
    return talk.end_stream()


@BOTH
async def test_a_page_cited_at_no_place_of_the_text_is_cited_all_the_same(awaiting: bool) -> None:
    with RawServer(odd_spans) as server:
        llm = ParallelLLM(model="parallel", api_key="some-key", base_url=server.url)
        whole, pieces = await answered(llm, awaiting=awaiting)
    for response in (whole, pieces[-1]):
        places = [block.additional_location_info for block in citation_blocks(response)]
        assert places == [{"start_index": 0, "end_index": 2}] + [{}] * (len(ODD_SPANS) - 1)


PROSE = (
    "The committee considered several alternative arrangements, including administrative "
    "restructuring and additional collaboration, before it recommended an independent body. "
)


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
def test_english_prose_fits_into_one_call(llm: ParallelLLM, mode: Any) -> None:
    text = (PROSE + "So it did, in the end, for a year or two, and that was that. ") * 200
    index = SummaryIndex([TextNode(text=part) for part in (text[:9000], text[9000:18000], text)])
    response = index.as_query_engine(llm=llm, response_mode=mode).query(QUESTION)
    assert str(response) != "Empty Response"


@pytest.mark.parametrize("output_cls", [None, Explained])
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_prompt_that_is_too_long_is_no_empty_response(
    llm: ParallelLLM, output_cls: Any, streaming: bool
) -> None:
    wide = ParallelLLM(model="parallel", context_window=50_000, client=llm.client)
    index = SummaryIndex([TextNode(text=PROSE * 200)])
    engine = index.as_query_engine(llm=wide, output_cls=output_cls, streaming=streaming)

    async def awaited() -> str:
        response = await engine.aquery(QUESTION)
        if isinstance(response, AsyncStreamingResponse):
            return "".join([each async for each in response.async_response_gen()])
        return str(response)

    with pytest.raises(ParallelError, match="characters, the API takes 20000"):
        str(engine.query(QUESTION))
    with pytest.raises(ParallelError, match="characters, the API takes 20000"):
        await awaited()
