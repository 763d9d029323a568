"""`python -m generators base`: public images in, a public diffusion network for `lora` out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from generators.cli_options import Json, Seed, print_result, progress_bar
from generators.data import ImageSet
from generators.public.images import public_or_phantoms
from generators.tables import read_public, resize_images


def base(
    *,
    out: Annotated[Path, typer.Option(help="Folder to write, for train lora --set base=FOLDER.")],
    public: Annotated[Path | None, typer.Option(help="Public images (.npz), else phantoms.")] = None,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Steps of 32 images.")] = 2000,
    width: Annotated[int, typer.Option(help="Channels at the highest resolution, a multiple of 8.")] = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a diffusion network on public images alone and write it as a local folder of diffusers."""
    from generators.networks.public_base import write_base  # noqa: PLC0415 - diffusers takes seconds to load

    named = None if public is None else resize_images(read_public(public), size)
    shown = public_or_phantoms(named, ImageSet(images=np.zeros((1, size, size), dtype=np.uint8)))
    with progress_bar(shown=not as_json) as progress:
        write_base(shown, out, n_steps=steps, width=width, seed=seed, progress=progress)
    found = {"out": str(out), "n_images": len(shown), "steps": steps, "digest": shown.digest}
    print_result(found, [f"a network of {len(shown)} public images in {out}"], as_json=as_json)
