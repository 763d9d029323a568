"""Everything that a custodian can hand over by mistake: one clear line, and nothing half done."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.base import CellCount, ConfigError, DataError, GeneratorError, ResumeError
from generators.cli import main
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.plans.drowning import DrownedError
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=50, accountant="rdp")
SIZE = 16
SMALL = {
    "latent-statistics": {"n_components": 4, "detail": "none"},
    "vae": {"n_steps": 2, "public_steps": 1, "batch_size": 8, "width": 8, "n_latents": 2},
}
NAMES = pytest.mark.parametrize("name", list(SMALL))
Train = Callable[..., object]


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=30, size=SIZE, seed=4, max_images=2).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=60, size=SIZE, seed=9, max_images=1).images


@pytest.fixture
def train(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> Train:
    """`train(...)`: a run on the cohort into `tmp_path / "g"`, with some of its arguments changed."""

    def call(**change: object) -> object:
        name = str(change.get("name", "latent-statistics"))
        known = {"name": name, "images": cohort, "budget": BUDGET, "config": SMALL.get(name, {}), "public": public}
        return train_generator(**known | {"out": tmp_path / "g"} | change)

    return call


def colour(images: ImageSet) -> ImageSet:
    return replace(images, images=np.stack([images.images, images.images // 2, images.images // 3], axis=3))


def with_pixels(pixels: np.ndarray) -> Callable[[ImageSet], ImageSet]:
    return lambda images: ImageSet(images=np.repeat(pixels[None], len(images), axis=0), label=images.label)


REFUSED = {
    "a rectangle": (with_pixels(np.zeros((16, 20), np.uint8)), None, DataError, "images are 16x20; make them square"),
    "no images": (lambda images: images.select(np.zeros(len(images), bool)), None, DataError, "no images to train on"),
    "an empty split": (
        lambda images: replace(images, split=np.full(len(images), "holdout")),
        None,
        DataError,
        "no images to train on; give a cohort with a train split",
    ),
    "empty labels": (
        lambda images: replace(images, label=np.where(np.arange(len(images)) == 3, "", images.label)),
        None,
        DataError,
        "label: is empty",
    ),
    "an undeclared label": (
        lambda images: images,
        {"config": {"labels": "normal"}},
        DataError,
        "not among the declared labels",
    ),
    "an unknown sex": (lambda images: replace(images, sex=np.full(len(images), "X")), None, DataError, "sex: 'X'"),
    "an epsilon of noise": (
        lambda images: images,
        {"budget": PrivacyBudget(target_epsilon=0.01, public_n_subjects=50)},
        DrownedError,
        "epsilon: noise would drown the signal at 0.01 for 50 subjects",
    ),
    "a public set of another size": (
        lambda images: images,
        {"public": draw_phantoms(n_subjects=9, size=32, seed=1).images},
        DataError,
        "public: images are 32x32 grey, those of the cohort 16x16 grey; resize one of them",
    ),
    "a public set of other channels": (
        lambda images: images,
        {"public": colour(draw_phantoms(n_subjects=9, size=SIZE, seed=1).images)},
        DataError,
        "public: images are 16x16 colour, those of the cohort 16x16 grey; give a set of as many channels",
    ),
    "an empty public set": (
        lambda images: images,
        {"public": ImageSet(images=np.zeros((0, SIZE, SIZE), np.uint8))},
        DataError,
        "public: holds no images",
    ),
    "a side that a network cannot halve": (
        with_pixels(np.zeros((17, 17), np.uint8)),
        {"name": "vae", "config": {}, "public": None},
        ConfigError,
        "size: a side of 17 pixels",
    ),
}


@pytest.mark.parametrize("folder_is_there", [False, True], ids=["new folder", "empty folder"])
@pytest.mark.parametrize(("change", "more", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_one_line_and_leaves_nothing(
    train: Train,
    cohort: ImageSet,
    tmp_path: Path,
    change: Callable[[ImageSet], ImageSet],
    more: dict[str, object] | None,
    error: type[GeneratorError],
    message: str,
    folder_is_there: bool,
) -> None:
    out = tmp_path / "g"
    if folder_is_there:
        out.mkdir()
    with pytest.raises(error) as refusal:
        train(images=change(cohort), **(more or {}))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert out.exists() == folder_is_there
    assert not folder_is_there or not list(out.iterdir())


@NAMES
def test_what_noise_would_drown_is_trained_where_the_caller_insists(name: str, train: Train) -> None:
    drowned = replace(BUDGET, target_epsilon=0.05)
    card = train(name=name, budget=drowned, even_if_drowned=True)
    assert card.spend.spent_epsilon <= 0.05


@NAMES
def test_colour_images_come_out_in_colour(name: str, train: Train, cohort: ImageSet, public: ImageSet) -> None:
    card = train(name=name, images=colour(cohort), public=colour(public))
    assert (card.channels, card.bit_depth) == (3, 8)


@NAMES
@pytest.mark.parametrize("bits", [None, 12], ids=["16 bits", "12 bits"])
def test_deep_images_keep_their_declared_white(
    name: str, bits: int | None, train: Train, cohort: ImageSet, tmp_path: Path
) -> None:
    deep = cohort.images.astype(np.uint16) * (16 if bits else 257)
    card = train(name=name, images=replace(cohort, images=deep, bits=bits))
    drawn = sample_generator(tmp_path / "g", [CellCount(label="normal", n=4)])
    assert (card.bit_depth, drawn.used_bits, drawn.images.dtype) == (bits or 16, bits or 16, np.uint16)
    assert drawn.images.max() <= drawn.max_value


@NAMES
@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
def test_constant_images_are_trained_on_like_any_others(
    name: str, level: int, train: Train, cohort: ImageSet, tmp_path: Path
) -> None:
    train(name=name, images=replace(cohort, images=np.full_like(cohort.images, level)))
    drawn = sample_generator(tmp_path / "g", [CellCount(label="normal", n=4)])
    assert drawn.images.shape == (4, SIZE, SIZE)


def test_a_constant_public_set_does_not_divide_by_zero(train: Train, public: ImageSet, tmp_path: Path) -> None:
    train(public=replace(public, images=np.full_like(public.images, 9)))
    assert len(sample_generator(tmp_path / "g", [CellCount(label="normal", n=4)])) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"config": SMALL["vae"] | {"n_steps": 3}}, "another config", id="configuration"),
        pytest.param({"config": SMALL["vae"] | {"width": 16}}, "another config", id="network"),
        pytest.param({"name": "latent-statistics"}, "another config, name", id="generator"),
        pytest.param({"seed": 5}, "another seed", id="seed"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    train: Train, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    train(name="vae")
    before = {path.name: path.read_bytes() for path in (tmp_path / "g").iterdir()}
    with pytest.raises(ResumeError, match=message):
        train(**{"name": "vae", "resume": True} | change)
    assert {path.name: path.read_bytes() for path in (tmp_path / "g").iterdir()} == before


def test_a_folder_with_a_pickle_is_neither_resumed_nor_sampled(train: Train, tmp_path: Path) -> None:
    train()
    (tmp_path / "g" / "extra.bin").write_bytes(b"\x80\x04\x95\x00")
    with pytest.raises(ResumeError, match=r"holds a pickle, extra\.bin; remove it: pickles run code"):
        train(resume=True)
    with pytest.raises(ResumeError, match="holds a pickle"):
        sample_generator(tmp_path / "g", [CellCount(label="normal", n=1)])


HEADER = "index,subject,label\n"
ROWS = [f"{i},p{i},{'rare' if i < 2 else 'common'}\n" for i in range(12)]
FILES = {
    "too few subjects of a label": (
        ROWS,
        (),
        "label: 'rare' is borne by 2 subjects, fewer than 5; merge it, as in --merge a+b=c, or leave its images out",
    ),
    "a NaN label": (["0,p,NaN\n"], (), "metadata.csv line 2: label is NaN ('NaN'); give every image a label"),
    "no label": (["0,p,\n"], (), "metadata.csv line 2: label is empty"),
    "a merge of nobody": (ROWS, ("--merge", "rate=common"), "--merge: no image is labelled 'rate'; check its spelling"),
    "a merge that is none": (ROWS, ("--merge", "rare"), "--merge: 'rare' is no a+b=c"),
    "two merges of one label": (ROWS, ("--merge", "rare=a", "--merge", "rare=b"), "--merge: 'rare' is merged twice"),
    "9 bits of 8": (ROWS, ("--bits", "9"), "bits: is 9 for uint8 pixels; declare 8"),
    "neither epsilon nor none": (ROWS, ("--no-epsilon",), "--epsilon, --non-private: one of the two is needed"),
    "both": (ROWS, ("--non-private",), "--epsilon, --non-private: one of the two is needed"),
    "labels twice": (ROWS, ("--labels", "a", "--set", "labels=b", "--min-subjects", "1"), "given twice"),
    "noise alone": (
        ROWS,
        ("--min-subjects", "1", "--epsilon", "0.01"),
        "on it is worth a try; --even-if-drowned spends it all the same",
    ),
}


@pytest.mark.parametrize(("rows", "options", "message"), FILES.values(), ids=FILES.keys())
def test_the_command_line_refuses_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    np.savez(tmp_path / "images.npz", images=np.random.default_rng(0).integers(0, 255, (12, 16, 16), dtype=np.uint8))
    (tmp_path / "metadata.csv").write_text(HEADER + "".join(rows))
    epsilon = [] if "--no-epsilon" in options else ["--epsilon", "8"]
    given = [option for option in options if option != "--no-epsilon"]
    known = ["--images", str(tmp_path / "images.npz"), "--metadata", str(tmp_path / "metadata.csv")]
    known += ["--label", "label", "--subject", "subject", "--public-n", "20", "--out", str(tmp_path / "g")]
    monkeypatch.setattr("sys.argv", ["generators", "train", "latent-statistics", *known, *epsilon, *given])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr().err
    assert left.value.code == 2
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "g").exists()


def test_nan_labels_beside_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 8, 8), np.uint8), labels=np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="label is NaN for some images"):
        ImageSet.load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("top", "bits", "message"),
    [
        pytest.param(4096, 12, "a pixel lies above 4095, the white of 12 bits; declare more bits", id="above white"),
        pytest.param(5, 8, "bits: is 8 for uint16 pixels; declare 9 to 16", id="too few bits"),
        pytest.param(5, 17, "bits: is 17 for uint16 pixels; declare 9 to 16", id="too many bits"),
        pytest.param(5, 12.5, "bits is no whole number", id="half a bit"),
        pytest.param(5, [12, 12], "bits is no whole number", id="two numbers"),
    ],
)
def test_declared_bits_that_cannot_be_are_refused(tmp_path: Path, top: int, bits: object, message: str) -> None:
    np.savez(tmp_path / "x.npz", images=np.full((2, 8, 8), top, np.uint16), bits=np.array(bits))
    with pytest.raises(DataError, match=message):
        ImageSet.load(tmp_path / "x.npz")


def test_a_card_never_says_how_many_bear_a_label(train: Train, tmp_path: Path) -> None:
    train()
    card = json.loads((tmp_path / "g" / "generator.json").read_text())
    assert "min_subjects" not in json.dumps(card)
