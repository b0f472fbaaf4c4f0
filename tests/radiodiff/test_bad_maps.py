"""Missing, truncated and wrong files: skipped and said, or refused by name."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.shared.errors import InputError
from radiodiff.png import image_size, read_gray
from tests.radiodiff.conftest import SIZE, loader


@pytest.mark.parametrize("folder", ["gain/DPM", "png/buildings_complete", "png/antennas"])
def test_missing_folder_is_named(root, tmp_path, folder):
    shutil.rmtree(root / folder)
    with pytest.raises(InputError, match=f"{folder}: missing"):
        loader(root, tmp_path).setup()


@pytest.mark.parametrize("part", ["gain/DPM", "png/antennas"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.7])
def test_truncated_file_is_skipped_and_said_before_training(root, tmp_path, part, share):
    file = root / part / "2_1.png"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    data = loader(root, tmp_path)
    data.setup()
    assert data.describe()["skipped"] == 1
    (note,) = data.describe()["notes"]
    assert f"{file}: cannot be read as PNG" in note
    assert "restore or remove it" in note


def test_what_has_a_size_can_be_read_wherever_the_file_was_cut(root):
    file = root / "gain/DPM/2_1.png"
    whole = file.read_bytes()
    assert image_size(file) == (SIZE, SIZE)
    refused = 0
    for length in range(0, len(whole), 3):
        file.write_bytes(whole[:length])
        try:
            size = image_size(file)
        except InputError:
            refused += 1
        else:
            assert read_gray(file).shape == size
    assert refused > 0.3 * len(whole)


def test_one_map_of_each_city_is_decoded_to_find_them(root, tmp_path, monkeypatch):
    decoded = []

    def note(file):
        decoded.append(Path(file).parent.name)
        return opened(file)

    opened = Image.open
    monkeypatch.setattr(Image, "open", note)
    loader(root, tmp_path).setup()
    assert decoded.count("DPM") == decoded.count("buildings_complete") == 5
    assert decoded.count("antennas") == 0


@pytest.mark.parametrize("part", ["gain/DPM", "png/antennas"])
def test_a_wrong_byte_is_found_wherever_it_stands(root, tmp_path, part):
    file = root / part / "2_1.png"
    whole = file.read_bytes()
    for place in (0, 20, len(whole) // 2, len(whole) - 14, len(whole) - 2):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        data = loader(root, tmp_path)
        data.setup()
        (note,) = data.describe()["notes"]
        assert f"{file}: cannot be read as PNG" in note


def test_an_antenna_without_a_transmitter_is_skipped_and_said(root, tmp_path):
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(root / "png/antennas/3_1.png")
    data = loader(root, tmp_path)
    data.setup()
    (note,) = data.describe()["notes"]
    assert "3_1.png: no pixel is lit, expected one at the transmitter" in note


def test_an_inverted_plan_is_refused(root, tmp_path):
    file = root / "png/buildings_complete/4.png"
    Image.fromarray(255 - read_gray(file)).save(file)
    with pytest.raises(InputError, match=r"4\.png: .*the plan is inverted"):
        loader(root, tmp_path).setup()


def test_maps_of_one_bit_are_refused(root, tmp_path):
    file = root / "gain/DPM/4_0.png"
    Image.fromarray(read_gray(file) > 90).save(file)
    with pytest.raises(InputError, match=r"4_0\.png: expected 8-bit gray, got 1 bit a pixel"):
        loader(root, tmp_path).setup()


def test_truncated_plan_is_named(root, tmp_path):
    file = root / "png/buildings_complete/4.png"
    file.write_bytes(file.read_bytes()[:80])
    with pytest.raises(InputError, match=r"4\.png: cannot be read as PNG"):
        loader(root, tmp_path).setup()


def test_wrong_size_is_named(root, tmp_path):
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(root / "gain/DPM/3_0.png")
    with pytest.raises(InputError, match=r"3_0\.png: expected 64 x 64 pixels, got \(32, 32\)"):
        loader(root, tmp_path).setup()


def test_missing_buildings_file_is_named(root, tmp_path):
    (root / "png/buildings_complete/4.png").unlink()
    with pytest.raises(InputError, match=r"buildings_complete file .*4\.png is missing"):
        loader(root, tmp_path).setup()


def test_gray_rgb_is_taken_and_colour_refused(tmp_path):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(np.stack([values] * 3, 2)).save(tmp_path / "gray.png")
    assert (read_gray(tmp_path / "gray.png") == values).all()
    Image.fromarray(np.stack([values, values, 0 * values], 2)).save(tmp_path / "colour.png")
    with pytest.raises(InputError, match="got a colour image"):
        read_gray(tmp_path / "colour.png")
    Image.fromarray(values.astype(np.uint16) * 256).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match="expected 8-bit gray"):
        read_gray(tmp_path / "deep.png")
