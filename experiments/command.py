"""The command `ensemble`: what `python -m experiments.WORD` does, whatever lies in the folder.

Python would take a folder's own package `experiments` before the installed one.
"""

import os
import runpy
import sys
from pathlib import Path

WORDS = {
    "run": "train, or go on with a run: ensemble run +exp=NAME [KEY=VALUE ...]",
    "report": "report again, compare or index runs: ensemble report FOLDER ...",
    "evaluate": "test a finished run on other data: ensemble evaluate RUN [KEY=VALUE ...]",
    "serve": "finished runs as an API and a page: ensemble serve RUN [RUN ...]",
    "export": "a run's networks as ONNX or torch.export files: ensemble export RUN OUT",
    "bench": "speed and memory of a training step: ensemble bench +exp=NAME",
    "slurm": "where the batch script lies: sbatch $(ensemble slurm) +exp=NAME",
}


def main() -> None:
    """Run the module that the first word names; without one, `run`."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print("usage: ensemble WORD ...\n")
        print("\n".join(f"  {word:<9} {purpose}" for word, purpose in WORDS.items()))
        return
    if words[0] == "slurm":
        if words[1:]:
            print("error: ensemble slurm: expected nothing after it: give further words to sbatch",
                  file=sys.stderr)  # fmt: skip
            raise SystemExit(2)
        print(Path(__file__).with_name("slurm.sbatch"))
        return
    # Lightning starts further ranks by repeating what is left here.
    word = words.pop(0) if words[0] in WORDS else "run"
    sys.argv[1:] = words
    os.environ["PYTHONSAFEPATH"] = "1"  # the processes of a sweep and of the bench
    runpy.run_module(f"experiments.{word}", run_name="__main__")


if __name__ == "__main__":
    main()
