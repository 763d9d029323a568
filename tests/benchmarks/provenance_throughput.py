"""How long a release takes to a verified bundle: `python -m tests.benchmarks.provenance_throughput --n 10000`.

Prints, for each step, wall and CPU seconds (of this process and its workers) and the peak memory of one process so far.
Every mark is read back while preparing. The transparency log holds 100,000 entries already. Signing includes copying,
checking, sealing (with --seals) and all documents. Verifying searches for no marks.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from veilmark.crypto.base import Algorithm  # noqa: E402 (the clone's own)
from veilmark.crypto.certificates import Purpose, site_credential  # noqa: E402
from veilmark.crypto.file_keys import FileKeyProvider  # noqa: E402
from veilmark.provenance.bundle import write_bundle  # noqa: E402
from veilmark.provenance.digests import ImageMetadata  # noqa: E402
from veilmark.provenance.documents import Evidence, ReleaseInfo  # noqa: E402
from veilmark.provenance.embedded.base import FileSealer  # noqa: E402
from veilmark.provenance.identity import SigningIdentity  # noqa: E402
from veilmark.provenance.log.entries import image_entries  # noqa: E402
from veilmark.provenance.log.writer import TransparencyLog  # noqa: E402
from veilmark.provenance.parallel import usable_cores  # noqa: E402
from veilmark.provenance.prepared import prepare_images  # noqa: E402
from veilmark.provenance.trust import TrustRoot  # noqa: E402
from veilmark.provenance.verify import verify_path  # noqa: E402

AT = "2026-11-22T09:30:00Z"
N_LOGGED = 100_000
Result = TypeVar("Result")


def textures(n: int, size: int) -> NDArray[np.uint8]:
    """Smooth random fields [n, size, size] over the whole depth, with a dark border as X-rays have it."""
    rng = np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    images = np.empty((n, size, size), np.uint8)
    for i in range(n):
        field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) / (0.01 + fy**2 + fx**2), s=(size, size))
        low, high = np.percentile(field, (2, 98))
        images[i] = np.rint(np.clip((field - low) / (high - low), 0, 1) * 255)
    images[:, : size // 16] = 0
    return images


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measured(name: str, step: Callable[[], Result]) -> Result:
    wall, cpu = time.monotonic(), cpu_seconds()
    result = step()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    row = f"{name:24s} {time.monotonic() - wall:8.1f} s wall {cpu_seconds() - cpu:8.1f} s CPU {peak:8.0f} MiB peak"
    print(row, flush=True)  # noqa: T201
    return result


def sealers(keys: FileKeyProvider) -> Sequence[FileSealer]:
    from veilmark.provenance.embedded.c2pa_manifests import C2paSealer

    credential = site_credential(keys, Purpose.C2PA, organisation="Benchmark")
    return [C2paSealer(credential=credential, generator="textures", version="1.0.0")]


def run(folder: Path, *, n: int, size: int, n_processes: int, with_seals: bool) -> None:
    keys = FileKeyProvider(folder / "keys", "a passphrase")
    signer = SigningIdentity(
        ed25519=keys.signing_key("release"), ml_dsa_65=keys.signing_key("release", Algorithm.ML_DSA_65)
    )
    log = TransparencyLog(folder=folder / "log", signer=signer.ed25519, origin="benchmark.example/log")
    log.append([b"an earlier entry of about the usual length, number %08d " % i * 3 for i in range(N_LOGGED)])
    images = textures(n, size)
    prepared = measured(
        "marked, written, read",
        lambda: prepare_images(
            folder / "prepared",
            images=images,
            metadata=[ImageMetadata(release_id="r", image_id=f"i{i:06d}", label="texture") for i in range(n)],
            mark_release=1,
            created_at=AT,
            n_processes=n_processes,
        ),
    )
    entries = image_entries(prepared.draft.images, release_id="r")
    measured("logged", lambda: log.append(entries))  # the same entries are not appended again below
    measured(
        "signed",
        lambda: write_bundle(
            folder / "bundle",
            prepared=prepared,
            endorsed_root=prepared.merkle_root,
            release=ReleaseInfo(
                release_id="r", created_at=AT, title="t", description="d", licence="CC0-1.0", creator="Benchmark"
            ),
            signer=signer,
            log=log,
            evidence=Evidence(decision={}, report={}, report_html=""),
            sealers=sealers(keys) if with_seals else (),
            n_processes=n_processes,
        ),
    )
    root = TrustRoot.of(signer, created_at=AT)
    result = measured("verified", lambda: verify_path(folder / "bundle", trust_root=root, n_processes=n_processes))
    n_bytes = sum(path.stat().st_size for path in (folder / "bundle").rglob("*") if path.is_file())
    n_log_bytes = sum(path.stat().st_size for path in (folder / "bundle" / "log").iterdir())
    print(f"{result.verdict.word}: {result.n_images} images, {prepared.n_marked} marked")  # noqa: T201
    print(f"bundle {n_bytes / 1e6:.1f} MB, of which log {n_log_bytes / 1e3:.1f} kB")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="images")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--processes", type=int, default=usable_cores(), help="1: everything in this one")
    parser.add_argument("--seals", action="store_true", help="with a C2PA manifest in every PNG")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(
            Path(folder),
            n=arguments.n,
            size=arguments.size,
            n_processes=arguments.processes,
            with_seals=arguments.seals,
        )


if __name__ == "__main__":
    main()
