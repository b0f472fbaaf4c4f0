"""python -m tests.bad_input [PART ...]: cases and answers by command; of what failed, why.

PART is of a case's name, as `multitrack.cut` or `fifo`; seconds are those of the processor.
"""

import collections
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.bad_input import rights
from tests.bad_input.corpus import CASES
from tests.bad_input.hold import held, warmed
from tests.bad_input.shelf import Shelf
from tests.suite import EXAMPLE


def main() -> None:
    warnings.simplefilter("ignore")
    base = Path(tempfile.mkdtemp(prefix="bad-input-"))
    os.environ |= {"SUITE_DATA": str(base / "data"), "SUITE_OUTPUTS": str(base / "outputs")}
    os.environ["SUITE_CONF"] = str(EXAMPLE / "conf")
    sys.path.insert(0, str(EXAMPLE))
    parts = sys.argv[1:] or [""]
    if not rights.held():
        print("modes of files do not hold here: cases of files without permission will fail")
    shelf = warmed(Shelf(base / "shelf"), base / "warm")
    table = collections.defaultdict(list)
    for number, case in enumerate(CASES):
        if not any(part in case.id for part in parts):
            continue
        (folder := base / f"case-{number:04d}").mkdir()
        start = time.process_time()
        found = held(case, shelf, folder)
        spent = time.process_time() - start
        table[case.command].append((not found, spent))
        if found or spent > 2:
            print(f"{'FAULT' if found else 'slow'} {spent:.1f} s {case.id}: {found}", flush=True)
    print(f"\n{'command':28s}{'cases':>7s}{'answered':>10s}{'seconds':>9s}")
    for command, rows in sorted(table.items()):
        answered, spent = sum(ok for ok, _ in rows), sum(s for _, s in rows)
        print(f"{command:28s}{len(rows):7d}{answered:10d}{spent:9.1f}")
    rows = [row for part in table.values() for row in part]
    print(f"{'all':28s}{len(rows):7d}{sum(ok for ok, _ in rows):10d}{sum(s for _, s in rows):9.1f}")


main()
