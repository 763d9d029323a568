"""Adapting a public diffusion network from a local folder: what is trained, what is refused, whole runs."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from safetensors.torch import load_file, save_file

from generators.base import CellCount, ConfigError, GeneratorError, ResumeError, no_progress
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.networks.denoising import Denoiser, NoiseProcess, denoising_loss
from generators.networks.diffusers_folder import CONFIG, WEIGHTS, read_public_network
from generators.networks.low_rank import WAYS, LowRank, adapt, merge
from generators.networks.public_base import write_base
from generators.networks.tensors import image_tensor
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.public.pretraining import pretrain
from generators.runner import sample_generator, train_generator
from generators.steps_log import read_log
from tests.generators.recorders import Recorder
from tests.generators.tiny_networks import tiny_unet

# Full batches under prv have a closed form: calibrating the noise takes no time.
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
SMALL: dict[str, object] = {"n_steps": 3, "batch_size": 60, "views": 2, "checkpoint_every": 2, "solver_steps": 3}


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4).images


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's folder whose tiny network has seen phantoms."""
    folder = tmp_path_factory.mktemp("base")
    unet = tiny_unet()
    images = image_tensor(draw_phantoms(n_subjects=30, size=16, seed=9, max_images=1).images)
    process = NoiseProcess(config={"num_train_timesteps": 100, "beta_schedule": "linear"})
    pretrain(
        Denoiser(unet, n_conditions=1),
        denoising_loss(process, condition_dropout=0, n_labels=1),
        images,
        torch.zeros(len(images), 1),
        n_steps=3,
        learning_rate=1e-3,
        seed=0,
        progress=no_progress,
    )
    unet.class_embedding = None
    unet.save_pretrained(folder / "unet")
    process.training().save_pretrained(folder / "scheduler")
    return folder


def adapted(base: Path, way: str = "all", rank: int = 2) -> Denoiser:
    torch.manual_seed(0)
    public = read_public_network(str(base), size=16, channels=1)
    network = Denoiser(public.unet(), n_conditions=3)
    adapt(network, way, rank)
    return network


def prediction(network: Denoiser) -> torch.Tensor:
    noisy = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(noisy, torch.tensor([3, 60]), torch.eye(3)[:2])  # type: ignore[no-any-return]


def test_adapters_change_nothing_until_trained_and_merge_into_the_same_network(base: Path) -> None:
    public = Denoiser(read_public_network(str(base), size=16, channels=1).unet(), n_conditions=3)
    network = adapted(base)
    assert torch.allclose(prediction(network), prediction(public), atol=1e-6)
    with torch.no_grad():
        for value in network.parameters():
            if value.requires_grad:
                value.add_(torch.randn_like(value) * 0.05)
    before = prediction(network)
    assert not torch.allclose(before, prediction(public), atol=1e-3)
    merge(network)
    assert torch.allclose(before, prediction(network), atol=1e-5)
    assert network.state_dict().keys() == public.state_dict().keys()


@pytest.mark.parametrize("way", WAYS)
def test_only_what_is_named_is_trained(way: str, base: Path) -> None:
    network = adapted(base, way)
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert "unet.class_embedding.weight" in trained
    others = trained - {"unet.class_embedding.weight"}
    assert others
    assert all("attentions" in name for name in others) or way == "all"
    assert all(name.endswith(("down.weight", "up.weight")) for name in others) == (way != "attention-weights")
    assert any(isinstance(module, LowRank) for module in network.modules()) == (way != "attention-weights")


