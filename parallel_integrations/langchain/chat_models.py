"""Parallel's Chat as a LangChain chat model."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr, model_validator

from parallel_integrations._version import __version__
from parallel_integrations.adapter import Adapter
from parallel_integrations.api import chat, stream_chat
from parallel_integrations.api.chat import ChatSettings
from parallel_integrations.api.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations.langchain.errors import model_errors
from parallel_integrations.langchain.messages import PROVIDER, ChunkBuilder, to_result, to_wire


class ChatParallel(Adapter, ChatSettings, BaseChatModel):
    """Web-grounded answers from Parallel's Chat.

    `speed` answers in seconds; the research models `lite`, `base` and `core` take longer (10 s to
    5 min) and say what their answer rests on: `message.additional_kwargs["basis"]` holds it as the
    API sent it, `message.content_blocks` as standard citations.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, by default 60 for `speed`
    and 600 for other models, `max_retries`, `client`) it takes:

    Attributes:
        model: `speed` (default), `lite`, `base`, `core`; also accepted as `model_name`.
        previous_interaction_id: Continues an earlier answer (`interaction_id` in its
            `response_metadata`), also per call.
        extra_body: Further fields of the request's body, also per call.
        streaming: True makes `invoke` stream under the hood; False keeps `stream` from streaming.
        temperature: Known, ignored by the API and not sent; so are `top_p`, `max_tokens`, `stop`,
            `seed` and `n`.

    Raises:
        ParallelError: From `invoke` and its twins, at the same time one of langchain_core's
            `Model…Error` classes, so that its retry middleware repeats the right ones.
        ValueError: A message that Chat cannot take (images, tool calls), or an unknown argument.

    Example:
        ```python
        from parallel_integrations.langchain import ChatParallel

        model = ChatParallel(model="speed")
        print(model.invoke("How does the with statement handle exceptions?").text)
        for chunk in model.stream("What is a generator?"):
            print(chunk.text, end="")
        ```
    """

    # Not excluded as elsewhere: langchain_core writes a placeholder for it and fills it on load.
    api_key: SecretStr | None = Field(default_factory=key_from_environment, repr=False)
    streaming: bool = False

    @model_validator(mode="after")
    def _set_parallel_version(self) -> "ChatParallel":
        self._add_version("parallel-integrations", __version__)
        return self

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain may write it down; it may, the key left out."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Fields written as placeholders, and where their values come from."""
        return {"api_key": KEY_VARIABLE}

    @property
    def _llm_type(self) -> str:
        return "parallel-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.connection().settings.base_url,
            "previous_interaction_id": self.previous_interaction_id,
            "extra_body": self.extra_body,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        params["ls_model_name"] = self.model_of(kwargs)
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self.request(to_wire(messages), kwargs)
        with model_errors():
            return to_result(self.connection().run(chat(request)), request.model)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self.request(to_wire(messages), kwargs)
        with model_errors():
            return to_result(await self.connection().arun(chat(request)), request.model)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self.request(to_wire(messages), kwargs)
        builder = ChunkBuilder(request.model)
        with model_errors():
            for event in self.connection().stream(stream_chat(request)):
                chunk = builder.add(event)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        yield builder.last()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self.request(to_wire(messages), kwargs)
        builder = ChunkBuilder(request.model)
        with model_errors():
            async for event in self.connection().astream(stream_chat(request)):
                chunk = builder.add(event)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        yield builder.last()
