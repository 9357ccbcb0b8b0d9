"""What the server tells about itself: /stats as JSON, /metrics for Prometheus.

Made in a thread of the pool, when asked. Names of metrics follow Prometheus: units in the name, counters end in _total.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from lsm.server.answers import JSON
from lsm.server.metrics import BOUNDS, Cell

if TYPE_CHECKING:
    from lsm.server.dispatch import Dispatcher

__all__ = ["page"]

Families = Iterator[Any]


def page(path: bytes, dispatcher: Dispatcher) -> tuple[bytes, bytes]:
    """Content type and body of /stats or /metrics."""
    if path == b"/stats":
        return JSON, orjson.dumps(_stats(dispatcher), default=str)
    return _prometheus(dispatcher)


def _stats(dispatcher: Dispatcher) -> dict[str, Any]:
    metrics = dispatcher.metrics
    limits = dispatcher.limits
    return {
        "server": {
            **dispatcher.facts(),
            "resident_bytes": _resident_bytes(),
            "limits": {name: getattr(limits, name) for name in limits.__slots__},
        },
        "latency_bounds_seconds": BOUNDS,
        "requests": [
            {
                "operation": operation,
                "table": table,
                "requests": cell.requests,
                "seconds": cell.seconds,
                "classes": cell.classes,
            }
            for (operation, table), cell in list(metrics.cells.items())
        ],
        "errors": [
            {"operation": operation, "code": code, "errors": n} for (operation, code), n in list(metrics.errors.items())
        ],
        "capacity": [
            {"table": table, "index": index, "read_units": units[0], "write_units": units[1]}
            for (table, index), units in list(metrics.capacity.units.items())
        ],
        "engine": dispatcher.service.database.stats(),
    }


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# ---- Prometheus


class _Collector:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def collect(self) -> Families:
        yield from _requests(self._dispatcher)
        yield from _server(self._dispatcher)
        yield from _engine(self._dispatcher.service.database.stats())


def _prometheus(dispatcher: Dispatcher) -> tuple[bytes, bytes]:
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    except ModuleNotFoundError:
        return b"text/plain", b"# /metrics needs the package prometheus-client\n"
    registry = CollectorRegistry()
    registry.register(_Collector(dispatcher))
    return CONTENT_TYPE_LATEST.encode(), generate_latest(registry)


def _requests(dispatcher: Dispatcher) -> Families:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    metrics = dispatcher.metrics
    latency = HistogramMetricFamily(
        "lsm_request_seconds",
        "Seconds from a request's last byte to its answer's first, waiting for the disk included.",
        labels=("operation", "table"),
    )
    for (operation, table), cell in sorted(metrics.cells.items()):
        latency.add_metric((operation, table), _classes(cell), cell.seconds)
    yield latency
    errors = CounterMetricFamily("lsm_request_errors", "Requests answered with an error.", labels=("operation", "code"))
    for labels, n in sorted(metrics.errors.items()):
        errors.add_metric(labels, n)
    yield errors
    for kind, arm in (("read", 0), ("write", 1)):
        units = CounterMetricFamily(
            f"lsm_consumed_{kind}_capacity_units",
            f"Capacity that {kind}s consumed; index is empty for the table itself.",
            labels=("table", "index"),
        )
        for name, held in sorted(metrics.capacity.units.items()):
            if held[arm]:
                units.add_metric(name, held[arm])
        yield units


def _classes(cell: Cell) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, n in zip((*BOUNDS, None), cell.classes, strict=True):
        below += n
        buckets.append(("+Inf" if bound is None else str(bound), below))
    return buckets


GAUGES = {
    "connections": "Open connections.",
    "requests_in_threads": "Requests that a thread works on, or that wait for one.",
    "answers_waiting_for_disk": "Answers that wait until the log is on the disk.",
    "answers_waiting_for_readers": "Requests put off until clients have read their answers.",
    "unsent_bytes": "Bytes of answers that clients have not read.",
    "body_bytes": "Bytes set aside for long request bodies.",
    "bodies_waiting": "Connections that wait for room for a long request body.",
}


def _server(dispatcher: Dispatcher) -> Families:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    facts = dispatcher.facts()
    for name, words in GAUGES.items():
        yield GaugeMetricFamily(f"lsm_{name}", words, value=facts[name])
    yield CounterMetricFamily(
        "lsm_connections_accepted", "Connections ever accepted.", value=facts["connections_accepted"]
    )
    yield GaugeMetricFamily("lsm_resident_memory_bytes", "Resident memory.", value=_resident_bytes())


ENGINE: tuple[tuple[str, bool, str, tuple[str, ...]], ...] = (
    ("lsm_wal_fsyncs", True, "Syncs of the log; one serves all who wait.", ("wal", "fsyncs")),
    ("lsm_wal_written_bytes", True, "Bytes appended to the log.", ("wal", "logged_bytes")),
    ("lsm_wal_segment_bytes", False, "Bytes of the log's segments.", ("wal", "segment_bytes")),
    ("lsm_wal_segments", False, "Segments of the log.", ("wal", "segments")),
    ("lsm_cache_hits", True, "Blocks found in the cache.", ("cache", "hits")),
    ("lsm_cache_misses", True, "Blocks read because the cache had them not.", ("cache", "misses")),
    ("lsm_cache_used_bytes", False, "Bytes in the block cache.", ("cache", "used_bytes")),
    ("lsm_cache_budget_bytes", False, "Bytes that the block cache may use.", ("cache", "budget_bytes")),
    ("lsm_memtable_bytes", False, "Bytes of all memtables.", ("memtables", "bytes")),
    ("lsm_memtables_frozen", False, "Memtables that wait for their flush.", ("memtables", "frozen")),
    ("lsm_stall_slowdowns", True, "Writes that were slowed.", ("stalls", "slowdowns")),
    ("lsm_stall_stops", True, "Writes that were stopped.", ("stalls", "stops")),
    ("lsm_stall_seconds", True, "Seconds that writes waited.", ("stalls", "seconds")),
    ("lsm_flushes", True, "Memtables written to tables.", ("flush", "done")),
    ("lsm_flush_written_bytes", True, "Bytes written by flushes.", ("flush", "bytes_written")),
    ("lsm_compactions", True, "Compactions that ended.", ("compaction", "done")),
    ("lsm_compaction_read_bytes", True, "Bytes read by compactions.", ("compaction", "bytes_read")),
    ("lsm_compaction_written_bytes", True, "Bytes written by compactions.", ("compaction", "bytes_written")),
    ("lsm_compaction_debt_bytes", False, "Bytes that wait for compaction.", ("compaction", "debt_bytes")),
    ("lsm_disk_bytes", False, "Bytes of all files.", ("disk_bytes",)),
    ("lsm_snapshots", False, "Open snapshots.", ("snapshots",)),
)
"""Name, whether it is a counter, words, and where it stands in the engine's stats."""


def _engine(stats: dict[str, Any]) -> Families:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, counter, words, path in ENGINE:
        value: Any = stats
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            family = CounterMetricFamily if counter else GaugeMetricFamily
            yield family(name, words, value=value)
    tables = GaugeMetricFamily("lsm_level_tables", "Tables on a level, of all keyspaces.", labels=("level",))
    held = GaugeMetricFamily("lsm_level_bytes", "Bytes on a level, of all keyspaces.", labels=("level",))
    levels: dict[int, list[int]] = {}
    for keyspace in stats.get("keyspaces", {}).values():
        for level in keyspace["levels"]:
            sums = levels.setdefault(level["level"], [0, 0])
            sums[0] += level["tables"]
            sums[1] += level["bytes"]
    for number, (count, size) in sorted(levels.items()):
        tables.add_metric((str(number),), count)
        held.add_metric((str(number),), size)
    yield tables
    yield held
    failed = 0 if stats.get("failure") is None else 1
    yield GaugeMetricFamily("lsm_refuses_writes", "1 where a fault made the database refuse writes.", value=failed)
