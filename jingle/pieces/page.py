"""One page that plays a piece: every sound with its spectrogram and the masks, on one time axis.

The page needs no other file and no network: sounds are MP3, pictures PNG, both written into it.
"""

import base64
import html
import io
from string import Template

import matplotlib.image
import numpy as np
import soundfile
import torch
from torch import Tensor

from jingle.sound.audio import peak_safe

COLUMNS = 1600  # pixels of a picture at most
ROWS = 96
SHOWN = ("rhythm_f1", "rhythm_correlation", "harmony", "blend_distance", "copying", "mel_distance")

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
body { font: 15px/1.4 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }
figure { margin: 0 0 1em; } figcaption { display: flex; gap: 1em; align-items: center; }
figcaption b { flex: 1; } audio { height: 2em; width: 24em; }
.lane { position: relative; cursor: pointer; } .lane img { display: block; width: 100%; height: 6em;
image-rendering: pixelated; } .head { position: absolute; top: 0; bottom: 0; width: 1px;
background: #0df; } .axis { display: flex; justify-content: space-between; color: #777; }
table { border-collapse: collapse; } td, th { padding: .2em .8em; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid #ddd; }
</style></head><body><h1>$title</h1><p>$about</p>
$lanes<div class="axis">$ticks</div>
<h2>Measured</h2>$table<p>$notes</p><script>
const seconds = $seconds, sounds = [...document.querySelectorAll('audio')];
const heads = [...document.querySelectorAll('.head')];
let last = sounds[0];
function draw() {
  if (last) heads.forEach(h => h.style.left = 100 * last.currentTime / seconds + '%');
  requestAnimationFrame(draw);
}
sounds.forEach(s => s.addEventListener('play', () => {
  sounds.forEach(o => { if (o !== s) o.pause(); });
  if (last !== s) s.currentTime = last.currentTime;
  last = s;
}));
document.querySelectorAll('.lane').forEach(lane => lane.addEventListener('click', e => {
  const box = lane.getBoundingClientRect();
  const own = lane.parentElement.querySelector('audio');
  if (own) { sounds.forEach(o => o.pause()); last = own; }
  if (last) last.currentTime = seconds * (e.clientX - box.left) / box.width;
}));
draw();
</script></body></html>
""")


def page(
    title: str,
    about: str,
    sounds: dict[str, tuple[np.ndarray, int]],
    masks: dict[str, Tensor],
    tables: dict[str, dict[str, float | None]],
    notes: list[str],
) -> str:
    """The page as HTML.

    Args:
        title: its heading.
        about: one line below it.
        sounds: name -> (samples,) or (samples, channels), and the rate in Hz; the same length.
        masks: name -> (channels, frames) in [0, 1] or about it, over the same time.
        tables: name -> measured values; those of `SHOWN` make a row.
        notes: lines that a listener must know.
    """
    seconds = max(len(wave) / rate for wave, rate in sounds.values())
    lanes = [
        lane(name, picture_of(wave, rate), sound=mp3(wave, rate))
        for name, (wave, rate) in sounds.items()
    ]
    lanes += [
        lane(f"{name.replace('_', ' ')}, mean {float(mask.mean()):.3f}", png(mask.numpy(), 0, 1))
        for name, mask in masks.items()
    ]
    return PAGE.substitute(
        title=html.escape(title),
        about=html.escape(about),
        lanes="\n".join(lanes),
        ticks="".join(f"<span>{seconds * i / 8:.1f} s</span>" for i in range(9)),
        table=table(tables),
        notes="<br>".join(html.escape(note) for note in notes),
        seconds=f"{seconds:.6f}",
    )


def lane(name: str, picture: bytes, sound: bytes | None = None) -> str:
    """One row of the page."""
    player = f'<audio controls preload="metadata" src="{uri(sound, "audio/mpeg")}"></audio>'
    return (
        f"<figure><figcaption><b>{html.escape(name)}</b>{player if sound else ''}</figcaption>"
        f'<div class="lane"><img alt="{html.escape(name)}" src="{uri(picture, "image/png")}">'
        '<div class="head"></div></div></figure>'
    )


def uri(content: bytes | None, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content or b'').decode()}"


def mp3(wave: np.ndarray, rate: int) -> bytes:
    """A sound as MP3, which every browser plays; turned down where it peaks above 1."""
    buffer = io.BytesIO()
    soundfile.write(buffer, peak_safe(wave), rate, format="MP3")
    return buffer.getvalue()


def picture_of(wave: np.ndarray, rate: int) -> bytes:
    """A spectrogram from 40 Hz up, octave by octave, 70 dB deep from its maximum."""
    mono = torch.as_tensor(wave if wave.ndim == 1 else wave.mean(axis=1), dtype=torch.float32)
    size = 2048
    mono = torch.nn.functional.pad(mono, (0, max(0, size - len(mono))))
    hop = max(256, -(-len(mono) // (COLUMNS - 1)))
    spectrum = torch.stft(mono, size, hop, window=torch.hann_window(size), return_complex=True)
    edges = np.geomspace(40, rate / 2, ROWS + 1) * size / rate
    first = edges[:-1].astype(int)
    last = np.maximum(first + 1, np.ceil(edges[1:]).astype(int))
    power = spectrum.abs().square()
    rows = torch.stack([power[a:b].mean(0) for a, b in zip(first, last, strict=True)])
    level = 10 * torch.log10(rows / rows.max().clamp_min(1e-12) + 1e-9)
    return png(level.numpy(), -70, 0)


def png(values: np.ndarray, low: float, high: float) -> bytes:
    """A matrix as a picture, its first row at the bottom, no wider than `COLUMNS`."""
    step = -(-values.shape[1] // COLUMNS)
    if step > 1:
        values = values[:, : values.shape[1] // step * step]
        values = values.reshape(len(values), -1, step).mean(2)
    buffer = io.BytesIO()
    style = {"vmin": low, "vmax": high, "cmap": "magma", "origin": "lower", "format": "png"}
    matplotlib.image.imsave(buffer, values, **style)
    return buffer.getvalue()


def table(rows: dict[str, dict[str, float | None]]) -> str:
    """Measured values, a row a piece."""
    names = [n for n in SHOWN if any(values.get(n) is not None for values in rows.values())]
    cells = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in names)
    lines = [f"<table><tr><th></th>{cells}</tr>"]
    for title, values in rows.items():
        found = (values.get(name) for name in names)
        cells = "".join(f"<td>{'' if v is None else f'{v:.3f}'}</td>" for v in found)
        lines.append(f"<tr><td>{html.escape(title)}</td>{cells}</tr>")
    return "".join(lines) + "</table>"
