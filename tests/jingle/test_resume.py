"""What a checkpoint carries: a resumed run is the uninterrupted one, a loaded agent the trained."""

import lightning.pytorch as pl
import torch

from experiments.shared import checkpoints
from jingle.module import CreativeAgent
from tests.jingle.training import Pairs, agent, fit


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = agent()  # remixing draws anew in each batch
    fit(whole, tmp_path, max_epochs=3)
    first = agent()
    fit(first, tmp_path, max_epochs=1).save_checkpoint(tmp_path / "one.ckpt")
    second = agent()
    trainer = fit(second, tmp_path, max_epochs=3, ckpt_path=tmp_path / "one.ckpt")
    assert trainer.global_step == 12
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_resumed_run_listens_at_the_same_validations(tmp_path):
    class Heard(pl.Callback):
        def __init__(self):
            self.seen = []

        def on_validation_end(self, trainer, module) -> None:
            if not trainer.sanity_checking:
                self.seen.append((trainer.current_epoch, module.evaluation.decoded > 0))

    whole, parts = Heard(), Heard()
    options = {"limit_val_batches": 1, "limit_train_batches": 1}
    fit(agent(heard=1, heard_every=2), tmp_path, max_epochs=4, callbacks=[whole], **options)
    first = fit(agent(heard=1, heard_every=2), tmp_path, callbacks=[parts], **options)
    first.save_checkpoint(tmp_path / "one.ckpt")
    options |= {"callbacks": [parts], "ckpt_path": tmp_path / "one.ckpt"}
    fit(agent(heard=1, heard_every=2), tmp_path, max_epochs=4, **options)
    assert whole.seen == [(0, True), (1, False), (2, True), (3, False)]
    assert parts.seen == whole.seen


def test_statistics_travel_with_the_checkpoint_and_the_codec_does_not(tmp_path):
    module = agent()
    trainer = fit(module, tmp_path)
    file = tmp_path / "agent.ckpt"
    trainer.save_checkpoint(file)
    content = torch.load(file, weights_only=True)
    assert not [name for name in content["state_dict"] if "codec" in name or "tables" in name]
    content["class"] = checkpoints.class_name(CreativeAgent)
    torch.save(content, file)
    loaded = checkpoints.load(CreativeAgent, file)
    assert not loaded.training
    assert float(loaded.mean[0]) == 2.0
    other = Pairs()
    other.statistics = (torch.zeros(128), torch.ones(128))
    trainer.test(loaded, datamodule=other, verbose=False)
    assert float(loaded.mean[0]) == 2.0  # of its own training set, not of the one it is tested on
    batch = next(iter(other.val_dataloader()))
    made = [m.eval().generate(batch) for m in (module, loaded)]
    assert torch.equal(made[0]["output"], made[1]["output"])
