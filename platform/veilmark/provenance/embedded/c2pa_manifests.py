"""C2PA manifests: inside a PNG, and as a sidecar of a DICOM file, whose format has no place for one.

Each says that the image was created by a trained algorithm, and binds all bytes of the file but its own padding, which
the bundle's file digests cover. Nothing is fetched: no remote manifests, no OCSP, no time stamping service. Labels in a
manifest are random, so that sealed bytes differ from run to run. Signing needs the `platform` extra; any C2PA reader
that trusts the site's root checks the result.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import lru_cache

import c2pa

from veilmark.crypto.certificates import Credential
from veilmark.provenance.errors import FileError
from veilmark.provenance.files import DIGITAL_SOURCE_TYPE


@dataclass(frozen=True, kw_only=True)
class C2paFormat:
    """A kind of file: its suffix and media type; `sidecar_suffix` where it cannot hold a manifest."""

    suffix: str
    media_type: str
    sidecar_suffix: str = ""


PNG = C2paFormat(suffix=".png", media_type="image/png")
DICOM = C2paFormat(suffix=".dcm", media_type="application/dicom", sidecar_suffix=".c2pa")


@dataclass(frozen=True, kw_only=True)
class C2paSealer:
    """A `FileSealer` for `form`. `credential` signs by ES256; `generator` made the images, `version` is Veilmark's."""

    credential: Credential
    generator: str
    version: str
    form: C2paFormat = PNG

    @property
    def suffix(self) -> str:
        """Of the files it takes."""
        return self.form.suffix

    @property
    def sidecar_suffix(self) -> str:
        """Of the manifests that lie beside; "" where the manifest is inside."""
        return self.form.sidecar_suffix

    def seal(self, data: bytes, *, where: str) -> bytes:
        """The file with its manifest, or the manifest alone. Raises FileError."""
        sealed = io.BytesIO()
        try:
            # The library's objects belong to the process that made them: a forked one needs its own.
            builder = c2pa.Builder(self._claim(where), trusting(self.credential.root_pem, os.getpid()))
            if self.sidecar_suffix:
                builder.set_no_embed()
            signer = _signer(self.credential, os.getpid())
            manifest: bytes = builder.sign(signer, self.form.media_type, io.BytesIO(data), sealed)
        except c2pa.C2paError as error:
            reason = " ".join(str(error).split())[:160]
            raise FileError(f"cannot take a C2PA manifest ({reason})", where=where) from error
        return manifest if self.sidecar_suffix else sealed.getvalue()

    def _claim(self, where: str) -> dict[str, object]:
        created = {
            "action": "c2pa.created",
            "digitalSourceType": DIGITAL_SOURCE_TYPE,
            "softwareAgent": {"name": self.generator},
        }
        return {
            "claim_generator_info": [{"name": "Veilmark", "version": self.version}],
            "title": where.rsplit("/", 1)[-1],
            "format": self.form.media_type,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
        }


@lru_cache(maxsize=4)
def trusting(root_pem: bytes, _process: int) -> c2pa.Context:
    """Settings that trust these root certificates alone and fetch nothing, for one process."""
    return c2pa.Context.from_dict(
        {
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
            "trust": {"trust_anchors": root_pem.decode()},
            "builder": {"thumbnail": {"enabled": False}},
        }
    )


@lru_cache(maxsize=4)
def _signer(credential: Credential, _process: int) -> c2pa.Signer:
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", credential.chain_pem, credential.key_pem, None))
