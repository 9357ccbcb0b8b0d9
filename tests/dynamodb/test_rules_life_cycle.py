"""Rules chapter 8.3: what may be changed while an index is being built, together with what, and how often."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from dynamodb.asking import Asker, index, until_built
from lsm.dynamodb import connect
from lsm.dynamodb.backfill import Backfill
from lsm.dynamodb.clock import Clock

INVALID = "One or more parameter values were invalid: "
LIMIT = "LimitExceededException"
ONE_AT_A_TIME = (
    LIMIT,
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
)
ON_DEMAND = "PAY_PER_REQUEST"
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
THURSDAY = 1_791_497_848.0  # 2026-10-08 22:17:28 UTC


class Watch(Clock):
    """A clock that stands still until a test moves it."""

    moment = THURSDAY

    def now(self) -> float:
        return self.moment


@pytest.fixture
def timed():
    watch = Watch()
    with connect(":memory:", clock=watch) as connection:
        asker = Asker(connection.service)
        asker.watch = watch
        yield asker


def definitions(attributes):
    return [{"AttributeName": one.split(":")[0], "AttributeType": one.split(":")[1]} for one in attributes.split()]


def adding(name, keys="group", attributes="group:S", **more):
    return {
        "AttributeDefinitions": definitions(attributes),
        "GlobalSecondaryIndexUpdates": [{"Create": {**index(name, keys), **more}}],
    }


def removing(name):
    return {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]}


@contextmanager
def held_back():
    """Nothing that is begun inside fills an index before the block ends."""
    begun = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backfill, "start", lambda backfill: begun.append(backfill))
        yield
    for backfill in begun:
        backfill.start()


@contextmanager
def building(ask, name, index_name="slow"):
    """An index that goes on being built until the block ends."""
    with held_back():
        ask("UpdateTable", TableName=name, **adding(index_name))
        yield
    until_built(ask, name)


# ---- while an index is being built


def test_the_table_is_active_and_its_new_index_creating_meanwhile(hashes):
    with building(hashes, "hashes"):
        shown = hashes("DescribeTable", TableName="hashes")["Table"]
        (one,) = shown["GlobalSecondaryIndexes"]
        assert (shown["TableStatus"], one["IndexStatus"], one["Backfilling"]) == ("ACTIVE", "CREATING", True)
    (one,) = hashes("DescribeTable", TableName="hashes")["Table"]["GlobalSecondaryIndexes"]
    assert (one["IndexStatus"], "Backfilling" in one) == ("ACTIVE", False)


def test_a_table_is_not_deleted_while_an_index_is_built(hashes):
    in_use = (
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, "
        "updated, or deleted.",
    )
    with building(hashes, "hashes"):
        assert hashes.refused("DeleteTable", TableName="hashes") == in_use
        hashes("UpdateTable", TableName="hashes", DeletionProtectionEnabled=True)
        assert "protected against deletion" in hashes.fault("DeleteTable", TableName="hashes")
        hashes("UpdateTable", TableName="hashes", DeletionProtectionEnabled=False)
    hashes("DeleteTable", TableName="hashes")


def test_no_other_index_is_made_or_removed_while_one_is_built(ask):
    ask.create("items", "pk", "pk:S old:S", GlobalSecondaryIndexes=[index("old-one", "old")])
    with building(ask, "items"):
        assert ask.refused("UpdateTable", TableName="items", **adding("second")) == ONE_AT_A_TIME
        assert ask.refused("UpdateTable", TableName="items", **removing("old-one")) == ONE_AT_A_TIME
    ask("UpdateTable", TableName="items", **removing("old-one"))


def test_the_index_that_is_built_may_be_removed(hashes):
    with building(hashes, "hashes"):
        hashes("UpdateTable", TableName="hashes", **removing("slow"))
        assert "GlobalSecondaryIndexes" not in hashes("DescribeTable", TableName="hashes")["Table"]
    hashes("DeleteTable", TableName="hashes")


def test_capacity_tags_and_time_to_live_change_while_an_index_is_built(ask):
    ask.create("items", "pk", "pk:S", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    more = {"ReadCapacityUnits": 6, "WriteCapacityUnits": 6}
    with held_back():
        ask("UpdateTable", TableName="items", **adding("slow", ProvisionedThroughput=UNITS))
        ask("UpdateTable", TableName="items", ProvisionedThroughput=more)
        specification = {"Enabled": True, "AttributeName": "until"}
        ask("UpdateTimeToLive", TableName="items", TimeToLiveSpecification=specification)
        shown = ask("DescribeTable", TableName="items")["Table"]
        assert shown["ProvisionedThroughput"]["ReadCapacityUnits"] == 6
        ask("TagResource", ResourceArn=shown["TableArn"], Tags=[{"Key": "a", "Value": "b"}])


def test_several_indexes_in_one_request_are_too_many(ask):
    ask.create("items", "pk", "pk:S a:S b:S", GlobalSecondaryIndexes=[index("i-a", "a"), index("i-b", "b")])
    create, delete = adding("new")["GlobalSecondaryIndexUpdates"], removing("i-a")["GlobalSecondaryIndexUpdates"]
    for updates in (create + delete, delete + removing("i-b")["GlobalSecondaryIndexUpdates"]):
        request = {"AttributeDefinitions": definitions("group:S"), "GlobalSecondaryIndexUpdates": updates}
        assert ask.refused("UpdateTable", TableName="items", **request) == ONE_AT_A_TIME


# ---- together in one request

STREAM = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}
CLASS = {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
PROTECTION = {"DeletionProtectionEnabled": True}
ENCRYPTION = {"SSESpecification": {"Enabled": True}}
WARM = {"WarmThroughput": {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000}}
UNITS_UP = {"ProvisionedThroughput": {"ReadCapacityUnits": 6, "WriteCapacityUnits": 6}}
LIMITS = {"OnDemandThroughput": {"MaxReadRequestUnits": 9}}
ALONE = "{} must be the only operation in the request"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (PROTECTION | STREAM, ALONE.format("DeletionProtection modification")),
        (PROTECTION | UNITS_UP, ALONE.format("DeletionProtection modification")),
        (PROTECTION | removing("old-one"), ALONE.format("DeletionProtection modification")),
        (PROTECTION | adding("new"), ALONE.format("DeletionProtection modification")),
        (PROTECTION | WARM, ALONE.format("DeletionProtection modification")),
        (PROTECTION | CLASS, ALONE.format("TableClass modification")),
        (CLASS | {"BillingMode": "PAY_PER_REQUEST"}, ALONE.format("TableClass modification")),
        (PROTECTION | CLASS | ENCRYPTION, ALONE.format("Server-Side Encryption modification")),
        (WARM | STREAM, ALONE.format("WarmThroughput")),
        (WARM | adding("new"), "Create global secondary index cannot be specified when updating WarmThroughput"),
        (STREAM | LIMITS, "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"),
        (STREAM | UNITS_UP, "You cannot modify stream status while updating table IOPS"),
        (adding("new") | UNITS_UP, "You cannot create or delete index while updating table IOPS"),
        (removing("old-one") | UNITS_UP, "You cannot create or delete index while updating table IOPS"),
        (adding("new") | STREAM, "You cannot create or delete index while changing stream status"),
        (
            {"GlobalSecondaryIndexUpdates": [], "DeletionProtectionEnabled": True},
            "List of GlobalSecondaryIndexUpdates is empty",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{**removing("old-one")["GlobalSecondaryIndexUpdates"][0], "Create": {}}]},
            None,
        ),
    ],
)
def test_changes_that_do_not_go_together(ask, changes, text):
    ask.create(
        "items",
        "pk",
        "pk:S old:S",
        BillingMode="PROVISIONED",
        ProvisionedThroughput=UNITS,
        GlobalSecondaryIndexes=[{**index("old-one", "old"), "ProvisionedThroughput": UNITS}],
    )
    before = ask("DescribeTable", TableName="items")
    found = ask.fault("UpdateTable", TableName="items", **changes)
    if text is not None:
        assert found == INVALID + text
    assert ask("DescribeTable", TableName="items") == before


def test_one_entry_has_one_action(table):
    both = {"Create": index("new", "group"), "Delete": {"IndexName": "by-group"}}
    text = f"{INVALID}Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
    assert table.fault("UpdateTable", TableName="items", GlobalSecondaryIndexUpdates=[both]) == text


def test_a_billing_mode_goes_with_a_stream_a_limit_or_an_index(ask):
    for name, changes in (("streamed", STREAM), ("limited", LIMITS), ("indexed", adding("new"))):
        ask.create(name, "pk", "pk:S", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
        ask("UpdateTable", TableName=name, BillingMode="PAY_PER_REQUEST", **changes)
        shown = ask("DescribeTable", TableName=name)["Table"]
        assert shown["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert shown.keys() & {"StreamSpecification", "OnDemandThroughput", "GlobalSecondaryIndexes"}


def test_tables_have_no_replicas(hashes):
    updates = [{"Create": {"RegionName": "eu-west-1"}}]
    text = (
        "Region eu-west-1 is not supported. The latest version of global tables are only supported in the following "
        "regions: [us-east-1]"
    )
    assert hashes.fault("UpdateTable", TableName="hashes", ReplicaUpdates=updates) == text


# ---- indexes by name


def test_an_index_that_is_not_there_or_not_global(table):
    unknown = ("ResourceNotFoundException", "Requested resource not found: Index none for table items")
    assert table.refused("UpdateTable", TableName="items", **removing("none")) == unknown
    change = [{"Update": {"IndexName": "none", "ProvisionedThroughput": UNITS}}]
    assert table.refused("UpdateTable", TableName="items", GlobalSecondaryIndexUpdates=change) == unknown
    text = "Cannot delete an index that is not a GlobalSecondaryIndex: by-title"
    assert table.fault("UpdateTable", TableName="items", **removing("by-title")) == text
    change = [{"Update": {"IndexName": "by-title", "ProvisionedThroughput": UNITS}}]
    text = "Cannot update an index that is not a GlobalSecondaryIndex: by-title"
    assert table.fault("UpdateTable", TableName="items", GlobalSecondaryIndexUpdates=change) == text


def test_the_twenty_first_index_is_beyond_a_limit(ask):
    ask.create("many", "pk", "pk:S a:S", GlobalSecondaryIndexes=[index(f"i-{n}", "a") for n in range(20)])
    text = "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20"
    assert ask.refused("UpdateTable", TableName="many", **adding("more")) == (LIMIT, text)


# ---- capacity of indexes


@pytest.fixture
def provisioned(timed):
    timed.create(
        "items",
        "pk",
        "pk:S old:S",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 10, "WriteCapacityUnits": 10},
        GlobalSecondaryIndexes=[{**index("old-one", "old"), "ProvisionedThroughput": UNITS}],
    )
    return timed


def setting(name, read, write):
    units = {"ReadCapacityUnits": read, "WriteCapacityUnits": write}
    return {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": name, "ProvisionedThroughput": units}}]}


def test_capacity_of_an_index_is_changed_and_not_left_as_it_is(provisioned):
    text = (
        "The provisioned throughput for the index old-one will not change. The requested value equals the current "
        "value. Current ReadCapacityUnits provisioned for index old-one: 5. Requested ReadCapacityUnits: 5. Current "
        "WriteCapacityUnits provisioned for index old-one: 5. Requested WriteCapacityUnits: 5. Refer to the Amazon "
        "DynamoDB Developer Guide for current limits and how to request higher limits."
    )
    assert provisioned.fault("UpdateTable", TableName="items", **setting("old-one", 5, 5)) == text
    answer = provisioned("UpdateTable", TableName="items", **setting("old-one", 5, 6))["TableDescription"]
    (shown,) = answer["GlobalSecondaryIndexes"]
    assert (shown["IndexStatus"], shown["ProvisionedThroughput"]["WriteCapacityUnits"]) == ("UPDATING", 5)
    (one,) = provisioned("DescribeTable", TableName="items")["Table"]["GlobalSecondaryIndexes"]
    assert one["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    assert one["ProvisionedThroughput"]["LastIncreaseDateTime"] == THURSDAY


def test_capacity_of_a_new_index_fits_the_billing_mode(provisioned):
    provisioned.create("free", "pk", "pk:S")
    text = f"{INVALID}Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: new"
    assert provisioned.fault("UpdateTable", TableName="items", **adding("new")) == text
    text = (
        f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: new when BillingMode "
        "is PAY_PER_REQUEST"
    )
    given = adding("new", ProvisionedThroughput=UNITS)
    assert provisioned.fault("UpdateTable", TableName="free", **given) == text


def test_an_index_of_an_on_demand_table_takes_no_units(ask):
    ask.create("free", "pk", "pk:S old:S", GlobalSecondaryIndexes=[index("old-one", "old")])
    text = (
        f"{INVALID}The only Updates for index: old-one when TableThroughputMode is PAY_PER_REQUEST can be to "
        "OnDemandThroughput, WarmThroughput"
    )
    assert ask.fault("UpdateTable", TableName="free", **setting("old-one", 1, 1)) == text


def test_a_switch_to_provisioned_needs_units_for_every_index(ask):
    ask.create("free", "pk", "pk:S old:S", GlobalSecondaryIndexes=[index("old-one", "old")])
    switch = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
    text = f"{INVALID}ProvisionedThroughput must be specified for index: old-one"
    assert ask.fault("UpdateTable", TableName="free", **switch) == text
    ask("UpdateTable", TableName="free", **switch, **setting("old-one", 7, 7))
    (one,) = ask("DescribeTable", TableName="free")["Table"]["GlobalSecondaryIndexes"]
    assert one["ProvisionedThroughput"]["ReadCapacityUnits"] == 7
    ask("UpdateTable", TableName="free", BillingMode="PAY_PER_REQUEST")
    (one,) = ask("DescribeTable", TableName="free")["Table"]["GlobalSecondaryIndexes"]
    assert one["ProvisionedThroughput"]["ReadCapacityUnits"] == 0


WARM_TEXT = f"{INVALID}Requested ReadUnitsPerSecond for WarmThroughput for table is lower than "


def warm(read, write):
    return {"WarmThroughput": {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write}}


def test_warm_throughput_is_never_lowered(ask):
    for name, billing in (("free", {"BillingMode": ON_DEMAND}), ("units", {"ProvisionedThroughput": UNITS})):
        request = {"TableName": name, "BillingMode": "PROVISIONED", **billing, **warm(4, 4000)}
        request["KeySchema"] = [{"AttributeName": "pk", "KeyType": "HASH"}]
        request["AttributeDefinitions"] = definitions("pk:S")
        text = ask.fault("CreateTable", **request)
        initial = (
            "ReadCapacityUnits of ProvisionedThroughput" if name == "units" else "initial throughput for OnDemand. See:"
        )
        assert text.startswith(WARM_TEXT + initial)
        ask("CreateTable", **{**request, **warm(12001, 4000)})
        shown = ask("DescribeTable", TableName=name)["Table"]["WarmThroughput"]
        assert shown == {"ReadUnitsPerSecond": 12001, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}
        text = f"{WARM_TEXT}current WarmThroughput, decreasing WarmThroughput is not supported"
        assert ask.fault("UpdateTable", TableName=name, **warm(12000, 4001)) == text
        ask("UpdateTable", TableName=name, WarmThroughput={"WriteUnitsPerSecond": 4001})
        shown = ask("DescribeTable", TableName=name)["Table"]["WarmThroughput"]
        assert (shown["ReadUnitsPerSecond"], shown["WriteUnitsPerSecond"]) == (12001, 4001)


# ---- limits of on-demand tables and indexes, encryption


def test_limits_of_an_index_are_checked_and_changed_member_by_member(ask):
    def limited(value):
        return [{**index("by-a", "a"), "OnDemandThroughput": {"MaxReadRequestUnits": value, "MaxWriteRequestUnits": 7}}]

    request = {
        "TableName": "items",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": definitions("pk:S a:S"),
        "BillingMode": ON_DEMAND,
    }
    text = f"{INVALID}Requested MaxReadRequestUnits for OnDemandThroughput for index : by-a is outside of valid range"
    for value in (0, -1):
        assert ask.fault("CreateTable", **request, GlobalSecondaryIndexes=limited(value)) == text
    ask("CreateTable", **request, GlobalSecondaryIndexes=limited(5))

    def change(**limits):
        update = {"IndexName": "by-a", "OnDemandThroughput": limits}
        return {"TableName": "items", "GlobalSecondaryIndexUpdates": [{"Update": update}]}

    assert ask.fault("UpdateTable", **change(MaxReadRequestUnits=0)) == text
    ask("UpdateTable", **change(MaxReadRequestUnits=-1))
    (one,) = ask("DescribeTable", TableName="items")["Table"]["GlobalSecondaryIndexes"]
    assert one["OnDemandThroughput"] == {"MaxWriteRequestUnits": 7}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Enabled": False, "SSEType": "KMS"}, "SSEType can not be specified if Enabled is false"),
        ({"KMSMasterKeyId": "alias/a"}, "KMSMasterKeyId can not be specified if Enabled is false"),
        ({"Enabled": True, "KMSMasterKeyId": "alias/a"}, "SSEType KMS is required if KMSMasterKeyId is specified"),
        ({"Enabled": True, "SSEType": "AES256"}, "SSEType AES256 is not supported"),
        ({"Enabled": False}, "Table is already encrypted by default"),
    ],
)
def test_encryption_that_is_refused(hashes, given, text):
    assert hashes.fault("UpdateTable", TableName="hashes", SSESpecification=given) == INVALID + text
    assert "SSEDescription" not in hashes("DescribeTable", TableName="hashes")["Table"]


# ---- how often


def lower(ask, write):
    units = {"ReadCapacityUnits": 10, "WriteCapacityUnits": write}
    return {"TableName": "items", "ProvisionedThroughput": units}


def test_four_decreases_a_day_and_then_one_an_hour(provisioned):
    for count, write in enumerate((9, 8, 7, 6)):
        answer = provisioned("UpdateTable", **lower(provisioned, write))["TableDescription"]
        assert answer["ProvisionedThroughput"]["NumberOfDecreasesToday"] == count
        provisioned.watch.moment += 2
    described = provisioned("DescribeTable", TableName="items")["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] == 4
    text = (
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the "
        "first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 "
        "seconds. Number of decreases today: 4. Last decrease at Thursday, October 8, 2026 at 10:17:34 PM Coordinated "
        "Universal Time. Next decrease can be made at Thursday, October 8, 2026 at 11:17:34 PM Coordinated Universal "
        "Time."
    )
    assert provisioned.refused("UpdateTable", **lower(provisioned, 5)) == (LIMIT, text)
    provisioned("UpdateTable", **lower(provisioned, 20))
    provisioned.watch.moment += 3600
    provisioned("UpdateTable", **lower(provisioned, 5))
    assert "Friday, October 9, 2026 at 12:00:00 AM" in provisioned.refused("UpdateTable", **lower(provisioned, 4))[1]
    provisioned.watch.moment += 3600
    provisioned("UpdateTable", **lower(provisioned, 4))
    described = provisioned("DescribeTable", TableName="items")["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] == 1


def test_decreases_of_an_index_are_counted_apart(provisioned):
    for write in (4, 3, 2, 1):
        provisioned("UpdateTable", TableName="items", **setting("old-one", 5, write))
    assert provisioned.refused("UpdateTable", TableName="items", **setting("old-one", 4, 1))[0] == LIMIT
    provisioned("UpdateTable", **lower(provisioned, 9))


def test_four_switches_to_on_demand_in_24_hours(timed):
    timed.create("items", "pk", "pk:S", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    on_demand = {"TableName": "items", "BillingMode": "PAY_PER_REQUEST"}
    back = {"TableName": "items", "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
    for _ in range(4):
        timed("UpdateTable", **on_demand)
        timed("UpdateTable", **back)
        timed.watch.moment += 60
    code, text = timed.refused("UpdateTable", **on_demand)
    assert code == LIMIT
    assert text.startswith(
        "Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s)."
    )
    timed.watch.moment += 86400 - 239
    timed("UpdateTable", **on_demand)
    timed("UpdateTable", **on_demand)
    timed("UpdateTable", **back)
    assert timed.refused("UpdateTable", **on_demand)[0] == LIMIT


# ---- definitions


def test_definitions_and_projections_name_nothing_twice(ask):
    request = {
        "TableName": "items",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": definitions("pk:S pk:N"),
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert ask.fault("CreateTable", **request) == "Attribute Name is duplicated: pk"
    twice = index("i-1", "pk", "INCLUDE", NonKeyAttributes=["b", "a", "b"])
    request |= {"AttributeDefinitions": definitions("pk:S"), "GlobalSecondaryIndexes": [twice]}
    assert ask.fault("CreateTable", **request) == f"{INVALID}Duplicate element in NonKeyAttributes: b"
    request["GlobalSecondaryIndexes"] = [index("i-1", "pk", "INCLUDE", NonKeyAttributes=["b", "a"])]
    ask("CreateTable", **request)
    (one,) = ask("DescribeTable", TableName="items")["Table"]["GlobalSecondaryIndexes"]
    assert one["Projection"]["NonKeyAttributes"] == ["a", "b"]


# ---- tags


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([{"Key": "", "Value": "v"}], "The Tag Key provided is invalid, Key: "),
        ([{"Key": "k" * 129, "Value": "v"}], f"The Tag Key provided is invalid, Key: {'k' * 129}"),
        ([{"Key": "k"}], "The Tag Value provided is invalid, Value: null"),
        ([{"Key": "k", "Value": "v" * 257}], f"The Tag Value provided is invalid, Value: {'v' * 257}"),
        ([{"Key": "aws:k", "Value": "v"}], "Tag Key cannot be prefixed with aws:, Key: aws:k"),
        (
            [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}],
            "Duplicate Tag Keys provided as input: Duplicate Tag Key found k",
        ),
        (
            [{"Key": str(n), "Value": "v"} for n in range(51)],
            "Number of Tags exceed the current limit for the provided ResourceArn",
        ),
    ],
)
def test_tags_that_are_refused(hashes, tags, text):
    arn = hashes("DescribeTable", TableName="hashes")["Table"]["TableArn"]
    assert hashes.fault("TagResource", ResourceArn=arn, Tags=tags) == text
    assert hashes("ListTagsOfResource", ResourceArn=arn) == {"Tags": []}
