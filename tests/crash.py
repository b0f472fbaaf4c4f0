"""python -m tests.crash N WORDS...: a run that is killed at its N-th operation on files.

Counted are files opened for writing, folders made, and what is renamed or removed, below the run's
folder. N = 0 counts them all and prints how many there were, as the last line of its output.
"""

import os
import signal
import sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate")


def main() -> None:
    limit, words = int(sys.argv[1]), sys.argv[2:]
    folder = next(w.partition("=")[2] for w in words if w.startswith("hydra.run.dir="))
    count = 0

    def watch(event: str, values: tuple) -> None:
        nonlocal count
        write = event == "open" and isinstance(values[2], int) and values[2] & WRITES
        if not (write or event in CHANGES) or not isinstance(values[0], str):
            return
        if values[0].startswith(folder):
            count += 1
            if count == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    sys.argv = ["experiments.run", *words]
    from experiments.run import entry

    entry()
    print(f"operations: {count}")


if __name__ == "__main__":
    main()
