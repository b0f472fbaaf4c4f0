"""The index of a folder of runs: what there is, the latest first, with links to the reports."""

import re
from datetime import datetime
from pathlib import Path

from experiments.reporting.document import Block, Cell, Document, Facts, Heading, Table, Text
from experiments.shared.folder import SEARCH, Folder, Summary
from experiments.shared.numbers import clock, count, duration, number

DATED = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
DEPTH, MOST = 3, 300  # folders below the one that is given; rows


def is_index(folder: Path) -> bool:
    """Whether `folder` holds runs and sweeps of several commands, and is no sweep itself."""
    if (folder / "multirun.yaml").is_file() or (folder / SEARCH).is_file():
        return False
    children = [child for child in folder.iterdir() if child.is_dir()]
    if any((child / ".job").is_file() for child in children):
        return False
    if any(Folder(c).is_run() and DATED.match(c.name) for c in children):
        return True
    return any(is_sweep(c) or (not Folder(c).is_run() and any(entries(c))) for c in children)


def is_sweep(folder: Path) -> bool:
    marks = ("multirun.yaml", SEARCH)
    return any((folder / mark).is_file() for mark in marks) or any(folder.glob("*/.job"))


def entries(folder: Path, depth: int = DEPTH):
    """Runs and sweeps below `folder`; what is within one is its own."""
    if depth == 0 or not folder.is_dir():
        return
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name.startswith(".") or child.is_symlink():
            continue
        if Folder(child).is_run() or is_sweep(child):
            yield child
        else:
            yield from entries(child, depth - 1)


def index_document(folder: Path) -> Document:
    """A table of each experiment's runs and sweeps."""
    found = sorted(entries(folder), key=latest, reverse=True)
    document = Document(f"{folder.resolve().name}: {len(found)} runs and sweeps")
    sweeps = sum(map(is_sweep, found))
    document.add(Facts([("runs", str(len(found) - sweeps)), ("sweeps", str(sweeps))]))
    if len(found) > MOST:
        document.add(Text(f"The latest {MOST} of {len(found)} are listed.", "note"))
    groups: dict[str, list[Path]] = {}
    for place in found[:MOST]:
        groups.setdefault(name_of(place), []).append(place)
    for name, own in groups.items():
        document.add(*table(folder, name, own))
    return document


def table(folder: Path, name: str, places: list[Path]) -> list[Block]:
    rows: list[list[Cell | str]] = []
    summaries = [Folder(place).read() for place in places]
    objectives = [s.get("objective") or {} for s in summaries]
    tag = next((str(o["name"]) for o in objectives if o.get("name")), "objective")
    for place, summary in zip(places, summaries, strict=True):
        report = place / "report.html"
        link = report.relative_to(folder).as_posix() if report.is_file() else ""
        title = Cell(place.relative_to(folder).as_posix(), link=link)
        rows.append([title, *(of_sweep(place) if is_sweep(place) else of_run(place, summary))])
    head = ["folder", "status", tag, "steps", "time", "asked"]
    return [Heading(name), Table(head, rows, words=(0, 1, 5))]


def of_run(place: Path, summary: Summary) -> list[Cell | str]:
    status = str(summary.get("status") or "unfinished")
    kind = {"completed": "", "unfinished": "quiet"}.get(status, "bad")
    pulse = Folder(place).read_pulse() if not summary else {}
    note = f"epoch {pulse.get('epoch')}, {clock(pulse.get('left_s') or 0)} left" if pulse else ""
    best = (summary.get("objective") or {}).get("best")
    asked = " ".join(words(place))
    return [
        Cell(status, kind, note=note),
        number(best),
        count(summary.get("steps")),
        duration(summary.get("duration_s")),
        Cell(asked if len(asked) <= 90 else f"{asked[:90]} …", "quiet"),
    ]


def of_sweep(place: Path) -> list[Cell | str]:
    """Its jobs by status, the best objective, and their time together."""
    jobs = [Folder(child).read() for child in place.iterdir() if Folder(child).is_run()]
    states = [str(job.get("status") or "unfinished") for job in jobs]
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    objectives = [job.get("objective") or {} for job in jobs if job.get("status") == "completed"]
    values = [best for o in objectives if (best := o.get("best")) is not None]
    most = any(o.get("mode") == "max" for o in objectives)
    best = (max(values) if most else min(values)) if values else None
    steps = sum(job.get("steps") or 0 for job in jobs)
    spent = sum(job.get("duration_s") or 0.0 for job in jobs)
    kind = "search" if (place / SEARCH).is_file() else "sweep"
    return [told, number(best), count(steps), duration(spent), Cell(f"{kind}, {len(jobs)} jobs")]


def words(place: Path) -> list[str]:
    """What was typed, as far as the file can be read: a line each."""
    try:
        lines = Folder(place).overrides.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [line.removeprefix("- ") for line in lines]


def name_of(place: Path) -> str:
    if is_sweep(place):
        runs = [child for child in place.iterdir() if Folder(child).is_run()]
        names = sorted({str(Folder(run).read().get("name") or "") for run in runs} - {""})
        return ", ".join(names) or place.parent.name
    return str(Folder(place).read().get("name") or place.parent.name)


def latest(place: Path) -> str:
    """The time in its name, else of its last change, in the same form."""
    found = DATED.search(place.name)
    if found:
        return found.group()
    return datetime.fromtimestamp(place.stat().st_mtime).strftime("%Y-%m-%d_%H-%M-%S")
