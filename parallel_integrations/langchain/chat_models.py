"""Parallel's Chat as a LangChain chat model."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from hashlib import sha256
from math import ceil
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field, SecretStr, model_validator

from parallel_integrations._documents.adapter import Adapter
from parallel_integrations._documents.answers import AnyRequest, answer, answer_chunks
from parallel_integrations._documents.stop import stop_sequences
from parallel_integrations._protocol.settings import KEY_VARIABLE, key_from_environment
from parallel_integrations._version import __version__
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain.errors import model_errors
from parallel_integrations.langchain.messages import (
    PROVIDER,
    ChunkBuilder,
    response_ids,
    to_result,
    to_wire,
)
from parallel_integrations.langchain.structured_output import bind_schema
from parallel_integrations.models.response import (
    DEFAULT_EFFORT,
    EFFORTS,
    MAX_CHARACTERS,
    RESPONSES_MODEL,
    AnswerSettings,
)

ABILITIES: Final = ("structured_output", "text_inputs", "text_outputs")
INABILITIES: Final = tuple(
    """
    open_weights image_inputs image_url_inputs pdf_inputs audio_inputs video_inputs
    image_tool_message pdf_tool_message reasoning_output image_outputs audio_outputs video_outputs
    tool_calling tool_choice tool_call_streaming attachment temperature
    """.split()
)
CHARACTERS_PER_TOKEN: Final = 4.0
Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
Model = TypeVar("Model", bound=BaseModel)


class ChatParallel(Adapter, AnswerSettings, BaseChatModel):
    """Web-grounded answers from Parallel's Chat and Responses.

    `speed` answers in seconds; the research models `lite`, `base` and `core` take longer (10 s to
    5 min) and give the basis of their answer: `message.additional_kwargs["basis"]` holds it as the
    API sent it, `message.content_blocks` as standard citations. Calls and results of tools, which
    another model left in the history, are sent as text.

    `parallel` is the model of Responses: 5 to 60 s by `reasoning_effort`, and each citation names
    the span of the answer that it supports (`start_index`, `end_index`). It takes at most 20,000
    characters, ids continue a conversation, and a schema is needed for JSON (`method="json_mode"`
    is refused). [Which API answers](../guides/answers.md) compares them.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, by default 60 for `speed`,
    150 for `parallel` and 600 for other models, `max_retries`, `client`) it takes:

    Attributes:
        model: `speed` (default), `lite`, `base`, `core`, `parallel`; also as `model_name`.
        reasoning_effort: Of `parallel`, also per call: `low` (0.010 USD), `medium` (0.050, the
            API's default) or `high` (0.250).
        previous_response_id: Of `parallel`, also per call: continues an earlier answer
            (`response_id` in its `response_metadata`).
        use_previous_response_id: Of `parallel`: True continues the last answer among the messages
            by its id, and sends only what comes after it.
        previous_interaction_id: Continues an earlier answer (`interaction_id` in its
            `response_metadata`), also per call.
        extra_body: Further fields of the request's body, also per call.
        streaming: True makes `invoke` use a stream; False keeps `stream` from streaming.
        extra_headers: Sent besides the client's own, also per call; never part of repr, traces or
            pickles.
        stop: Texts before which an answer ends, also per call. The API knows none: the text is cut
            here, while the rest of a stream is read for its citations. No object is cut.
        profile: What else is known of the model, such as `max_input_tokens`, which the API does not
            state; added to what is known here.
        temperature: Known, ignored by the API and not sent; so are `top_p`, `max_tokens`, `seed`
            and `n`.

    Raises:
        ParallelError: From `invoke`, `stream` and their awaiting forms, at the same time one of
            langchain_core's `Model…Error` classes, so that its retry middleware repeats the right
            ones.
        ValueError: A message that Chat cannot take (images), or an unknown argument.

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
    api_key: SecretStr | str | None = Field(default_factory=key_from_environment, repr=False)
    """Parallel's key; `PARALLEL_API_KEY` if left out. Never part of repr or serialization."""
    streaming: bool = False
    """True makes `invoke` use a stream; False keeps `stream` from streaming."""

    @model_validator(mode="after")
    def _set_parallel_version(self) -> "ChatParallel":
        self._add_version("parallel-integrations", __version__)
        return self

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain may serialize it; it may, without the key."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Fields serialized as placeholders, and the variables that their values come from."""
        return {"api_key": KEY_VARIABLE}

    @property
    def _llm_type(self) -> str:
        return "parallel-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.resolved_client().settings.base_url,
            "reasoning_effort": self.reasoning_effort,
            "previous_interaction_id": self.previous_interaction_id,
            "previous_response_id": self.previous_response_id,
            "extra_body": self.extra_body,
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        # These are traced, and headers may hold secrets.
        return super()._get_invocation_params(stop=stop, **_without_headers(kwargs))

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        key = super()._get_llm_string(stop=stop, **_without_headers(kwargs))
        # LangChain's cache must not mix models with different URLs or headers; the serialized form,
        # of which its key is made, holds neither.
        headers = {**(self.extra_headers or {}), **(kwargs.get("extra_headers") or {})}
        hidden = repr((self.resolved_client().settings.base_url, sorted(headers.items())))
        return f"{key}---{sha256(hidden.encode()).hexdigest()}"

    def _convert_cached_generations(self, cache_val: list[Generation]) -> list[ChatGeneration]:
        found = super()._convert_cached_generations(cache_val)
        # LangChain notes that a cached answer cost nothing, also where no tokens are counted; it
        # loads no message with such a usage.
        for message in (each.message for each in found):
            if isinstance(message, AIMessage) and "total_tokens" not in (
                message.usage_metadata or ()
            ):
                message.usage_metadata = None
        return found

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "extra_headers": None}}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        # A trace would name the class in place of the provider, and not the model of this call.
        params["ls_provider"] = PROVIDER
        params["ls_model_name"] = self.model_of(kwargs)
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        profile: dict[str, Any] = {"name": f"Parallel {self.model}"}
        profile |= dict.fromkeys(ABILITIES, True) | dict.fromkeys(INABILITIES, False)
        if self.model.lower() == RESPONSES_MODEL:
            profile["max_input_tokens"] = int(MAX_CHARACTERS / CHARACTERS_PER_TOKEN)
            profile["reasoning_effort_levels"] = list(EFFORTS)
            profile["reasoning_effort_default"] = self.reasoning_effort or DEFAULT_EFFORT
        known = ModelProfile.__annotations__  # older versions of langchain_core have fewer
        return cast(ModelProfile, {key: profile[key] for key in profile if key in known})

    @model_validator(mode="after")
    def _merge_profile(self) -> "ChatParallel":
        # What a user says of the model wins over what is known of it here.
        self.profile = {**self._resolve_model_profile(), **(self.profile or {})}
        return self

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text has: one for four characters.

        The API documents no tokenizer. With `custom_get_token_ids`, its count.
        """
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens(text)
        return ceil(len(text) / CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """About how many tokens messages have, for `trim_messages(token_counter=model)`.

        Args:
            messages: The messages; citations and other metadata do not count.
            tools: Ignored: none are sent.
        """
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages)
        return count_tokens_approximately(messages, chars_per_token=CHARACTERS_PER_TOKEN)

    def _stops(self, request: AnyRequest, called: list[str] | None) -> tuple[str, ...]:
        """The stop sequences of a call: its own, else the fixed ones."""
        with model_errors():
            return stop_sequences(self.stop if called is None else called, request)

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind arguments such as `response_format`; tools themselves are refused.

        It exists because agents with a response schema call it without tools.

        Raises:
            ValueError: Tools were given: these models call none.
        """
        if tools:
            raise InvalidArgumentError(
                "Parallel's chat models call no tools. Let another model call ParallelSearchTool "
                "and the like, or use create_agent without tools and with response_format=."
            )
        return self.bind(**kwargs)

    @overload
    def with_structured_output(
        self,
        schema: type[Model],
        *,
        include_raw: Literal[False] = False,
        method: Method = "json_schema",
        strict: bool | None = None,
    ) -> Runnable[LanguageModelInput, Model]: ...

    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]: ...

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Answer with an object that fits a schema, with every model.

        The schema is sent as `response_format`; the answer is parsed and validated here. JSON in a
        fence or among words is found; an answer that does not fit is an `OutputParserException`.

        Args:
            schema: A pydantic class, a TypedDict, a dataclass or a JSON schema, also inside of
                OpenAI's dicts: `{"name": …, "schema": …}`, `{"type": "json_schema", …}`, a
                function's. A pydantic class gives instances, all others dicts. `stream` gives
                partial ones. None, with `method="json_mode"`: any object.
            include_raw: True gives `{"raw", "parsed", "parsing_error"}` and raises nothing.
                Streamed, `raw` comes in pieces, and the other two last.
            method: `"json_mode"` asks for any JSON object; the other two are one: these models
                call no functions.
            strict: Passed on to the API.
            **kwargs: None is accepted.

        Raises:
            ValueError: An unknown argument or method, a class that contains itself, or a reference
                to nothing in a schema.
        """
        if kwargs:
            raise InvalidArgumentError(
                f"with_structured_output does not know {', '.join(sorted(kwargs))}"
            )
        return bind_schema(self, schema, include_raw=include_raw, method=method, strict=strict)

    def _request(self, messages: list[BaseMessage], called: Mapping[str, Any]) -> AnyRequest:
        with model_errors():
            return self.answer_request(to_wire(messages), called, response_ids(messages))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, kwargs)
        stops = self._stops(request, stop)
        with model_errors():
            return to_result(self.resolved_client().run(answer(request)), request.model, stops)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, kwargs)
        stops = self._stops(request, stop)
        with model_errors():
            response = await self.resolved_client().arun(answer(request))
            return to_result(response, request.model, stops)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, kwargs)
        builder = ChunkBuilder(request.model, self._stops(request, stop))
        events = self.resolved_client().stream(answer_chunks(request))
        with model_errors(), closing(events):
            for event in events:
                if (chunk := builder.add(event)) is None:
                    continue
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
        request = self._request(messages, kwargs)
        builder = ChunkBuilder(request.model, self._stops(request, stop))
        events = self.resolved_client().astream(answer_chunks(request))
        with model_errors():
            async with aclosing(events):
                async for event in events:
                    if (chunk := builder.add(event)) is None:
                        continue
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield builder.last()


def _without_headers(called: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in called.items() if name != "extra_headers"}


ChatParallelWeb = ChatParallel
"""The name that langchain-parallel also has for it."""
