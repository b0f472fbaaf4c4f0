"""The figures of published reports: well formed, and laid beside the runs that they belong to."""

import pytest

from experiments.reporting.events import Run
from experiments.reporting.published import CONF, published_for, read_published
from experiments.shared.errors import InputError

FIGURES = sorted((CONF / "published").glob("*.yaml"))


def test_every_experiment_with_a_published_report_has_its_figures():
    assert {file.stem for file in FIGURES} == {
        "creative_agent", "radiodiff_vae", "molecular_flow", "multitrack"
    }  # fmt: skip


@pytest.mark.parametrize("file", FIGURES, ids=lambda file: file.stem)
def test_published_figures_are_well_formed(file):
    entry = read_published(file)
    assert entry.source
    assert entry.axis in ("epoch", "step")
    for row in entry.rows:
        assert row.points or row.range
        values = [*row.points.values(), *(row.range or ())]
        assert all(isinstance(v, int | float) for v in values), row.name  # 1e13 is text in YAML


def test_published_figures_that_cannot_be_read_are_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "{source: a report, axis: epoch, remark: '', rows: [{name: loss, colour: red}]}"
    )
    with pytest.raises(InputError, match=r"mine\.yaml.*colour"):
        read_published(file)


@pytest.mark.parametrize(
    ("name", "published_as", "overrides", "found"),
    [
        ("creative_agent_demo", None, [], True),
        ("creative_agent_published", None, [], True),
        ("mine", "creative_agent", [], True),
        ("smoke", None, ["+exp=published/creative_agent"], True),
        ("mine", None, ["+exp=mine"], False),
    ],
)
def test_which_published_entry_belongs_to_a_run(tmp_path, name, published_as, overrides, found):

    config = {"name": name, "published_as": published_as}
    entry = published_for(Run(tmp_path, config=config, overrides=overrides))
    file = CONF / "published" / "creative_agent.yaml"
    assert entry == (read_published(file) if found else None)
