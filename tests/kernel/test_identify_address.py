"""What an address is, where the dump does not hold all that tells it."""

from pathlib import Path

from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.slab import find_slab_cache, slab_object_info

from kscope.kernel.objects.identify_address import addresses_of
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from tests.kernel.excluding import exclude


def test_a_task_is_told_where_the_list_of_free_objects_is_not_in_the_dump(demo: Path) -> None:
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    program = target.program
    cache = find_slab_cache(program, "task_struct")
    assert cache is not None
    cpus = for_each_online_cpu(program)
    free = [per_cpu_ptr(cache.cpu_slab, cpu).freelist.value_() for cpu in cpus]
    exclude(program, filter(None, free), cache.object_size.value_())
    task = find_task(program, 1)
    info = slab_object_info(program, task)
    assert info is not None
    assert info.allocated is None
    found = addresses_of(target).identify(task.value_() + 8)
    assert (found.kind, found.text) == ("task", "init 1 +0x8")
    inside = addresses_of(target).identify(task.value_() + cache.size.value_())
    assert "corrupted" not in inside.text
