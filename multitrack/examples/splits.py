"""Which split an edit is in: versions of one programme together, by a hash of its name.

The same programme under three names, some in training and some scored, would be known by heart.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from experiments.shared.errors import InputError
from multitrack.edit.timeline import Timeline
from multitrack.xmeml.media import file_name

ALIKE = 0.5  # of the seconds shown, or of the runs of cuts, that make two edits one programme
RUN = 3  # shots in a run
FEW = 5  # runs that say nothing yet


@dataclass
class Print:
    """What an edit is recognised by.

    footage: seconds that each source shows, by its file's name and length; runs: the lengths of
    each three shots in a row, in hundredths of a second.
    """

    footage: dict[str, float]
    runs: list[str]


def print_of(timeline: Timeline) -> Print:
    """The print of an edit; stills, titles and generators say nothing."""
    footage, runs, fps = defaultdict(float), set(), timeline.rate.fps
    for track in timeline.tracks:
        clips = [c for c in track.clips if c.kind == "video" and c.media is not None]
        lengths = [round(float((c.end - c.start) / fps) * 100) for c in clips]
        for clip, length in zip(clips, lengths, strict=True):
            media = clip.media
            name = file_name(media.path) or media.name
            footage[f"{name.lower()} {media.duration}"] += length / 100
        runs |= {" ".join(map(str, lengths[i : i + RUN])) for i in range(len(lengths) - RUN + 1)}
    return Print(dict(footage), sorted(runs))


def alike(one: Print, two: Print) -> bool:
    """Whether half of what either shows is the other's footage too, or half of its cuts are."""
    both = one.footage.keys() & two.footage.keys()
    for edit in (one, two):
        if both and sum(edit.footage[key] for key in both) >= ALIKE * sum(edit.footage.values()):
            return True
    fewer = min(len(one.runs), len(two.runs))
    return fewer >= FEW and len(set(one.runs) & set(two.runs)) >= ALIKE * fewer


def programmes(prints: dict[str, Print]) -> dict[str, str]:
    """The programme of each edit, called by the first of its edits' names."""
    names, having = sorted(prints), defaultdict(list)
    for number, name in enumerate(names):
        for key in (*prints[name].footage, *prints[name].runs):
            having[key].append(number)
    pairs = {pair for holders in having.values() for pair in itertools.combinations(holders, 2)}
    same = [(i, j) for i, j in pairs if alike(prints[names[i]], prints[names[j]])]
    rows, columns = np.array(same, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(same)), (rows, columns)), shape=(len(names), len(names)))
    _, group = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    return {name: first.setdefault(int(g), name) for name, g in zip(names, group, strict=True)}


def split_by_name(names: list[str]) -> tuple[dict[str, str], list[str]]:
    """The split of each file by its own name alone, and those that had to leave theirs.

    A hash of the name puts a tenth each into `val` and `test`, so that files added or taken away
    move no other. A split that stays empty borrows: `val` and `test` from each other, where two
    are to be had, else from `train`, opposite ends of it; `train` from the fuller of them. As files
    of its own come, the borrowed one goes back, so that a file of `train` is never scored later
    unless it was borrowed. Fewer than three files stay where they are.
    """
    place = {n: int(hashlib.sha256(n.encode()).hexdigest()[:15], 16) / 16**15 for n in names}
    splits = {n: "val" if p < 0.1 else "test" if p < 0.2 else "train" for n, p in place.items()}
    moved = []
    for empty, other, choose in (("val", "test", min), ("test", "val", max), ("train", "", max)):
        if len(names) < 3 or empty in splits.values():
            continue
        held = Counter(splits.values())
        lender = max(("val", "test"), key=held.__getitem__) if empty == "train" else "train"
        if held[other] > 1:
            lender = other
        name = choose((n for n in names if splits[n] == lender), key=place.__getitem__)
        splits[name] = empty
        moved.append(name)
    return splits, moved


def split_by_programme(prints: dict[str, Print]) -> tuple[dict[str, str], list[str]]:
    """The split of each file, and what has to be said about it.

    A programme goes where its first name goes (`split_by_name`). Fewer than three programmes cannot
    be kept apart: then files are split, and a warning says so.
    """
    of = programmes(prints)
    found = sorted(set(of.values()))
    remarks = []
    if len(found) < 3 <= len(of):
        remarks.append(
            f"WARNING {len(of)} files are versions of {len(found)} programmes: what is scored was "
            "in part trained on (give other programmes, or a manifest.json)"
        )
        of = {name: name for name in of}
        found = sorted(of)
    elif len(found) < len(of):
        remarks.append(f"{len(of)} files are {len(found)} programmes: versions stay in one split")
    places, moved = split_by_name(found)
    remarks += [
        f"WARNING {name} is in {places[name]!r} only because few files are there: adding "
        "files can move it (a manifest.json holds it)"
        for name in moved
    ]
    return {name: places[programme] for name, programme in of.items()}, remarks


def leave_one_out(prints: dict[str, Print], fold: int) -> tuple[dict[str, str], list[str]]:
    """All versions of one programme in `test`, of the next in `val`, the rest in `train`; a remark.

    Raises:
        InputError: fewer than three programmes, or none of that number.
    """
    of = programmes(prints)
    found = sorted(set(of.values()))
    if not fold < len(found) or len(found) < 3:
        raise InputError(
            f"data.fold={fold}: expected a number below that of the programmes, and three of them "
            f"at least; there are {len(found)}: {', '.join(found[:9])}"
        )
    place = dict.fromkeys(found, "train")
    place[found[(fold + 1) % len(found)]], place[found[fold]] = "val", "test"
    said = f"fold {fold} of {len(found)}: {found[fold]} is scored"
    return {name: place[programme] for name, programme in of.items()}, [said]
