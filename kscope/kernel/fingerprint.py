"""Which dump this is, whatever its path."""

import hashlib
from pathlib import Path

from kscope.model.base import QueryError
from kscope.model.fingerprint import Fingerprint, FingerprintQuery
from kscope.target.identify import dump_in
from kscope.target.target import Target

_ENDS_BYTES = 1 << 18
"""The beginning holds the time of the crash, the end the last pages of memory."""
_SAMPLES = 64
_SAMPLE_BYTES = 1 << 12


def fingerprint(target: Target, query: FingerprintQuery) -> Fingerprint:  # noqa: ARG001
    """Answer a FingerprintQuery."""
    identity = target.identity
    content = _of_boot(target) if identity.live else _of_file(Path(identity.path))
    return Fingerprint(build_id=identity.build_id, content=content)


def _of_file(path: Path) -> str:
    """Of a dump of hundreds of gigabytes only samples are read, at places that its size gives."""
    digest = hashlib.sha256()
    try:
        with Path(dump_in(path)).open("rb") as file:
            size = file.seek(0, 2)
            digest.update(size.to_bytes(8, "little"))
            for start in (0, max(0, size - _ENDS_BYTES)):
                file.seek(start)
                digest.update(file.read(_ENDS_BYTES))
            for sample in range(1, _SAMPLES):
                file.seek(size * sample // _SAMPLES)
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise QueryError(f"{path} cannot be read: {error.strerror}.", kind="unreadable") from error
    return digest.hexdigest()


def _of_boot(target: Target) -> str:
    """Of a running kernel, the boot: where it was put in memory is random in each."""
    values = target.vmcoreinfo.values
    identity = target.identity
    parts = (identity.build_id, identity.nodename, *(f"{k}={v}" for k, v in sorted(values.items())))
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


ANSWERS = {FingerprintQuery: fingerprint}
