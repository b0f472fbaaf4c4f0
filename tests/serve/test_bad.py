"""What strangers send: each is told what is wrong and what to do, as the command line does."""

import io
import re
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from experiments.shared.errors import InputError
from tests.serve.server import example


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def bomb_png(side: int) -> bytes:
    """A picture that says it has `side` x `side` pixels, in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def bomb_npz() -> bytes:
    """Two billion zeros that are two megabytes."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("positions_nm.npy", "w", force_zip64=True) as entry,
    ):
        for _ in range(200):
            entry.write(bytes(10_000_000))
    return stream.getvalue()


def sound(samples: np.ndarray, kind: str = "WAV", rate: int = 24_000, **options) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, **options)
    return stream.getvalue()


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    return f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><xmeml>&a11;</xmeml>'.encode()


CITY = np.zeros((64, 64), np.uint8)
CITY[8:20, 8:30] = 255
NOISE = np.random.default_rng(0).normal(size=24_000).astype(np.float32) / 8
PLAN = ("p.png", png(CITY))
AT = {"row": "40", "column": "40"}
SONG = ("s.wav", sound(NOISE))
FRAMES = {"temperatures_kelvin": [300.0]}

# name: (experiment, files, values, status, words of the answer)
CASES = {
    "another kind of file": ("radio_map", {"plan": ("p.jpg", b"x")}, AT, 415, "ends in .png"),
    "no suffix": ("radio_map", {"plan": ("plan", b"x")}, AT, 415, "ends in .png"),
    "text called PNG": ("radio_map", {"plan": ("p.png", b"hello")}, AT, 422, "cannot be read as"),
    "cut off": ("radio_map", {"plan": ("p.png", PLAN[1][:70])}, AT, 422, "cannot be read as PNG"),
    "empty": ("radio_map", {"plan": ("p.png", b"")}, AT, 422, "empty"),
    "colours": ("radio_map", {"plan": ("p.png", png(np.stack([CITY, CITY, 255 - CITY], -1)))}, AT,
                422, "colour"),
    "too many pixels": ("radio_map", {"plan": ("p.png", bomb_png(2000))}, AT, 422, "at most 1024"),
    "a bomb": ("radio_map", {"plan": ("p.png", bomb_png(60_000))}, AT, 422, "pixels"),
    "inverted": ("radio_map", {"plan": ("p.png", png(255 - CITY))}, AT, 422, "invert"),
    "no transmitter": ("radio_map", {"plan": PLAN}, {}, 422, "where the transmitter is"),
    "half a place": ("radio_map", {"plan": PLAN}, {"row": "4"}, 422, "row and column"),
    "outside": ("radio_map", {"plan": PLAN}, {"row": "90", "column": "4"}, 422, "64 rows"),
    "in a building": ("radio_map", {"plan": PLAN}, {"row": "10", "column": "10"}, 422, "nearest"),
    "no number": ("radio_map", {"plan": PLAN}, {"row": "x", "column": "4"}, 422, "row: .*got 'x'"),
    "below its limit": ("radio_map", {"plan": PLAN}, {"row": "-1", "column": "4"}, 422, "row: "),
    "unknown field": ("radio_map", {"plan": PLAN}, {**AT, "tx": "4"}, 422, "tx: "),
    "nothing": ("radio_map", {}, AT, 422, "plan: field required"),
    "text for a file": ("radio_map", {}, {**AT, "plan": "/etc/passwd"}, 422, "expected a file"),
    "a file for a number": ("radio_map", {"plan": PLAN, "row": ("4", b"4")}, {"column": "4"}, 422,
                            "expected no file"),
    "another table": ("radio_map", {"plan": PLAN, "samples": ("s.csv", b"a,b\n1,2\n")}, AT, 422,
                      "row,column,db"),
    "a sample of NaN dB": ("radio_map", {"plan": PLAN, "samples": (
        "s.csv", b"row,column,db\n1,2,nan\n")}, AT, 422, "line 2"),
    "GeoJSON of nothing": ("radio_map", {"plan": ("p.geojson", b"{}")}, AT, 422, "GeoJSON"),
    "a map of odd size": ("radiodiff_vae", {"map": ("m.png", png(CITY[:, :61]))}, {}, 422,
                          "multiples of"),
    "no edit": ("multitrack", {"xml": ("e.xml", b"<fcpxml/>")}, {}, 422, "expected an <xmeml>"),
    "broken XML": ("multitrack", {"xml": ("e.xml", b"<xmeml><a>")}, {}, 422, "well-formed"),
    "an exploding XML": ("multitrack", {"xml": ("e.xml", laughs())}, {}, 422, "no entity"),
    "a file read by XML": ("multitrack", {"xml": (
        "e.xml", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xmeml>&a;</xmeml>')}, {},
        422, "no entity"),
    "a deep XML": ("multitrack", {"xml": ("e.xml", b"<xmeml>" + b"<a>" * 9999)}, {}, 422, "deep"),
    "a gap without ends": ("multitrack", {"xml": ("e.xml", b"<xmeml/>")}, {"task": "infill"}, 422,
                           "begin and end"),
    "no such task": ("multitrack", {"xml": ("e.xml", b"<xmeml/>")}, {"task": "guess"}, 422, "task"),
    "another molecule": ("molecular_flow", {"frames": ("f.npz", npz(
        positions_nm=np.zeros((1, 1, 2, 5, 3)), **FRAMES))}, {}, 422, "expected positions"),
    "objects that run code": ("molecular_flow", {"frames": ("f.npz", npz(
        positions_nm=np.array([{}], dtype=object), **FRAMES))}, {}, 422, "cannot be read"),
    "zeros without end": ("molecular_flow", {"frames": ("f.npz", bomb_npz())}, {}, 413,
                          "unpacked it would have 2000 MB"),
    "an archive cut off": ("molecular_flow", {"frames": ("f.npz", npz(a=NOISE)[:500])}, {}, 422,
                           "cannot be read"),
    "text called WAV": ("creative_agent", {"input": ("a.wav", b"hello"), "target": SONG}, {}, 422,
                        "input/a.wav: cannot be read as audio"),
    "a song cut off": ("creative_agent", {"input": SONG, "target": ("b.wav", SONG[1][:9000])}, {},
                       422, "target/b.wav: truncated"),
    "not numbers": ("creative_agent", {"input": ("a.wav", sound(
        NOISE * np.nan, subtype="FLOAT")), "target": SONG}, {}, 422, "NaN"),
    "hours of silence": ("creative_agent", {"input": ("a.flac", sound(
        np.zeros(60 * 60 * 8000, np.int16), "FLAC", 8000)), "target": SONG}, {}, 422, "60 min"),
    "an instant": ("creative_agent", {"input": ("a.wav", sound(NOISE[:100])), "target": SONG}, {},
                   422, "at least"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told(case, server, client):
    experiment, files, values, status, words = CASES[case]
    response = client.post(f"/{experiment}_smoke", files=files or {"": ("", b"")}, data=values)
    detail = response.json()["detail"]
    assert response.status_code == status, detail
    assert re.search(words, detail), detail
    assert str(server.temporary) not in detail
    assert "Traceback" not in detail
    assert not server.left()


@pytest.mark.parametrize(
    "name",
    ["../../../outside.png", "/outside.png", "..\\..\\outside.png", ".outside.png", "-o.png",
     "a b;$(id).png", "x" * 300 + ".png", "Straße 題.png", "answer.json.PNG"],
)  # fmt: skip
def test_no_name_leads_outside(name, server, client):
    response = client.post("/radio_map_smoke", files={"plan": (name, PLAN[1])}, data=AT)
    assert response.status_code == 200, response.text
    for made in response.json()["files"]:
        assert not re.search(r"[/\\;$ ]", made["name"])
        assert len(made["name"]) < 120
    assert not list(Path(server.temporary).rglob("*outside*"))
    assert not server.left()


def test_what_is_no_form_is_told(client):
    for content, kind in ((b"{}", "application/json"), (b"x", "multipart/form-data; boundary=b")):
        response = client.post("/radio_map_smoke", content=content, headers={"content-type": kind})
        assert response.status_code in (400, 422)
        assert response.json()["detail"]
    assert client.get("/radio_map_smoke/examples/..%2f..%2fsecret").status_code == 404
    assert client.get("/static/..%2fdoors.py").status_code == 404
    assert client.get("/nowhere").status_code == 404


COMMANDS = {
    "cut off": "radiodiff.infer predict --checkpoint {run} plan/p.png --tx 40 40 out",
    "in a building": "radiodiff.infer predict --checkpoint {run} plan/p.png --tx 10 10 out",
    "broken XML": "multitrack.infer --checkpoint {run} xml/e.xml out/e.xml",
    "another molecule": "molecular_flow.infer transport --checkpoint {run} frames/f.npz out/f.npz",
    "a song cut off": "jingle.infer --checkpoint {run} --input input/s.wav --target target/b.wav "
    "--output out/piece.wav",
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_words_are_those_of_the_command_line(case, client, runs, tmp_path, monkeypatch):
    experiment, files, values, _, _ = CASES[case]
    detail = client.post(f"/{experiment}_smoke", files=files, data=values).json()["detail"]
    for field, (name, content) in files.items():
        (tmp_path / field).mkdir()
        (tmp_path / field / name).write_bytes(content)
    module, *words = COMMANDS[case].format(run=runs[experiment]).split()
    __import__(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *words])
    with pytest.raises(InputError) as told:
        sys.modules[module].main()
    assert str(told.value) == detail


def test_an_example_of_the_page_is_never_a_bad_one(client):
    for name in client.get("/runs").json():
        files, _ = example(client, name)
        assert all(content for _, content in files.values())
