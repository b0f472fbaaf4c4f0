"""Cases that no form makes: configurations, keys of an evaluation, settings of the bench."""

from collections.abc import Iterator

from tests.bad_input.contract import Case
from tests.bad_input.odd_runs import config_of
from tests.bad_input.shelf import MAKERS, maker

# {experiment: words that are refused}; what is refused names the key.
CONFIGURATIONS = {
    "waves": """
        trainer.max_epochs=-2 trainer.max_epochs=x trainer.max_epochs=1.5 trainer.max_epochs=[1]
        trainer.accumulate_grad_batches=0 trainer.gradient_clip_val=-1 trainer.gradient_clip_val=nan
        trainer.devices=x trainer.devices=0 trainer.devices=99 trainer.accelerator=tpu9
        trainer.accelerator=3 trainer.precision=7 trainer.strategy=nonsense
        trainer.log_every_n_steps=-1 trainer.val_check_interval=0 trainer.val_check_interval=-1
        trainer.check_val_every_n_epoch=0 trainer.limit_train_batches=-1 trainer.limit_val_batches=x
        trainer.num_nodes=0 trainer.max_time=x trainer.max_steps=-5 trainer.num_sanity_val_steps=x
        seed=-1 seed=abc seed=1.5 seed=null seed=99999999999 threads=-2 threads=0 threads=x
        threads=1000000000000 name=null paths.outputs=null paths.data=[] objective.name=null
        objective.mode=best objective.name=3 loss=nothing exp=nothing model=nothing
        init_from=/nothing/there init_parts=[x] resume=/nothing/there
        hydra.run.dir=/proc/nothing/run
        hydra.run.dir=/dev/null paths.outputs=/proc/nothing callbacks.speed=3 callbacks=[]
        targets.x=high watch=3 test=maybe accept_changes=x unknown=3 trainer.unknown=3
        +debug=nothing strategy=nothing logger=nothing hydra/launcher=nothing
        model._target_=os.system
        model._target_=nothing.at.all data._target_=3 model._target_=null hydra.verbose=x
    """,
    "multitrack": """
        data.batch_size=-1 data.batch_size=0 data.batch_size=x data.batch_size=2.5
        data.batch_size=[1] data.batch_size=null data.num_workers=-1 data.num_workers=x
        data.num_workers=100000000 model.optimizer.lr=-1 model.optimizer.lr=nan
        model.optimizer.lr=text model.optimizer.lr=null model.dropout=2 model.dropout=-1
        model.sizes.heads=3 model.sizes.width=0 model.sizes.width=-1 model.sizes.width=1000000000
        data.styles=0 data.styles=-1 data.seconds=[60,20] data.seconds=[0,0] data.seconds=x
        data.seconds=[1] data.root=/nothing/there data.root={existing_txt} data.root={fifo.x}
        data.root={empty_folder} data.timelines=3 data.timelines.train=0 data.timelines.train=-1
        data.timelines.train=1000000000000
        loss.crop=-1 loss.crop=x loss.crop=nan loss.crop=inf model.sizes.layers=0
        model.sizes.layers=1000000000 data.seed=-1 data.batch_size=1000000000000
    """,
    "creative_agent": """
        data.batch_size=0 data.seconds=0 data.seconds=-1 data.seconds=nan data.seconds=1e300
        data.codec=/nothing data.codec={noise.safetensors} data.codec={fifo.safetensors}
        data.codec={folder.safetensors} data.pairs=0 data.pairs=-1 data.pairs=x
        data.pairs=1000000000000 data.root=/nothing data.root={empty_folder}
        data.root={existing_txt}
        model.heard=-1 model.compositional.width=0 model.compositional.depth=-1 model.agent=nothing
        model.prior=7 model.prior=nan loss.balance=-1 data.aligned=3 data.num_workers=2.5
        model.stages.widths=[] model.stages.widths=[0,1,2] data.corpus_seed=-1
    """,
    "radio_map": """
        data.size=0 data.size=-1 data.size=1000000 data.size=x data.maps=0 data.maps=2
        data.maps=1000000000000 data.transmitters=0 data.shares=[nan,nan] data.shares=[0.5]
        data.shares=[0.9,0.9] data.shares=[-1,0.5] data.most_samples=-1 data.root={empty_folder}
        data.root={fifo.x} data.manifest={noise.json} data.manifest={fifo.json}
        data.manifest={deep.json} data.simulation=nothing model.counts=[-1] model.network.groups=0
        model.network.groups=3 model.network.widths=[] model.network.widths=[0]
    """,
    "radiodiff_vae": """
        data.crop=0 data.crop=7 data.crop=1000000 data.eval_batch=0 model.disc_start=-1
        model.network.width=0 model.network.width=1000000000 model.network.blocks=0
        model.disc_start=x loss.kl=nan loss.kl=-1
    """,
    "codec": """
        data.songs=0 data.songs=1000000000000
        data.song_seconds=0 data.song_seconds=nan data.crop_seconds=-1
        data.crop_seconds=9999 data.val_songs=0 model.architecture.n_filters=0
        model.architecture.n_filters=1000000000 data.epoch_crops=0 data.root={empty_folder}
        model.start_crops=-1
    """,
    "molecular_flow": """
        data.sequence=XYZ data.sequence=3 data.sequence=null data.ladders=0 data.ladders=1000000000
        data.frames=0 data.frames=-1 data.source=450 data.target=nan data.source=-1
        data.temperatures=[] data.temperatures=[300] data.temperatures=[nan,300]
        data.force_field=[nothing.xml] data.force_field=[{script_xml}] data.force_field=[]
        data.pdb=/nothing.pdb data.pdb={noise.pdb} data.pdb={fifo.pdb} data.root={noise.npz}
        data.root={fifo.npz} data.root={claims_npz} data.root={folder.npz} data.step_ps=0
        data.step_ps=1 data.spacing_ps=0 data.equilibrate_ps=-1 model.flow.bins=0 model.flow.width=0
        model.flow.network=nothing data.eval_frames=0 data.batches_per_epoch=0
    """,
}
EVALUATIONS = """
    split=x data.root=/nothing data.root={empty_folder} data.root={fifo.x} data.batch_size=0
    data.batch_size=x data.unknown=3 trainer.max_epochs=3 trainer.accelerator=tpu9 model.width=3
    trainer.precision=7 threads=-1 threads=x trainer.limit_test_batches=-1 nothing
    trainer.limit_test_batches=x data.num_workers=-1 data=3
"""
BENCH = """
    bench.steps=0 bench.steps=-1 bench.steps=x bench.steps=1.5 bench.warmup=-1 bench.threads=0
    bench.threads=nan bench.unknown=3 bench.json=/proc/nothing/x.json bench.json={existing_txt}/x
    bench.json={folder.json} bench.json={device.json} bench.json={full.json} bench.json={kept.json}
    seed=-1 data.batch_size=0 unknown=3 bench.steps=1000000000000
"""
# A stranger's run: what it names is neither called nor opened.
STRANGERS = {
    "a function for a model": {"model": {"_target_": "os.mkdir", "path": "executed"}},
    "a function for data": {"data": {"_target_": "os.mkdir", "path": "executed"}},
    "a function inside": {"model.optimizer": {"_target_": "os.mkdir", "path": "executed"}},
    "a function beside": {"data.more": {"_target_": "subprocess.run", "args": ["false"]}},
    "a class of elsewhere": {"model.sizes": {"_target_": "subprocess.Popen", "args": ["false"]}},
    "an environment": {"name": "${oc.env:NO_SUCH_VARIABLE_HERE}"},
    "nothing at all": {"model._target_": "nothing.at.All"},
    "a wrong size": {"model.sizes.width": 1_000_000_000},
    "a wrong kind": {"model.sizes": 3},
    "a key too many": {"model.foo": 3},
    "no trainer": {"trainer": None},
    "no data": {"data": None},
}