@pytest.mark.parametrize("way", ["all", "attention-weights"])
def test_a_run_leaves_a_folder_that_needs_no_base(way: str, cohort: ImageSet, base: Path, tmp_path: Path) -> None:
    own = tmp_path / "base"
    shutil.copytree(base, own)
    config = {**SMALL, "base": str(own), "adapt": way, "average": 0}
    card = train_generator(name="lora", images=cohort, budget=BUDGET, config=config, out=tmp_path / "g")
    shutil.rmtree(own)
    assert 7.5 < card.spend.spent_epsilon <= 8
    assert [event.steps for event in card.spend.events] == [3]
    assert card.config["base"] == "base"
    assert card.public_data[0]["digest"].startswith("sha256:")
    wanted = [CellCount(label="nodule", n=2, sex="F"), CellCount(label="normal", n=1)]
    first, again, other = (sample_generator(tmp_path / "g", wanted, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert first.images.shape == (3, 16, 16)
    weights = load_tensors(tmp_path / "g" / "network.safetensors")
    original = load_file(base / "unet" / WEIGHTS)
    changed = {
        name for name, value in original.items() if not np.array_equal(weights[f"network.unet.{name}"], value.numpy())
    }
    assert changed
    assert all("attentions" in name for name in changed) == (way == "attention-weights")
    assert not any("norm" in name for name in changed if "attentions" not in name)


def test_a_killed_reference_without_privacy_resumes_with_its_own_base_alone(
    cohort: ImageSet, base: Path, tmp_path: Path
) -> None:
    own, out = tmp_path / "base", tmp_path / "g"
    shutil.copytree(base, own)
    call = {"name": "lora", "images": cohort, "out": out, "config": {**SMALL, "base": str(own)}}
    call["budget"] = PrivacyBudget.without_privacy(public_n_subjects=60)
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_at=2))  # type: ignore[arg-type]
    weights = own / "unet" / WEIGHTS
    original = weights.read_bytes()
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    with pytest.raises(ResumeError, match="began with another base"):
        train_generator(**call, resume=True)  # type: ignore[arg-type]
    weights.write_bytes(original)
    card = train_generator(**call, resume=True)  # type: ignore[arg-type]
    assert card.notes[0].startswith("NOT PRIVATE")
    logged = read_log(out)
    assert logged is not None
    assert dict(logged.by_phase) == {"train": 3}


def test_a_bare_folder_and_old_names_of_attention_are_read(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base / "unet", tmp_path / "bare")
    weights = load_file(base / "unet" / WEIGHTS)
    old = {name.replace(".to_q.", ".query.").replace(".to_out.0.", ".proj_attn."): weights[name] for name in weights}
    assert old.keys() != weights.keys()
    save_file(old, tmp_path / "bare" / WEIGHTS)
    bare = read_public_network(str(tmp_path / "bare"), size=16, channels=1)
    assert bare.weights.keys() == weights.keys()
    assert bare.noise["prediction_type"] == "epsilon"
    bare.unet()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"_class_name": "UNet2DConditionModel"}, "is a UNet2DConditionModel", id="needs text"),
        pytest.param({"sample_size": 32}, "is for images of 32 pixels, not 16", id="size"),
        pytest.param({"sample_size": [16, 8]}, "is for images of 16x8 pixels", id="oblong"),
        pytest.param({"in_channels": 3}, "has 3 channels, not 1", id="channels"),
        pytest.param({"out_channels": 2}, "predicts something beside the noise", id="learned variance"),
        pytest.param({"num_class_embeds": 10}, "conditional on classes of its own", id="classes"),
        pytest.param({"time_embedding_type": "fourier"}, "embedding of time", id="time"),
        pytest.param({"down_block_types": ["SkipDownBlock2D"] * 2}, "blocks of another kind", id="blocks"),
        pytest.param({"block_out_channels": [8]}, "describes no UNet2DModel", id="impossible"),
        pytest.param({"block_out_channels": [8, 32]}, "weights do not fit", id="other weights"),
    ],
)
def test_a_base_that_does_not_fit_is_refused_in_one_line(
    change: Mapping[str, object], message: str, cohort: ImageSet, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base, tmp_path / "base")
    path = tmp_path / "base" / "unet" / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refuse(tmp_path / "base", message, cohort, tmp_path / "g")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        pytest.param(lambda unet: shutil.rmtree(unet.parent), "no such folder", id="missing"),
        pytest.param(lambda unet: (unet / CONFIG).unlink(), "holds no config.json", id="no config"),
        pytest.param(lambda unet: (unet / CONFIG).write_text("{"), "is damaged", id="damaged config"),
        pytest.param(lambda unet: (unet / WEIGHTS).unlink(), "holds no diffusion_pytorch_model", id="no weights"),
        pytest.param(lambda unet: (unet / WEIGHTS).write_bytes(b"12345678"), "is damaged", id="damaged weights"),
        pytest.param(lambda unet: (unet / WEIGHTS).rename(unet / "weights.bin"), "holds a pickle", id="pickle"),
        pytest.param(
            lambda unet: (unet.parent / "scheduler" / "scheduler_config.json").write_text(
                '{"prediction_type": "flow"}'
            ),
            "predicts flow",
            id="prediction",
        ),
        pytest.param(
            lambda unet: (unet.parent / "scheduler" / "scheduler_config.json").write_text('{"beta_schedule": "x"}'),
            "no schedule of noise",
            id="schedule",
        ),
    ],
)
def test_a_broken_folder_is_refused_in_one_line(
    break_it: object, message: str, cohort: ImageSet, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base, tmp_path / "base")
    break_it(tmp_path / "base" / "unet")  # type: ignore[operator]
    refuse(tmp_path / "base", message, cohort, tmp_path / "g")


