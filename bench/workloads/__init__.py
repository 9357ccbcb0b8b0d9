"""Every workload, in the groups that share a process and a database; the command and pytest both take them here."""

from __future__ import annotations

from bench.workloads import durable, mixed, reads, writes
from bench.workloads.workload import Extra, Group, Leaves, State, Workload, load_for

__all__ = ["EXTRA_TITLES", "GROUPS", "WORKLOADS", "Extra", "Group", "Leaves", "State", "Workload", "load_for"]

GROUPS = (
    Group("put", State.EMPTY, (writes.PUT,), extras={Extra.REOPEN: "open_log"}),
    Group("put_batch", State.EMPTY, (writes.PUT_BATCH,)),
    Group(
        "refill",
        State.EMPTY,
        (writes.REFILL,),
        extras={
            Extra.PEAK_MEMORY: "memory_write",
            Extra.DISK: "disk",
            Extra.WRITE_AMPLIFICATION: "write_amplification",
            Extra.OWN_WRITE_AMPLIFICATION: "own_write_amplification",
            Extra.REOPEN: "open",
        },
        writes=2,
    ),
    Group("recent", State.FILLED, (reads.GET_RECENT,)),
    Group(
        "read",
        State.SETTLED,
        (reads.GET, reads.GET_ZIPFIAN, reads.GET_ABSENT, reads.GET_MANY, reads.SCAN, reads.SEEK, reads.GET_BUSY),
        extras={Extra.PEAK_MEMORY: "memory_read"},
    ),
    Group("live", State.LIVE, (mixed.SEEK_LIVE, mixed.PUT_SEEK)),
    Group("mixed", State.SETTLED, (mixed.MIXED,)),
    Group("delete", State.SETTLED, (writes.DELETE,), leaves=Leaves.NOTHING),
    Group("sync", State.EMPTY, (durable.SYNC_1, durable.SYNC_8, durable.SYNC_LOOP), leaves=Leaves.ANYTHING),
    Group("put_1k", State.EMPTY, (writes.PUT_1K,), value_bytes=1 << 10, shrink=5),
    Group("get_1k", State.SETTLED, (reads.GET_1K,), value_bytes=1 << 10, shrink=5),
    Group("put_16k", State.EMPTY, (writes.PUT_16K,), value_bytes=16 << 10, shrink=50),
    Group("get_16k", State.SETTLED, (reads.GET_16K,), value_bytes=16 << 10, shrink=50),
)

WORKLOADS = {workload.name: workload for group in GROUPS for workload in group.workloads}

EXTRA_TITLES = {
    "open": "open, settled",
    "open_log": "open, the log to replay",
    "memory_write": "peak memory, fill + refill",
    "memory_read": "peak memory, fill + reads",
    "disk": "disk after settle and close",
    "write_amplification": "write amplification, by the kernel",
    "own_write_amplification": "write amplification, by the engine",
}
