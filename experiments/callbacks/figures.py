"""Shows what the model makes: figures and audio, in the run folder, TensorBoard and W&B."""

import traceback
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from experiments.callbacks.loggers import tensorboard
from experiments.shared.folder import Folder

SHOWN = "validation"  # TensorBoard sorts by name: behind all curves, the last of which are val/


class Figures(pl.Callback):
    """Calls the module's `figures()` and `audio()` after validation 1, 2, 4, 8, ..., fit and test.

    Drawing costs seconds and the early changes are the ones to see, hence the doubling. Also drawn
    when the run is stopped, by a signal or by divergence. What fails to be drawn is said and kept
    in `problems`: it neither ends the run nor hides why it ends.

    Args:
        folder: the run's.
        pdf: writes each figure as PDF, too, for print.
    """

    def __init__(self, folder: str, pdf: bool = False):
        self.place, self.pdf, self.validations = Folder(Path(folder)), pdf, 0
        self.drawn_at: int | None = None  # the step of the last drawing
        self.problems: list[str] = []

    def on_validation_end(self, trainer, pl_module) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self.validations += 1
        if self.validations & (self.validations - 1) == 0:
            self.draw(trainer, pl_module)

    def on_fit_end(self, trainer, pl_module) -> None:
        if self.drawn_at != trainer.global_step:
            self.draw(trainer, pl_module)

    def on_test_end(self, trainer, pl_module) -> None:
        self.draw(trainer, pl_module)

    def on_exception(self, trainer, pl_module, exception) -> None:
        if self.validations:
            self.draw(trainer, pl_module)

    @rank_zero_only
    def draw(self, trainer, pl_module) -> None:
        self.drawn_at = trainer.global_step
        try:
            self._draw(trainer, pl_module)
        except Exception as error:
            problem = f"figures failed ({type(error).__name__}: {error})"
            if problem not in self.problems:
                traceback.print_exc()
                print(f"{problem}, at step {trainer.global_step}; the run goes on", flush=True)
                self.problems.append(problem)

    def _draw(self, trainer, pl_module) -> None:
        board = tensorboard(trainer)
        others = [logger for logger in trainer.loggers if hasattr(logger, "log_image")]
        if hasattr(pl_module, "figures"):
            self.place.figures.mkdir(exist_ok=True)
            for name, figure in pl_module.figures().items():
                kinds = ("png", "pdf") if self.pdf else ("png",)
                paths = [self.place.figures / f"{name}.{kind}" for kind in kinds]
                for path in paths:
                    figure.savefig(path)
                for logger in others:
                    logger.log_image(f"{SHOWN}_figures/{name}", [str(paths[0])])
                if board:
                    image = np.asarray(figure.canvas.buffer_rgba())[..., :3]
                    board.add_image(
                        f"{SHOWN}_figures/{name}", image, trainer.global_step, dataformats="HWC"
                    )
        if hasattr(pl_module, "audio"):
            self._sound(trainer, pl_module)

    def _sound(self, trainer, pl_module) -> None:
        import soundfile

        board = tensorboard(trainer)
        others = [logger for logger in trainer.loggers if hasattr(logger, "log_audio")]
        self.place.audio.mkdir(exist_ok=True)
        for name, (samples, rate) in pl_module.audio().items():
            samples = samples.detach().float().cpu().clamp(-1, 1)
            path = self.place.audio / f"{name}.wav"
            soundfile.write(path, samples.T.numpy(), rate)
            for logger in others:
                logger.log_audio(f"{SHOWN}_audio/{name}", [str(path)])
            if board:
                board.add_audio(
                    f"{SHOWN}_audio/{name}", samples, trainer.global_step, sample_rate=rate
                )

    def state_dict(self) -> dict:
        return {"validations": self.validations}

    def load_state_dict(self, state: dict) -> None:
        self.validations = state["validations"]
