"""Structured answers: four calls, one object, and its evidence."""

import copy
import json
import pickle
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from llama_index.core.base.response.schema import PydanticResponse
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from parallel_integrations import (
    InvalidArgumentError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations.llama_index import (
    ParallelLLM,
    ParallelQueryEngine,
    ParallelRetriever,
    citation_blocks,
    evidence_of,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import made

PROMPT = PromptTemplate("What is the purpose of the {name} statement?")
INPUTS = "What is the purpose of the with statement?"
CHAT = "/chat/completions"


class Statement(BaseModel):
    """A statement of the language."""

    purpose: str
    examples: list[str]


def make(sandbox: Sandbox, model: str = "lite", **settings: Any) -> ParallelLLM:
    return ParallelLLM(model=model, api_key=sandbox.api_key, base_url=sandbox.url, **settings)


async def listed(stream: AsyncGenerator[Any, None]) -> list[Any]:
    return [each async for each in stream]


async def four(llm: ParallelLLM, output_cls: type[BaseModel] = Statement) -> list[list[Any]]:
    """What each of the four structured calls gives, object by object."""
    return [
        [llm.structured_predict(output_cls, PROMPT, name="with")],
        [await llm.astructured_predict(output_cls, PROMPT, name="with")],
        list(llm.stream_structured_predict(output_cls, PROMPT, name="with")),
        await listed(await llm.astream_structured_predict(output_cls, PROMPT, name="with")),
    ]


async def test_four_code_paths_to_one_object(sandbox: Sandbox) -> None:
    answers = await four(make(sandbox, system_prompt="Be brief."))
    objects = [each[-1] for each in answers]
    assert all(type(each) is Statement for each in objects)
    assert len({each.model_dump_json() for each in objects}) == 1
    assert objects[0].purpose
    for request in sandbox.requests:
        assert request.body["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": INPUTS},
        ]
        form = request.body["response_format"]
        assert form["type"] == "json_schema"
        assert form["json_schema"]["name"] == "Statement"
        assert form["json_schema"]["schema"]["required"] == ["purpose", "examples"]
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize("model", ["lite", "parallel"])
async def test_stop_sequences_do_not_cut_an_object(sandbox: Sandbox, model: str) -> None:
    whole = [pieces[-1] for pieces in await four(make(sandbox, model))]
    assert [pieces[-1] for pieces in await four(make(sandbox, model, stop=["e"]))] == whole
    assert make(sandbox, model, stop=["e"]).complete(INPUTS).text == "Th"


async def test_a_stream_gives_growing_objects(sandbox: Sandbox) -> None:
    for pieces in (await four(make(sandbox)))[2:]:
        *partial, whole = pieces
        assert len(partial) > 2
        lengths = [len(getattr(each, "purpose", None) or "") for each in partial]
        assert lengths == sorted(lengths)
        assert lengths[0] < lengths[-1] == len(whole.purpose)
        assert isinstance(whole, Statement)


@pytest.mark.parametrize("model", ["lite", "base", "core"])
async def test_an_object_carries_its_evidence(sandbox: Sandbox, model: str) -> None:
    for pieces in await four(make(sandbox, model)):
        value = pieces[-1]
        evidence = evidence_of(value)
        assert "sandbox" in evidence["interaction_id"]
        assert {field["field"] for field in evidence["basis"]} == {"purpose", "examples"}
        blocks = citation_blocks(value)
        assert blocks
        assert blocks[0].source.startswith("https://docs.python.org")
        plain = Statement(**value.model_dump())
        assert value == plain
        assert (repr(value), value.model_dump_json()) == (repr(plain), plain.model_dump_json())
        for another in (
            copy.deepcopy(value),
            value.model_copy(),
            pickle.loads(pickle.dumps(value)),
        ):
            assert evidence_of(another) == evidence
        assert evidence_of(plain) == {}


# LlamaIndex's own StructuredLLM calls pydantic's old `.json()`.
@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")
async def test_as_a_structured_llm(sandbox: Sandbox) -> None:
    llm = make(sandbox).as_structured_llm(Statement)
    for response in (llm.complete(INPUTS), await llm.acomplete(INPUTS)):
        assert isinstance(response.raw, Statement)
        assert citation_blocks(response)
        assert evidence_of(response)["interaction_id"]
    streamed = list(llm.stream_chat(_messages()))
    awaited = await listed(await llm.astream_chat(_messages()))
    for pieces in (streamed, awaited):
        assert len(pieces) > 2
        assert isinstance(pieces[-1].raw, Statement)
        assert citation_blocks(pieces[-1])


def _messages() -> list[Any]:
    return PROMPT.format_messages(name="with")


async def test_a_structured_llm_in_a_query_engine(sandbox: Sandbox) -> None:
    retriever = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url, max_results=2)
    engine = RetrieverQueryEngine.from_args(retriever, llm=make(sandbox), output_cls=Statement)
    for response in (engine.query(INPUTS), await engine.aquery(INPUTS)):
        assert isinstance(response, PydanticResponse)
        assert isinstance(response.response, Statement)
        assert len(response.source_nodes) == 2
    assert sandbox.ledger.count("chat") == 2


