"""Writing adapters down and reading them back, without the key."""

import copy
import logging
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.runnables import ConfigurableField

from parallel_integrations import ParallelClient, langchain
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection

SECRET = "not-a-real-key-0123456789"
URL = "https://docs.python.org/3/reference/compound_stmts.html"


def loader(**settings: Any) -> langchain.ParallelExtractLoader:
    """A loader, which cannot be made without addresses."""
    return langchain.ParallelExtractLoader(urls=[URL], **settings)


ADAPTERS: list[Callable[..., Any]] = [
    langchain.ChatParallel,
    loader,
    langchain.ParallelDeepResearch,
    langchain.ParallelEntityRetriever,
    langchain.ParallelEntitySearchTool,
    langchain.ParallelExtractTool,
    langchain.ParallelFindAllTool,
    langchain.ParallelMemoryTool,
    langchain.ParallelMonitor,
    langchain.ParallelSearchRetriever,
    langchain.ParallelSearchTool,
    langchain.ParallelTaskRunTool,
    langchain.ParallelToolkit,
]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_key_in_anything_serialized(adapter: Callable[..., Any]) -> None:
    made = adapter(api_key=SECRET)
    made.resolved_client()
    for text in (repr(made), str(made), dumps(made), str(made.model_dump())):
        assert SECRET not in text
    assert SECRET.encode() not in pickle.dumps(made)
    assert made.resolved_client() is adapter(api_key=SECRET).resolved_client()


