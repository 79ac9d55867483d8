"""The error for chat messages of either framework that Parallel's Chat does not accept."""


def unsendable(place: int, why: str) -> ValueError:
    """The error for the message at a place in the conversation."""
    return ValueError(
        f"messages[{place}] cannot be sent to Parallel: {why}, and its Chat takes system, user and "
        "assistant turns of text only. Leave the message out or turn it into text."
    )