async def test_structured_prediction_takes_settings_per_call(sandbox: Sandbox) -> None:
    llm = make(sandbox)
    llm.structured_predict(Statement, PROMPT, {"model": "core", "temperature": 0}, name="with")
    body = sandbox.requests[0].body
    assert body["model"] == "core"
    assert set(body) == {"model", "messages", "response_format"}


@pytest.mark.parametrize("text", ["No JSON.", '{"purpose": 1, "examples": []}'])
async def test_an_answer_that_does_not_fit_the_class_is_refused(
    sandbox: Sandbox, text: str
) -> None:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    sandbox.faults.add(path=CHAT, times=2, body=body)
    llm = make(sandbox)
    with pytest.raises(UnexpectedAnswerError, match="does not fit Statement") as caught:
        llm.structured_predict(Statement, PROMPT, name="with")
    assert caught.value.body == text
    with pytest.raises(UnexpectedAnswerError, match="does not fit Statement"):
        await llm.astructured_predict(Statement, PROMPT, name="with")
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})
    stream = f"data: {chunk}\n\ndata: [DONE]\n\n"
    sandbox.faults.add(path=CHAT, times=2, content_type="text/event-stream", body=stream)
    with pytest.raises(UnexpectedAnswerError, match="does not fit Statement"):
        list(llm.stream_structured_predict(Statement, PROMPT, name="with"))
    with pytest.raises(UnexpectedAnswerError, match="does not fit Statement"):
        await listed(await llm.astream_structured_predict(Statement, PROMPT, name="with"))


async def test_a_cut_stream_is_no_object(sandbox: Sandbox) -> None:
    sandbox.faults.add(path=CHAT, times=None, cut_after_events=3)
    llm = make(sandbox)
    with pytest.raises(StreamInterruptedError):
        list(llm.stream_structured_predict(Statement, PROMPT, name="with"))
    with pytest.raises(StreamInterruptedError):
        await listed(await llm.astream_structured_predict(Statement, PROMPT, name="with"))


async def test_other_program_modes_use_llama_indexs_programs(sandbox: Sandbox) -> None:
    llm = make(sandbox, pydantic_program_mode=PydanticProgramMode.LLM)
    text = json.dumps({"purpose": "p", "examples": []})
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    sandbox.faults.add(path=CHAT, times=2, body=body)
    assert llm.structured_predict(Statement, PROMPT, name="with").purpose == "p"
    assert (await llm.astructured_predict(Statement, PROMPT, name="with")).purpose == "p"
    assert all("response_format" not in request.body for request in sandbox.requests)