def configuration_cases() -> Iterator[Case]:
    for experiment, text in CONFIGURATIONS.items():
        for word in text.split():
            place = "hydra.run.dir={out}/run"
            words = [f"+exp=smoke/{experiment}", word]
            if not word.startswith(("hydra.run.dir", "paths.outputs", "resume")):
                words.append(place)
            key = word.partition("=")[0].lstrip("+~")
            nameless = (
                "trainer.max_time",
                "init_from",
                "hydra",
                "resume",
                "exp",
                "model.optimizer",
                "data.force_field",
            )
            told = () if word.startswith((*nameless, "+")) else (key.split(".")[-1],)
            if "000000000" in word and key.startswith("model"):
                told = ("model",)
            # A word there is the name of a logger that is to say more.
            odd = word.startswith("hydra.verbose")
            yield Case(f"{experiment} {word}", "experiments.run", tuple(words), told, may_pass=odd)
    for name, words in {
        "nothing": (), "no experiment": ("seed=1",), "garbage": ("+exp=smoke/waves", "=", "a b"),
        "a lone dash": ("-",), "no such flag": ("--nothing",),
        "brackets": ("+exp=smoke/waves", "x=[["),
        "bytes": ("+exp=smoke/waves", "na\udcfc\udcdf=3"),
        "a break": ("+exp=smoke/waves", "na\nme=3"),
        "resume of a file": ("resume={existing_txt}",), "resume of a pipe": ("resume={fifo.x}",),
        "resume of an empty folder": ("resume={empty_folder}",),
        "init_from a pipe": ("+exp=smoke/waves", "init_from={fifo.ckpt}", "hydra.run.dir={out}/r"),
        "init_from noise": ("+exp=smoke/waves", "init_from={noise.ckpt}", "hydra.run.dir={out}/r"),
        "init_from another": ("+exp=smoke/waves", "init_from={codec_run}", "hydra.run.dir={out}/r"),
    }.items():  # fmt: skip
        yield Case(name, "experiments.run", words)


