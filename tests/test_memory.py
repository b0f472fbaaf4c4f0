"""Freed memory stays with the process that will want it again."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from experiments.shared import memory
if {held}:
    memory.hold()
torch.set_num_threads(1)
x = torch.ones(1 << 19)
for _ in range(20):
    y = [x + 1 for _ in range(4)]
    del y
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    y = [x + 1 for _ in range(4)]
    del y
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(held: bool) -> int:
    """Pages that the system had to hand out for 50 times four tensors of 2 MiB."""
    words = [sys.executable, "-c", SCRIPT.format(held=held)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_pages_are_not_fetched_again():
    assert faults(held=True) < 0.3 * faults(held=False)
