"""Text for a terminal, without control sequences.

A page may hold escape sequences that set a window's title, clear the screen, make a link of words
that say something else, or turn the direction of what is written. Text from outside goes
through `printable` where it is printed, and nowhere else: data stays as it came.
"""

import re
from typing import Final

# C0 but line feed and tab, DEL and C1; line and paragraph separators; what embeds, overrides and
# isolates directions; half surrogate pairs, which no terminal's encoding can carry.
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: object) -> str:
    r"""A text in which every control character but line feed and tab is written as an escape.

    Example:
        ```python
        from parallel_integrations._cli.terminal import printable

        assert printable("\x1b]0;title\x07 text") == "\\x1b]0;title\\x07 text"
        ```
    """
    return _CONTROLS.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
