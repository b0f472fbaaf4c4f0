"""Every experiment served to a real client: what comes back is what the command line writes."""

import base64
import io
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile

from tests.serve.server import example
from tests.suite import REPOSITORY

# Experiment -> its command line, told of an example's files and values.
COMMANDS = {
    "codec": "jingle.codec trip {run} {song} {out}/again.wav",
    "creative_agent": "jingle.infer --checkpoint {run} --input {input} --target {target} "
    "--output {out}/piece.wav",
    "molecular_flow": "molecular_flow.infer transport --checkpoint {run} {frames} "
    "{out}/cold_450K.npz",
    "multitrack": "multitrack.infer --checkpoint {run} {xml} {out}/{xml} --ahead 3",
    "radio_map": "radiodiff.infer predict --checkpoint {run} {plan} --tx {row} {column} {out}",
    "radiodiff_vae": "radiodiff.infer reconstruct --checkpoint {run} {map} {out}/map_0_again.png",
}


def made(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    return {f["name"]: base64.b64decode(f["data"]) for f in response.json()["files"]}


def same(ours: bytes, theirs: bytes, name: str) -> bool:
    """Equal to the bit; of archives, the arrays in them (their bytes hold the time of writing)."""
    if not name.endswith(".npz"):
        return ours == theirs
    with np.load(io.BytesIO(ours)) as one, np.load(io.BytesIO(theirs)) as other:
        return set(one) == set(other) and all(
            np.array_equal(one[k], other[k], equal_nan=one[k].dtype.kind == "f") for k in one
        )


@pytest.mark.parametrize("experiment", COMMANDS)
def test_answers_are_the_files_of_the_command_line(experiment, runs, server, client, tmp_path):
    name = f"{experiment}_smoke"
    files, values = example(client, name)
    found = made(client.post(f"/{name}", files=files, data=values))
    for sent, content in files.values():
        (tmp_path / sent).write_bytes(content)
    (tmp_path / "out").mkdir()
    told = {**{k: v[0] for k, v in files.items()}, **values, "run": runs[experiment], "out": "out"}
    words = COMMANDS[experiment].format(**told).split()
    environment = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, env={**os.environ, **environment},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    both = {p.name for p in (tmp_path / "out").iterdir()} & set(found)
    both -= {"piece.html", "piece.json", "again.json"}  # these name the folder
    assert {"codec": 3, "creative_agent": 4, "multitrack": 2, "radio_map": 3}.get(
        experiment, 1
    ) == len(both)
    differing = {n for n in both if not same(found[n], (tmp_path / "out" / n).read_bytes(), n)}
    assert not differing
    assert not server.left()


def test_takes_of_a_piece_differ_and_follow_their_seed(client):
    name = "creative_agent_smoke"
    files, values = example(client, name)
    songs = {k: (v[0], shortened(v[1])) for k, v in files.items()}
    found = [
        made(client.post(f"/{name}", files=songs, data={**values, "takes": "2", "seed": seed}))
        for seed in ("1", "1", "2")
    ]
    one, again, other = (one["piece_take_2.wav"] for one in found)
    assert one == again
    assert one != other
    assert len({one["piece.wav"] for one in found}) == 1
    assert found[0]["piece.wav"] != one
    refused = client.post(f"/{name}", files=songs, data={**values, "takes": "9"})
    assert refused.status_code == 422
    assert "takes: " in refused.json()["detail"]


def shortened(song: bytes) -> bytes:
    """Half a second of a WAV."""
    samples, rate = soundfile.read(io.BytesIO(song))
    stream = io.BytesIO()
    soundfile.write(stream, samples[: rate // 2], rate, format="WAV")
    return stream.getvalue()


def test_a_program_gets_one_archive_if_it_asks_for_it(client):
    files, values = example(client, "radio_map_smoke")
    response = client.post(
        "/radio_map_smoke", files=files, data=values, headers={"Accept": "application/zip"}
    )
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert {"answer.json", "city_0.npz"} <= set(archive.namelist())


def test_sixteen_clients_at_once_get_their_own_answers(server, client):
    name = "molecular_flow_smoke"
    ((_, content),), values = example(client, name)[0].values(), {}
    with np.load(io.BytesIO(content)) as arrays:
        whole = dict(arrays)

    def frames(number: int) -> dict:
        """Frames of another ladder in each request."""
        part = {**whole, "positions_nm": whole["positions_nm"][:, number % 16 :][:, :1, :4]}
        stream = io.BytesIO()
        np.savez(stream, **part)
        return {"frames": (f"f{number % 16}.npz", stream.getvalue())}

    def ask(number: int) -> np.ndarray:
        response = client.post(f"/{name}", files=frames(number), data=values)
        content = made(response)[f"f{number % 16}_450K.npz"]
        with np.load(io.BytesIO(content)) as arrays:
            return arrays["positions_nm"]

    alone = [ask(number) for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(48)))
    assert len(found) == 48
    assert all(np.array_equal(found[i], alone[i % 16]) for i in range(48))
    assert not np.array_equal(alone[0], alone[1])
    assert not server.left()


def test_what_is_served_is_said(client):
    assert len(client.get("/runs").json()) == 6
    for name in client.get("/runs").json():
        about = client.get(f"/{name}/about").json()
        assert about["summary"]["baselines"] == {"the rival": 0.7}
        assert about["summary"]["tested"] == 0.6
        page = client.get(f"/{name}/")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in page.headers["content-security-policy"]
    schema = client.get("/openapi.json").json()
    form = schema["paths"]["/radio_map_smoke"]["post"]["requestBody"]["content"]
    properties = form["multipart/form-data"]["schema"]["properties"]
    assert properties["plan"]["format"] == "binary"
    assert "503" in schema["paths"]["/radio_map_smoke"]["post"]["responses"]
    assert client.get("/health").text == "ok"


def test_no_page_asks_another_host(client):
    pages = REPOSITORY / "experiments" / "serving" / "pages"
    for file in pages.iterdir():
        text = file.read_text()
        assert "http://" not in text
        assert "https://" not in text
        path = {"page.html": "/", "docs.html": "/docs"}.get(file.name, f"/static/{file.name}")
        assert client.get(path).text == text
