"""The bench's result for people: a table of one measurement, a line each for several."""

from rich.table import Table

from experiments.shared.numbers import number, percent


def one(result: dict) -> Table:
    """Every figure of one measurement."""
    table = Table(
        title=f"{result['name']}: {result['steps']} training steps",
        title_justify="left",
        show_header=False,
    )
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in rows(result):
        table.add_row(name, value)
    return table


def rows(result: dict) -> list[tuple[str, str]]:
    step, rate = result["step_s"], result["rate"]
    lines = [
        ("device", f"{result['device']} ({result['threads']} CPU threads)"),
        ("precision, batch", f"{result['precision']}, {result['batch']}"),
        ("step, median", f"{number(step['median'])} s"),
        ("step, 10 % .. 90 %", f"{number(step['q10'])} .. {number(step['q90'])} s"),
        ("processor time a step, median", f"{number(result['cpu_s'])} s"),
        ("samples/s", number(result["samples_per_s"])),
    ]
    if result["unit"]:
        lines += [
            (f"{result['unit']}/s", number(result["units_per_s"])),
            (f"{result['unit']} a processor second", number(result["units_per_cpu_s"])),
        ]
    lines.append(("waiting for data, of all timed steps", percent(result["data_share"])))
    for name, share in result["parts"].items():
        lines.append((f"  {name}", f"{number(share['seconds'])} s  {percent(share['share'])}"))
    lines.append(("peak memory (RSS)", f"{result['peak_rss_mb']:,.0f} MiB"))
    if result["peak_gpu_mb"] is not None:
        lines.append(("peak GPU memory", f"{result['peak_gpu_mb']:,.0f} MiB"))
    for name, count in result["parameters"].items():
        lines.append((f"parameters, {name}", f"{count:,}"))
    if result["flops_per_step"]:
        lines += [
            ("counted FLOPs a step and device", number(result["flops_per_step"])),
            (f"rate reached, by {rate['clock']}", f"{number(rate['reached'] / 1e9)} GFLOP/s"),
            (f"matmul rate here ({rate['dtype']})", f"{number(rate['matmul'] / 1e9)} GFLOP/s"),
            (
                f"convolution rate here ({rate['dtype']})",
                f"{number(rate['convolution'] / 1e9)} GFLOP/s",
            ),
            ("share of the better of the two", percent(rate["share"])),
        ]
    else:
        lines.append(("FLOPs", f"not counted: {result['flops_note']}"))
    return lines


def several(results: list[dict]) -> Table:
    """One line an experiment."""
    table = Table(title="training steps", title_justify="left")
    head = (
        "experiment",
        "batch",
        "step s",
        "samples/s",
        "data",
        "RSS MiB",
        "parameters",
        "of best",
    )
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left")
    for result in results:
        table.add_row(
            result["name"],
            str(result["batch"]),
            number(result["step_s"]["median"]),
            number(result["samples_per_s"]),
            percent(result["data_share"]),
            f"{result['peak_rss_mb']:,.0f}",
            f"{result['parameters']['total']:,}",
            percent(result["rate"]["share"]) if result["flops_per_step"] else "–",
        )
    return table
