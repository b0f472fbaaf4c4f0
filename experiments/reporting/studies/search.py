"""The report of a search: its trials, the best first, and Optuna's own plots of the study."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from experiments.reporting.document import Block, Cell, Document, Facts, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.explore import explorer
from experiments.reporting.results import common_overrides
from experiments.reporting.run import save
from experiments.reporting.studies.sweep import sweep_document
from experiments.shared.folder import SEARCH
from experiments.shared.numbers import duration, number

MOST_LINES = 24
KIND = {"complete": "", "running": "quiet", "pruned": "quiet", "fail": "bad"}


def search_document(folder: Path, runs: list[Run]) -> Document:
    """Report on the study in `folder`, whose trials are `runs`; as a sweep if it cannot be read."""
    try:
        study = read_study(folder)
    except Exception as error:  # not installed, damaged, of another version: each its own family
        document = sweep_document(folder, runs)
        why = str(error).splitlines()[0]
        told = Text(f"{SEARCH} cannot be read ({why}): the runs alone are shown.", "warning")
        document.blocks.insert(0, told)
        return document
    objectives: dict[str, str] = study.user_attrs.get("objectives") or {}
    trials = [t for t in study.trials if t.state.name != "WAITING"]
    document = Document(f"search: {len(trials)} trials in {folder.resolve().name}")
    document.add(*headline(study, trials, objectives))
    document.add(*trial_table(folder, study, trials, objectives))
    document.add(*(common_overrides(runs) if runs else []))
    document.add(*plots(folder, study, objectives))
    document.add(*best_curves(runs, study, objectives))
    return document


def read_study(folder: Path) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder.absolute() / SEARCH}")


def headline(study: Any, trials: list, objectives: dict[str, str]) -> list[Block]:
    states = [trial.state.name.lower() for trial in trials]
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    facts: list[tuple[str, Cell | str]] = [("trials", str(len(trials))), ("by state", told)]
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if done and len(objectives) == 1:
        (tag,), best = objectives, study.best_trial
        facts += [
            (f"best {tag}", number(best.value)),
            ("reached by", f"trial {best.number}"),
            *[(key, value_text(value)) for key, value in best.params.items()],
        ]
    elif done:
        numbers = ", ".join(str(trial.number) for trial in study.best_trials)
        facts.append(("on the front (none better in all)", f"trials {numbers}"))
    first = next((t for t in done if t.number == 0), None)
    blocks: list[Block] = [Facts(facts)]
    if first is not None and len(objectives) == 1:
        text = f"Trial 0 has the experiment's own values: {number(first.value)}."
        blocks.append(Text(text, "note"))
    return blocks


def trial_table(folder: Path, study: Any, trials: list, objectives: dict[str, str]) -> list[Block]:
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    sign = -1 if next(iter(objectives.values()), "min") == "max" else 1

    def order(trial: Any) -> tuple[bool, float]:
        complete = trial.state.name == "COMPLETE"
        return (not complete, sign * trial.values[0] if complete else trial.number)

    rows: list[list[Cell | str]] = []
    for trial in sorted(trials, key=order):
        state, name = trial.state.name.lower(), str(trial.user_attrs.get("folder", ""))
        link = f"{name}/report.html" if (folder / name / "report.html").is_file() else ""
        values = trial.values or [None] * len(objectives)
        seen = list(trial.intermediate_values.values())
        note = f"last seen {number(seen[-1])}" if state == "pruned" and seen else ""
        why = shorten(str(trial.user_attrs.get("why", "")), 90, placeholder=" …")
        spent = trial.duration.total_seconds() if trial.duration else None
        rows.append(
            [
                Cell(str(trial.number), link=link),
                *[value_text(trial.params.get(key)) for key in keys],
                Cell(state, KIND.get(state, ""), note=why or note),
                *map(number, values),
                duration(spent),
            ]
        )
    better = [Cell(tag, note={"min": "lowest"}.get(m, "highest")) for tag, m in objectives.items()]
    head: list[Cell | str] = ["trial", *keys, "state", *better, "time"]
    caption = (
        "The best first. A trial that failed or diverged is a failed trial, of which the search "
        "learns nothing; a pruned one was behind the median of the others at the same validation."
    )
    return [Heading("Trials"), Table(head, rows, range(2 + len(keys)), caption)]


def plots(folder: Path, study: Any, objectives: dict[str, str]) -> list[Block]:
    """History, importances, slices, parallel coordinates; the front for several objectives."""
    from optuna.visualization import matplotlib as drawn

    done = sum(trial.state.name == "COMPLETE" for trial in study.trials)
    if done < 2:
        return [Text("The plots need two completed trials.", "note")]
    blocks: list[Block] = []
    for index, tag in enumerate(objectives):
        one: dict[str, Any] = {"target_name": tag}
        if len(objectives) > 1:
            one["target"] = lambda trial, index=index: trial.values[index]
        more = f": {tag}" if len(objectives) > 1 else ""
        for name, title, draw in (
            ("history", "History", drawn.plot_optimization_history),
            ("importances", "Importance of the settings", drawn.plot_param_importances),
            ("slice", "Each setting by itself", drawn.plot_slice),
            ("parallel", "Parallel coordinates", drawn.plot_parallel_coordinate),
        ):
            ending = f"{name}_{index + 1}" if more else name
            blocks += plot(folder, ending, title + more, partial(draw, study, **one))
    if len(objectives) > 1:
        draw = partial(drawn.plot_pareto_front, study, target_names=list(objectives))
        front = plot(folder, "front", "One against the other", draw)
        blocks = [*front, *blocks]
    return blocks


@mpl.rc_context()  # Optuna chooses a style for all that is drawn afterwards
def plot(folder: Path, name: str, title: str, draw: Callable[[], Any]) -> list[Block]:
    """One of Optuna's plots as a picture; what it cannot draw of a few trials is left out."""
    from matplotlib import pyplot

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that these plots are experimental, and of layouts
            draw()
    except (ValueError, RuntimeError) as error:
        return [Heading(title), Text(f"Not drawn: {error}", "note")]
    figure: Figure = pyplot.gcf()
    try:
        panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None]
        figure.set_size_inches(min(max(7.5, 3.6 * len(panels)), 15), 4.2)
        for axes in panels:
            if name.startswith("slice") and axes.get_xscale() == "log":
                axes.xaxis.set_minor_formatter(NullFormatter())  # they would cover each other
        return [Heading(title), *save(folder, f"search_{name}", [figure], bbox_inches="tight")]
    finally:
        pyplot.close(figure)


def best_curves(runs: list[Run], study: Any, objectives: dict[str, str]) -> list[Block]:
    """The curves of the trials, by number."""
    shown = sorted(runs, key=lambda run: run.folder.name)[:MOST_LINES]
    labels = [run.folder.name.split("_")[0] for run in shown]
    return explorer(shown, labels, next(iter(objectives), ""))


def value_text(value: object) -> str:
    return number(value) if isinstance(value, float) else "–" if value is None else str(value)
