"""What kind of thing a blocked task waits for, told from the functions it sleeps in."""

import re
from collections.abc import Iterable, Sequence

from kscope.kernel.waiting.waits import Wait
from kscope.model.locks import Category

_THROTTLE = "balance_dirty_pages"
"""How the names begin of what makes a writer wait until others' dirty pages are written."""

_LOCKS = {"mutex", "rwsem", "rt_mutex", "semaphore", "percpu_rwsem"}

# The first that matches one of the stack's functions decides.
_BY_FUNCTION: tuple[tuple[Category, str, re.Pattern[str]], ...] = (
    ("memory", "for memory to be reclaimed", re.compile(
        r"throttle_direct_reclaim|reclaim_throttle|try_to_free_(?:mem_cgroup_)?pages|"
        r"__alloc_pages_(?:slowpath|direct_reclaim)|shrink_(?:node|lruvec|inactive_list|slab)|"
        r"mem_cgroup_handle_over_high|mem_cgroup_oom_synchronize|congestion_wait")),
    ("memory", "for dirty pages to be written (throttled)", re.compile(
        _THROTTLE)),
    ("io", "for a frozen filesystem to be thawed", re.compile(r"freeze_super|sb_start_write|"
        r"__sb_start_write|sb_wait_write")),
    ("io", "for a journal commit", re.compile(
        r"jbd2_log_wait_commit|do_get_write_access|jbd2_journal_(?:start|lock_updates)|"
        r"wait_transaction_locked|start_this_handle|add_transaction_credits|"
        r"xlog_(?:grant|wait|cil)|xfs_log_force")),
    ("io", "for the tasks that have the journal's transaction open", re.compile(
        r"jbd2_journal_wait_updates")),
    ("io", "for an NFS or RPC server (by its stack)", re.compile(
        r"rpc_wait_bit_killable|__rpc_execute|rpc_execute|nfs4?_|nlmclnt_")),
    ("io", "for a FUSE server", re.compile(r"request_wait_answer|fuse_")),
    ("io", "for block I/O", re.compile(
        r"io_schedule|submit_bio_wait|blk_mq_get_tag|blk_execute_rq|wait_on_buffer|"
        r"__wait_on_buffer|bit_wait_io|folio_wait_(?:bit|writeback)|wait_on_page_|"
        r"blk_mq_freeze_queue_wait|blk_queue_enter|rq_qos_wait|wbt_wait|raid\d+_|md_flush|"
        r"dio_complete|do_blockdev_direct_IO|iomap_dio_rw")),
    ("task", "for an RCU grace period", re.compile(
        r"__wait_rcu_gp|synchronize_(?:s?rcu|net)|rcu_barrier|percpu_ref_switch_to_atomic_sync|"
        r"kvfree_rcu_barrier|__synchronize_srcu")),
    ("task", "for its vfork()ed child", re.compile(r"wait_for_vfork_done|kernel_clone")),
    ("task", "for a kernel thread to stop or park", re.compile(
        r"kthread_(?:stop|park|unpark|flush_worker)|__kthread_create|kthread_create")),
    ("task", "for a user-mode helper", re.compile(r"call_usermodehelper|__request_module")),
    ("task", "for other threads to exit or be dumped", re.compile(
        r"de_thread|do_coredump|coredump_(?:wait|task_exit)|exit_mm$|zap_pid_ns_processes")),
    ("task", "for other CPUs", re.compile(
        r"stop_(?:one|two|machine|cpus)|cpuhp_|smp_call_function|flush_tlb")),
    ("work", "for work items", re.compile(
        r"flush_(?:work|workqueue|delayed_work)|__flush_(?:work|workqueue)|drain_workqueue|"
        r"cancel_(?:delayed_)?work_sync|__cancel_work")),
)  # fmt: skip


def is_throttled(functions: Iterable[str]) -> bool:
    """Whether somebody who sleeps in them is a writer that is throttled."""
    return any(function.startswith(_THROTTLE) for function in functions)


def category_of(
    wait: Wait | None, functions: Sequence[str], in_iowait: bool
) -> tuple[Category, str]:
    """The category of a wait, and what it waits for in words (``for block I/O``) if those say more
    than the lock does."""
    if "copy_process" in functions:
        # It is being forked: the wait for a vfork()ed child comes after that.
        functions = [function for function in functions if function != "kernel_clone"]
    for category, words, pattern in _BY_FUNCTION:
        if any(pattern.match(function) for function in functions):
            if wait is not None and wait.kind in _LOCKS:
                # What it does while it waits for the lock matters less than who has the lock.
                break
            return category, words
    if wait is not None and wait.kind in _LOCKS:
        return "lock", ""
    if in_iowait:
        return "io", "for I/O"
    if wait is None:
        return "unknown", ""
    if wait.kind == "work":
        return "work", ""
    if wait.kind in ("completion", "wait_queue", "swait_queue"):
        return "completion", ""
    return "lock", ""


_SCHEDULER = re.compile(
    r"__schedule|schedule(?:_timeout|_hrtimeout|_preempt_disabled|_timeout_\w+|_hrtimeout_range"
    r"\w*)?$|io_schedule\w*|preempt_schedule\w*|__cond_resched|context_switch|__switch_to\w*|"
    r"\w*_slowpath$|_*(?:ww_)?mutex_lock\w*|mutex_lock\w*|rwsem_down_\w+|down(?:_read|_write)?"
    r"(?:_killable|_interruptible)?$|__down\w*|\w*rt_mutex_\w*|rtlock\w*|(?:do_|_)*wait_for_common\w*|"
    r"wait_for_completion\w*|_*percpu_\w*_?rwsem\w*|_*percpu_down_\w+|(?:mnt|sb)_\w+_write\w*|"
    r"prepare_to_\w+|do_wait_intr\w*|wait_on_bit\w*|__wait_on_bit\w*|out_of_line_wait_on_bit\w*|"
    r"bit_wait\w*|_*folio_(?:wait_bit|lock|put_wait_locked)\w*|msleep\w*|usleep_range\w*|do_nanosleep|futex_wait_queue\w*|"
    r"rcuwait_\w+|__wait_event\w*|down_common"
)


def caller(functions: Sequence[str]) -> str:
    """The innermost function that is not the scheduler's or a lock's own: who went to sleep."""
    for function in functions:
        if not _SCHEDULER.match(function):
            return function
    return functions[-1] if functions else ""
