"""What a fuzzed call sends and is told is nobody's contract."""

from collections.abc import Iterator

import pytest

from tests.support.wire_recorder import Witness


@pytest.fixture(autouse=True)
def contract_kept(witness: Witness) -> Iterator[None]:
    """Forget what was said: made-up answers make operations ask for made-up things."""
    yield
    witness.take()
    witness.take_requests(besides=())
