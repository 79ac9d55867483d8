"""Numbers with the noun that they count."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`.

    Args:
        number: How many.
        one: What follows the number 1.
        many: What follows any other; `one` with an `s` where it is left out.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
