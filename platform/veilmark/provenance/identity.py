"""Who signs: two keys of different kinds that are one identity, so that a forger must break both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from veilmark.crypto.base import Algorithm, Signer
from veilmark.crypto.signatures import key_id_of
from veilmark.provenance.digests import digest_of
from veilmark.provenance.strict_json import canonical_json


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The public half. `keys`: raw public keys, one of each algorithm; `created_at`, `revoked_at`: UTC, ISO 8601.

    Nothing that a revoked identity ever signed is believed: whoever stole its keys can date statements back.
    """

    keys: Mapping[Algorithm, bytes]
    created_at: str
    revoked_at: str = ""

    @property
    def key_ids(self) -> Mapping[Algorithm, str]:
        """Derived, so that a file cannot give one key another's name."""
        return {algorithm: key_id_of(key) for algorithm, key in self.keys.items()}

    @property
    def id(self) -> str:
        """`sha256:<hex>` over the ids of both keys: it names the pair, not either of them."""
        return digest_of(canonical_json(self.key_ids))


@dataclass(frozen=True, kw_only=True)
class SigningIdentity:
    """The private half: one signer of each algorithm, wherever their keys lie."""

    ed25519: Signer
    ml_dsa_65: Signer

    @property
    def signers(self) -> Mapping[Algorithm, Signer]:
        """By algorithm."""
        return {Algorithm.ED25519: self.ed25519, Algorithm.ML_DSA_65: self.ml_dsa_65}

    @property
    def id(self) -> str:
        """`Identity.id` of the public half."""
        return self.public(created_at="").id

    def public(self, *, created_at: str) -> Identity:
        """What a trust root names."""
        keys = {algorithm: signer.public_key_bytes for algorithm, signer in self.signers.items()}
        return Identity(keys=keys, created_at=created_at)
