"""The hardware key provider: Ed25519 keys that are made in a PKCS#11 token (OASIS, v3.0) and never leave it.

Data keys, ML-DSA-65 keys and secrets of other kinds stay with the file provider: SoftHSM2 and python-pkcs11 0.10 know
no ML-DSA, and a token that signs twenty times a second is no place for data keys. So a thief of the files holds one of
an identity's two keys, and a thief of the token the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.types import SignMixin

from veilmark.crypto.base import Algorithm, CryptoError, Signer
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.crypto.private_files import one_at_a_time
from veilmark.crypto.signatures import PUBLIC_KEY_BYTES, is_signed, key_id_of

_EDWARDS25519 = bytes.fromhex("06032b6570")  # the curve's name in DER: 1.3.101.112, RFC 8410
_OCTETS = bytes([4, PUBLIC_KEY_BYTES[Algorithm.ED25519]])  # some tokens wrap the raw key in an OCTET STRING
_PROBE = b"veilmark: do these two keys belong together?"


@dataclass(frozen=True, kw_only=True)
class Token:
    """Which token, and what opens it. module: the path of its PKCS#11 library; label: the token's own."""

    module: str
    label: str
    pin: str = field(repr=False)


class TokenSigner:
    """Signs with one Ed25519 key inside a token. Threads take turns: a PKCS#11 session does one thing at a time."""

    algorithm = Algorithm.ED25519

    def __init__(self, private_key: SignMixin, public_key: bytes, *, turn: Lock, where: str) -> None:
        self._private_key, self.public_key_bytes, self._turn, self._where = private_key, public_key, turn, where

    @cached_property
    def key_id(self) -> str:
        """`key_id_of` the public key."""
        return key_id_of(self.public_key_bytes)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes. Raises CryptoError."""
        with self._turn, _refusals(self._where):
            return bytes(self._private_key.sign(data, mechanism=Mechanism.EDDSA))


class TokenKeyProvider:
    """A `KeyProvider` whose Ed25519 keys lie in `token` and everything else in `files`.

    Raises CryptoError where the token cannot be opened.
    """

    def __init__(self, token: Token, files: FileKeyProvider) -> None:
        self._files, self._where, self._turn = files, f"token {token.label}", Lock()
        self._signers: dict[str, TokenSigner] = {}
        # SoftHSM2 does not find a token while another process makes a key in it.
        with one_at_a_time(files.folder), _refusals(self._where):
            self._session = _open(token)

    @property
    def encryption_key_id(self) -> str:
        """The file provider's."""
        return self._files.encryption_key_id

    def create_data_key(self) -> bytes:
        """The file provider's."""
        return self._files.create_data_key()

    def unwrap(self, wrapped: bytes) -> bytes:
        """The file provider's."""
        return self._files.unwrap(wrapped)

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The file provider's."""
        return self._files.secret(name, make)

    def signing_key(self, name: str, algorithm: Algorithm = Algorithm.ED25519) -> Signer:
        """Ed25519 from the token, made there at the first call; ML-DSA-65 from the file. Raises CryptoError."""
        if algorithm is not Algorithm.ED25519:
            return self._files.signing_key(name, algorithm)
        self._files.check_name(name)
        with self._turn:
            if name not in self._signers:
                with one_at_a_time(self._files.folder), _refusals(self._where):
                    self._signers[name] = self._find(name) or self._make(name)
            return self._signers[name]

    def has_signing_key(self, name: str, algorithm: Algorithm = Algorithm.ED25519) -> bool:
        """Whether the token holds that key; of ML-DSA-65, whether the file does. Raises CryptoError."""
        if algorithm is not Algorithm.ED25519:
            return self._files.has_signing_key(name, algorithm)
        with self._turn, one_at_a_time(self._files.folder), _refusals(self._where):
            return name in self._signers or self._find(name) is not None

    def close(self) -> None:
        """End the session; signers of this provider sign no more."""
        self._session.close()

    def _find(self, name: str) -> TokenSigner | None:
        where = f"key {name} in {self._where}"
        private, public = (
            list(self._objects(kind, name)) for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
        )
        if not private and not public:
            return None
        if (len(private), len(public)) != (1, 1):
            raise CryptoError("is there more than once, or by half", where=where, remedy="ask the token's officer")
        if private[0][Attribute.EXTRACTABLE] or not private[0][Attribute.SENSITIVE]:
            raise CryptoError("can be taken out of the token", where=where, remedy="let the token make a new one")
        private_key, point = private[0], bytes(public[0][Attribute.EC_POINT]).removeprefix(_OCTETS)
        if not isinstance(private_key, SignMixin) or not _belong_together(private_key, point):
            raise CryptoError("is not one pair that signs", where=where, remedy="ask the token's officer")
        return TokenSigner(private_key, point, turn=self._turn, where=where)

    def _make(self, name: str) -> TokenSigner:
        if self._files.has_signing_key(name):
            raise CryptoError(
                f"lies in a file, and {self._where} has none",
                where=f"key {name}",
                remedy="a new key is a new identity: move the file away, and publish a new trust root",
            )
        curve = self._session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _EDWARDS25519}, local=True
        )
        curve.generate_keypair(store=True, label=_label(name), mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
        made = self._find(name)
        if made is None:
            raise CryptoError("was not kept", where=f"key {name} in {self._where}", remedy="check the token's space")
        return made

    def _objects(self, kind: ObjectClass, name: str) -> Iterator[pkcs11.Object]:
        wanted = {Attribute.CLASS: kind, Attribute.KEY_TYPE: KeyType.EC_EDWARDS, Attribute.LABEL: _label(name)}
        return iter(self._session.get_objects(wanted))


def _label(name: str) -> str:
    return f"veilmark-{name}"


def _belong_together(private_key: SignMixin, public_key: bytes) -> bool:
    signature = bytes(private_key.sign(_PROBE, mechanism=Mechanism.EDDSA))
    return is_signed(_PROBE, signature, public_key=public_key, algorithm=Algorithm.ED25519)


def _open(token: Token) -> pkcs11.Session:
    found = pkcs11.lib(token.module).get_token(token_label=token.label)
    try:
        return found.open(rw=True, user_pin=token.pin)
    except pkcs11.UserAlreadyLoggedIn:  # this process opened it before: PKCS#11 signs in processes, not sessions
        return found.open(rw=True)


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """The library's errors, by their names alone: some carry what they were called with."""
    try:
        yield
    except RuntimeError as error:
        remedy = "check its library, label and PIN"
        raise CryptoError(f"does not work ({type(error).__name__})", where=where, remedy=remedy) from None
