"""What a fuzzed call sends and receives is nobody's contract."""

from collections.abc import Iterator

import pytest

from tests.support.wire_recorder import WireRecorder


@pytest.fixture(autouse=True)
def contract_kept(wire_recorder: WireRecorder) -> Iterator[None]:
    """Forget what was said: made-up responses make operations request made-up things."""
    yield
    wire_recorder.take()
    wire_recorder.take_requests()
