"""Which tests a worker process is given at a time."""

from typing import Any

from xdist.scheduler import LoadGroupScheduling


class FunctionScheduling(LoadGroupScheduling):
    """Gives a test with all its cases to one process, and the tests of a group as before.

    After each test, xdist counts in all that a process was ever given what is left of it: with
    each case given alone, and what is done kept, that and the messages cost twelve seconds of CPU.
    """

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        super().mark_test_complete(node, item_index, duration)
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(self.assigned_work[node][scope].values()):
            del self.assigned_work[node][scope]

    def _split_scope(self, nodeid: str) -> str:
        group = super()._split_scope(nodeid)
        return group if group != nodeid else nodeid.partition("[")[0]
