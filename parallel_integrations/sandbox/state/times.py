"""Times as responses carry them."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Return a moment as text, to the microsecond.

    Example:
        ```python
        from datetime import datetime
        from parallel_integrations.sandbox.state.times import UTC, rfc3339

        assert rfc3339(datetime(2026, 5, 2, 10, tzinfo=UTC)) == "2026-05-02T10:00:00.000000Z"
        ```
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
