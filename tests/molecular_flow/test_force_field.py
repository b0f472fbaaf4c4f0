"""Shipped force fields go by name; programs in others do not run unasked."""

import pytest

from experiments.shared.errors import InputError
from molecular_flow.physics import force_field
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.energy import TorchEnergy

SCRIPT = "<ForceField><Script>open(r'{}', 'w').close()</Script></ForceField>"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A force field whose program leaves a trace, and where the trace would be."""
    monkeypatch.setenv(force_field.TRUST, "0")
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / "trace"
    (tmp_path / "evil.xml").write_text(SCRIPT.format(trace))
    return tmp_path / "evil.xml", trace


def test_a_program_runs_only_where_it_is_trusted(evil, monkeypatch):
    file, trace = evil
    (file.parent / "outer.xml").write_text("<ForceField><Include file='evil.xml'/></ForceField>")
    for name in (str(file), "evil.xml", "outer.xml"):
        with pytest.raises(InputError, match=r"evil\.xml holds a program.*--trust-scripts"):
            molecules.build("AA", force_field=[*molecules.FORCE_FIELD, name])
    assert not trace.exists()
    force_field.trust_scripts()
    field = force_field.load([*molecules.FORCE_FIELD, str(file)])
    force_field.create_system(field, peptide(), "AA", ["evil.xml"], constraints=False)
    assert trace.exists()


def peptide():
    _, app, _ = molecules.openmm_modules()
    return app.Topology()


def test_a_shipped_name_is_never_a_file_of_the_working_directory(evil):
    file, trace = evil
    file.rename(file.parent / "amber99sbildn.xml")
    assert len(molecules.build("AA", force_field=["amber99sbildn.xml"]).atoms) == 23
    assert not trace.exists()
    assert force_field.own(["amber99sbildn.xml", "./mine.xml", "../evil.xml"]) == [
        "./mine.xml", "../evil.xml"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("amber99sbildn.xml", "implicit/gbn.xml"), "of OBC kind"),
        (("amber99sbildn.xml", "implicit/gbn2.xml"), "of OBC kind"),
        (("amber99sbildn.xml", "implicit/hct.xml"), "of OBC kind"),
        (("amoeba2018.xml",), "cannot be taken"),
        (("amber19/protein.ff19SB.xml",), "has CMAPTorsionForce"),
        (("amber14/tip3p.xml",), "does not know this molecule"),
        (("none.xml",), "no such file"),
    ],
)
def test_force_fields_that_cannot_be_taken_are_one_message(names, message):
    with pytest.raises(InputError, match=message) as error:
        TorchEnergy(molecules.build("AA", force_field=names))
    assert "\n" not in str(error.value)
