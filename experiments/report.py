"""python -m experiments.report FOLDER: report.md, report.html and figures/ in that folder."""

import os
from pathlib import Path

from experiments.reporting.document import Document
from experiments.reporting.events import check_folder, find_runs, is_run, read_run
from experiments.reporting.markdown import markdown
from experiments.reporting.page import page
from experiments.reporting.run import run_document
from experiments.reporting.studies.index import index_document, is_index
from experiments.reporting.studies.search import search_document
from experiments.reporting.studies.sweep import sweep_document
from experiments.shared import arguments
from experiments.shared.errors import InputError, cli
from experiments.shared.folder import SEARCH
from experiments.shared.writing import cannot, check_below, check_file, write_text


def write_report(folder: Path) -> Path:
    """Report on the run, the sweep, or all there is, in `folder`; the path of its report.html.

    Raises:
        InputError: no run is there, or the folder cannot be written.
    """
    folder = Path(folder)
    if folder.is_dir() and not is_run(folder) and is_index(folder):
        return write_document(index_document(folder), folder)
    folder = check_folder(folder)
    return write(folder, [folder] if is_run(folder) else find_runs(folder))


def compare(folders: list[Path], output: Path | None = None) -> Path:
    """Compare runs that lie anywhere, in `output`, else in `comparison` beside them all.

    Raises:
        InputError: a folder holds no run, or one is named twice.
    """
    places = [folder.resolve() for folder in folders]
    if twice := [place for place in places if places.count(place) > 1]:
        raise InputError(f"{twice[0]} is named twice: expected other runs to compare it with")
    runs = [run for f in map(check_folder, folders) for run in ([f] if is_run(f) else find_runs(f))]
    if output is None:
        output = Path(os.path.commonpath([run.absolute().parent for run in runs])) / "comparison"
    return write(Path(output), runs, together=True)


def write(folder: Path, runs: list[Path], together: bool = False) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if runs == [folder]:
            document = run_document(read_run(folder))
        elif (folder / SEARCH).is_file():
            document = search_document(folder, [read_run(run) for run in runs])
        else:
            document = sweep_document(folder, [read_run(run) for run in runs], together)
        return write_document(document, folder)
    except OSError as error:
        raise cannot(folder, error) from error


def write_document(document: Document, folder: Path) -> Path:
    """Both forms of the document, each replaced at once, so that a reader never sees half."""
    for name, text in (("report.md", markdown(document, folder)), ("report.html", page(document))):
        write_text(folder / name, text)
    return folder / "report.html"


def main() -> None:
    parser = arguments.Parser(
        prog="python -m experiments.report",
        description="Report on a run, a sweep or a search from its folder; compare several; "
        "index a folder of many (outputs/NAME, outputs).",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=arguments.folder("a run, a sweep, or many"),
        help="of runs, sweeps, or many of them",
    )
    parser.add_argument("--output", type=Path, help="where a comparison goes")
    parser.overwrite()
    given = parser.parse_args()
    if given.output is not None or len(given.folders) > 1:
        if given.output is not None:
            check_below(given.output, "--output")
            for name in ("report.md", "report.html"):
                check_file(given.output / name, overwrite=given.overwrite)
        print(compare(given.folders, given.output))
    else:
        print(write_report(given.folders[0]))


if __name__ == "__main__":
    cli(main)
