"""LangChain's own standard suites, run against the sandbox.

What stays skipped needs tool calling, which these models do not have, or pictures, sound, PDF and
Anthropic's blocks, which Chat does not take; one test wants cassettes and is a benchmark.
"""

import json
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
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
from tests.support.connected import connection
from tests.support.requests import QUESTION

PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
SERDES = "core's allow-list of loadable classes names no third party, see test_serialization.py"

FROM_ENVIRONMENT: Any = ({"PARALLEL_API_KEY": "from-env"}, {}, {"api_key": "from-env"})
"""What is set there, what a constructor is given besides, and what comes of it."""
JOKE = json.dumps({"setup": "Why do cats sit on keyboards?", "punchline": "For the mouse."})


TOOLS: dict[type[BaseTool], dict[str, Any]] = {
    ParallelSearchTool: {
        "objective": "What is a decorator?",
        "search_queries": ["python decorator"],
    },
    ParallelExtractTool: {"urls": [PAGE], "objective": "What is here?"},
    ParallelTaskRunTool: {"input": "What is a decorator?"},
    ParallelFindAllTool: {"objective": "Python statements that bind names"},
    ParallelEntitySearchTool: {"objective": "makers of compilers", "entity_type": "companies"},
    ParallelMemoryTool: {"query": "closures"},
}


class _ChatModel:
    """Properties of the model for both chat suites."""

    chat_model_class = ChatParallel
    # bind_tools is overridden, because agents bind a response format with it; the models
    # themselves call no tools, and it says so.
    has_tool_calling = False
    has_tool_choice = False
    has_structured_output = True
    supports_json_mode = True
    # The API documents its usage as always empty; test_chat_settings.py sends some.
    returns_usage_metadata = False
    supports_model_override = True
    model_override_value = "lite"


class TestChatUnit(_ChatModel, ChatModelUnitTests):
    init_from_env_params = FROM_ENVIRONMENT

    @pytest.mark.xfail(reason=SERDES, raises=ValueError, strict=True)
    def test_serdes(self, model: BaseChatModel, snapshot: Any) -> None:
        super().test_serdes(model, snapshot)


class _AtSandbox:
    """What is tested calls the sandbox."""

    @pytest.fixture(autouse=True)
    def _against(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def connection(self) -> dict[str, Any]:
        return connection(self.sandbox)


class TestChatIntegration(_AtSandbox, _ChatModel, ChatModelIntegrationTests):
    chat_model_params = _AtSandbox.connection

    @pytest.fixture(autouse=True)
    def _scripted(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
        if request.node.name == "test_json_mode":
            # JSON mode names its fields in the prompt alone, and the sandbox, which quotes and
            # does not read prompts, has scripted responses: whole, then streamed, and both again.
            for streamed in (False, True, False, True):
                sandbox.faults.add("/chat/completions", **answer(JOKE, streamed=streamed))


class _ResponsesModel(_ChatModel):
    """The model of Responses, which counts tokens and has no JSON mode."""

    chat_model_params: Any = {"model": "parallel", "reasoning_effort": "low", "api_key": "test"}
    supports_json_mode = False
    returns_usage_metadata = True
    supports_model_override = False


class TestResponsesUnit(_ResponsesModel, TestChatUnit):
    init_from_env_params = (FROM_ENVIRONMENT[0], {"model": "parallel"}, FROM_ENVIRONMENT[2])


class TestResponsesIntegration(_AtSandbox, _ResponsesModel, ChatModelIntegrationTests):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return _ResponsesModel.chat_model_params | self.connection


@pytest.fixture
def vcr() -> None:
    """The cassette of the one test that wants one, which is skipped."""


class _EachTool:
    """A tool and what it is called with."""

    tool_constructor: Any = None
    tool_invoke_params_example: Any = None

    @pytest.fixture(autouse=True, params=TOOLS, ids=lambda tool: tool.__name__)
    def _tool(self, request: pytest.FixtureRequest) -> None:
        self.tool_constructor = request.param
        self.tool_invoke_params_example = TOOLS[request.param]


class TestToolUnit(_EachTool, ToolsUnitTests):
    tool_constructor_params: Any = {"api_key": "test"}
    init_from_env_params = FROM_ENVIRONMENT


class TestToolIntegration(_EachTool, _AtSandbox, ToolsIntegrationTests):
    tool_constructor_params = _AtSandbox.connection


class TestRetriever(_AtSandbox, RetrieversIntegrationTests):
    retriever_constructor: Any = ParallelSearchRetriever
    retriever_constructor_params = _AtSandbox.connection
    retriever_query_example = QUESTION


class TestEntityRetriever(TestRetriever):
    retriever_constructor = ParallelEntityRetriever
