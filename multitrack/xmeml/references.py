"""References within a document: a source is defined once, a link has its end."""

import copy
import itertools
from xml.etree.ElementTree import Element

from multitrack.edit.timeline import Timeline
from multitrack.xmeml.safe import text_of

ITEMS = ("clipitem", "generatoritem")
SOURCES = ("file", "sequence")

Sources = dict[tuple[str, str], Element]


def is_definition(element: Element) -> bool:
    """Whether a <file> or <sequence> says more than which one is meant."""
    return element.find("media") is not None if element.tag == "sequence" else len(element) > 0


def definitions(root: Element) -> Sources:
    """The first definition of each file and sequence with an id, by (tag, id)."""
    found: Sources = {}
    for element in root.iter():
        if element.tag in SOURCES and element.get("id") and is_definition(element):
            found.setdefault((element.tag, element.get("id")), element)
    return found


def conflicts(root: Element, sources: Sources) -> list[tuple[str, str]]:
    """(tag, id) of each source that a later definition describes otherwise; the first counts."""
    found = []
    for element in root.iter():
        first = sources.get((element.tag, element.get("id")))
        if first is None or element is first or not is_definition(element):
            continue
        # Side by side, to the first difference: small ones do not make a large one be read often.
        pairs = itertools.zip_longest(element.iter(), first.iter())
        if any(_said(one) != _said(two) for one, two in pairs):
            found.append((element.tag, element.get("id")))
    return found


def _said(element: Element | None) -> tuple | None:
    text = None if element is None else (element.text or "").strip()
    return None if element is None else (element.tag, element.attrib, text)


def bind_links(root: Element) -> None:
    """Name the end of each link that only says its track and number there (both from 1).

    Final Cut counts the items of a track of the same sequence; their ids are what lasts when
    something is cut. Items without an id get one.
    """
    ids = {item.get("id") for item in root.iter() if item.tag in ITEMS}
    numbers = itertools.count(1)
    for sequence in root.iter("sequence"):
        places = _places(sequence)
        for element in places.values():
            for link in element.findall("link"):
                if text_of(link, "linkclipref") in ids:
                    continue
                end = places.get(
                    (
                        text_of(link, "mediatype", "video"),
                        *(text_of(link, f"{of}index") for of in ("track", "clip")),
                    )
                )
                if end is None:
                    continue
                if not end.get("id"):
                    key = next(i for i in map("clipitem-linked-{}".format, numbers) if i not in ids)
                    end.set("id", key)
                    ids.add(key)
                named = link.find("linkclipref")
                if named is None:
                    named = Element("linkclipref")
                    link.insert(0, named)
                named.text = end.get("id")


def _places(sequence: Element) -> dict[tuple[str, str, str], Element]:
    """The items of a sequence by medium, number of their track and number on it, as links say."""
    return {
        (medium, str(track), str(clip)): item
        for medium in ("video", "audio")
        for track, element in enumerate(sequence.iterfind(f"media/{medium}/track"), 1)
        for clip, item in enumerate((e for e in element if e.tag in ITEMS), 1)
    }


def number_links(root: Element) -> None:
    """Give each link the track and number that its end has now, where it says them."""
    for sequence in root.iter("sequence"):
        places = _places(sequence)
        by_id = {item.get("id"): place for place, item in places.items()}
        for item in places.values():
            for link in item.findall("link"):
                place = by_id.get(text_of(link, "linkclipref"), ())
                for tag, value in zip(
                    ("mediatype", "trackindex", "clipindex"), place, strict=False
                ):
                    said = link.find(tag)
                    if said is not None:
                        said.text = value


def loose_links(root: Element) -> list[tuple[Element, Element]]:
    """(item, link) of each link that names an item which is not there."""
    items = [element for element in root.iter() if element.tag in ITEMS]
    ids = {item.get("id") for item in items}
    return [
        (item, link)
        for item in items
        for link in item.findall("link")
        if text_of(link, "linkclipref") not in ids
    ]


def settle(root: Element, sources: Sources) -> None:
    """Define each referenced source where it first stands, and only there; drop loose links.

    `sources`: definitions to fall back on, where the clip that held one has gone.
    """
    known = {**sources, **definitions(root)}
    defined, open_ = set(), [root]
    while open_:  # in document order; pulled-in sequences bring references of their own
        element = open_.pop()
        key = (element.tag, element.get("id"))
        if key in defined:
            element[:], element.text = [], None
            continue
        if key in known:
            if not is_definition(element):
                element[:] = [copy.deepcopy(child) for child in known[key]]
            defined.add(key)
        open_ += reversed(element)
    for item, link in loose_links(root):
        item.remove(link)
    number_links(root)


def links(timeline: Timeline) -> list[Element]:
    """The <link> elements of its video clips and its audio."""
    audio = [] if timeline.audio is None else [timeline.audio]
    kept = [element for clip in timeline.clips for element in clip.kept]
    return [link for element in (*audio, *kept) for link in element.iter("link")]


def item_ids(timeline: Timeline) -> set[str]:
    """Ids of all items that will stand in the document."""
    inside = {clip.media.id: clip.media.element for clip in timeline.clips if clip.media}
    trees = (timeline.audio, *inside.values(), *timeline.sources.values())
    trees = [tree for tree in trees if tree is not None]
    items = (item for tree in trees for tag in ITEMS for item in tree.iter(tag))
    return {clip.id for clip in timeline.clips} | {item.get("id", "") for item in items}
