"""TransactWriteItems and TransactGetItems. Rules 11; order of checks: 11.1, from the token on.

Guarantees: all actions or none, one commit together with the idempotency token. A transaction waits for others on its
items instead of being cancelled by them, so TransactionConflict is never a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.capacity import READS, WRITES, read_units
from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.hash_order import hashed_sets
from lsm.dynamodb.keys import EngineKey
from lsm.dynamodb.limits import TRANSACTION_BYTES
from lsm.dynamodb.operations.items import collection_metrics
from lsm.dynamodb.requests.forms import Action, Capacity, ConditionCheck, Get, Metrics, Put, TransactGet, TransactWrite
from lsm.dynamodb.tables import OpenTable
from lsm.dynamodb.tokens import Charge, Spent
from lsm.dynamodb.writes import Plan, add_to, charge_write, index_fault, note_write, own_key_of, plan
from lsm.item_codec import decode_item, item_size

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["transact_get_items", "transact_write_items"]

TWICE = "Transaction request cannot include multiple operations on one item"
TOO_MUCH = (
    "Collection size of items exceeded, which can also be caused by the aggregate size of the items in the "
    "transaction exceeding the 4MB limit"
)
CANCELLED = "Transaction cancelled, please refer cancellation reasons for specific reasons "
NO_REASON = {"Code": "None"}
CODES = {"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}
TOP_LEVEL = "The AttributeValue for a key attribute cannot contain an empty"


@dataclass(slots=True)
class _Entry:
    """An action with its table. fault: its key does not fit, which is None then, or its item does not fit an index."""

    action: Action
    table: OpenTable
    key: EngineKey | None
    fault: ApiError | None


def transact_write_items(service: Service, form: TransactWrite, door: Door) -> dict[str, Any]:
    if form.token is None:
        return _done(service, form, form.read_actions(), door)
    # Of two calls with one token the second waits, and then repeats the first's answer.
    with service.tokens.held(form.token):
        spent = service.tokens.find(form.token, form.fingerprint)
        return _replayed(service, form, spent) if spent is not None else _done(service, form, form.read_actions(), door)


def _done(service: Service, form: TransactWrite, actions: list[Action], door: Door) -> dict[str, Any]:
    while (answer := _run(service, form, actions, door)) is None:
        pass
    return answer


def _run(service: Service, form: TransactWrite, actions: list[Action], door: Door) -> dict[str, Any] | None:
    """None where a table changed between the look at it and the locks: then it is to be done again."""
    entries = _entries(service, actions)
    _refuse_size(item_size(action.item) for action in actions if isinstance(action, Put))
    for entry in entries:
        if entry.fault is not None and TOP_LEVEL in str(entry.fault.message):
            raise entry.fault
    with service.locks.all_of([(entry.table.id, entry.key) for entry in entries if entry.key is not None]):
        if not all(service.is_current(entry.table) for entry in entries):
            return None
        done = _planned(entries, door)
        _refuse_size(plan_.size for plan_ in done)
        with service.database.batch() as batch:
            for plan_ in done:
                add_to(batch, plan_)
            if form.token is not None:
                charges = [Charge(entry.action.table, p.larger) for entry, p in zip(entries, done, strict=True)]
                service.tokens.spend(batch, form.token, form.fingerprint, charges)
    return _answer(service, form, entries, done, door)


def _entries(service: Service, actions: list[Action]) -> list[_Entry]:
    """Entry by entry: its table must be there, and its item must not be another entry's."""
    entries = []
    seen: set[tuple[str, EngineKey]] = set()
    for action in actions:
        entry = _entry(service, action)
        if entry.key is not None:
            item = (entry.table.id, entry.key)
            if item in seen:
                raise validation(TWICE)
            seen.add(item)
        entries.append(entry)
    return entries


def _entry(service: Service, action: Action) -> _Entry:
    table = service.table(action.table)
    try:
        return _Entry(action, table, own_key_of(table, action), index_fault(table, action))
    except ApiError as fault:
        return _Entry(action, table, None, fault)


def _refuse_size(sizes: Iterable[int]) -> None:
    """Of the items in a transaction, together: those that are put as the request has them, updated ones as they become,
    deleted, checked and read ones as they are."""
    if sum(sizes) > TRANSACTION_BYTES:
        raise validation(TOO_MUCH)


