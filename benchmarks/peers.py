"""Other packages, measured alike where they are installed (`make bench PEERS=1`)."""

import asyncio
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

from llama_index.core.base.llms.types import ChatMessage

from benchmarks.measure import KEY, QUESTION, Call

MESSAGES = [ChatMessage(content=QUESTION)]
OFFICIAL_TOOL = "official LlamaIndex tool"


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


LANGCHAIN_PARALLEL = _has("langchain_parallel")
CHAT_OPENAI = _has("langchain_openai")
OPENAI_LIKE = _has("llama_index.llms.openai_like")
LLAMA_INDEX_TOOL = _has("llama_index.tools.parallel_web_systems")
AIOHTTP = _has("httpx_aiohttp")
HTTPX2 = _has("httpx2")
PEERS = {
    "langchain-parallel": LANGCHAIN_PARALLEL,
    "langchain-openai": CHAT_OPENAI,
    "llama-index-llms-openai-like": OPENAI_LIKE,
    "llama-index-tools-parallel-web-systems": LLAMA_INDEX_TOOL,
    "httpx-aiohttp": AIOHTTP,
    "httpx2": HTTPX2,
}
IMPORTS: dict[str, dict[str, str]] = {
    "LangChain": {"langchain-parallel": "import langchain_parallel"} if LANGCHAIN_PARALLEL else {},
    "LlamaIndex": {},
}


class FirstCall(NamedTuple):
    """How a program imports a chat model and asks it something."""

    statement: str
    model: str

    @property
    def with_call(self) -> str:
        """Import, construct, call."""
        return f"{self.statement}; {self.model}.invoke({QUESTION!r})"


def first_calls(url: str) -> dict[str, FirstCall]:
    """LangChain's chat models, for a process of their own."""
    found: dict[str, FirstCall] = {}
    if LANGCHAIN_PARALLEL:
        found["langchain-parallel"] = FirstCall(
            "from langchain_parallel import ChatParallelWeb",
            f"ChatParallelWeb(api_key={KEY!r}, base_url={url!r})",
        )
    if CHAT_OPENAI:
        found["ChatOpenAI"] = FirstCall(
            "from langchain_openai import ChatOpenAI",
            f"ChatOpenAI(model='speed', api_key={KEY!r}, base_url={url!r})",
        )
    return found


def adapters() -> dict[Callable[..., object], str]:
    """Classes to construct with `api_key=`, and their names."""
    found: dict[Callable[..., object], str] = {}
    if LANGCHAIN_PARALLEL:
        from langchain_parallel import ParallelSearchRetriever

        found[ParallelSearchRetriever] = "langchain-parallel"
    if CHAT_OPENAI:
        from langchain_openai import ChatOpenAI

        found[ChatOpenAI] = "ChatOpenAI"
    return found


def retrievers(url: str) -> dict[str, dict[str, Call]]:
    """Search to documents, by framework."""
    found: dict[str, dict[str, Call]] = {"LangChain": {}, "LlamaIndex": {}}
    if LANGCHAIN_PARALLEL:
        from langchain_parallel import ParallelSearchRetriever

        retriever = ParallelSearchRetriever(api_key=KEY, base_url=url, max_results=10)
        found["LangChain"]["langchain-parallel"] = lambda: retriever.invoke(QUESTION)
    if LLAMA_INDEX_TOOL:
        from llama_index.tools.parallel_web_systems import ParallelWebSystemsToolSpec

        tool = ParallelWebSystemsToolSpec(api_key=KEY, base_url=url)
        loop = asyncio.new_event_loop()
        found["LlamaIndex"][OFFICIAL_TOOL] = lambda: loop.run_until_complete(
            tool.search(objective=QUESTION)
        )
    return found


def tools(url: str) -> dict[str, Call]:
    """The search tool, called as an agent calls it."""
    if not LANGCHAIN_PARALLEL:
        return {}
    from langchain_parallel import ParallelWebSearchTool

    tool = ParallelWebSearchTool(api_key=KEY, base_url=url)
    return {"langchain-parallel": lambda: tool.invoke({"search_queries": [QUESTION]})}


def chats(url: str) -> dict[str, dict[str, Call]]:
    """A short response, by framework."""
    found: dict[str, dict[str, Call]] = {"LangChain": {}, "LlamaIndex": {}}
    for framework, models in _models(url).items():
        for name, model in models.items():
            if framework == "LangChain":
                found[framework][name] = lambda model=model: model.invoke(QUESTION)
            else:
                found[framework][name] = lambda model=model: model.complete(QUESTION)
    return found


def streams(url: str) -> dict[str, dict[str, Callable[[], Iterator[Any]]]]:
    """A streamed response, by framework."""
    found: dict[str, dict[str, Callable[[], Iterator[Any]]]] = {"LangChain": {}, "LlamaIndex": {}}
    for framework, models in _models(url).items():
        for name, model in models.items():
            if framework == "LangChain":
                found[framework][name] = lambda model=model: model.stream(QUESTION)
            else:
                found[framework][name] = lambda model=model: iter(model.stream_chat(MESSAGES))
    return found


def _models(url: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"LangChain": {}, "LlamaIndex": {}}
    if LANGCHAIN_PARALLEL:
        from langchain_parallel import ChatParallelWeb

        model = ChatParallelWeb(api_key=KEY, base_url=url)
        found["LangChain"]["langchain-parallel"] = model
    if CHAT_OPENAI:
        from langchain_openai import ChatOpenAI

        found["LangChain"]["ChatOpenAI"] = ChatOpenAI(model="speed", api_key=KEY, base_url=url)
    if OPENAI_LIKE:
        from llama_index.llms.openai_like import OpenAILike

        like = OpenAILike(model="speed", api_key=KEY, api_base=url, is_chat_model=True)
        found["LlamaIndex"]["OpenAILike"] = like
    return found
