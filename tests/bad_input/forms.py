"""Every command as data: words that would do, and which of them are files, places, numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.bad_input.contract import Case

FILE = ("missing", "empty", "noise", "text", "fifo", "device", "folder", "loop", "huge", "odd",
        "secret")  # fmt: skip
FOLDER = (
    "missing",
    "empty",
    "fifo",
    "device",
    "folder",
    "loop",
    "odd",
    "sealed",
)  # of a folder of things
WHOLE = ("nan", "inf", "1.5", "abc", "", "1000000000000000000")
REAL = ("nan", "inf", "-inf", "abc", "", "1e300")


@dataclass(frozen=True)
class Form:
    """A command with good words.

    Attributes:
        command: the module.
        words: `{thing}` is a good thing of the shelf, `{out}/NAME` what is written.
        name: tells the forms of one command apart.
        files: {word: (suffix, further bad things)} of inputs that are files.
        folders: words that are folders of inputs.
        output: the word that is written, if there is one.
        makes_folder: whether that is a folder.
        adds: whether it may hold other files already.
        numbers: {option: its least value or None, "whole" or "real"}.
        lists: options that take several numbers: {option: wrong words}.
        devices: the option that names a device.
    """

    command: str
    words: tuple[str, ...]
    name: str = ""
    files: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    output: str = ""
    makes_folder: bool = False
    adds: bool = False
    numbers: dict[str, tuple[float | None, str]] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    devices: str = ""

    def cases(self) -> Iterator[Case]:
        yield from self.bad_files()
        yield from self.bad_outputs()
        yield from self.bad_numbers()

    def case(self, name: str, words: tuple[str, ...], *told: str, **options) -> Case:
        return Case(f"{self.name} {name}".strip(), self.command, words, told, **options)

    def with_word(self, old: str, new: str) -> tuple[str, ...]:
        return tuple(new if word == old else word for word in self.words)

    def bad_files(self) -> Iterator[Case]:
        for word, (suffix, more) in self.files.items():
            for thing in (*(f"{kind}{suffix}" for kind in FILE), *more):
                told = () if thing.startswith("odd") else (f"{{{thing}}}",)
                yield self.case(f"{word}={thing}", self.with_word(word, f"{{{thing}}}"), *told)
        for word in self.folders:
            for thing in FOLDER:
                told = () if thing.startswith("odd") else (f"{{{thing}}}",)
                yield self.case(f"{word}={thing}", self.with_word(word, f"{{{thing}}}"), *told)

    def bad_outputs(self) -> Iterator[Case]:
        if not self.output:
            return
        name = self.output.removeprefix("{out}/")
        suffix = "" if self.makes_folder or "." not in name else f".{name.rpartition('.')[2]}"
        places = [
            "/proc/nothing/" + name,
            f"{{existing_txt}}/{name}",
            "{out}/" + "x" * 300 + suffix,
        ]
        places += ["{locked}/" + name, "{sealed}/" + name]
        places += [f"{{device{suffix}}}", f"{{full{suffix}}}", f"{{fifo{suffix}}}"]
        if self.makes_folder:
            places += ["{existing_txt}", "{locked}", *([] if self.adds else ["{mine}"])]
        else:
            places += [f"{{folder{suffix}}}", f"{{kept{suffix}}}", f"{{loop{suffix}}}"]
        for place in places:
            told = (place,) if "xxx" not in place else ("xxxx",)
            yield self.case(f"to {place[:60]}", self.with_word(self.output, place), *told)
        for word, (ending, _) in self.files.items():
            if ending == suffix and suffix:
                yield self.case(f"onto its own {word}", self.with_word(self.output, word), word)

    def bad_numbers(self) -> Iterator[Case]:
        for option, (least, kind) in self.numbers.items():
            wrong = list(WHOLE if kind == "whole" else REAL)
            if least is not None:
                wrong.append(f"{least - 1:g}")
                wrong.append("-1000000000000000000")
            for value in wrong:
                yield self.case(
                    f"{option}={value}", (*self.words, f"{option}={value}"), option, value
                )
        for option, several in self.lists.items():
            for text in several:
                told = (
                    () if text.startswith("9") else (option,)
                )  # a place beyond the map is named as such
                yield self.case(f"{option} {text}", (*self.words, option, *text.split()), *told)
        if self.devices:
            for device in ("tpu", "cuda:99", "", "nonsense:1"):
                words = (*self.words, f"{self.devices}={device}")
                yield self.case(f"{self.devices}={device}", words, self.devices)


CKPT = (".ckpt", ("other_ckpt", "pickle_ckpt", "list_ckpt"))
NPZ = (".npz", ("claims_npz", "bomb_npz", "objects_npz", "other_npz", "nan_npz"))
PNG = (".png", ("bomb_png", "claims_png", "cut_png"))
XML = (".xml", ("laughs_xml", "deep_xml"))
SAFE = (".safetensors", ())
JINGLE = Form(
    "jingle.infer",
    ("--checkpoint", "{creative_agent_run}", "--input", "{song_wav}", "--target", "{target_wav}",
     "--codec", "{codec_safetensors}", "--output", "{out}/new.wav", "--device=cpu"),
    files={"{song_wav}": (".wav", ()), "{target_wav}": (".mp3", ()),
           "{creative_agent_run}": CKPT, "{codec_safetensors}": SAFE},
    output="{out}/new.wav",
    numbers={"--window": (0, "real"), "--overlap": (0, "real"), "--seconds": (0, "real"),
             "--limit": (1, "whole"), "--batch": (1, "whole")},
    devices="--device",
)  # fmt: skip
FORMS = [
    JINGLE,
    Form("jingle.infer", ("--checkpoint", "{creative_agent_run}", "--data", "{maps}",
                          "--output", "{out}/pieces"), "data", folders=("{maps}",)),
    Form("jingle.corpus", ("{out}/corpus",), output="{out}/corpus", makes_folder=True,
         numbers={"--pairs": (1, "whole"), "--val-pairs": (0, "whole"),
                  "--test-pairs": (0, "whole"), "--seconds": (0, "real"), "--seed": (0, "whole"),
                  "--aligned": (0, "real")}),
    Form("jingle.recordings", ("{out}/music", "{songs}"), folders=("{songs}",),
         output="{out}/music", makes_folder=True,
         numbers={"--clips": (0, "whole"), "--seconds": (0, "real")}),
    Form("jingle.pairs.__main__", ("{songs}", "{out}/pairs"), folders=("{songs}",),
         output="{out}/pairs", makes_folder=True,
         numbers={"--pairs-per-song": (1, "whole"), "--seconds": (0, "real"),
                  "--seed": (0, "whole"), "--val-share": (0, "real"), "--test-share": (0, "real")}),
    Form("jingle.codec.__main__", ("export", "{codec_run}", "{out}/codec.safetensors"),
         files={"{codec_run}": CKPT}, output="{out}/codec.safetensors",
         numbers={"--noise": (0, "real")}),
    Form("jingle.codec.quality", ("--codec", "{codec_safetensors}", "--songs=1", "--seconds=1"),
         files={"{codec_safetensors}": SAFE},
         numbers={"--songs": (1, "whole"), "--seconds": (0, "real"), "--seed": (0, "whole")}),
    Form("jingle.codec.quality", ("--folder", "{songs}", "--codec=embedded"), "folder",
         folders=("{songs}",)),
    Form("radiodiff.infer", ("predict", "--checkpoint", "{radio_map_run}", "--tx", "3", "3",
                             "{plan_png}", "{out}/maps"), "predict",
         files={"{radio_map_run}": CKPT, "{plan_png}": PNG},
         output="{out}/maps", makes_folder=True, adds=True,
         numbers={"--power-dbm": (None, "real"), "--bandwidth-hz": (0, "real"),
                  "--noise-figure-db": (None, "real")},
         lists={"--tx": ("nan nan", "-1 -1", "99999 99999", "1.5 2", "1")}),
    Form("radiodiff.infer", ("predict", "--checkpoint", "{radio_map_run}", "--scale=1",
                             "--tx", "3", "3", "{plan.geojson}", "{out}/maps"), "geojson",
         files={"{plan.geojson}": (".geojson", ("deep.geojson",))}),
    Form("radiodiff.infer", ("predict", "--checkpoint", "{radio_map_run}", "--antennas",
                             "{antennas.json}", "{plan_png}", "{out}/maps"), "antennas",
         files={"{antennas.json}": (".json", ("deep.json",))}),
    Form("radiodiff.infer", ("complete", "--checkpoint", "{radio_map_run}", "--samples",
                             "{samples_csv}", "{plan_png}", "{out}/maps"), "complete",
         files={"{samples_csv}": (".csv", ()), "{plan_png}": PNG},
         output="{out}/maps", makes_folder=True, adds=True,
         lists={"--tx": ("nan nan", "-1 -1", "99999 99999")}),
    Form("radiodiff.infer", ("encode", "--checkpoint", "{radiodiff_vae_run}", "{map_png}",
                             "{out}/map.rdm"), "encode",
         files={"{radiodiff_vae_run}": CKPT, "{map_png}": PNG}, output="{out}/map.rdm",
         numbers={"--coarseness": (0, "real")}),
    Form("radiodiff.infer", ("decode", "--checkpoint", "{radiodiff_vae_run}", "{x.rdm}",
                             "{out}/map.png"), "decode", files={"{x.rdm}": (".rdm", ())}),
    Form("radiodiff.infer", ("decode", "--checkpoint", "{radiodiff_vae_run}", "{x.npz}",
                             "{out}/map.png"), "decode npz", files={"{x.npz}": NPZ}),
    Form("radiodiff.infer", ("reconstruct", "--checkpoint", "{radiodiff_vae_run}", "{map_png}",
                             "{out}/again.png"), "reconstruct",
         files={"{map_png}": PNG}, output="{out}/again.png"),
    Form("radiodiff.infer", ("sample", "--checkpoint", "{radiodiff_vae_run}", "{out}/samples"),
         "sample", output="{out}/samples", makes_folder=True, adds=True,
         numbers={"--count": (1, "whole"), "--size": (32, "whole"), "--seed": (0, "whole")}),
    Form("radiodiff.corpus", ("{out}/corpus", "--maps=1"), output="{out}/corpus", makes_folder=True,
         numbers={"--maps": (1, "whole"), "--transmitters": (1, "whole"), "--size": (64, "whole"),
                  "--cars": (0, "whole"), "--seed": (0, "whole"), "--workers": (1, "whole")}),
    Form("multitrack.infer", ("{edit_xml}", "{out}/new.xml", "--checkpoint", "{multitrack_run}"),
         files={"{edit_xml}": XML, "{multitrack_run}": CKPT}, output="{out}/new.xml",
         numbers={"--horizon": (1, "whole")},
         lists={"--infill": ("nan nan", "-1 3", "3 1", "1 inf", "a b"),
                "--tracks": ("0", "x", "21", "-1")}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--rttm", "{s.rttm}"), "rttm",
         files={"{s.rttm}": (".rttm", ())}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--srt", "{s.srt}"), "srt",
         files={"{s.srt}": (".srt", ())}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--words", "{w.json}"), "words",
         files={"{w.json}": (".json", ("deep.json",))}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--faces", "{f.json}"), "faces",
         files={"{f.json}": (".json", ("deep.json",))}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--settings", "{s.yaml}",
                            "--rttm", "{stack}/speakers.rttm"), "settings",
         files={"{s.yaml}": (".yaml", ("deep.yaml", "aliases.yaml"))}),
    Form("multitrack.cut", ("{edit_xml}", "{out}/cut.xml", "--rttm", "{stack}/speakers.rttm"),
         files={"{edit_xml}": XML}, output="{out}/cut.xml",
         numbers={"--lag": (0, "real"), "--shortest": (0, "real"), "--longest": (0, "real"),
                  "--wide-length": (0, "real")}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--rttm",
                            "{stack}/speakers.rttm", "--like", "{edit_xml}"), "like",
         files={"{edit_xml}": XML}),
    Form("multitrack.cut", ("{stack}/stack.xml", "{out}/cut.xml", "--rttm",
                            "{stack}/speakers.rttm", "--by=model", "--checkpoint",
                            "{multitrack_run}"), "model", files={"{multitrack_run}": CKPT}),
    Form("multitrack.show", ("{edit_xml}", "--png", "{out}/lanes.png"), files={"{edit_xml}": XML},
         output="{out}/lanes.png"),
    Form("multitrack.corpus", ("{out}/corpus", "--timelines=5"), output="{out}/corpus",
         makes_folder=True,
         numbers={"--stacks": (1, "whole"), "--timelines": (5, "whole"), "--styles": (1, "whole"),
                  "--seed": (0, "whole")},
         lists={"--seconds": ("nan nan", "-1 5", "50 10", "5 1000000000000")}),
    Form("molecular_flow.simulate", ("{out}/new.npz", "--frames=1", "--ladders=1"),
         output="{out}/new.npz",
         numbers={"--ladders": (1, "whole"), "--frames": (1, "whole"), "--seed": (0, "whole"),
                  "--spacing-ps": (0, "real"), "--equilibrate-ps": (0, "real"),
                  "--step-ps": (0, "real")},
         lists={"--temperatures": ("nan 300", "300 inf", "-1 300", "450 300", "300", "300 1e9"),
                "--sequence": ("XYZ", "0", "A1", "a" * 3, "A" * 5000)},
         devices="--device"),
    Form("molecular_flow.simulate", ("{out}/new.npz", "--pdb", "{molecule_pdb}"), "pdb",
         files={"{molecule_pdb}": (".pdb", ())}),
    Form("molecular_flow.simulate", ("{out}/new.npz", "--pdb", "{x.cif}"), "cif",
         files={"{x.cif}": (".cif", ())}),
    Form("molecular_flow.simulate", ("{out}/new.npz", "--force-field", "{f.xml}"), "field",
         files={"{f.xml}": (".xml", ("script_xml", "deep_xml"))}),
    Form("molecular_flow.infer", ("transport", "{frames_npz}", "{out}/moved.npz", "--checkpoint",
                                  "{molecular_flow_run}"), "transport",
         files={"{frames_npz}": NPZ, "{molecular_flow_run}": CKPT}, output="{out}/moved.npz",
         lists={"--temperatures": ("nan nan", "1 2", "x y")}),
    Form("molecular_flow.infer", ("transport", "{x.dcd}", "{out}/moved.npz", "--checkpoint",
                                  "{molecular_flow_run}"), "dcd", files={"{x.dcd}": (".dcd", ())}),
    Form("molecular_flow.infer", ("transport", "{x.pdb}", "{out}/moved.npz", "--checkpoint",
                                  "{molecular_flow_run}"), "pdb", files={"{x.pdb}": (".pdb", ())}),
    Form("molecular_flow.infer", ("transport", "{x.npy}", "{out}/moved.npz", "--checkpoint",
                                  "{molecular_flow_run}"), "npy", files={"{x.npy}": (".npy", ())}),
    Form("molecular_flow.infer", ("exchange", "--checkpoint", "{molecular_flow_run}",
                                  "--evaluations=8", "--ladders=2", "--equilibrate-ps=0",
                                  "--out", "{out}/frames.npz"), "exchange",
         output="{out}/frames.npz",
         numbers={"--evaluations": (1, "whole"), "--ladders": (2, "whole"), "--seed": (0, "whole"),
                  "--equilibrate-ps": (0, "real")},
         lists={"--rungs": ("nan", "inf", "-1", "10")}),
    Form("molecular_flow.infer", ("exchange", "--checkpoint", "{molecular_flow_run}",
                                  "--evaluations=8", "--ladders=2", "--json", "{out}/table.json"),
         "json", output="{out}/table.json"),
    Form("molecular_flow.bench", ("--batch=1", "--repeats=1"),
         numbers={"--batch": (1, "whole"), "--repeats": (1, "whole")},
         lists={"--sequence": ("XYZ", "0", "A" * 5000)}),
    Form("multitrack.live", ("--settings", "{live.yaml}"),
         files={"{live.yaml}": (".yaml", ("deep.yaml", "aliases.yaml"))},
         numbers={"--lag": (0, "real"), "--shortest": (0, "real"), "--longest": (0, "real"),
                  "--benchmark": (100, "whole")}),
    Form("multitrack.live", ("--settings", "{live_yaml}", "--checkpoint", "{multitrack_run}"),
         "model", files={"{multitrack_run}": CKPT}),
    Form("experiments.export", ("{multitrack_run}", "{out}/onnx"), folders=("{multitrack_run}",),
         output="{out}/onnx", makes_folder=True,
         numbers={"--threads": (1, "whole")}, lists={"--format": ("pickle", "")}),
    Form("experiments.serve", ("{multitrack_run}", "--port=0"), folders=("{multitrack_run}",),
         numbers={"--workers": (1, "whole"), "--threads": (1, "whole"), "--batch": (1, "whole"),
                  "--queue": (1, "whole"), "--port": (0, "whole"), "--timeout": (0, "real"),
                  "--max-mb": (0, "real")},
         lists={"--devices": ("tpu", "-1", "1.5", ""), "--host": ("example.org", "", "8.8.8.8")}),
    Form("experiments.serving.bench", ("{multitrack_run}",), folders=("{multitrack_run}",),
         numbers={"--requests": (1, "whole"), "--workers": (1, "whole"),
                  "--threads": (1, "whole")}, lists={"--clients": ("0", "x", "nan")}),
    Form("experiments.report", ("{reported_run}",), folders=("{reported_run}",)),
    Form("experiments.report", ("{reported_run}", "--output", "{out}/compared"), "compare",
         output="{out}/compared", makes_folder=True, adds=True),
    Form("experiments.evaluate", ("{multitrack_run}",), folders=("{multitrack_run}",)),
]  # fmt: skip
