"""Ids as the sandbox counts them."""


def numbered(kind: str, number: int = 1) -> str:
    """The id that the sandbox gives the `number`-th thing of a kind."""
    return f"{kind}_sandbox_00000000{number:016}"
