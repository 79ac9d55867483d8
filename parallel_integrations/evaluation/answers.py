"""What a system answered, with what it retrieved and what it cited, whatever its framework."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Field

from parallel_integrations._documents.citation_markers import resolve_markers
from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.models._validation import CheckedModel
from parallel_integrations.models.tolerant_reading import storable

StorableText: TypeAlias = Annotated[str, AfterValidator(storable)]
"""A text of a system's, as journals and reports can carry it."""

TEXT_KEYS: Final = ("answer", "output", "result", "response", "content", "text")
PASSAGE_KEYS: Final = (
    "documents",
    "context",
    "source_documents",
    "source_nodes",
    "results",
    "contexts",
)


class Passage(CheckedModel, frozen=True, extra="forbid"):
    """A text that was retrieved from a page.

    Attributes:
        url: The page; empty where it is not known.
        text: The excerpt.
        title: The page's title.
    """

    url: StorableText = ""
    text: StorableText
    title: StorableText = ""


class CitedPassage(CheckedModel, frozen=True, extra="forbid"):
    """A passage that an answer cites.

    Attributes:
        passage: What is cited; its text is empty where only a url is cited.
        start: Where the cited part of the answer begins; None where all of it is meant.
        end: Where it ends.
    """

    passage: Passage
    start: int | None = None
    end: int | None = None


class Answer(CheckedModel, extra="forbid"):
    """What a system gave for a question.

    Attributes:
        text: The answer; None for a search alone.
        passages: What it retrieved, in order and each once.
        citations: What it cites.
        dangling_markers: Markers in the text, such as `[7]`, that point to no passage.
    """

    text: StorableText | None = None
    passages: list[Passage] = Field(default_factory=list)
    citations: list[CitedPassage] = Field(default_factory=list)
    dangling_markers: list[StorableText] = Field(default_factory=list)


def answer_of(result: Any) -> Answer:
    """Read an answer and its evidence from what a system returned.

    Understood are: a text; the typed responses of this package; documents and messages of
    LangChain, alone, in a list or in the state of an agent (`{"messages": [...]}`, with the
    artifacts of its tools); responses and nodes of LlamaIndex; an object or dict with the answer
    under `answer`, `output`, `result` or `response` and passages under `documents`, `context`,
    `source_documents`, `results` or `contexts`; an `Answer`.

    Citations are those that the result has; where it has none, the markers of its text (`[1]`,
    `[^2]`, urls) are followed to its passages.

    Raises:
        TypeError: Neither an answer nor passages can be found in it; a stream that must be awaited.
    """
    result = whole(result)
    if inspect.iscoroutine(result):
        result.close()
        raise ArgumentTypeError("the answer is still to come: await response.get_response() first")
    if isinstance(result, Answer):
        return result
    reader = _Reader()
    if not reader.read(result):
        raise ArgumentTypeError(
            f"neither an answer nor passages were found in {type(result).__name__}; return a text, "
            "documents, a message, a dict with answer and documents, or an evaluation.Answer"
        )
    return reader.answer()


def whole(result: Any) -> Any:
    """A streamed response of LlamaIndex, read to its end, where its citations come; else itself.

    Returns:
        A coroutine where the stream must be awaited.
    """
    read = getattr(result, "get_response", None)
    return read() if callable(read) and hasattr(result, "response_gen") else result


