"""The proof that a person resumes: a digest with a key that the gate makes and agents cannot read. Not a signature.

The gate makes the key anew at each start and puts it, readable by its owner only, into the run's folder; ``outcry
resume`` reads it there after it has asked a person at a terminal. A proof is over one scope, one person and one nonce.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from bus.errors import RefusedError
from bus.ids import token_bytes, token_hex

__all__ = ["is_proof", "publish_resume_key", "read_resume_key", "resume_proof"]

_KEY_SIZE = 32
_PROOF_SIZE = 32
_PERSON = b"outcry.resume"


def resume_proof(key: bytes, run_id: str, client: str, strategy: str, by: str, nonce: int) -> bytes:
    """Return the proof that goes with a ``Resume``.

    Args:
        key: What ``read_resume_key`` gave.
        run_id: The run.
        client: The scope's client; empty for the desk.
        strategy: The scope's strategy; empty for every one.
        by: Who resumes.
        nonce: The nonce of the gate's last ``RiskState``.
    """
    hasher = hashlib.blake2b(key=key, digest_size=_PROOF_SIZE, person=_PERSON)
    for part in (run_id, client, strategy, by, str(nonce)):
        raw = part.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return hasher.digest()


def is_proof(proof: bytes, expected: bytes) -> bool:
    """Whether two proofs are the same, without telling by the time where they differ."""
    return len(proof) == _PROOF_SIZE and hmac.compare_digest(proof, expected)


def publish_resume_key(path: Path) -> bytes:
    """Make a key and put it, in one step, where only the owner of this process may read it.

    Returns:
        The key.
    """
    key = token_bytes(_KEY_SIZE)
    draft = path.with_name(f".{path.name}.{token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(handle, 0o600)  # whatever the umask was
        os.write(handle, key.hex().encode())
    finally:
        os.close(handle)
    os.replace(draft, path)
    return key


def read_resume_key(path: Path) -> bytes:
    """Return the key of the running gate.

    Raises:
        RefusedError: It is not there, not this user's, open to others, or no key.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
                raise RefusedError(
                    f"{path.name} must be a file of this user's that nobody else can read (mode 600); "
                    "restart the gate: it makes a new one"
                )
            key = bytes.fromhex(os.read(handle, 4 * _KEY_SIZE).decode("ascii"))
        finally:
            os.close(handle)
        if len(key) != _KEY_SIZE:
            raise ValueError("the key is cut short")
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"{path.name} holds no resume key ({type(error).__name__}); run this as the desk's user, on its run folder,"
            " while its gate runs"
        ) from error
    return key
