"""Customer text made safe to look at: what is invisible or turns the line around becomes a visible mark.

Escaping HTML is the template's part. This is about characters that lie to the reader without being markup.
"""

from __future__ import annotations

# Line feeds and tabs are layout. Marks that right-to-left languages need (U+200E, U+200F) and the joiners of emoji are
# left alone.
_DECEPTIVE = [
    *(code for code in range(0x20) if chr(code) not in "\n\t"),
    *range(0x7F, 0xA0),  # delete and the C1 controls
    *range(0x202A, 0x202F),  # bidirectional embeddings and overrides
    *range(0x2066, 0x206A),  # bidirectional isolates
    0x200B,  # zero width space
    0x2060,  # word joiner
    0xFEFF,  # byte order mark
    *range(0xE0000, 0xE0080),  # tags: a second, invisible alphabet
]
_VISIBLE = {code: f"⟨U+{code:04X}⟩" for code in _DECEPTIVE} | {0x2028: "\n", 0x2029: "\n"}


def legible(text: str) -> str:
    """The text with line ends unified and each deceptive character replaced by its code."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_VISIBLE)
