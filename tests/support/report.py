"""The table of operations that stands at the end of a test run."""

from collections.abc import Iterator

from tests.support.contract import VARIABLE, Contract
from tests.support.operations import EXCUSES, OPERATIONS


def lines(contract: Contract) -> Iterator[str]:
    """What was checked against what, operation by operation, and every exception."""
    if contract.documents:
        for document in contract.documents:
            yield f"document: {document.path.name}, {len(document.operations)} operations"
    else:
        yield f"no document was given ({VARIABLE}): responses were read with our models only"
    width = max(len(f"{each.method} {each.path}") for each in OPERATIONS)
    for note in dict.fromkeys(each.note for each in OPERATIONS):
        yield ""
        yield f"{note or 'operations of the document':{width}}  requests  responses"
        for each in OPERATIONS:
            if each.note == note:
                sent, received = contract.requests[each.name], contract.responses[each.name]
                yield f"{f'{each.method} {each.path}':{width}}  {sent:8}  {received:9}"
    if contract.documents:
        yield ""
        yield "where the document is not obeyed, how often, and why"
        for excuse in EXCUSES:
            yield f"{contract.excused[excuse]:5} times, {excuse}"
