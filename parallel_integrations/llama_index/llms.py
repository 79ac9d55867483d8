"""Parallel's Chat as a LlamaIndex LLM."""

from collections.abc import Sequence
from contextlib import aclosing, closing
from typing import Any, Final

from llama_index.core.base.llms.generic_utils import (
    achat_to_completion_decorator,
    astream_chat_to_completion_decorator,
    chat_to_completion_decorator,
    stream_chat_to_completion_decorator,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import Field, field_validator

from parallel_integrations._documents.answers import AnyRequest, answer, answer_chunks
from parallel_integrations._documents.stop import stop_sequences
from parallel_integrations.llama_index.arguments import (
    as_callbacks,
    as_messages,
    as_prompt,
    checking,
)
from parallel_integrations.llama_index.base import Component
from parallel_integrations.llama_index.messages import (
    StreamedResponse,
    response_ids,
    to_response,
    to_wire,
)
from parallel_integrations.llama_index.structured_output import StructuredChat
from parallel_integrations.models.response import MAX_CHARACTERS, RESPONSES_MODEL, AnswerSettings

# The API states no limit. LlamaIndex splits a longer prompt into several calls, each with a search
# and a bill of its own, and its default (3900) is less than a few pages; this is far more than one
# search returns.
CONTEXT_WINDOW_TOKENS: Final = 128_000
# Of English prose it is up to 5, by LlamaIndex's tokenizer; of a prompt that is refused, nothing.
CHARACTERS_PER_TOKEN: Final = 6
UNSET: Final = -1


@checking("messages", 1, as_messages, "chat", "achat", "stream_chat", "astream_chat")
@checking("prompt", 1, as_prompt, "complete", "acomplete", "stream_complete", "astream_complete")
class ParallelLLM(Component, AnswerSettings, StructuredChat):
    """Web-grounded answers from Parallel's Chat and Responses.

    `speed` answers in seconds; the research models `lite`, `base` and `core` take longer (10 s to
    5 min) and give the basis of their answer. A response's `additional_kwargs` hold `basis` (a list
    of fields with reasoning, citations and confidence, as plain JSON) and `interaction_id` where
    the API sent them; in a stream the last response has them. `raw` is the API's response as a
    dict. `citation_blocks(response)` gives the citations as LlamaIndex's blocks,
    `evidence_of(response)` basis and interaction id, both of messages, structured answers and the
    responses of chat engines and agents, too. A message's own `additional_kwargs` stay empty:
    memories count them as tokens, and other LLMs may send them on.

    `parallel` is the model of Responses: 5 to 60 s by `reasoning_effort`, 20,000 characters at
    most. Instead of a basis its answers have `annotations`, each with the page and the span of the
    text that it supports (`start_index`, `end_index`), and `response_id`.

    `structured_predict` and its other forms, `as_structured_llm` and engines with an output class
    send the class's JSON schema (`response_format`); while streaming, partial objects come first.

    Chat takes text: text blocks are joined, `developer` turns count as `system`, `chatbot` and
    `model` as `assistant`; calls and results of tools, which another LLM left in the history,
    become text. It calls no tools itself: in agents use `ReActAgent`, for example as the writer of
    an `AgentWorkflow`, or let a function-calling LLM drive and Parallel search.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, by default 60 for `speed`,
    150 for `parallel` and 600 for other models, `max_retries`, 2 by default, `client`) and what
    every LlamaIndex LLM has (`system_prompt`, `callback_manager`, `output_parser`, …) it takes:

    Attributes:
        model: `speed` (default), `lite`, `base`, `core` or `parallel`; also per call. It may stand
            first, without its name.
        reasoning_effort: Of `parallel`, also per call: `low` (0.010 USD), `medium` (0.050, the
            API's default) or `high` (0.250).
        previous_response_id: Of `parallel`: continues an earlier answer by its `response_id`; also
            per call.
        use_previous_response_id: Of `parallel`: True continues the last answer among the messages
            by its id, and sends only what comes after it.
        previous_interaction_id: Continues an earlier answer by its `interaction_id`; also per call.
        extra_body: Further fields of the request's body; those given per call are added.
        extra_headers: Further headers of the request; those given per call are added. Never part
            of repr or serialization.
        context_window: Tokens that LlamaIndex packs into one call at most; 128 000 by default,
            because the API states no limit and each further call is billed; 3333 for `parallel`.
        stop: Texts before which an answer ends, also per call. The API knows none: the text is cut
            here, while the rest of a stream is read for its citations. No object is cut.
        temperature: Known, ignored by the API and not sent; so are `max_tokens` and, per call,
            OpenAI's other sampling parameters (`top_p`, `seed`, …).
        max_tokens: As `temperature`.

    Raises:
        ParallelError: From every call; `StreamInterruptedError`, whose `partial` holds the text so
            far, where a stream is cut.
        ValueError: A message that Chat cannot take (images, audio), an unknown argument of a call,
            or a value past its limit, before anything is sent.
        TypeError: An unknown argument of the constructor.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelLLM

        llm = ParallelLLM(model="speed")
        print(llm.complete("How does the with statement handle exceptions?").text)
        for chunk in llm.stream_complete("What is a generator?"):
            print(chunk.delta, end="")
        ```
    """

    first_argument = "model"

    context_window: int = Field(default=CONTEXT_WINDOW_TOKENS, gt=0)
    """Tokens that LlamaIndex packs into one call at most; 128 000 by default, because the API
    states no limit and each further call is billed; 3333 for `parallel`.
    """

    # LlamaIndex has the field for every LLM, and takes whatever it is given.
    @field_validator("rate_limiter", check_fields=False)
    @classmethod
    def _paces(cls, given: Any) -> Any:
        for name in ("acquire", "async_acquire"):
            if given is not None and not callable(getattr(given, name, None)):
                message = (
                    "must have acquire() and async_acquire(), as LlamaIndex's have; "
                    f"{type(given).__name__} has no {name}()"
                )
                raise ValueError(message)
        return given

    # LlamaIndex puts an empty one in place of what is none, and the handlers would hear nothing.
    @field_validator("callback_manager", mode="before", check_fields=False)
    @classmethod
    def _reports(cls, given: Any) -> Any:
        return as_callbacks(given)

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serializes this class."""
        return "ParallelLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """Properties of the model by which LlamaIndex chooses and fills its prompts."""
        window = self.context_window
        if self.model.lower() == RESPONSES_MODEL and "context_window" not in self.model_fields_set:
            window = MAX_CHARACTERS // CHARACTERS_PER_TOKEN
        return LLMMetadata(
            context_window=window,
            num_output=UNSET,
            is_chat_model=True,
            is_function_calling_model=False,
            model_name=self.model,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation.

        Args:
            messages: The turns so far, oldest first.
            **kwargs: `model`, `previous_interaction_id`, `extra_body`, `extra_headers` and
                `response_format` (as on the wire) and `stop` for this call; sampling parameters are
                ignored.

        Returns:
            The response; the class describes its `additional_kwargs`.

        Raises:
            ParallelError: The call failed.
            ValueError: A message that Chat cannot take, or an unknown argument.
        """
        return self._chat(messages, **kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation, awaiting; everything else as in `chat`."""
        return await self._achat(messages, **kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream the answer to a conversation; arguments as in `chat`.

        Returns:
            Responses with the text so far (`message`) and the new piece (`delta`). The last adds
            no text and holds `basis` and `interaction_id` where the API sent them. Closing or
            dropping the generator closes the connection.
        """
        return self._stream_chat(messages, **kwargs)

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Stream the answer to a conversation, awaiting; the rest as in `stream_chat`."""
        return await self._astream_chat(messages, **kwargs)

    @llm_completion_callback()
    def complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponse:
        """Answer a prompt, sent as one user turn; further arguments as in `chat`."""
        return chat_to_completion_decorator(self._chat)(prompt, **kwargs)

    @llm_completion_callback()
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponse:
        """Answer a prompt, awaiting; everything else as in `complete`."""
        return await achat_to_completion_decorator(self._achat)(prompt, **kwargs)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Stream the answer to a prompt; the rest as in `complete` and `stream_chat`."""
        return stream_chat_to_completion_decorator(self._stream_chat)(prompt, **kwargs)

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Stream the answer to a prompt, awaiting; the rest as in `stream_complete`."""
        return await astream_chat_to_completion_decorator(self._astream_chat)(prompt, **kwargs)

    def _stops(self, request: AnyRequest, called: dict[str, Any]) -> tuple[str, ...]:
        """The stop sequences of a call: its own, else the fixed ones."""
        return stop_sequences(called.get("stop", self.stop), request)

    def _request(self, messages: Sequence[ChatMessage], called: dict[str, Any]) -> AnyRequest:
        return self.answer_request(to_wire(messages), called, response_ids(messages))

    # Without callback decorators: completions call these too, and would be counted twice.

    def _chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        request = self._request(messages, kwargs)
        stop = self._stops(request, kwargs)
        return to_response(self.resolved_client().run(answer(request)), stop)

    async def _achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        request = self._request(messages, kwargs)
        stop = self._stops(request, kwargs)
        return to_response(await self.resolved_client().arun(answer(request)), stop)

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        # Outside of the generator, so that a bad message is an error at the call.
        request = self._request(messages, kwargs)
        streamed = StreamedResponse(self._stops(request, kwargs))

        def responses() -> ChatResponseGen:
            with closing(self.resolved_client().stream(answer_chunks(request))) as chunks:
                for chunk in chunks:
                    if response := streamed.add(chunk):
                        yield response
            yield streamed.last()

        return responses()

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        request = self._request(messages, kwargs)
        streamed = StreamedResponse(self._stops(request, kwargs))

        async def responses() -> ChatResponseAsyncGen:
            async with aclosing(self.resolved_client().astream(answer_chunks(request))) as chunks:
                async for chunk in chunks:
                    if response := streamed.add(chunk):
                        yield response
            yield streamed.last()

        return responses()