FITTING = '{"purpose": "Calls __enter__.", "examples": ["a"]}'


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{FITTING}\n```",
        f"```\n{FITTING}\n```\nHope this helps!",
        f"As the pages [1] say, {{roughly}}: {FITTING} [2]",
        f'First {{"note": 1}}, then {FITTING}',
        f"\ufeff{FITTING}",
        '{"purpose": "Calls\n__enter__.", "examples": ["a\\u0000"]}',
    ],
    ids=["fenced", "chatty", "among words", "second object", "byte order mark", "characters"],
)
async def test_json_is_found_as_in_langchain(sandbox: Sandbox, text: str) -> None:
    message = {"role": "assistant", "content": text}
    sandbox.faults.add(path=CHAT, times=2, body={"choices": [{"index": 0, "message": message}]})
    pieces = [text[start : start + 5] for start in range(0, len(text), 5)]
    chunks = [json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in pieces]
    stream = "".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"])
    for found in await four_scripted(sandbox, stream):
        assert found[-1].purpose.startswith("Calls")
        assert found[-1].examples in (["a"], ["a\ufffd"])


async def four_scripted(sandbox: Sandbox, stream: str) -> list[list[Any]]:
    """As `four`, of which the latter two get a stream."""
    sandbox.faults.add(path=CHAT, times=2, content_type="text/event-stream", body=stream)
    return await four(make(sandbox))


class Counted(BaseModel):
    """A count that may be missing."""

    name: str
    count: int = 3
    inner: list[Statement] = []


async def test_null_for_a_field_with_a_default_is_the_default(sandbox: Sandbox) -> None:
    """The schema that is sent lets the model say null where it found nothing."""
    message = {"role": "assistant", "content": '{"name": "with", "count": null, "inner": null}'}
    sandbox.faults.add(path=CHAT, times=2, body={"choices": [{"index": 0, "message": message}]})
    llm = make(sandbox)
    found = llm.structured_predict(Counted, PROMPT, name="with")
    assert (found.count, found.inner) == (3, [])
    found = await llm.astructured_predict(Counted, PROMPT, name="with")
    assert (found.count, found.inner) == (3, [])


@pytest.mark.parametrize("wrong", [dict, int, "Statement", {"type": "object"}, list[int]])
def test_what_is_no_class_of_pydantic_is_refused_unsent(sandbox: Sandbox, wrong: Any) -> None:
    llm = make(sandbox)
    for call in (
        llm.as_structured_llm,
        lambda cls: llm.structured_predict(cls, PROMPT, name="x"),
        lambda cls: list(llm.stream_structured_predict(cls, PROMPT, name="x")),
        lambda cls: made(ParallelQueryEngine, sandbox, output_cls=cls),
        lambda cls: made(ParallelQueryEngine, sandbox, output_cls=cls, processor="lite"),
    ):
        with pytest.raises(InvalidArgumentError, match="must be a pydantic class"):
            call(wrong)
    assert sandbox.requests == []


class Tree(BaseModel):
    """A class that contains itself."""

    name: str
    branches: list["Tree"] = []


class Opaque(BaseModel):
    """A class with a field that JSON cannot hold."""

    call: Callable[[], None]


class Empty(BaseModel):
    """A class whose fields were forgotten."""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(Tree, "itself"), (Opaque, "has no JSON schema"), (Empty, "has no fields")],
)
async def test_a_class_without_a_schema_is_refused_unsent(
    sandbox: Sandbox, wrong: Any, words: str
) -> None:
    llm = make(sandbox)
    with pytest.raises(InvalidArgumentError, match=f"output_cls: .* {words}"):
        llm.as_structured_llm(wrong)
    with pytest.raises(InvalidArgumentError, match=words):
        await llm.astructured_predict(wrong, PROMPT, name="x")
    with pytest.raises(InvalidArgumentError, match=words):
        list(llm.stream_structured_predict(wrong, PROMPT, name="x"))
    with pytest.raises(InvalidArgumentError, match=words):
        made(ParallelQueryEngine, sandbox, output_cls=wrong).query(INPUTS)
    assert sandbox.requests == []
