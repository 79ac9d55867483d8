"""Citations in the answer of any LLM that was given Parallel's nodes."""

from collections.abc import Sequence
from typing import NamedTuple

from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore

from parallel_integrations._documents.citation_markers import MarkerCitation, resolve_markers
from parallel_integrations.llama_index.arguments import as_found_nodes


class ResolvedNode(NamedTuple):
    """A node that an answer cites.

    Attributes:
        node: The node, as it was given.
        start_index: Where the sentence that cites it begins in the answer.
        end_index: Where it ends.
        cited_text: The place of the node that states the sentence, or else its whole text.
    """

    node: NodeWithScore
    start_index: int
    end_index: int
    cited_text: str


class ResolvedCitations(NamedTuple):
    """What an answer's markers point to.

    Attributes:
        citations: In the order of the answer.
        dangling_markers: Markers that point to no node, such as `[9]`.
    """

    citations: list[ResolvedNode]
    dangling_markers: list[str]


def resolve_citations(answer: str, nodes: Sequence[NodeWithScore | BaseNode]) -> ResolvedCitations:
    """Follow `[1]`, `[1, 3]`, `[^2]` and urls in an answer to the nodes that they name.

    Whether a node holds what cites it is not judged: see `parallel_integrations.evaluation`.

    Args:
        answer: The text of any LLM's answer.
        nodes: What it was given, in that order: `[1]` is the first. `response.source_nodes` of a
            query engine will do.

    Returns:
        The citations, in the order of the answer.

    Example:
        ```python
        from llama_index.core.schema import TextNode
        from parallel_integrations.llama_index import resolve_citations

        node = TextNode(text="It is 412 metres long.", metadata={"url": "https://bridge.example/"})
        found = resolve_citations("The bridge is 412 metres long [1]. It is green [2].", [node])
        print(found.citations[0].node.metadata["url"], found.dangling_markers)
        ```
    """
    given = [
        each if isinstance(each, NodeWithScore) else NodeWithScore(node=each)
        for each in as_found_nodes(nodes)
    ]
    texts = [each.node.get_content(metadata_mode=MetadataMode.NONE) for each in given]
    documents = [
        (
            str(each.metadata.get("url") or each.metadata.get("source") or ""),
            text,
            str(each.metadata.get("title") or ""),
        )
        for each, text in zip(given, texts, strict=True)
    ]
    found = resolve_markers(answer, documents)

    def resolved(citation: MarkerCitation) -> ResolvedNode:
        text = texts[citation.number][citation.quote_start : citation.quote_end]
        return ResolvedNode(given[citation.number], citation.start, citation.end, text)

    return ResolvedCitations([resolved(each) for each in found.citations], found.dangling)
