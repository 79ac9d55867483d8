from collections.abc import Iterator

import pytest

from parallel_integrations.sandbox import Sandbox


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A sandbox of the test's own: other tests leave connections to the shared one open."""
    with Sandbox() as sandbox:
        yield sandbox
