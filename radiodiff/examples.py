"""Which maps of a split are shown: the first one of each of a few cities."""

from torch import Tensor

SHOWN = 3


def keep_first(kept: list[dict[str, Tensor]], batch: dict[str, Tensor]) -> None:
    """Add to `kept` the first map of each city not in it, up to `SHOWN`; "city" is (B,)."""
    had = {int(example["city"]) for example in kept}
    for index, city in enumerate(batch["city"].tolist()):
        if len(kept) < SHOWN and city not in had:
            had.add(city)
            kept.append({name: value[index].detach().cpu() for name, value in batch.items()})
