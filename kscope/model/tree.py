"""The elements of red-black trees, maple trees, XArrays and radix trees: crash's ``tree``."""

from typing import Annotated, ClassVar

from msgspec import Meta

from kscope.model.base import Query
from kscope.model.list import Walk


class TreeQuery(Query[Walk], frozen=True, kw_only=True, tag="tree", tag_field="walks"):
    """The elements of a tree, in order."""

    deadline_seconds: ClassVar[float] = 120.0

    start: Annotated[str, Meta(description="the root: address, symbol or member path")]
    entry: Annotated[
        str,
        Meta(
            description="vm_area_struct.vm_rb: type of the elements, and of a red-black tree the"
            " member that links them"
        ),
    ] = ""
    columns: Annotated[str, Meta(description="members to show of each: vm_start,vm_end")] = ""
    kind: Annotated[
        str, Meta(description="rbtree, maple, xarray or radix; by default what START is")
    ] = ""
    node: Annotated[
        bool,
        Meta(
            description="START is the highest node itself, as tree -N: an rb_node, or the xa_head"
            " or ma_root that points at it"
        ),
    ] = False
    position: Annotated[
        bool, Meta(description="where in the tree each is, root/l/r, as tree -p")
    ] = False
    limit: Annotated[int, Meta(ge=0, description="at most so many elements")] = 1_000_000
