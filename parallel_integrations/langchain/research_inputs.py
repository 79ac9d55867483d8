"""What chains, agents and graphs pass on to research: prompts, messages, states and documents.

As objects of fields they would be paid for, with all that messages hold besides their text.
"""

from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, convert_to_messages, get_buffer_string
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel


def research_input(given: Any) -> Any:
    """An input with a text in place of each message, prompt and conversation.

    A document is an object of its metadata and its text.

    Args:
        given: What a task is given: a text, an object of fields, a pydantic instance, or what
            becomes one of them. A list of messages, and a state of nothing but messages, may have
            any form that LangChain takes.
    """
    if isinstance(given, Document):
        return {**given.metadata, "page_content": given.page_content}
    state = isinstance(given, BaseModel) and not isinstance(given, BaseMessage | PromptValue)
    fields = dict(given) if state else given
    if isinstance(fields, dict):
        if fields.keys() == {"messages"} and isinstance(fields["messages"], list):
            return _conversation(fields["messages"], given)
        texts = {name: _text_or_same(value) for name, value in fields.items()}
        return texts if any(texts[name] is not fields[name] for name in fields) else given
    # Several texts are several questions, of a batch, and no conversation.
    if isinstance(given, list) and not any(isinstance(each, str) for each in given):
        return _conversation(given, given)
    return _text_or_same(given)


def _text_or_same(value: Any) -> Any:
    if isinstance(value, PromptValue):
        value = value.to_messages()
    if isinstance(value, BaseMessage):
        return value.text
    if isinstance(value, list) and all(isinstance(each, BaseMessage) for each in value):
        return _conversation(value, value)
    return value


def _conversation(messages: list[Any], otherwise: Any) -> Any:
    """What messages say; something else where they are none."""
    try:
        read = convert_to_messages(messages)
    except (ValueError, TypeError, KeyError, NotImplementedError):
        return otherwise
    if not read:
        return messages
    return read[0].text if len(read) == 1 else get_buffer_string(read)
