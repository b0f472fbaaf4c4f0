"""What stands in a run's folder that serving it needs: its service, its name, how good it is."""

import re
from pathlib import Path
from typing import Any

from experiments.running.restore import own_config
from experiments.shared.folder import Folder

RESERVED = ("static", "docs", "openapi.json", "health", "info")


def names_of(runs: list[Path]) -> dict[str, Path]:
    """{name in an address: run}, by the runs' own names; a number follows where two have one."""
    found: dict[str, Path] = {}
    for run in runs:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", str(own_config(run).name)).strip("-") or "run"
        number = 2
        taken = name in RESERVED or name in found
        while taken and f"{name}-{number}" in found:
            number += 1
        found[f"{name}-{number}" if taken else name] = run
    return found


def about(run: Path) -> dict[str, Any]:
    """What a person should know of the run: its objective, the baselines beside it, its data."""
    said = Folder(run).read()
    objective = dict(said.get("objective") or {})
    metric = str(objective.get("name", "")).partition("/")[2]
    tested = (said.get("metrics") or {}).get(f"test/{metric}")
    beside = {
        label: values[metric]
        for label, values in (said.get("baselines") or {}).items()
        if values.get(metric) is not None
    }
    data = said.get("data") or {}
    return {
        "run": run.name,
        "status": said.get("status"),
        "objective": objective,
        "metric": metric,
        "tested": tested,
        "baselines": beside,
        "parameters": (said.get("parameters") or {}).get("total"),
        "data": data.get("source"),
        "notes": [n for n in data.get("notes", []) if str(n).startswith("WARNING")],
        "trained": (said.get("started") or "")[:10],
        "steps": said.get("steps"),
    }