def refuse(base: Path, message: str, cohort: ImageSet, out: Path, **config: object) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        train_generator(
            name="lora", images=cohort, budget=BUDGET, config={**SMALL, "base": str(base), **config}, out=out
        )
    assert "\n" not in str(refusal.value)
    assert not (out / "steps.log").exists()


def test_settings_that_do_not_fit_are_refused(cohort: ImageSet, base: Path, tmp_path: Path) -> None:
    refuse(base, "adapt: is 'some'; choose one of attention, all", cohort, tmp_path / "a", adapt="some")
    refuse(base, "solver: is 'x'", cohort, tmp_path / "b", solver="x")
    with pytest.raises(ConfigError, match="base: is not set"):
        train_generator(name="lora", images=cohort, budget=BUDGET, config=SMALL, out=tmp_path / "c")
    plain = UNet2DModel(
        sample_size=16,
        in_channels=1,
        out_channels=1,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        block_out_channels=(8,),
        layers_per_block=1,
        norm_num_groups=4,
        add_attention=False,
    )
    plain.save_pretrained(tmp_path / "plain")
    refuse(tmp_path / "plain", "has no attention to adapt", cohort, tmp_path / "d", adapt="attention")


def test_sixteen_bits_and_one_label(cohort: ImageSet, base: Path, tmp_path: Path) -> None:
    deep = draw_phantoms(n_subjects=20, size=16, bit_depth=12).images
    config = {**SMALL, "base": str(base), "n_steps": 1, "adapt": "attention"}
    train_generator(name="lora", images=replace(deep, label=None), budget=BUDGET, config=config, out=tmp_path / "g")
    drawn = sample_generator(tmp_path / "g", [CellCount(label="", n=2)])
    assert drawn.images.dtype == np.uint16
    assert int(drawn.images.max()) <= 4095


def test_a_base_of_ones_own_sees_squares_of_pixels_and_carries_a_run(tmp_path: Path) -> None:
    """At 32 px a point is a square of 2 x 2 pixels; the folder alone has to say so."""
    shown = draw_phantoms(n_subjects=20, size=32, seed=9, max_images=1).images
    write_base(shown, tmp_path / "base", n_steps=2, width=8, seed=0, progress=no_progress)
    public = read_public_network(str(tmp_path / "base"), size=32, channels=1)
    assert public.patch == 2
    assert public.noise["prediction_type"] == "sample"
    cohort = draw_phantoms(n_subjects=40, size=32, seed=4).images
    config = {**SMALL, "n_steps": 1, "base": str(tmp_path / "base")}
    train_generator(name="lora", images=cohort, budget=BUDGET, config=config, out=tmp_path / "g")
    shutil.rmtree(tmp_path / "base")
    assert sample_generator(tmp_path / "g", [CellCount(label="normal", n=2)]).images.shape == (2, 32, 32)


def test_a_base_is_not_written_over_and_has_a_width_that_divides(tmp_path: Path) -> None:
    shown = draw_phantoms(n_subjects=20, size=16, seed=9, max_images=1).images
    (tmp_path / "note").write_text("kept")
    for width, out, message in ((8, tmp_path, "is not empty"), (12, tmp_path / "new", "width: is 12")):
        with pytest.raises(GeneratorError, match=message):
            write_base(shown, out, n_steps=1, width=width, seed=0, progress=no_progress)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
