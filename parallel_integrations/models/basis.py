"""Basis of an answer: for each field its reasoning, citations and confidence."""

from typing import Annotated

from pydantic import AfterValidator

from parallel_integrations.models.fields import Excerpts, Items, Text
from parallel_integrations.models.shared import ResponseModel


def _confidence(value: str | None) -> str | None:
    return value.lower() if value else None


class Citation(ResponseModel):
    """A page that supports an answer (docs/reference/facts.md, 4).

    Attributes:
        excerpts: The passages that support the answer; may be empty.
    """

    url: str
    title: str | None = None
    excerpts: Excerpts = []


class FieldBasis(ResponseModel):
    """The basis of one field of an answer.

    Attributes:
        field: The field: `output` for text, a name for JSON, `name.0` for a list's element.
        reasoning: How the answer follows.
        citations: The pages it follows from.
        confidence: `low`, `medium` or `high`, other words as the API sends them, None if unknown.
    """

    field: Text = ""
    reasoning: Text = ""
    citations: Items[Citation] = []
    confidence: Annotated[str | None, AfterValidator(_confidence)] = None
