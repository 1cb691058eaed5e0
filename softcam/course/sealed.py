"""The sources with their solutions, encrypted, so that a repository can carry them.

A sealed file is JSON: a header in clear, which names every source with its size and SHA-256 and
with the SHA-256 of the student version made from it, and the sources themselves under AES-256-GCM
(NIST SP 800-38D). The key is made from a secret by scrypt (RFC 7914). The header is authenticated:
a changed header does not open. Whoever has no secret still sees whether the student versions
beside it are the ones that were made from what is sealed.

The secret is the content of a file. What is in a public repository beside its own secret is out
of sight, not secret: whoever teaches takes a secret of their own (`softcam course --reseal`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError
from softcam.course.settings import needs_extra

__all__ = ["Entry", "derive", "entries", "read_secret", "seal", "sha256", "unseal"]

FORMAT, VERSION = "softcam sealed sources", 1
SHORTEST = 16  # bytes of a secret
# 32 MiB and a tenth of a second for one try; RFC 7914 calls N=2^15 or more interactive use.
COST = {"n": 2**15, "r": 8, "p": 1}
MOST_MEMORY = 2**28  # bytes that a header may ask for
LINE = 100

Entry = dict[str, Any]  # name, bytes, sha256, student_sha256


def read_secret(path: str | Path) -> bytes:
    """The secret in a file, without the white space around it that editors leave.

    Raises:
        SoftCAMError: no such file, or fewer than 16 bytes in it.
    """
    try:
        secret = Path(path).read_bytes().strip()
    except OSError as error:
        raise SoftCAMError(
            f"the secret {path} cannot be read ({error.strerror}): name a file that holds at "
            "least 16 characters, such as the output of `python -c 'import secrets; "
            "print(secrets.token_hex(32))'`."
        ) from error
    if len(secret) < SHORTEST:
        raise SoftCAMError(
            f"the secret in {path} has {len(secret)} bytes: expected {SHORTEST} or more."
        )
    return secret


def derive(secret: bytes, *words: str) -> str:
    """A key of its own for a purpose, HMAC-SHA-256 in hex; it says nothing about the secret."""
    return hmac.new(secret, "\0".join(words).encode(), hashlib.sha256).hexdigest()


def sha256(text: str) -> str:
    """SHA-256 of a text as UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal(sources: Mapping[str, str], students: Mapping[str, str], secret: bytes) -> str:
    """The text of a sealed file.

    Args:
        sources: name to text, in the order they are to have.
        students: the same names to the text of the student version.
        secret: as from `read_secret`.
    """
    needs_extra()
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "scrypt": {**COST, "salt": salt.hex()},
        "nonce": nonce.hex(),
        "files": [
            {
                "name": name,
                "bytes": len(text.encode()),
                "sha256": sha256(text),
                "student_sha256": sha256(students[name]),
            }
            for name, text in sources.items()
        ],
    }
    plain = zlib.compress(json.dumps(dict(sources)).encode(), 9)
    cipher = AESGCM(_key(secret, header)).encrypt(nonce, plain, _bound(header))
    text = base64.b64encode(cipher).decode()
    lines = [text[start : start + LINE] for start in range(0, len(text), LINE)]
    return json.dumps({**header, "sealed": lines}, indent=1) + "\n"


def entries(text: str) -> list[Entry]:
    """The files of a sealed file as its header says, without the secret.

    Raises:
        SoftCAMError: not a sealed file, or of another version.
    """
    return list(_read(text)["files"])


def unseal(text: str, secret: bytes) -> dict[str, str]:
    """The sources, name to text.

    Raises:
        SoftCAMError: not a sealed file, the wrong secret, or a file that was changed.
    """
    needs_extra()
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    content = _read(text)
    header = {name: value for name, value in content.items() if name != "sealed"}
    try:
        cipher = base64.b64decode("".join(content["sealed"]), validate=True)
        plain = AESGCM(_key(secret, header)).decrypt(
            bytes.fromhex(header["nonce"]), cipher, _bound(header)
        )
        sources: dict[str, str] = json.loads(zlib.decompress(plain))
    except (InvalidTag, ValueError, TypeError, KeyError, OverflowError, zlib.error) as error:
        raise SoftCAMError(
            "the sealed solutions do not open: either this is another secret than the one they "
            "were sealed with, or the file was changed after it was sealed."
        ) from error
    return sources


def _read(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
        found = content["format"], content["version"]
        files = [
            (each["name"], each["sha256"], each["student_sha256"]) for each in content["files"]
        ]
        fine = all(isinstance(word, str) for each in files for word in each)
    except (ValueError, KeyError, TypeError) as error:
        raise SoftCAMError(f"this is no file of sealed solutions: {error!r}.") from error
    if found != (FORMAT, VERSION) or not fine:
        raise SoftCAMError(
            f"the sealed solutions are of format {found[0]!r}, version {found[1]!r}: this softcam "
            f"reads {FORMAT!r}, version {VERSION}."
        )
    return content


def _bound(header: Mapping[str, Any]) -> bytes:
    """What of the header is authenticated: all of it."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _key(secret: bytes, header: Mapping[str, Any]) -> bytes:
    asked = header["scrypt"]
    n, r, p = int(asked["n"]), int(asked["r"]), int(asked["p"])
    if not 0 < 128 * n * r * p <= MOST_MEMORY:  # a header is not believed before it is opened
        raise ValueError("a key that would cost too much")
    salt = bytes.fromhex(asked["salt"])
    # The standard library's scrypt is that of OpenSSL, the same as in `cryptography`.
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=2 * MOST_MEMORY, dklen=32)
