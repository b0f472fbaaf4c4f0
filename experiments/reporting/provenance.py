"""What a run cost, and what it takes to do it again."""

import numpy as np
import yaml

from experiments.reporting.document import Block, Code, Facts, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.shared.numbers import count, duration, number, percent


def efficiency(run: Run) -> list[Block]:
    through, size = run.summary.get("throughput") or {}, run.summary.get("parameters") or {}
    step = through.get("step_s_median")
    if step is None and "throughput/step_s" in run.curves:
        step = float(np.median(run.curves["throughput/step_s"].finite().values))
    rate = through.get("samples_per_s")
    if rate is None and "throughput/samples_per_s" in run.curves:
        rate = float(np.median(run.curves["throughput/samples_per_s"].finite().values))
    facts = [
        ("median step", duration(step)),
        ("samples/s", number(rate)),
        ("waiting for data", percent(through.get("data_share"))),
        ("peak memory (RSS)", memory(through.get("peak_rss_mb"))),
        ("peak GPU memory", memory(through.get("peak_gpu_mb"))),
        ("parameters", count(size.get("total"))),
        ("trainable", count(size.get("trainable"))),
        ("devices", str(run.summary.get("devices", "–"))),
        ("hardware", str(run.summary.get("device") or "–")),
        ("host", str(run.summary.get("host") or "–")),
        ("started", str(run.summary.get("started") or "–").replace("T", " ")),
        ("precision", str(run.summary.get("precision", "–"))),
    ]
    parts = {k: v for k, v in size.items() if k not in ("total", "trainable")}
    for name, value in list(parts.items()):
        if isinstance(value, dict):
            parts.pop(name)
            parts.update(value)
    known = [fact for fact in facts if fact[1] != "–"]
    blocks: list[Block] = [Heading("Efficiency"), Facts(known), *phases(run)]
    if parts:
        rows = [[name, count(value)] for name, value in parts.items()]
        blocks.append(Table(["part", "parameters"], rows))
    return blocks if known or parts else []


def phases(run: Run) -> list[Block]:
    """Seconds of each phase of the last session, and what share of them it was."""
    spent = {name: s for name, s in (run.summary.get("phases") or {}).items() if s}
    total = sum(spent.values())
    if not total:
        return []
    rows = [[name, duration(s), percent(s / total)] for name, s in spent.items()]
    note = "Of the last session. preparation: data made or read, model built, checks."
    return [Table(["phase", "time", "share"], rows, caption=note)]


def memory(megabytes: float | None) -> str:
    if not megabytes:
        return "–"
    return f"{megabytes / 1024:.1f} GiB" if megabytes >= 1024 else f"{megabytes:.0f} MiB"


def provenance(run: Run) -> list[Block]:
    """Data, command, configuration and versions: what it takes to do it again."""
    blocks: list[Block] = []
    data = dict(run.summary.get("data") or {})
    if data:
        notes = [str(note) for note in data.pop("notes", None) or []]
        rows = [[name, compact(value)] for name, value in data.items()]
        blocks += [Heading("Data", open=False), Table(["", ""], rows, words=(0, 1))]
        blocks += [Text(n, "note") for n in notes if not n.upper().startswith("WARNING")]
    blocks.append(Heading("Command, configuration, versions", open=False))
    command = run.summary.get("command")
    if isinstance(command, list):
        command = " ".join(map(str, command))
    if not command and run.overrides:
        command = "python -m experiments.run " + " ".join(run.overrides)
    if command:
        blocks.append(Code(str(command)))
    keys = "seed started ended host device devices precision checkpoint init_from git".split()
    rows = [[key, compact(run.summary[key])] for key in keys if run.summary.get(key) is not None]
    rows += [[name, str(v)] for name, v in (run.summary.get("versions") or {}).items()]
    if rows:
        blocks.append(Table(["", ""], rows, words=(0, 1)))
    if run.config:
        text = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
        blocks.append(Code(text, "Configuration"))
    blocks.append(Text(f"Event files read: {len(run.event_files)}.", "quiet"))
    return blocks


def compact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {compact(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(compact, value))
    return str(value)
