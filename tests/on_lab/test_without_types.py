"""A dump whose types cannot be read: addresses can still be opened."""

import pytest

from kscope.model.address import AddressQuery
from kscope.model.base import QueryError
from kscope.model.expressions import PlaceQuery
from kscope.session.answering import answer
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    "text", ["ffff888000001000", "0xffff888000001000", "ffff888000000000+0x1000"]
)
def test_an_address_is_a_place_without_types(text: str) -> None:
    target = open_lab("truncated-kdump", "6.1")
    assert target.debug_info.types == "none"
    place = answer(target, PlaceQuery(text=text))
    assert (place.kind, place.address) == ("memory", 0xFFFF888000001000)
    assert answer(target, AddressQuery(address=place.expression)).address == place.address


@pytest.mark.parametrize("text", ["init_task", "struct list_head", "pid 1", "(", ""])
def test_of_all_else_it_is_said_that_types_are_missing(text: str) -> None:
    with pytest.raises(QueryError, match="cannot be read without the kernel's types"):
        answer(open_lab("truncated-kdump", "6.1"), PlaceQuery(text=text))
