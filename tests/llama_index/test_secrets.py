"""The key appears in nothing that is written, shown, logged or sent to a handler."""

import copy
import logging
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.readers.base import ReaderConfig
from llama_index.core.schema import TextNode
from pydantic import SecretStr

from parallel_integrations import MissingKeyError, ParallelClient, ParallelError, SourcePolicy
from parallel_integrations._documents.adapter import Adapter
from parallel_integrations.llama_index import (
    ParallelExtractor,
    ParallelExtractReader,
    ParallelLLM,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
    ParallelToolSpec,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.processes import unpickled_elsewhere

SECRET = "not-a-real-key-0123456789"


class Extractor(ParallelExtractor):
    """An extractor that knows what to find out."""

    output_schema: str = "What it is about."


CLASSES: list[Callable[..., Any]] = [
    ParallelLLM,
    ParallelReader,
    ParallelRetriever,
    ParallelExtractReader,
    ParallelToolSpec,
    Extractor,
]
COMPONENTS: list[Any] = [ParallelLLM, ParallelReader, ParallelExtractReader, Extractor]


def settings_of(made: Any) -> Adapter:
    return made.settings if isinstance(made, ParallelRetriever | ParallelToolSpec) else made


@pytest.mark.parametrize("make", CLASSES)
def test_no_key_in_anything_shown_or_pickled(make: Callable[..., Any]) -> None:
    made = make(api_key=SECRET)
    settings_of(made).resolved_client()
    for text in (repr(made), str(made), repr(settings_of(made)), repr(vars(made))):
        assert SECRET not in text.replace("SecretStr('**********')", "")
    assert SECRET.encode() not in pickle.dumps(made)
    assert (
        settings_of(made).resolved_client() is settings_of(make(api_key=SECRET)).resolved_client()
    )


@pytest.mark.parametrize("make", CLASSES)
@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"timeout": 0},
        {"base_url": "http://example.com"},
        {"api_kye": SECRET},
        {"nonsense": 1},
    ],
)
def test_no_key_in_a_validation_error(make: Callable[..., Any], wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))) as caught:
        make(**{"api_key": SECRET, **wrong})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("make", CLASSES)
def test_a_pickle_takes_its_key_from_the_environment(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(api_key=SECRET, timeout=7)
    settings_of(made).resolved_client()
    keyless = pickle.loads(pickle.dumps(made))
    assert settings_of(keyless).api_key is None
    monkeypatch.setenv("PARALLEL_API_KEY", "another-key")
    loaded = settings_of(pickle.loads(pickle.dumps(made)))
    assert isinstance(loaded.api_key, SecretStr)
    assert loaded.api_key.get_secret_value() == "another-key"
    assert loaded.timeout == 7
    assert settings_of(made).api_key is not None  # pickling takes nothing from the original


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (ParallelExtractReader, {"on_error": lambda error: None}),
        (ParallelLLM, {"completion_to_prompt": lambda prompt: prompt}),
        (ParallelLLM, {"callback_manager": CallbackManager([LlamaDebugHandler()])}),
    ],
)
def test_a_pickle_takes_nothing_from_the_original(
    make: Callable[..., Any], settings: dict[str, Any]
) -> None:
    made = make(api_key=SECRET, **settings)
    before = dict(vars(made))
    assert isinstance(pickle.loads(pickle.dumps(made)), make)  # type: ignore[arg-type]
    assert vars(made) == before


@pytest.mark.parametrize("make", CLASSES)
def test_a_deepcopy_keeps_its_key(make: Callable[..., Any]) -> None:
    made = make(api_key=SECRET)
    settings_of(made).resolved_client()
    key = settings_of(copy.deepcopy(made)).api_key
    assert isinstance(key, SecretStr)
    assert key.get_secret_value() == SECRET


@pytest.mark.parametrize("make", CLASSES)
def test_a_client_with_its_own_http_client_is_not_lost_in_a_pickle(
    make: Callable[..., Any],
) -> None:
    with httpx.Client() as http_client:
        client = ParallelClient(api_key=SECRET, http_client=http_client)
        made = make(client=client)
        with pytest.raises(ParallelError, match="http_client"):
            pickle.dumps(made)
        assert settings_of(made).client is client


