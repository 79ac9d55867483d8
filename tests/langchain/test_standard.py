"""LangChain's own standard suites, run against the sandbox.

What stays skipped needs tool calling, which these models do not have, or pictures, sound, PDF and
Anthropic's blocks, which Chat does not take; one test wants cassettes and is a benchmark.
"""

import json
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, ToolsUnitTests

from parallel_integrations.langchain import (
    ChatParallel,
    ParallelEntityRetriever,
    ParallelEntitySearchTool,
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelMemoryTool,
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelTaskRunTool,
)
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import answer

PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
SERDES = "core's allow-list of loadable classes names no third party, see test_serialization.py"

JOKE = json.dumps({"setup": "Why do cats sit on keyboards?", "punchline": "For the mouse."})


class _ChatModel:
    """Properties of the model for both chat suites."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatParallel

    @property
    def has_tool_calling(self) -> bool:
        # bind_tools is overridden, because agents bind a response format with it; the models
        # themselves call no tools, and it says so.
        return False

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return False

    @property
    def returns_usage_metadata(self) -> bool:
        # The API documents its usage as always empty; test_chat_settings.py sends some.
        return False

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "lite"


class TestChatUnit(_ChatModel, ChatModelUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"PARALLEL_API_KEY": "from-env"}, {}, {"api_key": "from-env"}

    @pytest.mark.xfail(reason=SERDES, raises=ValueError, strict=True)
    def test_serdes(self, model: BaseChatModel, snapshot: Any) -> None:
        super().test_serdes(model, snapshot)


class TestChatIntegration(_ChatModel, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _against(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
        self.sandbox = sandbox
        if request.node.name == "test_json_mode":
            # JSON mode names its fields in the prompt alone, and the sandbox, which quotes and
            # does not read prompts, has scripted responses: whole, then streamed, and both again.
            for streamed in (False, True, False, True):
                sandbox.faults.add("/chat/completions", **answer(JOKE, streamed=streamed))

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"api_key": self.sandbox.api_key, "base_url": self.sandbox.url}


class _ResponsesModel(_ChatModel):
    """The model of Responses, which counts tokens and has no JSON mode."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "parallel", "reasoning_effort": "low", "api_key": "test"}

    @property
    def supports_json_mode(self) -> bool:
        return False

    @property
    def returns_usage_metadata(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return False


class TestResponsesUnit(_ResponsesModel, TestChatUnit):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"PARALLEL_API_KEY": "from-env"}, {"model": "parallel"}, {"api_key": "from-env"}


class TestResponsesIntegration(_ResponsesModel, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _against(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def chat_model_params(self) -> dict[str, Any]:
        connection = {"api_key": self.sandbox.api_key, "base_url": self.sandbox.url}
        return {"model": "parallel", "reasoning_effort": "low", **connection}


class TestSearchToolUnit(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelSearchTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"api_key": "test"}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"objective": "What is a decorator?", "search_queries": ["python decorator"]}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"PARALLEL_API_KEY": "from-env"}, {}, {"api_key": "from-env"}


class TestExtractToolUnit(TestSearchToolUnit):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelExtractTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"urls": ["https://docs.python.org/3/reference/"], "objective": "What is here?"}


class TestSearchToolIntegration(ToolsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _against(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelSearchTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"api_key": self.sandbox.api_key, "base_url": self.sandbox.url}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"objective": "What is a decorator?", "search_queries": ["python decorator"]}


class TestExtractToolIntegration(TestSearchToolIntegration):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelExtractTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"urls": [PAGE], "objective": "What is here?"}


class _Task:
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelTaskRunTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"input": "What is a decorator?"}


class _FindAll:
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelFindAllTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"objective": "Python statements that bind names"}


class TestTaskToolUnit(_Task, TestSearchToolUnit):
    pass


class TestTaskToolIntegration(_Task, TestSearchToolIntegration):
    pass


class TestFindAllToolUnit(_FindAll, TestSearchToolUnit):
    pass


class TestFindAllToolIntegration(_FindAll, TestSearchToolIntegration):
    pass


class _Entities:
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelEntitySearchTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"objective": "makers of compilers", "entity_type": "companies"}


class TestEntityToolUnit(_Entities, TestSearchToolUnit):
    pass


class TestEntityToolIntegration(_Entities, TestSearchToolIntegration):
    pass


class _Memory:
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return ParallelMemoryTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "closures"}


class TestMemoryToolUnit(_Memory, TestSearchToolUnit):
    pass


class TestMemoryToolIntegration(_Memory, TestSearchToolIntegration):
    pass


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _against(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ParallelSearchRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"api_key": self.sandbox.api_key, "base_url": self.sandbox.url}

    @property
    def retriever_query_example(self) -> str:
        return "How does the with statement handle exceptions?"


class TestEntityRetriever(TestRetriever):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ParallelEntityRetriever
