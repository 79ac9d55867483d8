"""Structured output: a pydantic class as the answer's JSON schema, and its objects."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any, Final, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms.llm import LLM
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.program.streaming_utils import process_streaming_content_incremental
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel

from parallel_integrations._documents.json_values import json_so_far, json_values, opening_of
from parallel_integrations.errors import InvalidArgumentError, UnexpectedAnswerError
from parallel_integrations.llama_index.arguments import as_template, checking, surfacing
from parallel_integrations.llama_index.citations import attach_evidence, evidence_of
from parallel_integrations.models.output_schema import class_schema, parse_output, response_name

SHOWN_CHARACTERS: Final = 200

dispatcher = get_dispatcher(__name__)


def check_class(output_cls: Any, otherwise: str) -> None:
    """Raise an `InvalidArgumentError` where it is no pydantic class; `otherwise` is the remedy."""
    if not (isinstance(output_cls, type) and issubclass(output_cls, BaseModel)):
        raise InvalidArgumentError(
            f"output_cls={output_cls!r:.100} must be a pydantic class (of pydantic 2); for a JSON "
            f"schema, {otherwise}",
            field="output_cls",
        )


def response_format(output_cls: type[BaseModel]) -> dict[str, Any]:
    """The `response_format` of a request for JSON that fits a class."""
    check_class(output_cls, "pass response_format={'name': …, 'schema': …} to chat()")
    try:
        schema = class_schema(output_cls)
    except ValueError as error:
        raise InvalidArgumentError(f"output_cls: {error}", field="output_cls") from None
    name = response_name(output_cls.__name__)
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def read_object(output_cls: type[Model], response: ChatResponse) -> Model:
    """An answer as an object, with its evidence for `evidence_of`.

    Raises:
        UnexpectedAnswerError: The answer's text does not fit the class.
    """
    text = response.message.content or ""
    faults = []
    for found in json_values(text, opening_of(output_cls.model_json_schema())):
        value, fault = parse_output(found, output_cls)
        if value is not None:
            attach_evidence(value, evidence_of(response))
            return cast(Model, value)
        faults.append(fault)
    fault = faults[0] if faults else "it holds no whole JSON object"
    shown = text[:SHOWN_CHARACTERS]
    raise UnexpectedAnswerError(
        f"The answer does not fit {output_cls.__name__}: {fault}. It begins: {shown!r}", body=shown
    )


STRUCTURED: Final = (
    "structured_predict",
    "astructured_predict",
    "stream_structured_predict",
    "astream_structured_predict",
)


@checking("prompt", 1, as_template, "predict", "apredict", "stream", "astream", around=surfacing)
@checking("prompt", 2, as_template, *STRUCTURED)
class StructuredChat(LLM):
    """Adds native structured prediction to a chat model that takes `response_format`.

    With a `pydantic_program_mode` other than the default, LlamaIndex's own programs do it, which
    put the schema into the prompt.
    """

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object.

        Args:
            output_cls: The class to fill; its JSON schema goes with the request.
            prompt: The prompt.
            llm_kwargs: For the call, as in `chat`.
            **prompt_args: The values of the prompt's variables.

        Returns:
            An instance of the class; `evidence_of` and `citation_blocks` take it.

        Raises:
            ParallelError: The call failed; `UnexpectedAnswerError`, the answer does not fit.
        """
        if not self._native:
            predicted: Model = super().structured_predict(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
            return predicted
        self._report_start(output_cls, prompt, prompt_args)
        messages = self._prompted(prompt, prompt_args)
        arguments = self._with_format(output_cls, llm_kwargs)
        with surfacing():
            response = self.chat(messages, **arguments)
        value = read_object(output_cls, response)
        dispatcher.event(LLMStructuredPredictEndEvent(output=value))
        return value

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer a prompt with an object, awaiting; all else as in `structured_predict`."""
        if not self._native:
            predicted: Model = await super().astructured_predict(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
            return predicted
        self._report_start(output_cls, prompt, prompt_args)
        messages = self._prompted(prompt, prompt_args)
        arguments = self._with_format(output_cls, llm_kwargs)
        with surfacing():
            response = await self.achat(messages, **arguments)
        value = read_object(output_cls, response)
        dispatcher.event(LLMStructuredPredictEndEvent(output=value))
        return value

    def as_structured_llm(self, output_cls: type[BaseModel], **kwargs: Any) -> StructuredLLM:
        """This LLM, whose responses are objects of a class.

        Args:
            output_cls: The class to fill.
            **kwargs: LlamaIndex's.

        Raises:
            InvalidArgumentError: It is no pydantic class.
        """
        response_format(output_cls)
        structured: StructuredLLM = super().as_structured_llm(output_cls, **kwargs)
        return structured

    # `stream_structured_predict` and `astream_structured_predict` iterate these between events.

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None, None]:
        if not self._native:
            yield from super()._structured_stream_call(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
            return
        messages = self._prompted(prompt, prompt_args)
        arguments = self._with_format(output_cls, llm_kwargs)
        with surfacing():
            stream = self.stream_chat(messages, **arguments)
        partial_object = PartialObject(output_cls)
        with closing(stream):
            for response in stream:
                if (partial := partial_object.add(response)) is not None:
                    yield partial
        yield partial_object.whole()

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
        if not self._native:
            return await super()._structured_astream_call(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
        messages = self._prompted(prompt, prompt_args)
        arguments = self._with_format(output_cls, llm_kwargs)
        with surfacing():
            stream = await self.astream_chat(messages, **arguments)

        async def objects() -> AsyncGenerator[Model | FlexibleModel, None]:
            partial_object = PartialObject(output_cls)
            async with aclosing(stream):
                async for response in stream:
                    if (partial := partial_object.add(response)) is not None:
                        yield partial
            yield partial_object.whole()

        return objects()

    @property
    def _native(self) -> bool:
        return self.pydantic_program_mode == PydanticProgramMode.DEFAULT

    def _prompted(self, prompt: PromptTemplate, prompt_args: dict[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))

    def _with_format(
        self, output_cls: type[BaseModel], llm_kwargs: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {**(llm_kwargs or {}), "response_format": response_format(output_cls)}

    def _report_start(
        self, output_cls: type[BaseModel], prompt: PromptTemplate, prompt_args: dict[str, Any]
    ) -> None:
        dispatcher.event(
            LLMStructuredPredictStartEvent(
                output_cls=output_cls, template=prompt, template_args=prompt_args
            )
        )


class PartialObject:
    """An object whose JSON is still arriving."""

    def __init__(self, output_cls: type[Model]) -> None:
        self._output_cls: type[BaseModel] = output_cls
        self._opening = opening_of(output_cls.model_json_schema())
        self._partial: Any = None
        self._last = ChatResponse(message=ChatMessage())

    def add(self, response: ChatResponse) -> Any:
        """The object so far, in a class whose fields may be missing; None without new text."""
        self._last = response
        if not response.delta:
            return None
        text = json_so_far(response.message.content or "", self._opening)
        begun = ChatResponse(message=ChatMessage(content=text))
        self._partial = process_streaming_content_incremental(
            begun, self._output_cls, self._partial
        )
        return self._partial

    def whole(self) -> Any:
        """The whole object, once the stream has ended properly."""
        return read_object(self._output_cls, self._last)
