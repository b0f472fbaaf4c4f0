"""How a run ended, what must not be overlooked, and whether its targets are met."""

import numpy as np

from experiments.reporting.document import Block, Cell, Facts, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.facts import (
    epochs_done,
    judge,
    last_step,
    metric_names,
    objective_of,
    targets_of,
)
from experiments.shared.numbers import count, duration, number

STATUS = {
    "completed": ("good", "The run came to its end."),
    "interrupted": ("warning", "The run was interrupted; it resumes in the same folder."),
    "diverged": ("bad", "The run diverged and was stopped; the last good checkpoint stays."),
    "failed": ("bad", "The run failed with an error."),
    "evaluated": ("good", "A finished run's checkpoint, on the data below; nothing was trained."),
    "unfinished": (
        "warning",
        "No summary.json yet: the run is still going, or was killed. What is shown comes from its "
        "event files.",
    ),
}


def headline(run: Run) -> list[Block]:
    kind, sentence = STATUS.get(run.status, ("warning", f"Status: {run.status}."))
    reason = run.summary.get("error")
    objective, targets = objective_of(run), targets_of(run)[0]
    if run.summary.get("traceback"):
        sentence += f" Its traceback is in {run.summary['traceback']}."
    blocks: list[Block] = [Text(sentence + (f" {reason}" if reason else ""), kind)]
    mark = {"completed": "good", "diverged": "bad", "failed": "bad"}.get(run.status, "")
    facts: list[tuple[str, Cell | str]] = [("status", Cell(run.status, mark))]
    if objective.get("name"):
        better = "highest" if objective.get("mode") == "max" else "lowest"
        facts += [
            (f"{better} {objective['name']}", number(objective.get("best"))),
            ("at step", count(objective.get("best_step"))),
            ("its last value", number(objective.get("last"))),
        ]
    if targets:
        # what is met whatever the training does would flatter the count
        earned = {tag: target for tag, target in targets.items() if not target.remark}
        verdicts = [judge(run, tag, target)[0] for tag, target in earned.items()]
        met, open_ = verdicts.count("met"), verdicts.count("not measured")
        kind = "bad" if "missed" in verdicts else "" if open_ else "good"
        note = f"{open_} not measured" if open_ else ""
        others = [target.remark for target in targets.values() if target.remark]
        remarks = [f"{others.count(remark)} {remark}" for remark in dict.fromkeys(others)]
        note = "; ".join([note, *remarks] if note else remarks)
        facts.append(("targets met", Cell(f"{met} of {len(earned)}", kind, note=note)))
    facts += [
        ("steps", count(last_step(run))),
        ("epochs", count(epochs_done(run))),
        ("duration", duration(run.summary.get("duration_s"))),
    ]
    blocks.append(Facts(facts))
    return blocks


def warnings(run: Run) -> list[Block]:
    """What a reader must not overlook: damaged files, notes of the data, missing parts."""
    data = run.summary.get("data") or {}
    notes = [str(note) for note in data.get("notes") or []]
    blocks: list[Block] = [Text(n, "warning") for n in notes if n.upper().startswith("WARNING")]
    if data.get("skipped"):
        blocks.append(Text(f"{data['skipped']} broken or unusable files were skipped.", "warning"))
    problems = [*run.problems, *(run.summary.get("problems") or [])]
    blocks += [Text(str(problem), "warning") for problem in problems]
    for change in run.summary.get("accepted_changes") or []:
        text = f"Changed on resuming: {change['key']} was {change['was']}, is {change['now']}."
        blocks.append(Text(text, "warning"))
    broken = {tag: c for tag, c in run.curves.items() if len(c.steps) != len(c.finite().steps)}
    for tag, curve in broken.items():
        if not tag.startswith("hparams/"):
            step = int(curve.steps[~np.isfinite(curve.values)][0])
            blocks.append(Text(f"{tag} was NaN or infinite, first at step {step}.", "warning"))
    missing, trained = [], run.status != "evaluated"
    if trained and not run.event_files:
        missing.append("event files (tb/)")
    elif trained and not run.curves:
        missing.append("scalars in the event files (no step logged yet)")
    if run.curves and not metric_names(run):
        missing.append("validation and test metrics")
    if not run.config:
        missing.append("the configuration (.hydra/config.yaml)")
    if missing:
        blocks.append(Text(f"Missing in this folder: {'; '.join(missing)}.", "note"))
    return blocks


def target_table(run: Run) -> list[Block]:
    targets, bad = targets_of(run)
    if not targets and not bad:
        return []
    rows: list[list[Cell | str]] = []
    for tag, target in targets.items():
        verdict, how = judge(run, tag, target)
        kind = {"met": "good", "missed": "bad"}.get(verdict, "quiet")
        rows.append(
            [
                tag,
                target.text,
                number(run.value(tag)),
                Cell(f"{verdict} {how}".strip(), kind, note=target.remark),
            ]
        )
    rows += [[tag, str(run.config["targets"][tag]), "", Cell(e, "bad")] for tag, e in bad.items()]
    return [
        Heading("Targets"),
        Table(["metric", "target", "measured", "verdict"], rows, words=(0, 3)),
    ]
