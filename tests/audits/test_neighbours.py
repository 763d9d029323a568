"""Nearest neighbours equal brute force, whatever the block; registration finds what was flipped and shifted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audits import exact_search
from audits.blocks import Rows
from audits.neighbours import (
    nearest,
    nearest_query,
    nearest_registered,
    registered_correlation,
    squared_distances,
)
from audits.pixels import Floats, GreyView, resize, shrunk, to_grey
from audits.stats import Doubles
from generators.data import ImageSet

PRECISIONS = (torch.bfloat16, torch.float32, torch.float64)


def _drawn(shape: str, n: int, width: int, rng: np.random.Generator) -> Doubles:
    """Rows in which nearest neighbours are hard to tell, in float64."""
    rows = rng.normal(0, 1, (n, width))
    match shape:
        case "near ties":  # all as far from the first, but for parts in ten thousand
            length = np.linalg.norm(rows[1:], axis=1, keepdims=True)
            rows[1:] = rows[0] + rows[1:] / length * (1 + 1e-4 * rng.random((n - 1, 1)))
        case "clusters":  # a thousand times farther apart than wide
            rows = rows + 1000 * rng.normal(0, 1, (3, width))[rng.integers(0, 3, n)]
        case "offset":
            rows += 1000
        case "one far row":
            rows[rng.integers(n)] *= 1e6
        case "the same rows again":
            rows = rows[rng.integers(0, 1 + n // 3, n)]
    return rows


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(["plain", "near ties", "clusters", "offset", "one far row", "the same rows again"]),
    n=st.integers(2, 60),
    width=st.integers(1, 30),
    scale=st.sampled_from([1.0, 1e-30, 1e-19, 1e30]),
    block=st.integers(1, 500),
    first=st.integers(0, 2),
)
def test_nearest_equals_brute_force_in_float64(
    seed: int, shape: str, n: int, width: int, scale: float, block: int, first: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = (_drawn(shape, n, width, rng) * scale).astype(np.float32)
    order = np.concatenate([[0], 1 + rng.permutation(n - 1)])
    queries, gallery = rows[order[: n // 2]], rows[order[n // 2 :]]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exact_search, "_kinds", lambda: iter(PRECISIONS[first:]))
        index, distance = nearest(queries, gallery, block_floats=block)
    brute = np.linalg.norm(queries[:, None].astype(float) - gallery[None].astype(float), axis=2)
    np.testing.assert_allclose(distance, brute.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(brute[np.arange(len(queries)), index], brute.min(axis=1), rtol=1e-6)


@pytest.fixture
def hard() -> tuple[Floats, Floats]:
    """300 rows about each of 20 queries at nearly one distance; the queries lie a hundred times farther apart."""
    rng = np.random.default_rng(0)
    queries = 100 * rng.normal(0, 1, (20, 16))
    aside = rng.normal(0, 1, (20, 300, 16))
    aside *= (1 + 1e-4 * rng.random((20, 300, 1))) / np.linalg.norm(aside, axis=2, keepdims=True)
    gallery = (queries[:, None] + aside).reshape(-1, 16)
    return queries.astype(np.float32), gallery.astype(np.float32)


def _n_wrong(queries: Floats, gallery: Floats) -> int:
    index, _ = nearest(queries, gallery)
    brute = np.linalg.norm(queries[:, None].astype(float) - gallery[None].astype(float), axis=2)
    return int((brute[np.arange(len(queries)), index] > brute.min(axis=1) * (1 + 1e-6)).sum())


def test_where_one_precision_cannot_tell_the_next_one_does(
    hard: tuple[Floats, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    seen = exact_search.Frame.seen

    def noted(frame: exact_search.Frame, rows: Rows, kind: torch.dtype) -> object:
        used.append(kind)
        return seen(frame, rows, kind)

    monkeypatch.setattr(exact_search, "_kinds", lambda: iter(PRECISIONS))
    monkeypatch.setattr(exact_search.Frame, "seen", noted)
    assert _n_wrong(*hard) == 0
    assert set(used) == set(PRECISIONS)


def test_without_the_bounds_products_alone_are_wrong(
    hard: tuple[Floats, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_search, "_kinds", lambda: iter([torch.bfloat16]))
    monkeypatch.setattr(exact_search, "STORED", 0.0)
    monkeypatch.setattr(exact_search, "SPARE", 0.0)
    assert _n_wrong(*hard) > 10


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_images_mapped_from_a_file_are_read_block_by_block(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(0, 256, (n, 6, 5)).astype(kind) for n in (30, 70))
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    index, distance = nearest(queries, mapped, block_floats=300)
    brute = np.linalg.norm(queries[:, None].astype(float) - gallery[None].astype(float), axis=(2, 3))
    np.testing.assert_array_equal(index, brute.argmin(axis=1))
    np.testing.assert_allclose(distance, brute.min(axis=1), rtol=1e-6)


@pytest.mark.parametrize("arm", ["queries", "gallery"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(arm: str, value: float) -> None:
    arms = {name: np.ones((3, 4), np.float32) for name in ("queries", "gallery")}
    arms[arm][1, 2] = value
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
        nearest(arms["queries"], arms["gallery"])


@pytest.mark.proofs
def test_a_million_images_need_the_memory_of_a_few_blocks(tmp_path: Path) -> None:
    """A million images of 32 pixels in a file of 1 GiB: what the search itself holds stays below 400 MiB."""
    images = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(1_000_000, 32, 32))
    rng = np.random.default_rng(0)
    for start in range(0, len(images), 50_000):
        images[start : start + 50_000] = rng.integers(0, 256, (50_000, 32, 32), dtype=np.uint8)
    images.flush()
    done = subprocess.run(
        [sys.executable, "-c", MILLION, str(tmp_path / "images.npy")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    found, own_mib = done.stdout.split()
    assert found == "200"
    assert float(own_mib) < 400


MILLION = """
import sys
import threading
from pathlib import Path
import numpy as np
from audits.neighbours import nearest

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024

