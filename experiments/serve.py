"""python -m experiments.serve RUN [RUN ...]: trained runs as an API and a page, on this machine.

Each run is served under its name: a page at /NAME/, the API at POST /NAME, its schema at /docs; at
/NAME/live a WebSocket where the run decides while something goes on (multitrack). It listens to
this machine alone unless --host says otherwise; give --token then. Ctrl-C or SIGTERM ends it once
the requests that it has are answered.
"""

import argparse
import os
import socket
import sys
import warnings
from pathlib import Path

from experiments.shared import arguments
from experiments.shared.errors import InputError, cli

HOSTS = {"localhost": "127.0.0.1"}


def options(words: list[str] | None = None) -> argparse.Namespace:
    """What is typed.

    Raises:
        InputError: a value that makes no server.
    """
    few = arguments.whole(1, 1024)
    parser = arguments.Parser(
        prog="python -m experiments.serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folder of a run")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: for others (%(default)s)")
    parser.add_argument("--port", type=arguments.whole(0, 65535), default=8000,
                        help="0: any free one (%(default)s)")  # fmt: skip
    parser.add_argument("--workers", type=few, default=1, help="processes a device and run (1)")
    parser.add_argument("--devices", default="auto", help="cpu, auto, or how many GPUs (auto)")
    parser.add_argument("--threads", type=few, help="of the CPU, a worker (all cores, shared)")
    parser.add_argument("--token", default=os.environ.get("SERVE_TOKEN"),
                        help="asked of everyone, as Authorization: Bearer TOKEN; better in the "
                        "environment, as SERVE_TOKEN")  # fmt: skip
    parser.add_argument("--batch", type=arguments.whole(1, 4096),
                        help="requests at once (what the experiment says)")  # fmt: skip
    parser.add_argument("--queue", type=arguments.whole(1), default=64,
                        help="requests a run that wait (64)")  # fmt: skip
    parser.add_argument("--timeout", type=arguments.real(0, 1e6, above=True), default=120.0,
                        help="seconds a request (120)")  # fmt: skip
    parser.add_argument("--max-mb", type=arguments.real(0, 1e6, above=True), default=128.0,
                        help="MB a request (128)")  # fmt: skip
    parser.add_argument("--conversations", type=arguments.whole(1), default=16, metavar="N",
                        help="at once, of a run that one can talk to (16)")  # fmt: skip
    parser.add_argument("--idle", type=arguments.real(0, 1e6, above=True), default=60.0,
                        help="seconds without a line that end a conversation (60)")  # fmt: skip
    given = parser.parse_args(words)
    if given.devices not in ("auto", "cpu") and not given.devices.isdecimal():
        raise InputError(f"--devices {given.devices}: expected cpu, auto or a number of GPUs")
    given.host = HOSTS.get(given.host, given.host)
    if given.host not in ("127.0.0.1", "0.0.0.0", "::"):
        raise InputError(f"--host {given.host!r}: expected 127.0.0.1, 0.0.0.0 (all) or ::")
    if given.token is not None and not given.token.strip():
        raise InputError("--token: expected some text, got none")
    given.port = free_port(given.host, given.port)
    return given


def free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0.

    Raises:
        InputError: it is taken, or is none.
    """
    if port and not 1024 <= port <= 65535:
        raise InputError(f"--port {port}: expected from 1024 to 65535, or 0 for any")
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"--port {port}: cannot be used ({error.strerror}); another server may have it, "
                "give another port"
            ) from error
        return probe.getsockname()[1]


def main(words: list[str] | None = None) -> None:
    given = options(words)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import litserve  # noqa: F401
            import multipart  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed: pip install 'ensemble-suite[serve]'"
        ) from error
    if given.host != "127.0.0.1" and not given.token:
        print(f"WARNING --host {given.host} without --token: whoever reaches it may use it",
              file=sys.stderr)  # fmt: skip
    from experiments.serving.start import serve

    serve(given)


if __name__ == "__main__":
    cli(main)