def test_pickles_work_in_another_process(sandbox: Sandbox) -> None:
    settings = connection(sandbox)
    made = (
        ParallelReader(**settings, max_results=2),
        ParallelRetriever(**settings, max_results=2),
        ParallelLLM(**settings),
    )
    made[0].load_data("What is a decorator?")
    script = (
        "reader, retriever, llm = loaded\n"
        "question = 'What is a decorator?'\n"
        "print(len(reader.load_data(question)), len(retriever.retrieve(question)))\n"
        "print(len(llm.complete(question).text) > 0)\n"
    )
    assert unpickled_elsewhere(made, script, sandbox).split() == ["2", "2", "True"]


@pytest.mark.parametrize("make", COMPONENTS)
def test_every_class_is_serialized_and_loaded(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(api_key=SECRET, base_url="https://example.com/api", timeout=5)
    for text in (made.to_json(), str(made.to_dict()), made.model_dump_json()):
        assert SECRET not in text
        assert "api_key" not in text
    assert made.model_json_schema()["properties"]["client"]["type"] == "null"
    monkeypatch.setenv("PARALLEL_API_KEY", "another-key")
    for loaded in (
        make.from_dict(made.to_dict()),
        make.from_json(made.to_json()),
        make.model_validate(made.model_dump()),
    ):
        assert loaded.to_dict() == made.to_dict()
        assert loaded.api_key.get_secret_value() == "another-key"


def test_another_class_name_is_refused() -> None:
    with pytest.raises(TypeError, match="class_name"):
        ParallelReader.model_validate({"class_name": "SomeOtherReader"})


def test_a_reader_config_is_written_as_json() -> None:
    policy = SourcePolicy(include_domains=["docs.python.org"], after_date="2020-01-31")
    reader = ParallelReader(api_key=SECRET, source_policy=policy)
    written = ReaderConfig(reader=reader, reader_kwargs={"query": "decorators"}).to_json()
    assert SECRET not in written
    assert "2020-01-31" in written
    assert ParallelReader.from_json(reader.to_json()).source_policy == policy


@pytest.mark.parametrize("make", CLASSES)
def test_without_a_key_the_first_call_says_so(make: Callable[..., Any]) -> None:
    made = make()
    tool_input: dict[str, Any] = {
        "complete": "decorators",
        "load_data": "https://example.com/decorators",
        "retrieve": "decorators",
        "parallel_search": "decorators",
        "extract": [TextNode(text="decorators")],
    }
    name = next(name for name in tool_input if hasattr(made, name))
    with pytest.raises(MissingKeyError, match="PARALLEL_API_KEY"):
        getattr(made, name)(tool_input[name])


@pytest.mark.parametrize("code_path", [{"model": "lite"}, {"processor": "lite"}])
def test_a_query_engine_keeps_the_key_to_itself(code_path: dict[str, Any]) -> None:
    engine = ParallelQueryEngine(api_key=SECRET, **code_path)
    assert SECRET not in repr(engine)
    assert SECRET not in repr(vars(engine._responder))
    assert SECRET.encode() not in pickle.dumps(engine)
    with pytest.raises((ValueError, TypeError), match="timeout") as caught:
        ParallelQueryEngine(api_key=SECRET, timeout=0, **code_path)
    assert SECRET not in str(caught.value)


def test_no_key_in_logs_or_callback_payloads(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([seen])
    settings: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "base_url": sandbox.url,
        "callback_manager": manager,
    }
    sandbox.faults.add(status=500, echo_key=True)
    ParallelRetriever(**settings).retrieve("decorators")
    sandbox.faults.add(status=400, echo_key=True)
    with pytest.raises(ParallelError):
        ParallelLLM(**settings).chat([ChatMessage(content="decorators")])
    pairs = seen.get_event_pairs()
    assert pairs
    assert sandbox.api_key not in str([event.payload for pair in pairs for event in pair])
    assert caplog.text
    assert sandbox.api_key not in caplog.text
