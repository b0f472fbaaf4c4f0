"""The process that has all conversations of a run, so that no request is in the way of a line."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import litserve
from pydantic import ValidationError

from experiments.serving.intake import line
from experiments.serving.worker import Loop, noted, opened, unheard
from experiments.shared.errors import InputError
from experiments.shared.service import Conversation

FAULT = "an error of the program, not of the line; the server's log says where"


def path_of(name: str) -> str:
    """Under which LitServe knows this process; nobody asks there."""
    return f"/{name}.live"


class Talker(litserve.LitAPI):
    """Answers lines; LitServe starts it, and starts it again when it dies.

    Args:
        name: under which the run is served.
        run: its folder.
        scratch: folder of the server.
        door: socket at which the server meets it.
        threads: of the CPU; None: as torch finds it.
    """

    def __init__(self, name: str, run: Path, scratch: Path, door: Path, threads: int | None):
        super().__init__(api_path=path_of(name), loop=Loop())
        self.run, self.scratch, self.door, self.threads = run.resolve(), scratch, door, threads

    def setup(self, device: str) -> None:
        """Open the run."""
        with noted(self.scratch):
            self.service = cast(Conversation, opened(self.run, device, self.threads))
        self.answers: dict[int, Callable[[str], str | None]] = {}

    def predict(self, said: dict[str, Any]) -> dict[str, Any]:
        """LitServe's name for it."""
        return self.reply(said)

    def reply(self, said: dict[str, Any]) -> dict[str, Any]:
        """What comes of an `opening` or a `line` of the conversation `of`; neither: it is over.

        Returns:
            `told` or `said`, else `wrong` or `fault`, after which the conversation is over.
        """
        number = said["of"]
        try:
            with unheard():
                if "opening" in said:
                    opening = self.service.opening.model_validate(said["opening"])
                    told, self.answers[number] = self.service.begin(opening)
                    return {"told": told}
                if "line" in said:
                    return {"said": self.answers[number](said["line"])}
            found = {}
        except ValidationError as error:
            found = {"wrong": "; ".join(map(line, error.errors()))}
        except InputError as error:
            found = {"wrong": str(error)}
        except Exception:
            print(traceback.format_exc(), file=sys.stderr, flush=True)
            found = {"fault": FAULT}
        self.answers.pop(number, None)
        return found
