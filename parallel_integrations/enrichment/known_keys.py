"""Which inputs are surely new."""

from collections.abc import Iterable


class KnownKeys:
    """Tells which keys are surely new, in two megabytes whatever their number (a Bloom filter).

    Most rows are; the database need not be asked for them.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << 21)

    def update(self, tasks: Iterable[tuple[int, bytes]]) -> None:
        """Take the keys of tasks in."""
        bits = self._bits
        for _, key in tasks:
            bits[int.from_bytes(key[:3]) >> 3] |= 1 << (key[2] & 7)
            bits[int.from_bytes(key[3:6]) >> 3] |= 1 << (key[5] & 7)

    def lack(self, key: bytes) -> bool:
        """Whether a key is surely new."""
        bits = self._bits
        return not (
            bits[int.from_bytes(key[:3]) >> 3] >> (key[2] & 7) & 1
            and bits[int.from_bytes(key[3:6]) >> 3] >> (key[5] & 7) & 1
        )