def _planned(entries: list[_Entry], door: Door) -> list[Plan]:
    """The plan of every action; TransactionCanceledException with a reason for each where one cannot be done."""
    plans: list[Plan] = []
    reasons: list[dict[str, Any]] = []
    failed = False
    read = 0
    hashed = _hashed(door)
    for entry in entries:
        try:
            if entry.fault is not None:
                raise entry.fault
            assert entry.key is not None
            done = plan(entry.table, entry.key, entry.action, hashed)
            plans.append(done)
            reasons.append(NO_REASON)
            read += len(done.before or b"")
            door.check(read)
        except ApiError as fault:
            if TOP_LEVEL in str(fault.message):
                raise
            failed = True
            reasons.append({"Code": CODES.get(fault.code, fault.code), "Message": fault.message, **fault.members})
    if failed:
        raise _cancelled(reasons)
    return plans


def _cancelled(reasons: list[dict[str, Any]]) -> ApiError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return ApiError("TransactionCanceledException", f"{CANCELLED}[{codes}]", CancellationReasons=reasons)


@lru_cache(8)
def _hashed(door: Door) -> Door:
    """A door whose items have their number sets in hash order (rules 5.2)."""
    return Door(
        lambda data: door.typed(hashed_sets(decode_item(data))),
        lambda item: door.typed(hashed_sets(item)),
        lambda items: [door.typed(hashed_sets(decode_item(data))) for data in items],
        door.patience,
    )


def _answer(
    service: Service, form: TransactWrite, entries: list[_Entry], done: list[Plan], door: Door
) -> dict[str, Any]:
    if form.capacity is Capacity.NONE and form.metrics is Metrics.NONE:
        if service.consumption is not None:
            for entry, plan_ in zip(entries, done, strict=True):
                note_write(service.consumption, entry.action.table, plan_, times=2)
        return {}
    meter = service.meter(form.capacity, WRITES, "Write")
    metrics: dict[str, dict[bytes, Any]] = {}
    for entry, plan_ in zip(entries, done, strict=True):
        charge_write(meter, entry.action.table, plan_, times=2)
        wanted = form.metrics is Metrics.SIZE and entry.table.schema.has_local_indexes
        if wanted and not isinstance(entry.action, ConditionCheck):
            # one for each collection that was written to
            of_table, partition = metrics.setdefault(entry.action.table, {}), plan_.key[0]
            if partition not in of_table:
                of_table[partition] = collection_metrics(entry.action, entry.table, plan_.key, door)
    answer = meter.several()
    if metrics:
        answer["ItemCollectionMetrics"] = {name: list(listed.values()) for name, listed in metrics.items()}
    return answer


def _replayed(service: Service, form: TransactWrite, spent: Spent) -> dict[str, Any]:
    """Nothing is done again; what the first call was sized on is charged as reads."""
    meter = service.meter(form.capacity, READS, "Read")
    if meter.counts:
        for charge in spent.charges:
            meter.table(charge.table).table += 2 * read_units(charge.size, consistent=True)
    return meter.several()


def transact_get_items(service: Service, form: TransactGet, door: Door) -> dict[str, Any]:
    tables = [service.table(get.table) for get in form.gets]
    keys: list[EngineKey] = []
    reasons: list[dict[str, Any]] = []
    for table, get in zip(tables, form.gets, strict=True):
        try:
            keys.append(table.keys.of_request(get.key))
            reasons.append(NO_REASON)
        except ApiError as fault:
            reasons.append({"Code": CODES.get(fault.code, fault.code), "Message": fault.message})
    if len(keys) < len(tables):
        raise _cancelled(reasons)
    items = [(table.id, key) for table, key in zip(tables, keys, strict=True)]
    if len(set(items)) != len(items):
        raise validation(TWICE)
    meter = service.meter(form.capacity, READS, "Read")
    with service.database.snapshot() as snapshot:
        found = [snapshot.get(table.keyspace, key) for table, key in zip(tables, keys, strict=True)]
    sizes = [item_size(data) if data is not None else 0 for data in found]
    _refuse_size(sizes)
    door.check(sum(sizes))
    if meter.counts:
        for get, size in zip(form.gets, sizes, strict=True):
            meter.table(get.table).table += 2 * read_units(size, consistent=True)
    responses = [_response(get, data, door) for get, data in zip(form.gets, found, strict=True)]
    return {"Responses": responses, **meter.several()}


def _response(get: Get, data: bytes | None, door: Door) -> dict[str, Any]:
    if data is None:
        return {}
    item = decode_item(data)
    if get.projection is not None:
        item = get.projection.of(item)
        if not item:
            return {}
    return {"Item": door.typed(hashed_sets(item))}
