"""Extractors: named in every result, repeatable, and an operator's file that does not fit is refused in one line."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from audits.base import AuditError, AuditInput
from audits.cli import app
from audits.embeddings import raw_pixels
from audits.embeddings.choice import choose, require_extractor
from audits.embeddings.flaws import FLAWS
from audits.embeddings.onnx_file import onnx_embedding
from audits.floor import against_floor
from audits.pixels import resize, to_grey
from audits.registry import run_audits

Shape = Sequence[int | str]


def _onnx(
    path: Path, shape: Shape = ("n", 1, 16, 16), *, operator: str = "Flatten", kind: int = TensorProto.FLOAT
) -> Path:
    """A network of one operator, written as a file."""
    attributes = {"axis": 1} if operator == "Flatten" else {}
    graph = helper.make_graph(
        [helper.make_node(operator, ["images"], ["features"], **attributes)],
        "one operator",
        [helper.make_tensor_value_info("images", kind, shape)],
        [
            helper.make_tensor_value_info(
                "features", kind, ["a", "b"] if operator == "Flatten" else ["a", "b", "c", "d"]
            )
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("shape", [("n", 1, 16, 16), (1, 1, 16, 16), (64, 3, 16, 16), ("n", 3, "h", "w")])
def test_an_onnx_file_gives_the_features_that_it_computes(tmp_path: Path, shape: Shape) -> None:
    grey = np.random.default_rng(0).random((70, 32, 24)).astype(np.float32)
    found = onnx_embedding(_onnx(tmp_path / "flat.onnx", shape)).extract(grey)
    seen = resize(grey, (16, 16)) if shape[2] == 16 else grey
    expected = np.repeat(seen.reshape(len(grey), 1, -1), 3 if shape[1] == 3 else 1, axis=1).reshape(len(grey), -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_file_is_named_with_its_digest_in_the_result(leak_free: AuditInput, tmp_path: Path) -> None:
    path = _onnx(tmp_path / "flat.onnx")
    report = run_audits(replace(leak_free, embedding=str(path)), only=["frechet_distance"])
    (found,) = [m for m in report.measurements if m.name.startswith("frechet_distance")]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.details["features"] == {"default": f"flat.onnx, sha256:{digest}", "pixels": raw_pixels().name}
    assert found.status == "not_detected"


def _words(path: Path) -> Path:
    path.write_text("no network")
    return path


BAD_FILES = {
    "no file": (lambda folder: folder / "missing.onnx", "no such file"),
    "no network": (lambda folder: _words(folder / "words.onnx"), "not a network that onnxruntime can load"),
    "flat input": (lambda folder: _onnx(folder / "f.onnx", ("n", 256)), "takes tensor(float) ['n', 256]"),
    "integers": (lambda folder: _onnx(folder / "i.onnx", kind=TensorProto.DOUBLE), "takes tensor(double)"),
    "five channels": (lambda folder: _onnx(folder / "c.onnx", ("n", 5, 16, 16)), "takes 5 channels"),
    "one number": (lambda folder: _onnx(folder / "s.onnx", operator="ReduceMean"), "gives [1, 1, 1, 1] for 2 images"),
    "no numbers": (lambda folder: _onnx(folder / "l.onnx", operator="Log"), "or no numbers"),
}


@pytest.mark.parametrize(("make", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_does_not_fit_is_refused_in_one_line_before_any_audit(
    leak_free: AuditInput, tmp_path: Path, make: object, said: str
) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(AuditError) as refusal:
        run_audits(replace(leak_free, embedding=str(path)), only=["label_shares"])
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert path.name in str(refusal.value)


def test_the_command_refuses_a_missing_network_with_one_line(leak_free: AuditInput, tmp_path: Path) -> None:
    names = ("train", "holdout", "control", "synthetic")
    for name in names:
        getattr(leak_free, name).save(tmp_path / f"{name}.npz")
    arms = [part for name in names for part in (f"--{name}", str(tmp_path / f"{name}.npz"))]
    done = CliRunner().invoke(app, ["run", *arms, "--out", str(tmp_path / "r.json"), "--embedding", "missing.onnx"])
    assert done.exit_code == 2
    assert "error: missing.onnx: no such file" in done.stderr
    assert not (tmp_path / "r.json").exists()


def test_an_unknown_extractor_is_refused_with_the_choices(leak_free: AuditInput) -> None:
    with pytest.raises(AuditError, match=r"no such extractor: inception; choose network, histograms, pixels or a file"):
        require_extractor(replace(leak_free, embedding="inception"))


def test_names_say_what_was_used(leak_free: AuditInput) -> None:
    few = replace(leak_free, control=leak_free.control.select(np.arange(60)))  # type: ignore[union-attr]
    names = {
        "pixels": choose(replace(leak_free, embedding="pixels")).name,
        "histograms": choose(replace(leak_free, embedding="histograms")).name,
        "network": choose(leak_free).name,
        "no control": choose(replace(leak_free, control=None)).name,
        "small control": choose(few).name,
    }
    assert names == {
        "pixels": "pixels 16x16",
        "histograms": "gradient histograms, 64 components of the control arm",
        "network": "network trained on the control arm to name flaws, 64 components",
        "no control": "gradient histograms, fixed",
        "small control": "gradient histograms, fixed",
    }


def test_the_trained_network_is_trained_once_for_all_audits(leak_free: AuditInput) -> None:
    assert choose(replace(leak_free, synthetic=leak_free.train)) is choose(leak_free)


def test_the_trained_network_repeats_by_its_seed(leak_free: AuditInput, monkeypatch: pytest.MonkeyPatch) -> None:
    from audits.embeddings import network

    monkeypatch.setattr(network, "N_STEPS", 5)
    assert leak_free.control is not None
    control, grey = to_grey(leak_free.control, white=255), to_grey(leak_free.holdout, white=255)
    first, again, other = (network.trained_network(control, seed=seed).extract(grey) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_the_trained_network_sees_blur_that_histograms_hardly_see(leak_free: AuditInput) -> None:
    from scipy import ndimage

    from audits.fidelity.frechet_distance import squared_frechet

    soft = ndimage.gaussian_filter(leak_free.synthetic.images.astype(float), (0, 0.45, 0.45)).round().astype(np.uint8)
    data = replace(leak_free, synthetic=replace(leak_free.synthetic, images=soft))

    def distance(embedding: str) -> float:
        found = against_floor(
            replace(data, embedding=embedding), lambda real, other: {"fd": squared_frechet(real, other)}
        ).results["default"]["fd"]
        return (found.value - found.baseline) / float(np.hypot(found.error, found.baseline_error))

    assert distance("network") > max(3, distance("histograms"))


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
def test_a_flaw_keeps_size_and_range_and_the_images_given(flaw) -> None:  # type: ignore[no-untyped-def]
    images = np.random.default_rng(0).random((5, 64, 64)).astype(np.float32)
    before = images.copy()
    spoilt = flaw(images, np.random.default_rng(1))
    np.testing.assert_array_equal(images, before)
    assert spoilt.shape == images.shape
    assert spoilt.min() >= -1e-6
    assert spoilt.max() <= 1 + 1e-6
