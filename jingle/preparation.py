"""What a `CreativeAgent` needs before its first update: measurements of data, and optimizers."""

import torch

from experiments.shared.schedules import by_update
from jingle.networks.familiarity import features

FAMILIAR = 1024  # songs of the training set, at most, that familiarity is fitted to


def measure(module, data) -> None:
    """Take from the datamodule what is measured of the training set."""
    mean, std = data.statistics
    module.mean.copy_(mean[:, None])
    module.std.copy_(std[:, None])
    module.rest.copy_(data.rest()[:, None])
    if module.generator.levels:
        module.generator.start(data.channel_loudness())
    if module.generator.familiarity is not None and (songs := data.songs(FAMILIAR)):
        found = [features(*map(module.seen, song)) for song in songs]
        module.generator.familiarity.measured(torch.cat(found))
    module.measured.fill_(True)


def optimizers(module) -> tuple[list, list]:
    """The generator's optimizer, perhaps the adversary's, and the generator's schedule, if any."""
    generator, options = module.generator, module.hparams
    rate = module.optimizer.keywords["lr"] * options.agent_rate
    ours = module.optimizer(
        [
            {"params": list(generator.cascade.parameters())},
            {"params": list(generator.agent.parameters()), "lr": rate},
        ]
    )
    found = [ours]
    if module.adversary is not None:
        found.append(module.adversary_optimizer(module.adversary.parameters()))
    if module.schedule is None:
        return found, []
    batches = len(module.trainer.datamodule.train_dataloader())
    return found, [by_update(module.schedule, ours, module.trainer, batches)]
