"""Studies in blocks by their commands: the bytes of one machine, whoever made which."""

import json
import shlex
from typing import Any

import jax
import numpy as np
import optax
import pytest
import xarray as xr

import a3cjax
from a3cjax import studies
from a3cjax.cli.process import main
from a3cjax.studies.frame.parts import Batches, Whole, is_exact
from a3cjax.sweeps import in_blocks

# 36 runs are two tiles of 32 lanes, and blocks of 19 and 17 one each: all share a compiled program. They end within the
# seeds of a cell.
TINY = shlex.split(
    "sweep --laws constant uniform --delays 3 --factors 1 4 --seeds 9 --updates 40 --states 4 --features 2 --actions 2"
)
FILES = ("sweep.csv", "sweep.nc", "sweep.png")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of one machine that made all in one batch."""
    folder = tmp_path_factory.mktemp("whole")
    assert main([*TINY, "--out", str(folder)]) == 0
    return folder


def same(folder, whole):
    for name in FILES:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    mine, theirs = (json.loads((where / "run.json").read_text()) for where in (folder, whole))
    assert mine["options"].pop("out") != theirs["options"].pop("out")
    assert mine == theirs


def test_shards_merge_to_the_bytes_of_one_machine(whole, tmp_path, capsys):
    a, b, out = (str(tmp_path / name) for name in ("a", "b", "all"))
    assert main([*TINY, "--shard", "2/2", "--block-size=19", "--out", b]) == 0
    assert "Shard 2/2 is done: 17 of 36 runs" in " ".join(capsys.readouterr().out.split())
    assert main(["merge", b, "--out", out]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "runs 0 to 18 of 36 are missing" in told
    command = shlex.split(told[told.index("make them by a3cjax ") + len("make them by a3cjax ") :].rstrip("."))
    assert command == [*TINY, "--shard", "1/2", "--block-size", "19", "--out", b]
    # What is told, but on another machine.
    assert main([*command[:-1], a]) == 0
    assert main(["merge", a, b, "--out", out]) == 0
    same(tmp_path / "all", whole)
    assert len(list(tmp_path.glob("[ab]/sweep.blocks/*.npz"))) == 2  # what was merged stays
    # The plain command in a folder that holds blocks goes on from them: here it lacks the other half.
    assert main([*TINY, "--block-size", "19", "--out", b]) == 0
    same(tmp_path / "b", whole)
    assert not (tmp_path / "b/sweep.blocks").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*TINY, "--shard", "0/4"], "--shard is '0/4', but must be i/n with i from 1 to n, such as 1/4 or 4/4."),
        ([*TINY, "--shard", "5/4"], "--shard is '5/4', but must be"),
        ([*TINY, "--on", "slurm"], "--on is 'slurm', but must be one of 'here', 'ray'."),
        ([*TINY, "--address", "127.0.0.1:6379"], "--address has no effect without --on ray; leave it out."),
        ([*TINY, "--shard", "1/2", "--block-seconds", "5"], "--block-seconds has no effect with --shard"),
        ([*TINY, "--block-size", "5", "--block-seconds", "5"], "--block-seconds has no effect with --block-size"),
        (["merge"], "There is nothing to merge; give the folders"),
        (["merge", "OUT"], "--out is missing"),
        (["merge", "OUT", "--out", "OUT/all"], "holds no blocks; give the --out of a command with --shard or --on."),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(words, sentence, tmp_path, capsys):
    given = [word.replace("OUT", str(tmp_path)) for word in words]
    assert main(given if words[0] == "merge" else [*given, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_folders_of_other_studies_or_options_are_not_merged(tmp_path, capsys):
    for name, words in (("a", ["sweep", "--seeds", "2"]), ("b", ["chains"])):
        folder = tmp_path / name / f"{words[0]}.blocks"
        folder.mkdir(parents=True)
        (folder / "blocks.json").write_text(json.dumps({"words": words}))
    assert main(["merge", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 2
    assert "holds blocks of chains, and" in capsys.readouterr().err
    (tmp_path / "b/chains.blocks/blocks.json").write_text("{")
    assert main(["merge", str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 2
    assert "does not say which command made the blocks" in capsys.readouterr().err


def test_learners_without_exact_bits_have_blocks_of_one_size(tmp_path):
    """With an optimum that is not known, which is no other option than itself."""
    learner = a3cjax.QuadraticSGD([1.0], step=0.1, noise=0.1)
    few: dict[str, Any] = dict(workers=(1, 2), num_updates=50, metric="distance_sq", target_value=0.3)
    alone = studies.speedup(learner, seeds=2, **few)
    found = []
    for shard in (None, "1/2", "2/2"):
        folder = tmp_path / str(shard is None)
        with in_blocks(folder, size=2, shard=shard, progress=False, say=lambda text: None):
            found.append(studies.speedup(learner, seeds=2, **few))
    with in_blocks(tmp_path, merge=[tmp_path / "False"]):
        found.append(studies.speedup(learner, seeds=2, **few))
    xr.testing.assert_identical(found[0].curves, found[1].curves)
    xr.testing.assert_allclose(found[0].curves, alone.curves, rtol=1e-5)
    with pytest.raises(ValueError, match=r"another size of a block \(2, not 3\)"), in_blocks(folder, size=3):
        studies.speedup(learner, seeds=2, **few)
    with pytest.raises(ValueError, match=r"another seed \(\[0, 1\], not \[0, 1, 2\]\)"), in_blocks(folder, size=2):
        studies.speedup(learner, seeds=3, **few)
    with pytest.raises(ValueError, match="last digits of these runs depend on how many are beside"), in_blocks(folder):
        studies.speedup(learner, seeds=2, **few)


def test_blocks_may_lie_across_batches():
    """The last two runs of one batch and the first two of the next, against simulations of them alone."""
    schedules = a3cjax.Schedule.stack([a3cjax.Schedule.sequential(50)] * 3)
    steps = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    keys = [jax.random.split(jax.random.key(n), 3) for n in (1, 2)]
    record = a3cjax.Record(every=10, metrics=("distance_sq",))

    def learner(some):
        return a3cjax.QuadraticSGD([1.0], step=some, noise=0.1)

    wholes = tuple(Whole.of(learner(some), schedules, three) for some, three in zip(steps, keys, strict=True))
    made = Batches(wholes, record).make(1, 5)["distance_sq"]
    cut = a3cjax.Schedule.stack([a3cjax.Schedule.sequential(50)] * 2)
    for n, at in enumerate((slice(1, 3), slice(0, 2))):
        alone = a3cjax.simulate(learner(steps[n][at]), cut, keys[n][at], record=record)
        np.testing.assert_allclose(made[2 * n : 2 * n + 2], alone.metrics["distance_sq"], rtol=1e-5)


def test_which_learners_have_exact_bits():
    mdp = a3cjax.families.ring(3)
    assert is_exact(a3cjax.A3C(mdp, 0.1, 0.1))
    assert not is_exact(a3cjax.A3C(mdp, actor_optimizer=optax.sgd(0.1), critic_step=0.1))
    assert not is_exact(a3cjax.QuadraticSGD([1.0], step=0.1))


def test_a_part_of_a_batch_is_these_runs_with_their_steps_and_keys():
    steps = np.array([0.1, 0.2, 0.3, 0.4])
    schedule = a3cjax.Schedule.stack([a3cjax.Schedule.sequential(3)] * 4)
    keys = jax.random.split(jax.random.key(3), 4)
    learner, part, words = Whole.of(a3cjax.QuadraticSGD([1.0, 2.0], step=steps), schedule, keys).part(1, 3)
    np.testing.assert_allclose(learner.step, [0.2, 0.3])
    assert np.shape(learner.curvature) == (2,)  # not one for each run, though there are as many
    assert part.batch_shape == (2,)
    np.testing.assert_array_equal(jax.random.key_data(words), jax.random.key_data(keys)[1:3])
