"""Good files of every kind, and bad ones: made once, when a case first asks for them."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from struct import pack

import numpy as np
import torch

MAKERS: dict[str, Callable[["Shelf", Path], object]] = {}
HUGE = 40 << 30  # bytes, of a file with a hole


class Shelf:
    """`shelf["name"]` is a path; names that end in a suffix become files of that suffix.

    `KIND.SUFFIX` is a bad thing (`empty.wav`, `fifo.png`); other names are in MAKERS.
    """

    def __init__(self, root: Path):
        self.root, self.made, self.count = root, {}, 0

    def __getitem__(self, name: str) -> Path:
        if name not in self.made:
            kind, _, suffix = name.partition(".")
            self.count += 1
            place = self.root / f"{self.count:04d}"
            place.mkdir(parents=True)
            if name in MAKERS:
                found = MAKERS[name](self, place)
            else:
                found = BAD.get(kind, BAD["noise"])(place, f".{suffix}" if suffix else "")
            self.made[name] = Path(found)
        return self.made[name]


def maker(function: Callable) -> Callable:
    MAKERS[function.__name__] = function
    return function


# ---- bad things, of any suffix


def _written(place: Path, suffix: str, content: bytes, stem: str = "bad") -> Path:
    path = place / f"{stem}{suffix}"
    path.write_bytes(content)
    return path


def _fifo(place: Path, suffix: str) -> Path:
    os.mkfifo(place / f"pipe{suffix}")
    return place / f"pipe{suffix}"


def _device(place: Path, suffix: str) -> Path:
    """What never ends, under a name that has the suffix."""
    (place / f"zero{suffix}").symlink_to("/dev/zero")
    return place / f"zero{suffix}"


def _full(place: Path, suffix: str) -> Path:
    """What cannot take a byte."""
    (place / f"full{suffix}").symlink_to("/dev/full")
    return place / f"full{suffix}"


def _folder(place: Path, suffix: str) -> Path:
    (place / f"folder{suffix}").mkdir()
    return place / f"folder{suffix}"


def _loop(place: Path, suffix: str) -> Path:
    (place / f"loop{suffix}").symlink_to(f"loop{suffix}")
    return place / f"loop{suffix}"


def _secret(place: Path, suffix: str) -> Path:
    path = _written(place, suffix, b"private", "secret")
    path.chmod(0)
    return path


def _sealed(place: Path, suffix: str) -> Path:
    """A folder that may not be looked into."""
    (place / f"sealed{suffix}").mkdir(mode=0)
    return place / f"sealed{suffix}"


def _locked(place: Path, suffix: str) -> Path:
    """A folder that may not be written into."""
    (place / f"locked{suffix}").mkdir(mode=0o555)
    return place / f"locked{suffix}"


def _huge(place: Path, suffix: str) -> Path:
    with (place / f"huge{suffix}").open("wb") as stream:
        stream.truncate(HUGE)
    return place / f"huge{suffix}"


def _odd(place: Path, suffix: str) -> Path:
    """A name that is no UTF-8 and holds a line break."""
    path = os.fsencode(place) + b"/gr\xfc\xdfe\nx" + suffix.encode()
    Path(os.fsdecode(path)).write_bytes(b"no such thing")
    return Path(os.fsdecode(path))


def _deep(place: Path, suffix: str) -> Path:
    return _written(place, suffix, b"[" * 100_000 + b"]" * 100_000, "deep")


def _aliases(place: Path, suffix: str) -> Path:
    """YAML of 10 lines that is 10^9 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 10):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    return _written(place, suffix, "\n".join(lines).encode(), "aliases")


BAD: dict[str, Callable[[Path, str], Path]] = {
    "missing": lambda place, suffix: place / f"missing{suffix}",
    "empty": lambda place, suffix: _written(place, suffix, b""),
    "noise": lambda place, suffix: _written(place, suffix, np.random.default_rng(0).bytes(4096)),
    "text": lambda place, suffix: _written(place, suffix, b"Dear Sir or Madam,\n" * 40),
    "fifo": _fifo,
    "device": _device,
    "full": _full,
    "kept": lambda place, suffix: _written(place, suffix, b"mine", "kept"),
    "folder": _folder,
    "loop": _loop,
    "huge": _huge,
    "secret": _secret,
    "sealed": _sealed,
    "locked": _locked,
    "odd": _odd,
    "deep": _deep,
    "aliases": _aliases,
}


