"""python -m experiments.evaluate RUN [data.root=OTHER] [split=val] [as=NAME]: test a finished run.

Trains nothing: the best checkpoint is tested on the run's own data, or on any of its format, beside
the same baselines. RUN/evaluation/NAME/ gets summary.json, figures and a report. NAME is made of
what differs from the run, unless given with as=NAME; the same name again replaces what it holds.
"""

import contextlib
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path

from experiments.run import CONF
from experiments.running import settings
from experiments.running.again import file_name
from experiments.running.explain import explain
from experiments.shared.errors import InputError, first_line, printable, speak_plainly
from experiments.shared.folder import Folder, Summary

USAGE = (
    "usage: python -m experiments.evaluate RUN [data.KEY=VALUE ...] [split=test|val] [as=NAME]\n"
    "  also trainer.accelerator=, trainer.precision=, trainer.limit_test_batches=, threads=,\n"
    "  and model.KEY=VALUE that leaves the weights as they are (radio_map: model.views=8)"
)
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
MAY_SET = (
    *("data.", "model.", "threads"),  # a model of other sizes does not fit its weights, and says so
    *("trainer.accelerator", "trainer.precision", "trainer.limit_"),
)


def evaluate(run: Path, split: str, values: dict, name: str) -> Path:
    """Test the best checkpoint of `run`; the folder with the outcome.

    Args:
        run: a run's folder.
        split: "test" or "val".
        values: dotted keys of the configuration to set otherwise.
        name: of the folder below RUN/evaluation.

    Raises:
        InputError: the run, the data or a key is not there, or does not fit.
    """
    from experiments.running import finish, restore, summary  # torch and lightning: seconds
    from experiments.running.build import build
    from experiments.shared import checkpoints

    began, place = datetime.now().astimezone(), Folder(run)
    target = Folder(place.evaluation / name)
    config = restore.own_config(run)
    restore.change(config, values)
    settings.check(config)
    accelerator = str(config.trainer.accelerator)
    if accelerator not in ACCELERATORS:
        raise InputError(
            f"trainer.accelerator={accelerator}: expected one of {', '.join(ACCELERATORS)}"
        )
    path = checkpoints.resolve(run)
    restore.check_files(config, values, path)
    module, datamodule = build(config, ("data", "model"))
    checkpoint = restore.fill(module, path)

    figures = summary.Figures(str(target.path))
    accelerator = "cpu" if accelerator == "cpu" else "auto"
    trainer = finish.one_device(config, accelerator, logger=False, callbacks=[figures])
    target.path.mkdir(parents=True, exist_ok=True)
    check = trainer.test if split == "test" else trainer.validate
    try:
        check(module, datamodule=datamodule, verbose=False)
    except InputError:
        with contextlib.suppress(OSError):
            os.removedirs(target.path)  # nothing came of it
        raise
    if split == "val":
        figures.draw(trainer, module)

    own = place.read()
    said = summary.summarise(
        trainer, module, datamodule, config,
        metrics=summary.scalars(trainer.callback_metrics), began=began, earlier={}, error=None,
    )  # fmt: skip
    said["status"] = "evaluated"
    said["objective"] = own.get("objective") or said["objective"]
    said["checkpoint"] = str(path.relative_to(place.path))
    said["steps"], said["epochs"] = checkpoint["global_step"], checkpoint["epoch"]
    target.write(said)
    target.asked.mkdir(exist_ok=True)
    from omegaconf import OmegaConf

    target.config.write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    words = [f"{key}={value}" for key, value in values.items()]
    target.overrides.write_text(OmegaConf.to_yaml(OmegaConf.create(words)), encoding="utf-8")
    show(said)
    finish.report(target.path)
    return target.path


def show(said: Summary) -> None:
    """Every metric with its baselines, as lines."""
    for tag, value in sorted(said["metrics"].items()):
        metric = tag.partition("/")[2]
        beside = [
            f"{label} {values[metric]:.4g}"
            for label, values in said["baselines"].items()
            if values.get(metric) is not None
        ]
        print(f"{tag} {value:.4g}{'  (' + ', '.join(beside) + ')' if beside else ''}")


def parse(words: list[str]) -> tuple[Path, str, dict, str]:
    """The run, the split, what is set otherwise, and the evaluation's name.

    Raises:
        InputError: a word is none of these.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    runs = [word for word in words if "=" not in word or Path(word).is_dir()]
    if len(runs) != 1:
        raise InputError(f"expected one run's folder, got {runs or 'none'}\n{USAGE}")
    try:
        typed = OverridesParser.create().parse_overrides([w for w in words if w not in runs])
    except HydraException as error:
        raise InputError(f"{first_line(error)}\n{USAGE}") from error
    given = {o.key_or_group: o.value() for o in typed}
    split, name = str(given.pop("split", "test")), given.pop("as", None)
    if split not in ("test", "val"):
        raise InputError(f"split={split}: expected test or val")
    wrong = [key for key in given if not key.startswith(MAY_SET)]
    if wrong:
        raise InputError(f"{wrong[0]} is no part of an evaluation\n{USAGE}")
    told = [str(o.input_line).replace("=", "-").removeprefix("data.") for o in typed
            if o.key_or_group in given]  # fmt: skip
    return Path(runs[0]), split, given, file_name(str(name) if name else "_".join([split, *told]))


def main(words: list[str]) -> None:
    if not words:
        raise InputError("expected a run's folder; --help says more")
    if words[0] in ("-h", "--help"):
        print(f"{__doc__}\n{USAGE}")
        return
    evaluate(*parse(words))


def entry(words: list[str]) -> None:
    """The command: what a user can mend ends with a message and status 2, without a stack trace."""
    speak_plainly()
    try:
        main(words)
    except Exception as error:
        message = explain(error, CONF)
        if message is None:
            traceback.print_exc()
            raise SystemExit(1) from None
        print(f"error: {printable(message)}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    entry(sys.argv[1:])