class _Reader:
    """Collects the parts of an answer."""

    def __init__(self) -> None:
        self.text: str | None = None
        # Used as an ordered set: what two tools of an agent found is one passage.
        self.passages: dict[Passage, None] = {}
        self.citations: list[CitedPassage] = []

    def read(self, result: Any) -> bool:
        """Read one object; False where it is of no kind that is known."""
        if isinstance(result, str):
            self.text = result
            return True
        if (messages := _get(result, "messages")) is not None:
            return self._state(_many(messages))
        if _get(result, "type") == "tool" and (artifact := _get(result, "artifact")) is not None:
            return self._typed(artifact) or self._state([result])
        if isinstance(result, Sequence):
            known = [self._item(item) for item in result]  # each is read, also after an unknown one
            return all(known)
        if _get(result, "source_nodes") is not None and _get(result, "response") is not None:
            self.text = str(_get(result, "response") or "")
            self._retrieved(_get(result, "source_nodes"))
            self._basis(_get(result, "metadata"))
            return True
        found = (
            self._message(result)
            or self._typed(result)
            or self._item(result)
            or self._parts(result)
        )
        if self.text is not None:
            self._own_basis(result)
        return found

    def answer(self) -> Answer:
        passages = list(self.passages)
        citations, dangling = self.citations, []
        # Markers only where the result cites nothing itself: both together would count twice.
        if self.text and not citations:
            found = resolve_markers(self.text, [(p.url, p.text, p.title) for p in passages])
            citations = [
                CitedPassage(passage=passages[each.number], start=each.start, end=each.end)
                for each in found.citations
            ]
            dangling = found.dangling
        else:
            citations = [self._with_text(each) for each in citations]
        return Answer(
            text=self.text, passages=passages, citations=citations, dangling_markers=dangling
        )

    def _with_text(self, citation: CitedPassage) -> CitedPassage:
        """A citation of a url alone, with what was retrieved from it."""
        passage = citation.passage
        if passage.text.strip():
            return citation
        texts = [each.text for each in self.passages if each.url == passage.url]
        filled = passage.model_copy(update={"text": "\n\n".join(texts)})
        return citation.model_copy(update={"passage": filled})

    def _state(self, messages: Sequence[Any]) -> bool:
        """An agent's state: its last message, and the artifacts of its tools."""
        for message in messages:
            if (kind := _get(message, "type") or _get(message, "role")) == "tool":
                if (artifact := _get(message, "artifact")) is not None:
                    self._retrieved(artifact)
            elif kind in ("ai", "assistant"):
                self._message(message)
        return self.text is not None or bool(self.passages)

    def _message(self, message: Any) -> bool:
        """A chat message of either framework, or a dict of one."""
        blocks = _get(message, "blocks")  # LlamaIndex
        inner = _get(message, "message")
        if inner is not None and _get(inner, "blocks") is not None:
            return self._message(inner)
        content = _get(message, "content") if blocks is None else blocks
        is_message = _get(message, "type") in ("ai", "assistant", "AIMessageChunk")
        if not (is_message or blocks is not None or _get(message, "role") == "assistant"):
            return False
        self.text, self.citations = "", []  # the last message answers, not those before it
        if isinstance(content, str):
            self.text = content
        for block in _many(content):
            start = len(self.text)
            self.text += str(_get(block, "text") or _get(_get(block, "content"), "text") or "")
            for note in _many(_get(block, "annotations") or _get(block, "citations")):
                self._citation(note, start)
        self._own_basis(message)
        return True

    def _typed(self, result: Any) -> bool:
        """A response of Parallel's API: search, extract, chat or a task."""
        output = _get(result, "output")
        basis = _get(result, "basis") or _get(output, "basis")
        content = _get(output, "content")
        if content is None and basis is not None:
            content = _get(result, "content") or _get(result, "text")
        if content is not None and (basis is not None or _get(output, "type") is not None):
            self.text = content if isinstance(content, str) else _flat(content)
            self._basis({"basis": basis or []})
            return True
        return False

    def _parts(self, result: Any) -> bool:
        """An object or dict with an answer, passages or both under names that are known."""
        found = False
        for key in PASSAGE_KEYS:
            if _is_many(items := _get(result, key)):
                found = True
                self._retrieved(items)
        for key in TEXT_KEYS:
            value = _get(result, key)
            if isinstance(value, str):
                self.text = value
                found = True
                break
            if value is not None and self._message(value):
                found = True
                break
        for call in _many(_get(result, "tool_calls")):  # what an agent of LlamaIndex ran
            self._retrieved(_get(_get(call, "tool_output"), "raw_output") or ())
        for note in _many(_get(result, "citations")):
            self._citation(note, 0)
        return found

    def _item(self, item: Any) -> bool:
        """A document, node or page."""
        node = _get(item, "node")
        if node is not None:
            return self._item(node)
        metadata = _get(item, "metadata") or {}
        text = _get(item, "page_content")
        if text is None and callable(get := getattr(item, "get_content", None)):
            text = get()
        if text is None and (excerpts := _get(item, "excerpts")) is not None:
            text = "\n\n".join([str(_get(e, "text") or e) for e in _many(excerpts)])
            text = text or _get(item, "full_content") or ""
        if text is None:
            text = _get(item, "raw_content") or _get(item, "content") or _get(item, "text")
        if not isinstance(text, str) or not (metadata or node or _get(item, "url") is not None):
            return False
        url = _get(item, "url") or _get(metadata, "url") or _get(metadata, "source") or ""
        title = _get(item, "title") or _get(metadata, "title") or ""
        if text.strip():
            self.passages[Passage(url=str(url), text=text, title=str(title))] = None
        return True

    def _retrieved(self, items: Any) -> None:
        items = _get(items, "results") or items
        for item in items if _is_many(items) else [items]:
            if isinstance(item, str):
                self.passages[Passage(text=item)] = None
            else:
                self._item(item)

    def _basis(self, metadata: Any) -> None:
        for field in _many(_get(metadata, "basis")):
            for citation in _many(_get(field, "citations")):
                self._citation(citation, 0)

    def _own_basis(self, result: Any) -> None:
        """The basis that responses and messages carry, where nothing else cites."""
        # Each framework keeps it elsewhere, and some in two of these places: one is enough.
        for source in ("response_metadata", "additional_kwargs", "metadata", "raw"):
            if not self.citations:
                self._basis(_get(result, source))

    def _citation(self, note: Any, offset: int) -> None:
        url = _get(note, "url") or ""
        excerpts = _many(_get(note, "excerpts"))
        text = "\n\n".join(str(e) for e in excerpts) if excerpts else _get(note, "cited_text")
        if not url and not text:
            return
        start, end = _get(note, "start_index"), _get(note, "end_index")
        spanned = isinstance(start, int) and isinstance(end, int)
        passage = Passage(url=str(url), text=str(text or ""), title=str(_get(note, "title") or ""))
        if passage.text.strip() and passage not in self.passages:
            self.passages[passage] = None
        self.citations.append(
            CitedPassage(
                passage=passage,
                start=start + offset if spanned else None,
                end=end + offset if spanned else None,
            )
        )


def _get(thing: Any, name: str) -> Any:
    """An attribute or a key, None where there is neither."""
    if isinstance(thing, Mapping):
        return thing.get(name)
    value = getattr(thing, name, None)
    # A class or a method of the same name is not data.
    return None if callable(value) else value


def _many(value: Any) -> Sequence[Any]:
    """A list of things; none where it is no list."""
    return value if _is_many(value) else ()


def _is_many(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _flat(content: Any) -> str:
    """The texts of a structured answer, a line each."""
    return "\n".join(_leaves(content))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            for leaf in _leaves(inner):
                yield f"{key}: {leaf}" if "\n" not in leaf else leaf
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)
