"""`infer exchange`: samples by replica exchange with a map, and sets the rivals beside it."""

import argparse
import json
import math
from dataclasses import asdict
from itertools import pairwise

import torch
from torch import Tensor

from experiments.shared import writing
from experiments.shared.errors import InputError
from molecular_flow import exchange, output, rungs
from molecular_flow.bill import Bill
from molecular_flow.module import MolecularFlow

COLUMNS = {
    "acceptance": "acceptance",
    "round trips/1e6": "round_trips_per_million",
    "samples/1e6": "effective_samples_per_million",
    "round trips/s": "round_trips_per_second",
    "samples/s": "effective_samples_per_second",
    "free energy": "free_energy",
    "+-": "free_energy_error",
    "s": "seconds",
    "evals": "energy_evaluations",
}


def check(args: argparse.Namespace) -> None:
    """Stop on words that cannot be obeyed, before anything is loaded.

    Raises:
        InputError: says which.
    """
    if args.out:
        output.check(args.out, (args.pdb,), args.overwrite)
    if args.json:
        writing.check_file(args.json, overwrite=args.overwrite, option="--json")
    if args.acceptance and len(args.temperatures or ()) < 3:
        raise InputError("expected three or more --temperatures for --acceptance to choose from")


def ladder(module: MolecularFlow, args: argparse.Namespace) -> list[float]:
    """The temperatures to run at: those asked for, or the fewest for the acceptance asked for."""
    asked = sorted(args.temperatures or module.pair)
    if not args.acceptance:
        return asked
    with_map, without = rungs.survey(
        module.works,
        module.molecule,
        asked,
        ladders=args.ladders,
        seed=args.seed,
        equilibrate_ps=args.equilibrate_ps,
    )
    chosen = rungs.fewest(with_map, args.acceptance)
    for i, j in pairwise(chosen):
        print(f"{asked[i]:g} K <-> {asked[j]:g} K: acceptance {with_map[i, j]:.3f} with the map, "
              f"{without[i, j]:.3f} without")  # fmt: skip
    return [asked[place] for place in chosen]


def kinds(args: argparse.Namespace, temperatures: list[float], move) -> dict[str, dict]:
    """What to run: the flow, plain exchange and dynamics, with as many replicas in all."""

    def plain(rungs_: list[float]) -> dict:
        count = max(2, round(len(temperatures) * args.ladders / len(rungs_)))
        return {"ladders": count, "temperatures": rungs_}

    found = {
        "flow": {"ladders": args.ladders, "temperatures": temperatures, "transport": move},
        "plain": plain(temperatures),
        f"MD, {temperatures[0]:g} K": plain(temperatures[:1]),
    }
    others = [sorted({temperatures[0], *args.rungs, temperatures[-1]})] if args.rungs else []
    if args.acceptance and len(args.temperatures) > len(temperatures):
        others.append(sorted(args.temperatures))
    for rungs_ in others:
        found["plain, " + "/".join(f"{t:g}" for t in rungs_)] = plain(rungs_)
    if args.only_flow:
        return {"flow": found["flow"]}
    if args.turns:
        found |= {f"{name} + turns": {**kind, "turns": True} for name, kind in found.items()}
    return found


def exchange_runs(module: MolecularFlow, args: argparse.Namespace) -> None:
    """Run all kinds, print and write their table, write the flow's frames."""

    @torch.no_grad()
    def move(x: Tensor, source: float, target: float, inverse: bool) -> tuple[Tensor, Tensor]:
        return module.flow.transport(x, source, target, inverse=inverse)

    temperatures = ladder(module, args)
    low, high = temperatures[0], temperatures[-1]
    if args.rungs and not all(low < rung < high for rung in args.rungs):
        raise InputError(f"expected --rungs between {low:g} and {high:g} K, got {args.rungs}")
    recording = output.Recording(temperatures) if args.out else None
    budget = {
        "evaluations": args.evaluations or (math.inf if args.seconds else 2_000_000),
        "seconds": args.seconds or math.inf,
    }
    runs = {
        name: exchange.run(
            module.molecule,
            seed=args.seed,
            equilibrate_ps=args.equilibrate_ps,
            label=name,
            watch=recording if name == "flow" else None,
            **budget,
            **kind,
        )
        for name, kind in kinds(args, temperatures, move).items()
    }
    if recording:
        print("frames:", ", ".join(map(str, recording.write(args.out, module.molecule))))
    report(runs, temperatures, args, module.bill)


def report(
    runs: dict[str, exchange.Outcome],
    temperatures: list[float],
    args: argparse.Namespace,
    bill: Bill,
) -> None:
    """Print the table and what the map gains; write the former where `--json` says."""
    print(f"{' <-> '.join(f'{t:g}' for t in temperatures)} K, {args.ladders} ladders; samples are "
          "effective ones of the slowest torsion; free energies in kT; s: of the processor, the "
          "map's own arithmetic counted")  # fmt: skip
    print(f"{'':28s}" + "".join(f"{column:>16s}" for column in COLUMNS))
    for name, outcome in runs.items():
        values = asdict(outcome)
        print(f"{name:28s}" + "".join(f"{values[key]:16.5g}" for key in COLUMNS.values()))
    for unit, key in (
        ("evaluation", "effective_samples_per_million"),
        ("second", "effective_samples_per_second"),
    ):
        found = {name: getattr(outcome, key) for name, outcome in runs.items()}
        best = {name: value for name, value in found.items() if not name.startswith("flow")}
        if best:
            rival = max(best, key=best.__getitem__)
            ours = max(value for name, value in found.items() if name.startswith("flow"))
            print(
                f"effective samples of the slowest torsion for each {unit}: "
                f"{ours / best[rival]:.2f} times those of {rival!r}, the best without a map"
            )
            if unit == "evaluation":
                print(bill.line(ours, best[rival]))
    if args.json:
        found = {name: asdict(outcome) for name, outcome in runs.items()}
        writing.write_text(args.json, json.dumps(found, indent=1))