LINES = {
    "nobody": '{"NOBODY": 1}', "nan": '{"ANN": NaN}', "text": "hello", "cut": '{"ANN": [',
    "deep": "{" * 100_000, "a list": "[1, 2]",
    "a word": '{"ANN": "x"}', "too many": "1 2 3 4 5 6 7",
    "off is a number": '{"off": 3}', "off is unknown": '{"off": ["V9"]}', "inf": '{"ANN": 1e999}',
    "off is deep": '{"off": [[1]]}', "null": '{"ANN": null}', "control": "\x00\x1b[2J",
}  # fmt: skip
# What `ensemble` hands on, one of each.
WORDS = {
    "report": ("report", "{missing}"), "evaluate": ("evaluate", "{missing}"), "run": ("run", "x=3"),
    "serve": ("serve", "{missing}"), "export": ("export", "{missing}", "{out}/x"),
    "bench": ("bench", "+exp=smoke/waves", "seed=-1"),
    "no such": ("nothing",), "two": ("slurm", "again"),
}  # fmt: skip
# A stranger's run as it is put to use: nothing that it names is called.
SERVES = {
    "a function": {"serve": {"_target_": "os.mkdir", "path": "executed"}},
    "a function beside": {"serve.more": {"_target_": "os.mkdir", "path": "executed"}},
    "text": {"serve": "hello"}, "a number": {"serve": 3}, "nothing": {"serve": None},
    "no such class": {"serve": {"_target_": "multitrack.serve.Nothing"}},
    "a wrong argument": {"serve": {"_target_": "multitrack.serve.EditService", "foo": 3}},
    "hidden": {"serve": "${more}", "more": {"_target_": "os.mkdir", "path": "executed"}},
}  # fmt: skip


@maker
def live_yaml(shelf, place):
    text = "speakers: {ANN: {camera: V1}, BOB: {camera: V2}}\nwide: [V3]\n"
    (place / "live.yaml").write_text(text)
    return place / "live.yaml"


def further_cases() -> Iterator[Case]:
    """Of commands that take lines, or hand words on, or serve what a folder names."""
    for name, line in LINES.items():
        words = ("--settings", "{live_yaml}")
        yield Case(f"line: {name}", "multitrack.live", words, ("line 2",), typed=f"0 1\n{line}\n")
    for name, words in WORDS.items():
        yield Case(name, "experiments.command", words, environment={"PYTHONSAFEPATH": "1"})
    for name, changes in SERVES.items():
        MAKERS[thing := f"served_{name.replace(' ', '_')}"] = config_of("multitrack", changes)
        yield Case(f"its run: {name}", "experiments.serve", (f"{{{thing}}}", "--port=0"))
        words = (f"{{{thing}}}", "{out}/onnx")
        yield Case(f"its run: {name}", "experiments.export", words)
    for word in ("--port=80", "--token=", "--nothing", "--batch=4000"):
        words = ("{multitrack_run}", word)
        yield Case(word, "experiments.serve", words, (word.partition("=")[0],))
    yield Case("none", "experiments.serve", ())
    for command, words in {
        "experiments.run": ("+exp=smoke/waves", "hydra.run.dir={locked}/run"),
        "experiments.evaluate": ("{sealed}",),
        "experiments.report": ("{sealed}",),
    }.items():
        yield Case("no permission", command, words)
    words = ("+exp=smoke/codec", "paths.data={locked}/data", "hydra.run.dir={out}/run")
    yield Case("no permission for data", "experiments.run", words, ("paths.data",))
    words = ("+exp=smoke/multitrack", "data.root={sealed}", "hydra.run.dir={out}/run")
    yield Case("no permission to read", "experiments.run", words, ("{sealed}",))


def other_cases() -> Iterator[Case]:
    for word in EVALUATIONS.split():
        told = () if "data.root" in word else (word.partition("=")[0].split(".")[-1],)
        yield Case(word, "experiments.evaluate", ("{multitrack_run}", word), told)
    for word in BENCH.split():
        told = (word.partition("=")[0].split(".")[-1],)
        words = ("+exp=smoke/waves", "bench.steps=1", word)
        yield Case(word, "experiments.bench", words, told)
    for name, changes in STRANGERS.items():
        thing = f"stranger_{name.replace(' ', '_')}"
        MAKERS[thing] = config_of("multitrack", changes)
        yield Case(f"stranger's run: {name}", "experiments.evaluate", (f"{{{thing}}}",))
    for name in ("missing", "fifo", "noise", "device", "huge", "other_ckpt", "pickle_ckpt"):
        MAKERS[f"run_with_{name}"] = run_with(name)
        yield Case(f"best.ckpt is {name}", "experiments.evaluate", (f"{{run_with_{name}}}",))
    yield Case("none", "experiments.report", ())
    yield Case("twice", "experiments.report", ("{reported_run}", "{reported_run}"), ("twice",))
    yield Case("none", "experiments.evaluate", ())
    yield Case("two", "experiments.evaluate", ("{codec_run}", "{multitrack_run}"))


def run_with(name: str):
    """An untrained run whose checkpoint is something else."""

    def make(shelf, place):
        run = config_of("multitrack", {})(shelf, place)
        file = run / "checkpoints" / "best.ckpt"
        file.unlink()
        if name != "missing":
            found = shelf[name if name.endswith("_ckpt") else f"{name}.ckpt"]
            found.rename(file) if name == "fifo" else file.symlink_to(found)
        return run

    return make
