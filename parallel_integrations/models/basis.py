"""Why an answer can be believed: per field, the reasoning, the citations, the confidence."""

from typing import Annotated

from pydantic import AfterValidator

from parallel_integrations.models.shared import Excerpts, Items, ResponseModel, Text


def _confidence(value: str | None) -> str | None:
    return value.lower() if value else None


class Citation(ResponseModel):
    """A page that an answer rests on (API facts 4).

    Attributes:
        excerpts: The passages that bear the answer out; may be empty.
    """

    url: str
    title: str | None = None
    excerpts: Excerpts = []


class FieldBasis(ResponseModel):
    """What one field of an answer rests on.

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
