"""Which tests a worker process is given at a time."""

from xdist.scheduler import LoadGroupScheduling


class FunctionScheduling(LoadGroupScheduling):
    """Gives a test with all its cases to one process, and the tests of a group as before.

    Of what a process was given, xdist counts again after each test what is left: were each of the
    cases given alone, that and the messages would cost ten seconds of CPU.
    """

    def _split_scope(self, nodeid: str) -> str:
        group = super()._split_scope(nodeid)
        return group if group != nodeid else nodeid.partition("[")[0]
