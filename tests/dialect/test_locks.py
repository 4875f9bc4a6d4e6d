"""The wait graph as a tree, and locks as a table; no dump needed."""

from kscope.dialect.locks import certainty, lock_equivalent, summary, text, tree
from kscope.model.base import Address
from kscope.model.locks import Blocked, Cycle, Lock, Locks, LocksQuery, Root, Waiter


def blocked(pid: int, comm: str, lock: int | None) -> Blocked:
    return Blocked(
        pid=pid, comm=comm, task=Address(pid), state="UN", cpu=0,
        since_last_arrival_ns=33_000_000_000, killable=False, in_iowait=False, category="lock",
        doing="waits", lock=None if lock is None else Address(lock), functions=(), how="",
    )  # fmt: skip


def mutex(address: int, owner: int | None, *waiters: int, kind: str = "mutex") -> Lock:
    return Lock(
        kind=kind, address=Address(address), name=f"lock_{address:x}", owner=owner,  # type: ignore[arg-type]
        owner_comm="t", owner_certain=kind == "mutex" and owner is not None, owner_note="",
        waiters=tuple(
            Waiter(
                pid=pid, comm="t", task=Address(pid), state="UN",
                since_last_arrival_ns=33_000_000_000, mode="exclusive", waiter=Address(0),
            )
            for pid in waiters
        ),
    )  # fmt: skip


DEADLOCK = Locks(
    locks=(mutex(0xA, 1, 2, 3), mutex(0xB, 2, 1)),
    cycles=((1, 2),),
    rings=(Cycle(pids=(1, 2), locks=(Address(0xB), Address(0xA)), certain=True, behind=(3,)),),
    blocked=(blocked(1, "one", 0xB), blocked(2, "two", 0xA), blocked(3, "three", 0xA)),
)


def drawn(result: Locks) -> list[str]:
    return ["".join(span.text for span in line) for line in tree(result)]


def test_a_cycle_is_drawn_until_it_closes_with_those_behind_it() -> None:
    assert drawn(DEADLOCK) == [
        "● cycle",
        "  one 1 UN 33 s   holds mutex a lock_a",
        "  ├─ two 2 UN 33 s   wants it, holds mutex b lock_b",
        "  │  └─ one 1   wants it: closes the cycle",
        "  └─ three 3 UN 33 s   wants it",
    ]


def test_a_last_known_reader_is_marked() -> None:
    root = Root(locks=(Address(0xC),), pid=1, certain=False, doing="sleeps", behind=(2,))
    result = Locks(
        locks=(mutex(0xC, 1, 2, kind="rwsem"),), cycles=(), roots=(root,),
        blocked=(blocked(1, "one", None), blocked(2, "two", 0xC)),
    )  # fmt: skip
    assert drawn(result)[0].endswith("reads rwsem c lock_c")
    assert drawn(result)[1] == "  last known reader, not certain"


def test_certainty_is_said_in_a_word_or_two() -> None:
    assert certainty(mutex(1, 1, 2)) == "yes"
    assert certainty(mutex(1, None, 2)) == "-"
    assert certainty(mutex(1, 1, 2, kind="rwsem")) == "no, reader"


def test_the_summary_counts_cycles_and_blocked_tasks() -> None:
    assert summary(DEADLOCK) == "1 cycle · 3 blocked tasks"


def test_a_lock_is_shown_by_its_structure_in_crash() -> None:
    assert lock_equivalent(mutex(0xABC, 1, 2)).crash == "struct mutex.owner,wait_list abc"


def test_no_contention_is_said_in_words() -> None:
    assert text(LocksQuery(), Locks(locks=(), cycles=())) == "No task waits for a lock."
