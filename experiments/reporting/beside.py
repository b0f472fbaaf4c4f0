"""The published run beside ours: the same quantities at the same epoch or step."""

from experiments.reporting.document import Block, Cell, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.published import Published, Row, ours_at
from experiments.shared.numbers import number


def published_table(run: Run, published: Published | None) -> list[Block]:
    """The published numbers beside ours, at the same epoch or step and at the end."""
    if published is None:
        return []
    rows = [published_row(run, row, published.axis) for row in published.rows]
    blocks: list[Block] = [
        Heading("Beside the published run"),
        Text(f"Source: {published.source}.", "note"),
        Text(published.remark),
    ]
    if run.name.endswith("_demo"):
        blocks.append(
            Text("This run is the demo: a smaller system on other data, for a rough view only.")
        )
    head = ["quantity", "published", published.axis, "ours there", "ours, last", "remark"]
    blocks.append(Table(head, rows, words=(0, 5)))
    if published.claims:
        blocks += [Text(f"Also stated there: {claim}", "quiet") for claim in published.claims]
    return blocks


def published_row(run: Run, row: Row, axis: str) -> list[Cell | str]:
    points, tag = sorted(row.points.items()), row.tag(run)
    ends = points[:1] + points[1:][-1:]
    stated = " → ".join(number(value) for _, value in ends)
    places = " → ".join(f"{position:,}" for position, _ in ends)
    spread = f"{number(row.range[0])} to {number(row.range[1])}" if row.range else ""
    name = Cell(f"{row.name}, {row.unit}" if row.unit else row.name, note=tag or "")
    theirs = Cell(stated, note=f"within {spread}") if stated and spread else Cell(stated or spread)
    if tag is None:
        why = "not measured" if row.tags else "no counterpart"
        return [name, theirs, places, Cell(why, "quiet"), "", row.remark]
    there = ((at, ours_at(run, tag, at, axis)) for at, _ in reversed(points))
    at, same = next((pair for pair in there if pair[1] is not None), (None, None))
    ours = Cell(number(same * row.scale), note=f"{axis} {at:,}") if same is not None else "–"
    return [name, theirs, places, ours, number(row.ours(run, tag)), row.remark]
