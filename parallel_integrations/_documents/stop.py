"""Stop sequences, honoured here because the API ignores them (docs/reference/facts.md, 7)."""

from collections.abc import Iterable, Sequence
from typing import Any

from parallel_integrations._documents.answers import AnyRequest
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models.response import RespondRequest


def stop_sequences(stop: Any, request: AnyRequest) -> tuple[str, ...]:
    """The texts before which a model's text is to end; none for None.

    None for an answer that is an object, either: cut short, it could not be read.

    Raises:
        InvalidArgumentError: Something else than a text, or an empty one.
    """
    one = isinstance(stop, str) or not isinstance(stop, Iterable)
    given = () if stop is None else (stop,) if one else tuple(stop)
    for each in given:
        if not isinstance(each, str) or not each:
            raise InvalidArgumentError(f"stop= takes texts that are not empty, not {each!r}")
    form = request.text_format if isinstance(request, RespondRequest) else request.response_format
    return given if form is None or form.get("type") == "text" else ()


class StopFilter:
    """Cuts a model's text, whole or in pieces, before the first stop sequence.

    The rest of a stream is read all the same: its last chunks hold the citations, which are paid.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        # Every beginning of a sequence that may still become one.
        self._beginnings = tuple({each[:end] for each in stop for end in range(1, len(each))})
        self._held = ""
        self._stopped = False

    def add(self, text: str) -> str:
        """What can be shown once this piece has come."""
        if not self._stop:
            return text
        if self._stopped:
            return ""
        text = self._held + text
        found = [(at + len(each), at) for each in self._stop if (at := text.find(each)) >= 0]
        if found:  # the one that is complete first, however the text is cut into pieces
            self._stopped, self._held = True, ""
            return text[: min(found)[1]]
        held = max((len(each) for each in self._beginnings if text.endswith(each)), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back, once no more can come."""
        held, self._held = self._held, ""
        return held

    def whole(self, text: str) -> str:
        """A whole text, cut."""
        return self.add(text) + self.rest()