nearest(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32))
before, most, done = own(), [0.0], threading.Event()

def watch():
    while not done.wait(0.005):
        most[0] = max(most[0], own() - before)

watcher = threading.Thread(target=watch)
watcher.start()
images = np.load(sys.argv[1], mmap_mode="r")
rows = np.arange(200) * 4999
index, distance = nearest(images[rows], images)
done.set()
watcher.join()
print(int(((index == rows) & (distance == 0)).sum()), most[0])
"""


def test_an_empty_gallery_is_refused() -> None:
    with pytest.raises(ValueError, match="empty gallery"):
        nearest(np.zeros((1, 2), np.float32), np.zeros((0, 2), np.float32))


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), width=st.integers(1, 20))
def test_squared_distances_are_those_of_the_definition(seed: int, n: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (rng.normal(50, 1, (n, width)).astype(np.float32) for _ in range(2))
    expected = ((left[:, None].astype(float) - right[None].astype(float)) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(left, right), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (2, -1), (-2, 2)])
@pytest.mark.parametrize("flip", [False, True])
def test_registration_undoes_a_flip_and_a_shift(dy: int, dx: int, flip: bool) -> None:
    images = np.random.default_rng(0).random((5, 32, 32)).astype(np.float32)
    moved = np.roll(images, (dy, dx), axis=(1, 2))
    found = registered_correlation(moved[:, :, ::-1] if flip else moved, images)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
    assert (found - np.eye(5)).max() < 0.5


def test_registration_does_not_depend_on_the_block() -> None:
    queries, gallery = (np.random.default_rng(s).random((n, 40, 40)).astype(np.float32) for s, n in ((1, 7), (2, 9)))
    whole = registered_correlation(queries, gallery)
    np.testing.assert_allclose(registered_correlation(queries, gallery, block_floats=1), whole, atol=1e-6)


@pytest.mark.parametrize("block", [1 << 22, 2000, 30])
def test_the_best_by_row_and_by_column_are_those_of_the_matrix(block: int) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (ImageSet(images=rng.integers(0, 256, (n, 40, 36), dtype=np.uint8)) for n in (70, 130))
    whole = registered_correlation(*(to_grey(arm, white=255) for arm in (queries, gallery)))
    parts = tuple(gallery.select(part) for part in np.split(np.arange(130), [17, 60]))
    views = GreyView(sets=(queries,), white=255), GreyView(sets=parts, white=255)
    for axis, search in ((1, nearest_registered), (0, nearest_query)):
        best, index = search(*views, block_floats=block)
        np.testing.assert_allclose(best, whole.max(axis=axis), atol=1e-6)
        np.testing.assert_array_equal(index, whole.argmax(axis=axis))


@pytest.mark.parametrize("shape", [(40, 36), (40, 36, 3)])
def test_a_view_gives_the_grey_images_of_its_sets(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 4096, (20, *shape)).astype(np.uint16)
    whole = ImageSet(images=images, bits=12)
    view = GreyView(sets=(whole.select(np.arange(7)), whole.select(np.arange(7, 20))), white=4095)
    grey = to_grey(whole, white=4095)
    assert len(view) == 20
    for rows in (slice(0, 20), slice(3, 5), slice(5, 9), slice(8, 99), slice(7, 7)):
        np.testing.assert_array_equal(view[rows], grey[rows])
    np.testing.assert_array_equal(shrunk(whole, 16, white=4095), resize(grey, 16))


def test_a_constant_image_resembles_nothing() -> None:
    images = np.random.default_rng(0).random((3, 32, 32)).astype(np.float32)
    assert registered_correlation(np.full((1, 32, 32), 0.5, np.float32), images).max() == 0


@given(size_in=st.integers(1, 70), size_out=st.integers(1, 70))
def test_resizing_keeps_the_mean(size_in: int, size_out: int) -> None:
    images = np.random.default_rng(0).random((2, size_in, size_in)).astype(np.float32)
    resized = resize(images, size_out)
    np.testing.assert_allclose(resized.mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-4)
