"""The contract: bad input gets one clear message, in time, and nothing is touched.

Exit status 2; at most four lines on stderr, which name the value or the place and a remedy; no
traceback; no file written but below the case's own output folder, and none left there; ten seconds
of processor time; inputs unchanged.
"""

import contextlib
import hashlib
import importlib
import io
import os
import re
import resource
import signal
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.bad_input.rights import unprivileged

LIMIT_S = 10  # of processor time
WAIT_S = 120  # of waiting, on a machine that does other things too
LINES = 4
MEMORY = 6 << 30  # bytes beyond what the process has: nothing bad may ask for more
REMEDY = re.compile(
    r"expected|give|choose|set |take|remove|restore|replace|copy|export|install|convert|mend|make|"
    r"train|try|see |name |free |check|leave|add|start|crop|rescale|split|cut |encode|write|read|"
    r"there (is|are)|has:|usage|available|to append|divi",
    re.IGNORECASE,
)
# Where a command's entry point is, and how it takes its words.
ENTRIES = {
    "experiments.run": lambda m: m.entry(),
    "experiments.evaluate": lambda m: m.entry(sys.argv[1:]),
    "experiments.bench": lambda m: m.entry(sys.argv[1:]),
    "experiments.command": lambda m: m.main(),
}


@dataclass(frozen=True)
class Case:
    """Words for a command; `{name}` in them is a thing of the shelf, `{out}` an empty folder.

    Attributes:
        name: unique among the command's cases.
        command: the module that `python -m` starts.
        words: what is typed.
        told: each must stand in the message; `{name}` likewise.
        may_pass: whether status 0 is as good, where the input is odd and not wrong.
        environment: variables to set.
        typed: what comes in by standard input.
        drawn: whether pictures of reports are really drawn, which takes half a second each.
    """

    name: str
    command: str
    words: tuple[str, ...]
    told: tuple[str, ...] = ()
    may_pass: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    typed: str = ""
    drawn: bool = False

    @property
    def id(self) -> str:
        return f"{self.command}: {self.name}".encode("ascii", "backslashreplace").decode()


@dataclass
class Outcome:
    status: object
    stdout: str
    stderr: str
    written: list[str]


class Late(BaseException):
    """The time is over; no `except Exception` may take it for something else."""


WATCHED: list[list[str]] = []  # of the case that runs: files that were opened for writing
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


def _watch(event: str, values: tuple) -> None:
    if not WATCHED:
        return
    if event == "subprocess.Popen" and sys.executable in map(str, values[1] or ()):
        raise RuntimeError("the command started itself again")  # a rank, of a bad number of them
    if event == "open" and isinstance(values[0], str | bytes) and values[2] & WRITES:
        WATCHED[-1].append(os.fsdecode(values[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.truncate"):
        WATCHED[-1].extend(os.fsdecode(v) for v in values[:2] if isinstance(v, str | bytes))


sys.addaudithook(_watch)


def call(case: Case, words: list[str], slowness: int = 1) -> Outcome:
    """Run the command in this process, as `python -m` would; `slowness` stretches its time."""
    out, err, written = io.StringIO(), io.StringIO(), []
    module = importlib.import_module(case.command)
    start = ENTRIES.get(case.command, lambda m: _cli(m))
    before = sys.argv, sys.stdin, {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    status: object = 0

    def late(*_) -> None:
        raise Late

    sys.argv, sys.stdin = [case.command, *words], io.StringIO(case.typed)
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, late)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, slowness * WAIT_S)
    signal.setitimer(signal.ITIMER_PROF, slowness * LIMIT_S)
    WATCHED.append(written)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), unprivileged():
            start(module)
    except SystemExit as error:
        status = error.code
    except Late:
        status = "hang"
    except BaseException as error:
        status = "traceback"
        err.write("".join(traceback.format_exception(error)))
    finally:
        for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        WATCHED.pop()
        resource.setrlimit(resource.RLIMIT_AS, limits)
        sys.argv, sys.stdin = before[:2]
        for number, handler in before[2].items():
            signal.signal(number, handler)
        if case.command == "experiments.run":
            module.failed.clear()
    return Outcome(status, out.getvalue(), err.getvalue(), written)


def _cli(module) -> None:
    from experiments.shared.errors import cli

    cli(module.main)


def faults(case: Case, outcome: Outcome, told: list[str], out: Path, allowed: list[Path]) -> str:
    """What of the contract the outcome breaks; empty: nothing."""
    err = outcome.stderr.strip()
    if outcome.status == "hang":
        return f"no answer in {LIMIT_S} s of processor time, or {WAIT_S} s of waiting"
    if outcome.status == "traceback" or "Traceback (most recent call last)" in err:
        return f"a traceback: {err.splitlines()[-1][:200] if err else outcome.status}"
    if outcome.status == 0 and case.may_pass:
        return ""
    if outcome.status != 2:
        return f"exit status {outcome.status}, expected 2"
    lines = [line for line in err.splitlines() if not _noise(line)]
    if not lines or len(lines) > LINES:
        return f"{len(lines)} lines on stderr: {err[:300]}"
    missing = [word for word in told if word not in err]
    if missing:
        return f"the message does not name {missing}: {err[:300]}"
    if not REMEDY.search(err):
        return f"the message names no remedy: {err[:300]}"
    if case.command == "experiments.run":  # a run's folder keeps what was asked, and why it failed
        return ""
    left = [str(p.relative_to(out)) for p in sorted(out.rglob("*")) if not p.is_dir()]
    if left:
        return f"left behind: {left[:3]}"
    strange = [f for f in outcome.written if not _inside(f, allowed)]
    return f"wrote {strange[:3]}" if strange else ""


def _noise(line: str) -> bool:
    """A bar or a library's log, which stands before the message."""
    return "%|" in line or "it/s" in line or not line.strip()


def _inside(file: str, allowed: list[Path]) -> bool:
    place = os.path.abspath(file)
    if place.startswith(("/dev/null", "/proc/")) or place == "/proc" or "__pycache__" in place:
        return True
    if any(part in place for part in ("matplotlib", "fontconfig", "numba", "torchinductor")):
        return True
    return any(Path(place).is_relative_to(folder) for folder in allowed)


def fingerprint(paths: list[Path]) -> dict[str, str]:
    """Hashes of regular files, of folders what they hold; anything else by its kind alone."""
    found = {}
    for path in paths:
        every = [path, *(sorted(path.rglob("*")) if path.is_dir() else [])]
        for file in every:
            if not os.access(file, os.R_OK):
                found[str(file)] = "not to be read"
            elif file.is_file() and not file.is_symlink() and file.stat().st_size < 1 << 26:
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
            else:
                found[str(file)] = "there" if os.path.lexists(file) else "not there"
    return found
