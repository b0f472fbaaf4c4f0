"""Metrics of many sequences as a few numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

SPREAD = ("acceptance", "excess", "ess_forward", "ess_inverse")
UP = ("acceptance", "ess_forward", "ess_inverse", "finite_share")  # the more, the better


def summary(
    rows: Mapping[str, Mapping[str, float]], groups: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Of {sequence: metrics}: for each group (prefix: sequences) mean, median and worst.

    acceptance, excess, ess_forward and ess_inverse: mean under their own names, then `_median` and
    `_worst`; the worst finite_share, capped_share and round_trip_nm; each sequence's acceptance as
    `acceptance_SEQUENCE`.
    """
    found = {}
    for prefix, sequences in groups.items():
        here = [rows[sequence] for sequence in sequences if sequence in rows]
        if not here:
            continue
        for name in SPREAD:
            values = [row[name] for row in here]
            found[f"{prefix}{name}"] = fmean(values)
            found[f"{prefix}{name}_median"] = median(values)
            found[f"{prefix}{name}_worst"] = (min if name in UP else max)(values)
        for name in ("finite_share", "capped_share", "round_trip_nm"):
            found[prefix + name] = (min if name in UP else max)(row[name] for row in here)
    return found | {f"acceptance_{sequence}": row["acceptance"] for sequence, row in rows.items()}