# ---- images and archives that claim too much


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """An 8-bit gray PNG of that header; its rows may be lacking."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + name + data + pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@maker
def bomb_png(shelf: Shelf, place: Path) -> Path:
    """9e8 black pixels in less than a megabyte."""
    return _written(place, ".png", png(30_000, 30_000, bytes(30_001) * 30_000))


@maker
def claims_png(shelf: Shelf, place: Path) -> Path:
    return _written(place, ".png", png(2_000_000_000, 2_000_000_000))


@maker
def cut_png(shelf: Shelf, place: Path) -> Path:
    return _written(place, ".png", shelf["map_png"].read_bytes()[:-40])


def claiming(names: list[str], shape: str, kind: str = "<f4") -> bytes:
    """An .npz whose arrays say that they hold more than memory does."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
            head = head.ljust(117) + "\n"
            archive.writestr(
                f"{name}.npy", b"\x93NUMPY\x01\x00" + pack("<H", len(head)) + head.encode()
            )
    return stream.getvalue()


KEYS = ["mean", "drivers", "positions_nm", "temperatures_kelvin"]


@maker
def claims_npz(shelf: Shelf, place: Path) -> Path:
    return _written(place, ".npz", claiming(KEYS, "(8053063680,)"))


@maker
def bomb_npz(shelf: Shelf, place: Path) -> Path:
    """Arrays of 8 GiB of zeros, in a few megabytes."""
    path = place / "bomb.npz"
    head = "{'descr': '|i1', 'fortran_order': False, 'shape': (8589934592,), }".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in KEYS:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                stream.write(b"\x93NUMPY\x01\x00" + pack("<H", len(head)) + head.encode())
                for _ in range(8):
                    stream.write(bytes(1 << 20))
    return path


@maker
def objects_npz(shelf: Shelf, place: Path) -> Path:
    """Pickled objects: to be executed by who reads them carelessly."""
    return _written(place, ".npz", claiming(KEYS, "(1,)", "|O"))


@maker
def other_npz(shelf: Shelf, place: Path) -> Path:
    np.savez(place / "other.npz", something=np.zeros(3))
    return place / "other.npz"


@maker
def nan_npz(shelf: Shelf, place: Path) -> Path:
    np.savez(place / "nan.npz", **{name: np.full((4, 4, 4), np.nan, np.float32) for name in KEYS})
    return place / "nan.npz"


@maker
def laughs_xml(shelf: Shelf, place: Path) -> Path:
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE xmeml [<!ENTITY a0 "lol">']
    lines += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    return _written(place, ".xml", "\n".join([*lines, "]><xmeml>&a9;</xmeml>"]).encode())


@maker
def deep_xml(shelf: Shelf, place: Path) -> Path:
    return _written(place, ".xml", b"<xmeml>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</xmeml>")


@maker
def other_ckpt(shelf: Shelf, place: Path) -> Path:
    """A checkpoint of nobody's."""
    return saved(place, {"state_dict": {}, "class": "os.system", "hyper_parameters": {}})


@maker
def pickle_ckpt(shelf: Shelf, place: Path) -> Path:
    """A pickle that would make a folder if it were let to."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(place / "executed"),)

    torch.save({"state_dict": Evil()}, place / "evil.ckpt")
    return place / "evil.ckpt"


@maker
def list_ckpt(shelf: Shelf, place: Path) -> Path:
    torch.save([1, 2], place / "list.ckpt")
    return place / "list.ckpt"


def saved(place: Path, content: dict) -> Path:
    torch.save(content, place / "best.ckpt")
    return place / "best.ckpt"


# ---- good things that several commands take


@maker
def existing_txt(shelf: Shelf, place: Path) -> Path:
    return _written(place, ".txt", b"mine")


@maker
def mine(shelf: Shelf, place: Path) -> Path:
    """A folder with somebody's data."""
    (place / "mine" / "train").mkdir(parents=True)
    (place / "mine" / "train" / "pair_0000_input.wav").write_bytes(b"irreplaceable")
    (place / "mine" / "gain" / "DPM").mkdir(parents=True)
    (place / "mine" / "gain" / "DPM" / "1_0.png").write_bytes(b"irreplaceable")
    (place / "mine" / "manifest.json").write_text(json.dumps({"mine": True}))
    return place / "mine"


@maker
def empty_folder(shelf: Shelf, place: Path) -> Path:
    (place / "empty").mkdir()
    return place / "empty"
