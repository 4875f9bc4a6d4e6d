"""What needs no dump: the wait graph's rings and ends, OOM reports, categories, durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscope.kernel.death.hardware_errors import HardwareError, logged
from kscope.kernel.death.log_reports import find_reports
from kscope.kernel.death.oom_report import parse
from kscope.kernel.death.panic import panic_message
from kscope.kernel.machine.memory_zones import Zone
from kscope.kernel.waiting.wait_categories import category_of
from kscope.kernel.waiting.wait_graph import Edge, WaitGraph
from kscope.kernel.waiting.waits import Wait
from kscope.model.base import may_be_kernel_address
from kscope.model.durations import in_words
from kscope.model.log import Record, Report


def edges(*pairs: tuple[int, int | None]) -> list[Edge]:
    """Each task waits for a lock of its own that the other owns."""
    return [Edge(task, 1000 + task, owner, True) for task, owner in pairs]


def test_a_zone_is_exhausted_when_only_its_minimum_and_its_reserve_are_left() -> None:
    zone = Zone(name="0 DMA", free=900, minimum=132, reserved=752)
    assert not zone.exhausted
    assert Zone(name="0 DMA", free=884, minimum=132, reserved=752).exhausted


def test_a_throttled_writer_waits_for_dirty_pages() -> None:
    stack = ("__schedule", "io_schedule_timeout", "balance_dirty_pages", "generic_perform_write")
    category, words = category_of(None, stack, True)
    assert (category, words) == ("memory", "for dirty pages to be written (throttled)")


def test_two_tasks_that_wait_for_each_other_are_one_ring() -> None:
    (ring,) = WaitGraph(edges((1, 2), (2, 1))).rings()
    assert ring.tasks == (1, 2)
    assert ring.locks == (1001, 1002)


def test_a_ring_of_three_is_found_once_from_its_lowest() -> None:
    (ring,) = WaitGraph(edges((3, 1), (1, 2), (2, 3))).rings()
    assert ring.tasks == (1, 2, 3)


def test_a_task_that_waits_for_itself_is_a_ring_of_one() -> None:
    (ring,) = WaitGraph(edges((1, 1))).rings()
    assert ring.tasks == (1,)


def test_those_queued_behind_a_ring_are_behind_it_and_not_in_it() -> None:
    (ring,) = WaitGraph(edges((1, 2), (2, 1), (3, 2), (4, 3))).rings()
    assert ring.tasks == (1, 2)
    assert set(ring.behind) == {3, 4}


def test_a_chain_ends_at_the_task_that_waits_for_nobody() -> None:
    graph = WaitGraph(edges((1, 2), (2, 3)))
    assert graph.rings() == []
    (end,) = graph.ends()
    assert (end.task, end.behind) == (3, (2, 1))


def test_a_chain_ends_before_a_lock_without_owner() -> None:
    (end,) = WaitGraph(edges((1, 2), (2, None))).ends()
    assert (end.task, end.behind) == (2, (1,))


def test_a_lock_without_owner_is_an_end_if_nobody_waits_for_its_waiters() -> None:
    (end,) = WaitGraph([Edge(1, 50, None, False), Edge(2, 50, None, False)]).ends()
    assert (end.task, end.locks, end.behind) == (None, (50,), (1, 2))


def test_a_ring_over_an_uncertain_owner_is_not_certain() -> None:
    (ring,) = WaitGraph([Edge(1, 10, 2, True), Edge(2, 20, 1, False)]).rings()
    assert not ring.certain


@given(st.dictionaries(st.integers(1, 30), st.one_of(st.none(), st.integers(1, 30))))
def test_every_waiting_task_is_in_a_ring_or_behind_one_or_before_an_end(
    owners: dict[int, int | None],
) -> None:
    graph = WaitGraph(edges(*owners.items()))
    rings, ends = graph.rings(), graph.ends()
    in_rings = [task for ring in rings for task in ring.tasks]
    assert len(in_rings) == len(set(in_rings))
    covered = set(in_rings)
    for ring in rings:
        covered.update(ring.behind)
    for end in ends:
        covered.update(end.behind)
        if end.task is not None:
            covered.add(end.task)
    assert set(owners) <= covered


def record(text: str) -> Record:
    return Record(0, 0, 4, 0, "", text)


def test_an_oom_report_of_a_cgroup_is_parsed() -> None:
    lines = [
        "php invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=2, oom_score_adj=0",
        "Mem-Info:",
        "active_anon:10 inactive_anon:20 isolated_anon:0\n shmem:5 free:738",
        "Node 0 active_anon:40kB",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,task=php,pid=77,uid=33",
        "Memory cgroup out of memory: Killed process 77 (php) total-vm:100kB",
    ]
    records = [record(line) for line in lines]
    report = parse(records, Report("oom", lines[0], 0, len(lines) - 1))
    assert report is not None
    assert (report.comm, report.order, report.constraint) == ("php", 2, "a memory cgroup")
    assert report.pages["shmem"] == 5
    assert "active_anon" in report.pages
    assert report.pages["active_anon"] == 10
    assert report.killed == ((77, "php"),)


def test_a_task_in_direct_reclaim_waits_for_memory_also_while_it_waits_for_io() -> None:
    functions = ["__schedule", "io_schedule", "shrink_node", "try_to_free_pages"]
    assert category_of(None, functions, True)[0] == "memory"


def test_a_task_behind_a_lock_waits_for_the_lock_wherever_it_took_it() -> None:
    wait = Wait("mutex", 1, "exclusive", 2, "")
    functions = ["__schedule", "__mutex_lock", "jbd2_journal_start", "ext4_create"]
    assert category_of(wait, functions, False)[0] == "lock"


def test_a_task_in_io_wait_without_a_known_function_waits_for_io() -> None:
    assert category_of(None, ["__schedule", "some_driver_wait"], True)[0] == "io"


def test_durations_have_their_two_largest_units() -> None:
    assert [in_words(n * 10**6) for n in (31, 7_100, 33_000, 581_000, 11_220_000, 190_800_000)] == [
        "31 ms", "7.1 s", "33 s", "9 m 41 s", "3 h 7 m", "2 d 5 h",
    ]  # fmt: skip


CORRECTED = (
    "mce: [Hardware Error]: Machine check events logged",
    "mce: [Hardware Error]: CPU 2: Machine Check: 0 Bank 3: 9400000000000135",
    "mce: [Hardware Error]: TSC 0 ADDR 1a2b3000 ",
    "mce: [Hardware Error]: PROCESSOR 2:60fb1 TIME 1795439057 SOCKET 0 APIC 2 microcode 1000065",
)
FATAL = (
    "mce: [Hardware Error]: CPU 1: Machine Check Exception: 4 Bank 1: b600000000000135",
    "mce: [Hardware Error]: TSC 477845ddf ADDR 1c3d5e40 ",
    "mce: [Hardware Error]: Machine check: Processor Context Corrupt",
)


def test_a_machine_check_is_one_report_however_many_lines_it_has() -> None:
    records = [record(line) for line in (*CORRECTED, *FATAL)]
    reports = find_reports(records)
    assert [(report.first, report.last) for report in reports] == [(0, 3), (4, 6)]
    assert "CPU 2: Machine Check: 0 Bank 3" in reports[0].title


def test_each_machine_check_has_the_address_of_its_own_lines() -> None:
    errors = [error for error, _ in logged([record(line) for line in (*CORRECTED, *FATAL)])]
    assert [(e.cpu, e.bank, e.address, e.uncorrected) for e in errors] == [
        (2, 3, 0x1A2B3000, False), (1, 1, 0x1C3D5E40, True),
    ]  # fmt: skip


def test_a_machine_check_decoded_by_amds_driver_is_read_as_well() -> None:
    lines = [
        "[Hardware Error]: Corrected error, no action required.",
        "[Hardware Error]: CPU:0 (17:31:0) MC21_STATUS[-|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: "
        "0x9c2040000000011b",
        "[Hardware Error]: Error Addr: 0x00000003f2b8e180",
    ]
    ((error, _),) = logged([record(line) for line in lines])
    assert (error.cpu, error.bank, error.address) == (0, 21, 0x3F2B8E180)
    assert (error.what, error.uncorrected) == ("cache error (read)", False)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (0x0005, "internal parity error"),
        (0x0015, "level 1 data TLB error"),
        (0x0091, "memory controller error (read)"),
        (0x0134, "level 0 data cache error (data read)"),
        (0x1135, "level 1 data cache error (data read)"),
        (0x0E0B, "bus error"),
    ],
)
def test_a_machine_checks_error_code_says_what_failed(code: int, what: str) -> None:
    assert HardwareError(cpu=0, bank=0, status=1 << 63 | code, address=None).what == what


NULL = "BUG: kernel NULL pointer dereference, address: 0000000000000008"
FAULT = "general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b6b73: 0000 [#2]"


def test_a_process_that_faults_is_no_report_of_the_kernels() -> None:
    line = "traps: httpd[155] general protection fault ip:55d0 sp:7ffd error:0 in httpd[55d0+1000]"
    assert find_reports([record(line)]) == []
    assert panic_message([record(line)]) == ""


def test_what_user_space_writes_into_the_log_is_no_report_of_the_kernels() -> None:
    line = Record(0, 0, 4, 1, "", "Kernel panic - not syncing: says who")
    assert find_reports([line]) == []
    assert panic_message([line]) == ""


def test_a_kernel_that_had_survived_a_fault_died_of_the_last_one() -> None:
    assert panic_message([record(NULL), record(FAULT)]) == FAULT


def test_a_panic_says_more_than_the_faults_around_it() -> None:
    panic = "Kernel panic - not syncing: Fatal exception in interrupt"
    assert panic_message([record(NULL), record(panic), record(FAULT)]) == panic


def test_a_task_hung_in_io_wait_is_reported_as_one() -> None:
    (report,) = find_reports(
        [record("INFO: task dd:456 blocked in I/O wait for more than 122 seconds.")]
    )
    assert report.kind == "hung-task"


@pytest.mark.parametrize("function", ["exit_mm", "coredump_task_exit", "coredump_wait"])
def test_a_thread_that_is_being_dumped_waits_for_that(function: str) -> None:
    stack = ("__schedule", "schedule", function, "do_exit")
    assert category_of(None, stack, False) == ("task", "for other threads to exit or be dumped")


def test_a_task_that_unmaps_its_memory_waits_for_no_thread() -> None:
    stack = ("__schedule", "schedule", "tlb_finish_mmu", "exit_mmap", "mmput", "do_exit")
    assert category_of(None, stack, False) == ("unknown", "")


def test_a_task_that_is_forking_waits_for_no_vforked_child() -> None:
    waits = ("__schedule", "schedule", "kernel_clone", "__do_sys_vfork")
    assert category_of(None, waits, False) == ("task", "for its vfork()ed child")
    forks = ("__schedule", "schedule", "dup_mm", "copy_process", "kernel_clone", "__do_sys_clone")
    assert category_of(None, forks, False) == ("unknown", "")


@pytest.mark.parametrize(
    ("word", "is_address"),
    [
        (0xFFFF_8880_0123_4567, True),
        (0xFF11_0000_0123_4567, True),
        (0x0000_7FFF_0123_4567, False),
        (0xFFFF_FFFF_FFFF_FFDA, False),
    ],
    ids=["four levels of page tables", "five levels", "user space", "-ENOSYS"],
)
def test_words_that_may_be_kernel_addresses(word: int, is_address: bool) -> None:
    assert may_be_kernel_address(word) is is_address
