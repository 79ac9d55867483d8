"""What `print` says of an adapter: its constructor's call, without the key; it needs none."""

import inspect
from typing import Any

import pytest

from parallel_integrations import ParallelClient, langchain, llama_index

SECRET = "pk-secret-1234567890"
ARGUMENTS: dict[str, Any] = {
    "ParallelBudgetMiddleware": {"max_usd": 1.5},
    "ParallelExtractLoader": {"urls": ["https://a.example"]},
    "ParallelExtractor": {"output_schema": "What it is."},
}


def adapters() -> list[type]:
    named = [getattr(each, name) for each in (langchain, llama_index) for name in each.__all__]
    return [
        each
        for each in named
        if inspect.isclass(each)
        and each.__name__.startswith(("Parallel", "ChatParallel"))
        and not each.__name__.endswith("Event")
    ]


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (lambda: langchain.ParallelSearchRetriever(k=2), "ParallelSearchRetriever(k=2)"),
        (lambda: langchain.ParallelSearchRetriever(), "ParallelSearchRetriever()"),
        (
            lambda: langchain.ChatParallel(model="base", timeout=9),
            "ChatParallel(model='base', timeout=9.0)",
        ),
        (
            lambda: langchain.ParallelSearchTool(mode="advanced"),
            "ParallelSearchTool(mode='advanced')",
        ),
        (
            lambda: langchain.ParallelDeepResearch(processor="lite"),
            "ParallelDeepResearch(processor='lite')",
        ),
        (
            lambda: langchain.ParallelBudgetMiddleware(ParallelClient(), 2),
            "ParallelBudgetMiddleware(max_usd=2, on_limit='stop')",
        ),
        (lambda: llama_index.ParallelRetriever(max_results=2), "ParallelRetriever(max_results=2)"),
        (lambda: llama_index.ParallelReader(split="excerpt"), "ParallelReader(split='excerpt')"),
        (lambda: llama_index.ParallelLLM(model="base"), "ParallelLLM(model='base')"),
        (
            lambda: llama_index.ParallelToolSpec(max_results=3),
            "ParallelToolSpec(max_results=3)",
        ),
        (
            lambda: llama_index.ParallelQueryEngine(model="lite"),
            "ParallelQueryEngine(model='lite')",
        ),
        (
            lambda: llama_index.ParallelEntityRetriever(entity_type="people"),
            "ParallelEntityRetriever(entity_type='people')",
        ),
        (
            lambda: llama_index.ParallelSelector(multi=True),
            "ParallelSelector(multi=True, threshold=0.5)",
        ),
    ],
)
def test_an_adapter_says_what_it_is_without_a_key(
    monkeypatch: pytest.MonkeyPatch, made: Any, shown: str
) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY", raising=False)
    assert str(made()) == shown
    monkeypatch.setenv("PARALLEL_API_KEY", SECRET)
    assert (str(made()), repr(made())) == (shown, shown)


@pytest.mark.parametrize("cls", adapters(), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_adapter_says_what_it_is(cls: Any) -> None:
    given = dict(ARGUMENTS.get(cls.__name__, {}))
    given |= {"client": ParallelClient(api_key=SECRET)} if "Middleware" in cls.__name__ else {}
    try:
        shown = str(cls(**given))
    except TypeError as error:
        pytest.skip(f"is made by the package: {error}")
    assert shown.startswith(f"{cls.__name__}(")
    assert " object at " not in shown
    assert SECRET not in shown
