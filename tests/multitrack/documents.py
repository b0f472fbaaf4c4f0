"""Documents to test with, and what must hold of every one that is written."""

from collections import Counter
from xml.etree import ElementTree

CLIP = """<clipitem id="c{n}"><name>c{n}</name>{enabled}<rate><timebase>{base}</timebase>
<ntsc>FALSE</ntsc></rate><start>{start}</start><end>{end}</end><in>{first}</in><out>{last}</out>
{file}{filters}</clipitem>"""
FILE = """<file id="f1"><name>a.mov</name><pathurl>file:///a.mov</pathurl><media><video>
<samplecharacteristics><width>1920</width><height>1080</height></samplecharacteristics></video>
</media></file>"""


DEFAULTS = {"n": 1, "start": 0, "end": 100, "first": 0, "last": 100, "file": FILE, "filters": "",
            "enabled": "", "base": 25}  # fmt: skip


def clip(n: int = 1, start=0, end=100, first=0, last=100, **fields) -> str:
    places = {"n": n, "start": start, "end": end, "first": first, "last": last}
    return CLIP.format(**{**DEFAULTS, **places, **fields})


RATE = "<timebase>25</timebase><ntsc>FALSE</ntsc>"


def document(*tracks: str, rate: str = RATE, size: tuple = (1920, 1080)) -> bytes:
    inner = "".join(f"<track>{track}</track>" for track in tracks)
    return f"""<?xml version="1.0"?><!DOCTYPE xmeml><xmeml version="4"><sequence id="s">
    <name>s</name><rate>{rate}</rate><media><video><format><samplecharacteristics>
    <width>{size[0]}</width><height>{size[1]}</height></samplecharacteristics></format>{inner}
    </video></media></sequence></xmeml>""".encode()


def motion(name: str, *keys: tuple, value="7") -> str:
    written = "".join(f"<keyframe><when>{w}</when><value>{v}</value></keyframe>" for w, v in keys)
    return f"""<filter><effect><name>Basic Motion</name><effectid>basic</effectid><parameter>
    <parameterid>{name}</parameterid><value>{value}</value>{written}</parameter></effect></filter>"""


BEZIER = "<interpolation><name>FCPCurve</name></interpolation><inscale>0.4</inscale>"
MOTION = f"""<filter><enabled>TRUE</enabled><start>-1</start><effect><name>Basic Motion</name>
<effectid>basic</effectid><parameter authoringApp="PremierePro"><parameterid>scale</parameterid>
<value>100</value><keyframe><when>10</when><value>100</value>{BEZIER}</keyframe><keyframe>
<when>60</when><value>150</value>{BEZIER}</keyframe></parameter><parameter>
<parameterid>antiflicker</parameterid><value>0.7</value></parameter></effect></filter>"""
FADE = f"""<transitionitem><start>90</start><end>110</end><alignment>center</alignment>
<rate>{RATE}</rate><effect><name>Iris</name><wipecode>101</wipecode></effect></transitionitem>"""
SOUND = """<audio><numOutputChannels>2</numOutputChannels><track><clipitem id="a1"><name>a</name>
<file id="f1"/><link><linkclipref>c1</linkclipref></link></clipitem><clipitem id="a2">
<name>b</name><sequence id="inner"/><link><linkclipref>c2</linkclipref></link></clipitem>
</track></audio>"""
INNER = f"""<sequence id="inner"><name>in</name><rate>{RATE}</rate><media><video><format>
<samplecharacteristics><width>640</width><height>360</height></samplecharacteristics></format><track>
<clipitem id="i1"><name>i1</name><start>0</start><end>100</end><in>0</in><out>100</out>
<marker><name>within</name></marker><file id="f2"><name>b.mov</name></file></clipitem></track>
</video></media></sequence>"""
EXTRAS = """<alphatype>none</alphatype><pixelaspectratio>HD-(960x720)</pixelaspectratio>
<pproTicksIn>0</pproTicksIn><marker><name>hier</name><in>3</in></marker><logginginfo><scene>7
</scene></logginginfo><labels><label2>Iris</label2></labels>"""


def rich() -> bytes:
    """A cut from a file to a nested sequence, with sound and all that hangs on an edit."""
    link = "<link><linkclipref>{}</linkclipref><mediatype>audio</mediatype></link>"
    one = clip(1, 0, -1, 0, 110, filters=MOTION + EXTRAS + link.format("a1"))
    two = clip(2, -1, 200, 0, 110, file=INNER, filters=link.format("a2"))
    three = clip(3, 50, 80, 5, 35, file='<file id="f1"/>')
    text = document(one + FADE + two, three).decode()
    for old, new in (
        ("<format>", "<format><codec><name>ProRes</name></codec>"),
        ("</samplecharacteristics></format>", "<pixelaspectratio>NTSC-601</pixelaspectratio>"
         "<fielddominance>upper</fielddominance></samplecharacteristics></format>"),
        ("<track>", '<track TL.SQTrackShy="1"><outputname>eins</outputname>'),
        ('<clipitem id="c1">', '<clipitem id="c1" frameBlend="TRUE">'),
        ('<sequence id="s">', '<sequence id="s" MZ.WorkInPoint="5"><uuid>u-1</uuid><marker><name>'
         "Akt 2</name><in>9</in></marker><timecode><string>10:00:00:00</string></timecode>"),
    ):  # fmt: skip
        text = text.replace(old, new, 1)
    outer, inner = "</video></media></sequence></xmeml>", "</video></media></sequence>"
    cut = text.rindex(inner)
    assert text.endswith(outer)
    return f"{text[:cut]}</video>{SOUND}</media></sequence></xmeml>".encode()


def content(data: bytes) -> Counter:
    """How often each element stands in a document, by tag, attributes and text."""
    elements = ElementTree.fromstring(data).iter()
    return Counter(
        (e.tag, tuple(sorted(e.attrib.items())), (e.text or "").strip()) for e in elements
    )


def check_references(data: bytes) -> None:
    """A source is defined once, at its first use; links have ends; every item's id is its own."""
    root = ElementTree.fromstring(data)
    for tag in ("file", "sequence"):
        by_id = {}
        for element in root.iter(tag):
            by_id.setdefault(element.get("id"), []).append(len(element) > 0)
        for key, defined in by_id.items():
            assert defined == [True] + [False] * (len(defined) - 1), (tag, key)
    items = [e.get("id") for tag in ("clipitem", "generatoritem") for e in root.iter(tag)]
    assert len(set(items)) == len(items)
    assert {e.text for e in root.iter("linkclipref")} <= set(items)
