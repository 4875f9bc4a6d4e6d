"""An open target: drgn's ``Program`` and what is known about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kscope.model.target import DebugInfo, Identity, Opened
from kscope.target.vmcoreinfo import Vmcoreinfo

if TYPE_CHECKING:
    import drgn

    from kscope.target.btf import ModuleDebugInfo


@dataclass(frozen=True)
class Target:
    """What every answer is read from."""

    program: "drgn.Program"
    identity: Identity
    vmcoreinfo: Vmcoreinfo
    prstatus_notes: int
    debug_info: DebugInfo
    modules: "Callable[[], list[ModuleDebugInfo]] | None" = None
    """What the dump itself holds of each module's types and symbols, when they are in use."""

    def opened(self) -> Opened:
        """What the one who asked to open it is told."""
        return Opened(identity=self.identity, debug_info=self.debug_info)
