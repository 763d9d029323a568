"""How marks survive, what they cost and how often one is found where none is, on held-out real images.

    python -m tests.benchmarks.watermark                                    # recovery, PSNR, speed; 2 processes
    python -m tests.benchmarks.watermark --sizes 64 --n 100 --attacks "JPEG 50" "flip"
    python -m tests.benchmarks.watermark --peers PYTHON    # the peers, in an environment that has them
    python -m tests.benchmarks.watermark --nulls --n 10000 # unmarked images and synthetic nulls; one process

`--half tuning` takes the images on which the strengths were chosen; only "held out" is reported. The peers are
invisible-watermark (dwtDct) and blind-watermark: `pip install invisible-watermark blind-watermark` somewhere else.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks.watermark import nulls, peers, recovery
from tests.benchmarks.watermark.material import HALVES
from veilmark.provenance.watermark.attacks import ATTACKS
from veilmark.provenance.watermark.mark_id import FORMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--sources", nargs="*", default=["chest", "brain", "skin", "dicom"])
    parser.add_argument("--attacks", nargs="*", default=list(ATTACKS), choices=list(ATTACKS), metavar="ATTACK")
    parser.add_argument("--n", type=int, default=24, help="images of each source at each size")
    parser.add_argument("--half", choices=HALVES, default="held out")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--version", type=int, choices=list(FORMS), help="of the ids; default: what a release takes")
    parser.add_argument("--peers", metavar="PYTHON", help="measure the peers instead, with this Python")
    parser.add_argument("--nulls", action="store_true", help="look for marks where none are instead")
    parser.add_argument(
        "--searched", type=Path, default=Path("var/watermark_nulls.csv"), help="full searches done so far"
    )
    given = parser.parse_args()
    if given.nulls:
        nulls.report(given.n, given.searched)
    elif given.peers:
        peers.report(given.peers, given.sizes, given.sources, given.attacks, given.n, given.half)
    else:
        recovery.report(given.sizes, given.sources, given.attacks, given.n, given.half, given.processes, given.version)


if __name__ == "__main__":
    main()
