"""Where the pretrained 24 kHz EnCodec weights lie, and how they come here."""

import functools
import threading
import urllib.request
from pathlib import Path

import torch

FILE = "encodec_24khz-d7cc33bc.th"
URL = "https://dl.fbaipublicfiles.com/encodec/v0/" + FILE
PROBE_S = 4.0


def location() -> Path:
    """Their place in torch's hub folder, whether they are there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def download(file: Path) -> str | None:
    """Fetch the weights into torch's hub folder; the reason why not, or None."""
    file.parent.mkdir(parents=True, exist_ok=True)
    print(f"codec: downloading {URL}", flush=True)
    try:
        torch.hub.download_url_to_file(URL, str(file), "d7cc33bc", progress=True)
    except (OSError, RuntimeError) as error:
        return str(error)
    return None


@functools.cache
def probe() -> str | None:
    """Why their host does not answer, or None; takes `PROBE_S` at most."""
    answer = [f"no answer within {PROBE_S:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(URL, method="HEAD")
            with urllib.request.urlopen(request, timeout=PROBE_S):
                answer[0] = ""
        except (OSError, ValueError) as error:
            answer[0] = f"no connection: {error}"

    # a thread, because a name look-up heeds no timeout
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_S)
    return answer[0] or None


def unreachable() -> str | None:
    """Why they cannot be had, or None."""
    return None if location().is_file() else probe()
