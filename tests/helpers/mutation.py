"""Real files with some bytes changed, lost or added."""

from hypothesis import strategies as st


@st.composite
def mutations(draw, content: bytes) -> bytes:
    """``content`` after one to four of: bytes replaced, removed, inserted, the rest cut off."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        piece = draw(st.binary(min_size=1, max_size=8))
        kind = draw(st.sampled_from(['replace', 'remove', 'insert', 'cut']))
        if kind == 'cut':
            content = content[:at]
        else:
            removed = 0 if kind == 'insert' else len(piece)
            added = b'' if kind == 'remove' else piece
            content = content[:at] + added + content[at + removed :]
    return content
