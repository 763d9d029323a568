"""`python -m veilmark.provenance`: put a mark into one image, or look for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from veilmark.provenance.command_line import run
from veilmark.provenance.errors import FileError, MarkError, ProvenanceError
from veilmark.provenance.files import read_final
from veilmark.provenance.manifest import parse_manifest
from veilmark.provenance.reading import read_file
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, MarkId, detect_mark, mark_images

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
KeyOption = Annotated[Path | None, typer.Option("--key", help="File whose bytes are the key; default: the public one.")]


@app.command()
def mark(
    source: Annotated[Path, typer.Argument(metavar="IN", help="PNG, another picture, or uncompressed DICOM.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="PNG to write.")],
    mark_id: Annotated[str, typer.Option("--id", help="The id to carry: 16 hexadecimal digits, or 32 from 128 px.")],
    key: KeyOption = None,
) -> None:
    """Mark one image and read the mark back."""
    pixels = read_final(read_file(source), where=str(source)).pixels
    marked = mark_images(pixels[None], [MarkId.from_hex(mark_id)], key=_key(key))
    if not marked.is_marked[0]:
        raise MarkError(
            "cannot hold a mark", where=str(source), remedy="give an image of at least 64 px a side, with contrast"
        )
    if out.suffix.lower() != ".png":
        raise FileError("is no name of a PNG file", where=str(out))
    try:
        Image.fromarray(marked.images[0]).save(out, "PNG")
    except OSError as error:
        raise FileError(f"cannot be written ({error.strerror})", where=str(out)) from error


@app.command()
def detect(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="PNG, another picture, or uncompressed DICOM.")],
    key: KeyOption = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="A release's manifest.json: search for its ids too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for a mark. Exit code 0 where one is found, 14 where none is."""
    known = parse_manifest(read_file(manifest), where=str(manifest)).images if manifest else []
    known_ids = [MarkId.from_hex(image.mark_id) for image in known if image.mark_id]
    pixels = read_final(read_file(source), where=str(source)).pixels
    found = detect_mark(pixels, key=_key(key), known_ids=known_ids)
    fields = {
        "detected": found.detected,
        "id": found.id.hex if found.id else None,
        "stage": found.stage,
        "false_positive_rate": found.false_positive_rate,
    }
    if as_json:
        print(json.dumps(fields))
    else:
        answer = f"mark {found.id} found at stage {found.stage}" if found.detected else "no mark found"
        print(f"{answer} (false-positive rate at most {found.false_positive_rate:.1e})")
    raise typer.Exit(0 if found.detected else 14)


def _key(path: Path | None) -> bytes:
    if path is None:
        return PUBLIC_DETECTION_KEY
    if len(key := read_file(path)) < 16:
        raise MarkError("is shorter than 16 bytes", where=str(path), remedy="give a longer key")
    return key


if __name__ == "__main__":
    run(app, refusals=(ProvenanceError,))
