"""Shows what the model makes: its figures and audio, in the run folder and in TensorBoard."""

import traceback
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from experiments.shared.folder import Folder


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
        board = trainer.logger.experiment if trainer.logger else None
        if hasattr(pl_module, "figures"):
            self.place.figures.mkdir(exist_ok=True)
            for name, figure in pl_module.figures().items():
                for kind in ("png", "pdf") if self.pdf else ("png",):
                    figure.savefig(self.place.figures / f"{name}.{kind}")
                if board:
                    image = np.asarray(figure.canvas.buffer_rgba())[..., :3]
                    board.add_image(
                        f"figures/{name}", image, trainer.global_step, dataformats="HWC"
                    )
        if hasattr(pl_module, "audio"):
            self._sound(pl_module, board, trainer.global_step)

    def _sound(self, pl_module, board, step: int) -> None:
        import soundfile

        self.place.audio.mkdir(exist_ok=True)
        for name, (samples, rate) in pl_module.audio().items():
            samples = samples.detach().float().cpu().clamp(-1, 1)
            soundfile.write(self.place.audio / f"{name}.wav", samples.T.numpy(), rate)
            if board:
                board.add_audio(f"audio/{name}", samples, step, sample_rate=rate)

    def state_dict(self) -> dict:
        return {"validations": self.validations}

    def load_state_dict(self, state: dict) -> None:
        self.validations = state["validations"]
