"""OpenMM and its force fields: shipped ones by name, files of one's own without their programs."""

import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

from experiments.shared.errors import InputError
from experiments.shared.reading import regular

MOST_BYTES = 1 << 28
INSTALL = "install the extra: pip install 'ensemble-suite[molecular]'"
FORCE_FIELD = ("amber99sbildn.xml", "implicit/obc1.xml")
TRUST = "MOLECULAR_FLOW_TRUST_SCRIPTS"  # what no checkpoint and no configuration can set
PROGRAMS = ("Script", "InitializationScript")  # of an XML file; OpenMM executes them
FITS = "amber99sbildn.xml or amber14-all.xml, in vacuum or with implicit/obc1.xml or obc2.xml, do"


def openmm_modules():
    """The modules `(openmm, openmm.app, openmm.unit)`.

    Raises:
        InputError: OpenMM is not installed.
    """
    try:
        import openmm
        import openmm.app
        import openmm.unit
    except ImportError as error:
        raise InputError(
            f"expected OpenMM for the force field, got none ({error}): {INSTALL}"
        ) from error
    return openmm, openmm.app, openmm.unit


def shipped(name: str) -> Path | None:
    """The file of a force field that came with OpenMM or an installed package of force fields.

    These come before a file of the same name in the working directory.
    """
    openmm, _, _ = openmm_modules()
    folders = [Path(openmm.__file__).parent / "app" / "data"]
    for entry in entry_points(group="openmm.forcefielddir"):
        folders.append(Path(entry.load()()))
    for folder in folders:
        try:
            file = (folder / name).resolve()
        except (OSError, RuntimeError):  # a link in a circle
            continue
        if file.is_file() and file.is_relative_to(folder.resolve()):
            return file
    return None


def own(names: Sequence[str]) -> list[str]:
    """Those of `names` that are not shipped."""
    return [name for name in names if shipped(name) is None]


def trust_scripts() -> None:
    """Let this process run the programs in force-field files: for a command's --trust-scripts."""
    os.environ[TRUST] = "1"


def load(names: Sequence[str]):
    """The `ForceField` of these files.

    Raises:
        InputError: a file is not there, is no force field, or holds a program (see `TRUST`).
    """
    _, app, _ = openmm_modules()
    files = []
    for name in names:
        file = shipped(name)
        if file is None:
            file = Path(name)
            if os.environ.get(TRUST) != "1":
                check_programs(file, set())
        files.append(str(file))
    try:
        return app.ForceField(*files)
    except Exception as error:  # OpenMM's reader raises whatever the file provokes
        raise InputError(
            f"expected OpenMM force-field files, got {list(names)} ({error}): mend data.force_field"
        ) from error


def check_programs(file: Path, seen: set[Path]) -> None:
    """Stop on a force-field file that holds a program, or includes one that does.

    Raises:
        InputError: it does, or it cannot be read.
    """
    if file in seen:
        return
    seen.add(file)
    regular(file, "a force-field file (data.force_field), or a name that OpenMM has", MOST_BYTES)
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise InputError(f"{file} cannot be read as a force field ({error})") from error
    if any(True for kind in PROGRAMS for _ in root.iter(kind)):
        raise InputError(
            f"{file} holds a program (<Script>) that OpenMM would run: if you trust its author, "
            f"give --trust-scripts, or set {TRUST}=1 for experiments.run"
        )
    for include in root.findall("Include"):
        name = include.get("file", "")
        beside = file.parent / name
        if beside.is_file() or shipped(name) is None:
            check_programs(beside, seen)


def create_system(field, topology, label: str, names: Sequence[str], *, constraints: bool):
    """The OpenMM System of a molecule alone: no cut-off, flexible unless `constraints`.

    Raises:
        InputError: the force field has another form, such as AMOEBA's.
        ValueError: it has no template for a residue; OpenMM's own message.
    """
    _, app, _ = openmm_modules()
    try:
        return field.createSystem(
            topology,
            nonbondedMethod=app.NoCutoff,
            constraints=app.HBonds if constraints else None,
            rigidWater=False,
            removeCMMotion=False,
        )
    except Exception as error:
        if isinstance(error, ValueError) and "template" in str(error):
            raise
        raise InputError(
            f"{label}: the force field {list(names)} cannot be taken here ({error}): {FITS}"
        ) from error


def read_system(file: Path, atoms: int, pdb: str | None):
    """An OpenMM System from its XML file, which must have as many particles as the PDB has atoms.

    Raises:
        InputError: it is not there, no System, or another molecule's.
    """
    openmm, _, _ = openmm_modules()
    if not file.is_file():
        raise InputError(f"expected an OpenMM System as XML, got {file} which is not there: mend "
                         "data.system, or give --system where a checkpoint"
                         " is used")  # fmt: skip
    try:
        found = openmm.XmlSerializer.deserialize(file.read_text())
    except Exception as error:  # OpenMM's reader raises whatever the file provokes
        raise InputError(
            f"{file} cannot be read as an OpenMM System ({error}): write it with "
            "openmm.XmlSerializer.serialize(system)"
        ) from error
    if not isinstance(found, openmm.System):
        raise InputError(f"{file}: expected an OpenMM System, got a {type(found).__name__}")
    if found.getNumParticles() != atoms:
        raise InputError(
            f"{file} has {found.getNumParticles()} particles, {pdb} has {atoms} atoms: give the "
            "PDB file of this system, without water and ions"
        )
    return found
