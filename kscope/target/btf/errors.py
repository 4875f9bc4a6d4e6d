"""The exceptions of this package."""

from __future__ import annotations

GIVE_VMLINUX = "Give the kernel's vmlinux with debugging information."
"""The hint that always helps."""


class BtfError(Exception):
    """The dump's own types or symbols cannot be used."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        """What is wrong, as one sentence."""
        self.hint = hint
        """What the user can do about it, as one sentence; empty if nothing is known to help."""


class DamagedBtfError(BtfError):
    """The dump's BTF breaks the rules of the format, so that nothing in it can be trusted."""

    def __init__(self, how: str) -> None:
        """:param how: The rule that is broken and where, to follow a colon."""
        super().__init__(f"The BTF in the dump is damaged: {how}.", GIVE_VMLINUX)
