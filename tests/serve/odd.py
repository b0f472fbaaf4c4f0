"""A service that waits, dies or fails, as it is told: what a server must live through."""

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from experiments.shared.service import Answer, Made, Network, Request, Upload
from waves.module import Denoiser


class OddRequest(Request):
    text: Annotated[Path, Upload((".txt",), 0.5, "some text")]
    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    then: Literal["answer", "die", "fail"] = "answer"


class Odd(Denoiser):
    """The example's model in the package of the service: no run names another package's."""


class OddService:
    title = "Text, given back"
    about = "For tests."
    request = OddRequest
    batch = 4

    def open(self, run, module, data) -> None:
        self.module, self.data = module, data

    def examples(self, folder: Path) -> dict:
        (folder / "hello.txt").write_text("hello")
        return {"hello": {"text": "hello.txt"}}

    def read(self, request: OddRequest) -> tuple:
        return request, request.text.read_text()

    def compute(self, items: list) -> list:
        for request, _ in items:
            time.sleep(request.seconds)
            if request.then == "die":
                os.kill(os.getpid(), 9)
            if request.then == "fail":
                raise RuntimeError("as it was told")
        return [text.upper() for _, text in items]

    def write(self, item: tuple, outcome: str, out: Path) -> Answer:
        (out / "made.txt").write_text(outcome)
        return Answer([Made(out / "made.txt", "the text")], {"process": os.getpid()})

    def networks(self) -> dict:
        noisy = next(iter(self.data.test_dataloader()))["noisy"]
        denoiser = Network(self.module, {"noisy": noisy}, {"noisy": {0: "waves"}}, 1e-4)
        wrong = Network(Drifting(), {"noisy": noisy}, {}, 1e-4)
        return {"denoiser": denoiser, "drifting": wrong, "rest": "it is no network"}


class Drifting(torch.nn.Module):
    """Says something else in every call, and so is never what was exported."""

    def forward(self, x):
        return x + torch.rand(())