def test_a_retriever_has_a_json_schema() -> None:
    shown = langchain.ParallelSearchRetriever.model_json_schema()["properties"]
    assert shown["query_writer"]["type"] == shown["client"]["type"] == "null"


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"timeout": 0},
        {"base_url": "http://example.com"},
        {"base_url": "nonsense"},
        {"api_kye": SECRET},
        {"nonsense": 1},
    ],
)
def test_no_key_in_a_validation_error(adapter: Callable[..., Any], wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        adapter(**{"api_key": SECRET, **wrong})
    assert SECRET not in str(caught.value)
    assert next(iter(wrong)) in str(caught.value)


@pytest.mark.parametrize("key", [f"{SECRET}\n{SECRET}", f"{SECRET} x", f"{SECRET}é", 12345678])
def test_an_impossible_key_is_refused_unseen(key: Any) -> None:
    with pytest.raises(Exception, match="api_key") as caught:
        langchain.ChatParallel(api_key=key)
    assert SECRET not in str(caught.value)
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_pickle_takes_its_key_from_the_environment(
    adapter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = adapter(api_key=SECRET, timeout=7)
    assert pickle.loads(pickle.dumps(made)).api_key is None
    monkeypatch.setenv("PARALLEL_API_KEY", "another-key")
    loaded = pickle.loads(pickle.dumps(made))
    assert loaded.api_key.get_secret_value() == "another-key"
    assert loaded.timeout == 7


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_deepcopy_keeps_its_key(adapter: Callable[..., Any]) -> None:
    made = adapter(api_key=SECRET)
    made.resolved_client()
    assert copy.deepcopy(made).api_key.get_secret_value() == SECRET


def _answered(adapter: Any) -> int:
    match adapter:
        case langchain.ParallelExtractLoader():
            return len(adapter.load())
        case langchain.ParallelToolkit():
            return len(adapter.get_tools()[0].invoke({"objective": "decorators"}))
        case langchain.ParallelExtractTool():
            return len(adapter.invoke({"urls": [URL]}))
        case langchain.ParallelEntitySearchTool():
            return len(adapter.invoke({"objective": "decorators", "entity_type": "people"}))
        case langchain.ParallelMonitor():
            return len(adapter.list()) + 1
        case _:
            return len(str(adapter.invoke("decorators")))


def test_every_adapter_works_in_a_process_pool(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    made = [adapter(**connection(sandbox)) for adapter in ADAPTERS]
    made[0].invoke("decorators")  # its connections stay here
    # A new process, not a fork: nothing is there but what the pickle holds.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert all(pool.map(_answered, made))
        retriever = langchain.ParallelSearchRetriever(**connection(sandbox), k=2)
        assert len(pool.submit(retriever.invoke, "What is a decorator?").result()) == 2


def test_load_restores_what_dumpd_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    model = langchain.ChatParallel(api_key=SECRET, model="lite", base_url="https://example.com/api")
    written = dumpd(model)
    assert written["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["PARALLEL_API_KEY"]}
    loaded = load(
        written,
        allowed_objects=[langchain.ChatParallel],
        valid_namespaces=["parallel_integrations"],
        secrets_map={"PARALLEL_API_KEY": SECRET},
    )
    assert loaded == model
    assert loaded.api_key.get_secret_value() == SECRET


def test_a_configurable_model(sandbox: Sandbox) -> None:
    model = langchain.ChatParallel(**connection(sandbox)).configurable_fields(
        model=ConfigurableField(id="model")
    )
    model.with_config(configurable={"model": "lite"}).invoke("What is a decorator?")
    assert sandbox.requests[0].body["model"] == "lite"


@pytest.mark.parametrize(
    ("adapter", "name", "value"),
    [
        (langchain.ChatParallel, "model", "lite"),
        (langchain.ParallelSearchRetriever, "mode", "fast"),
        (langchain.ParallelEntityRetriever, "entity_type", "people"),
        (langchain.ParallelSearchTool, "mode", "advanced"),
        (langchain.ParallelDeepResearch, "processor", "base"),
    ],
)
def test_an_adapter_with_a_client_is_configurable(
    at_sandbox: Sandbox, adapter: Callable[..., Any], name: str, value: str
) -> None:
    """Although the environment has a key, and LangChain gives each field to a new adapter."""
    with ParallelClient(max_retries=5) as client:
        made = adapter(client=client)
        for each in (made, pickle.loads(pickle.dumps(made))):
            at_sandbox.reset()
            chosen = each.configurable_fields(**{name: ConfigurableField(id="it")})
            chosen.with_config(configurable={"it": value}).invoke("decorators")
            assert at_sandbox.requests[0].body[name] == value
        assert client.usage.counts


def test_no_key_in_the_logs(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.faults.add(status=500, echo_key=True, times=1)
    langchain.ParallelSearchRetriever(**connection(sandbox)).invoke("decorators")
    assert caplog.text
    assert sandbox.api_key not in caplog.text


def test_load_takes_the_key_from_the_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = dumpd(langchain.ChatParallel(api_key=SECRET, model="lite", base_url=sandbox.url))
    assert written["id"][-1] == "ChatParallel"
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    how: dict[str, Any] = {"secrets_from_env": True}
    how |= {
        "allowed_objects": [langchain.ChatParallel],
        "valid_namespaces": ["parallel_integrations"],
    }
    loaded = load(written, **how)
    assert loaded.model == "lite"
    assert loaded.invoke("What is a decorator?").text


@pytest.mark.parametrize("name", ["model", "previous_interaction_id", "extra_headers"])
def test_fields_of_the_model_are_configurable(sandbox: Sandbox, name: str) -> None:
    first = langchain.ChatParallel(**connection(sandbox), model="lite")
    interaction = first.invoke("What is a decorator?").response_metadata["interaction_id"]
    values: dict[str, Any] = {
        "model": "base",
        "previous_interaction_id": interaction,
        "extra_headers": {"x-tenant": "a"},
    }
    model = first.configurable_fields(**{name: ConfigurableField(id="it")})
    model.with_config(configurable={"it": values[name]}).invoke("And a closure?")
    sent = sandbox.requests[-1]
    if name == "extra_headers":
        assert sent.headers["x-tenant"] == "a"
    else:
        assert sent.body[name] == values[name]
    alternatives = first.configurable_alternatives(
        ConfigurableField(id="which"),
        default_key="lite",
        speed=first.model_copy(update={"model": "speed"}),
    )
    alternatives.with_config(configurable={"which": "speed"}).invoke("And a closure?")
    assert sandbox.requests[-1].body["model"] == "speed"
