"""The best checkpoint by the objective, as best.ckpt, also where the run's folder has moved."""

import os
import shutil
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint


class Best(ModelCheckpoint):
    """Lightning's checkpoint of the best `monitor`; what it remembers names no folder.

    Lightning forgets the best score when the folder's path is another than the checkpoint's, and
    would then take the next validation for the best. With `save_top_k` other than 1 each file is
    named by its step, and best.ckpt is a copy of the best of them.
    """

    def __init__(self, dirpath: str, filename: str = "best", save_top_k: int = 1, **rest):
        if save_top_k != 1 and "{" not in filename:
            filename += "-{step}"
        super().__init__(dirpath=dirpath, filename=filename, save_top_k=save_top_k, **rest)

    @property
    def target(self) -> Path:
        return Path(str(self.dirpath)) / "best.ckpt"

    @property
    def state_key(self) -> str:
        return type(self).__qualname__  # not the intervals: another one must not lose the best

    def _save_topk_checkpoint(self, trainer, monitor_candidates) -> None:
        before = self.best_model_path
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        best = Path(self.best_model_path)
        if not self.best_model_path or best == self.target or not trainer.is_global_zero:
            return
        if self.best_model_path != before or not self.target.exists():
            scratch = self.target.with_suffix(".tmp")
            shutil.copyfile(best, scratch)
            os.replace(scratch, self.target)

    def state_dict(self) -> dict:
        state = super().state_dict()
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = Path(state[key]).name
        state["best_k_models"] = {Path(p).name: score for p, score in self.best_k_models.items()}
        return {**state, "dirpath": "", "mode": self.mode}

    def load_state_dict(self, state: dict) -> None:
        if (state["monitor"], state["mode"]) != (self.monitor, self.mode):
            print(
                f"the best so far was by {state['monitor']} ({state['mode']}): chosen anew by "
                f"{self.monitor} ({self.mode})",
                flush=True,
            )
            return
        folder = Path(str(self.dirpath))
        kept = {n: s for n, s in state["best_k_models"].items() if (folder / n).is_file()}
        if not kept:
            if state["best_k_models"]:
                print(f"no best checkpoint is left in {folder}: chosen anew", flush=True)
            return
        ordered = sorted(kept, key=lambda name: kept[name].item(), reverse=self.mode == "max")
        if self.save_top_k > 0:
            ordered = ordered[: self.save_top_k]
        if self.target.name in ordered and self.save_top_k != 1:  # the name is the copy's
            ordered[ordered.index(self.target.name)] = "best-before.ckpt"
            kept["best-before.ckpt"] = kept[self.target.name]
            shutil.copyfile(self.target, folder / "best-before.ckpt")
        self.best_k_models = {str(folder / name): kept[name] for name in ordered}
        self.best_model_path, self.best_model_score = (
            str(folder / ordered[0]),
            kept[ordered[0]],
        )
        self.kth_best_model_path = str(folder / ordered[-1])
        self.kth_value = torch.as_tensor(kept[ordered[-1]])
