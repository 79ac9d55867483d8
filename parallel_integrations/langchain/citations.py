"""Citations in the answer of any chat model that was given Parallel's documents."""

from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.documents import Document
from langchain_core.messages import content as blocks

from parallel_integrations._documents.citation_markers import resolve_markers


class ResolvedCitations(NamedTuple):
    """What an answer's markers point to.

    Attributes:
        citations: LangChain's standard `Citation` annotations: `url`, `title`, `start_index` and
            `end_index` of the sentence in the answer, and in `cited_text` the place of the document
            that states it, or else the whole document.
        dangling_markers: Markers that point to no document, such as `[9]`.
    """

    citations: list[blocks.Citation]
    dangling_markers: list[str]


def resolve_citations(answer: str, documents: Sequence[Document]) -> ResolvedCitations:
    """Follow `[1]`, `[1, 3]`, `[^2]` and urls in an answer to the documents that they name.

    Whether a document holds what cites it is not judged: see `parallel_integrations.evaluation`.

    Args:
        answer: The text of any model's answer.
        documents: What it was given, in that order: `[1]` is the first.

    Returns:
        The citations, in the order of the answer.

    Example:
        ```python
        from langchain_core.documents import Document
        from parallel_integrations.langchain import resolve_citations

        page = Document("It is 412 metres long.", metadata={"url": "https://bridge.example/"})
        found = resolve_citations("The bridge is 412 metres long [1]. It is green [2].", [page])
        print(found.citations[0]["url"], found.dangling_markers)  # https://bridge.example/ ['[2]']
        ```
    """
    given = [
        (_url(each), each.page_content, each.metadata.get("title") or "") for each in documents
    ]
    found = resolve_markers(answer, given)
    citations = []
    for each in found.citations:
        url, text, title = given[each.number]
        citations.append(
            blocks.create_citation(
                url=url,
                title=title,
                start_index=each.start,
                end_index=each.end,
                cited_text=text[each.quote_start : each.quote_end],
            )
        )
    return ResolvedCitations(citations, found.dangling)


def _url(document: Document) -> str:
    return str(document.metadata.get("url") or document.metadata.get("source") or "")
