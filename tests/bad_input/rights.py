"""`with unprivileged():` root, too, is held to what a file's mode permits.

Linux lets root pass over modes by two capabilities, which a thread may lay down and take up again.
"""

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
PASSING = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
GET_SECUREBITS, SET_SECUREBITS = 27, 28
NO_FIXUP = 1 << 2  # else access(2) would count what root is permitted, laid down or not


class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Lay root's two capabilities down; does nothing where there are none."""
    if os.geteuid() or not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = Header(VERSION, 0), (Sets * 2)()
    libc.capget(ctypes.byref(header), sets)
    bits, had = libc.prctl(GET_SECUREBITS), sets[0].effective
    libc.prctl(SET_SECUREBITS, bits | NO_FIXUP)
    sets[0].effective = had & ~PASSING
    libc.capset(ctypes.byref(header), sets)
    try:
        yield
    finally:
        sets[0].effective = had
        libc.capset(ctypes.byref(header), sets)
        libc.prctl(SET_SECUREBITS, bits)


@cache
def held() -> bool:
    """Whether modes hold here: a file that nobody may read is not read."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "secret"
        file.touch(mode=0)
        with unprivileged():
            if os.access(file, os.R_OK):
                return False
            with contextlib.suppress(PermissionError):
                file.read_bytes()
                return False
    return True
