"""What a reader of a run must know of its pairs and codec, for summary.json and the report."""

from jingle.pairs.cache import key_of
from jingle.pairs.scan import Pair


def describe(pairs: dict[str, list[Pair]], codec, notes: list[str], skipped: list[str]) -> dict:
    """Sizes, content hash, where the blends come from, the codec, and notes.

    Args:
        pairs: by split.
        codec: as `jingle.codec.model.load_codec` gives it.
        notes: of the search for pairs.
        skipped: a line for each pair that was left out.
    """
    note = codec.note.replace("WARNING ", "")
    if not codec.meaningful:
        first = f"WARNING decoded audio is not meaningful; {note}"
    else:
        first = f"WARNING {note}" if "WARNING" in codec.note else note
    lines = [first, *notes, *(f"WARNING {line}" for line in skipped)]
    if not all(p.percussive and p.harmonic for p in pairs["test"]):
        lines.append(
            "not all test pairs have stems: rhythm, harmony, leaks and distances are measured "
            "against separated (HPSS) parts, for which hpss_mix is right by definition"
        )
    hashes = [
        (split, pair.input.hash, pair.target.hash) for split, own in pairs.items() for pair in own
    ]
    stems = all(p.percussive and p.harmonic for p in pairs["train"])
    return {
        "sizes": {split: len(own) for split, own in pairs.items()},
        "hash": key_of(hashes)[:16],
        "skipped": len(skipped),
        "blends": "true stems" if stems else "source separation",
        "codec": {
            "name": codec.name,
            "identity": codec.identity,
            "meaningful": codec.meaningful,
        },
        "notes": lines,
    }
