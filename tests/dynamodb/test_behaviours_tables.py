"""Tables, indexes, tags, time to live: what is refused and in which order, and what is described. Rules 8, 12."""

from __future__ import annotations

import pytest

from dynamodb.asking import until_built
from dynamodb.behaviours import FAILED, INVALID, definitions, env, index, schema, table

NO_DEFINITION = "Invalid KeySchema: Some index key attribute have no definition"
NOT_DEFINED = (
    f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: [{{}}], "
    "AttributeDefinitions: [{}]"
)
FIRST = "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
SECOND = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
SAME = "Both the Hash Key and the Range Key element in the KeySchema have the same name"
SEVERAL = "The KeySchema contains multiple key attributes with the same name"
UNUSED = f"{INVALID}Some AttributeDefinitions are not used. AttributeDefinitions: [{{}}], keys used: [{{}}]"
UNEQUAL = (
    f"{INVALID}Number of attributes in KeySchema does not exactly match number of attributes defined in "
    "AttributeDefinitions"
)
BOTH_UNITS = f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
NO_UNITS = (
    f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
)
KEYS_3 = schema("a b | c")[:3]
ECHO_3 = (
    "[KeySchemaElement(attributeName=a, keyType=HASH), KeySchemaElement(attributeName=b, keyType=HASH), "
    "KeySchemaElement(attributeName=c, keyType=RANGE)]"
)
UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}


def new(keys="pk", attributes="pk:S", **more):
    return {name: held for name, held in table("fresh", keys, attributes, **more).items() if held is not None}


def elements(*pairs):
    return [{"AttributeName": name, "KeyType": kind} for name, kind in pairs]


def gsi(keys, name="g", projection=None, **more):
    made = index(name, "x") if isinstance(keys, list) else index(name, keys)
    if isinstance(keys, list):
        made["KeySchema"] = keys
    if projection is not None:
        made["Projection"] = projection
    return {"GlobalSecondaryIndexes": [{**made, **more}]}


def lsi(keys, name="l", projection=None):
    return {"LocalSecondaryIndexes": gsi(keys, name, projection)["GlobalSecondaryIndexes"]}


PK_SK = "pk:S sk:S"
CREATE = [
    (
        new(StreamSpecification={"StreamEnabled": True, "StreamViewType": "x"}),
        env(
            f"Value 'x' at 'streamSpecification.streamViewType' {FAILED} satisfy enum value set: "
            "[NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]"
        ),
    ),
    (
        new(TableName="arn:x"),
        env(f"Value 'arn:x' at 'tableName' {FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
    ),
    ({"KeySchema": schema("pk")}, "The parameter 'TableName' is required but was not present in the request"),
    (new(TableName="ab"), env(f"Value 'ab' at 'tableName' {FAILED} have length greater than or equal to 3")),
    (
        new(TableName="a" * 256),
        env(f"Value '{'a' * 256}' at 'tableName' {FAILED} have length less than or equal to 255"),
    ),
    (
        new(TableName="a b c"),
        env(f"Value 'a b c' at 'tableName' {FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
    ),
    (
        new(TableName="a!", BillingMode="x"),
        env(
            f"Value 'a!' at 'tableName' {FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            f"Value 'a!' at 'tableName' {FAILED} have length greater than or equal to 3",
        ),
    ),
    (
        new(TableName=""),
        env(
            f"Value '' at 'tableName' {FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            f"Value '' at 'tableName' {FAILED} have length greater than or equal to 3",
        ),
    ),
    (new(KeySchema=None), env(f"Value null at 'keySchema' {FAILED} not be null")),
    (new(AttributeDefinitions=None), env(f"Value null at 'attributeDefinitions' {FAILED} not be null")),
    (
        new(BillingMode="x", KeySchema=elements(("pk", "X"))),
        env(
            f"Value 'x' at 'billingMode' {FAILED} satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]",
            f"Value 'X' at 'keySchema.1.member.keyType' {FAILED} satisfy enum value set: [HASH, RANGE]",
        ),
    ),
    (new(KeySchema=KEYS_3), env(f"Value '{ECHO_3}' at 'keySchema' {FAILED} have length less than or equal to 2")),
    (new(KeySchema=[]), env(f"Value '[]' at 'keySchema' {FAILED} have length greater than or equal to 1")),
    (
        new(AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "X"}]),
        env(f"Value 'X' at 'attributeDefinitions.1.member.attributeType' {FAILED} satisfy enum value set: [B, N, S]"),
    ),
    (
        new(BillingMode=None, ProvisionedThroughput={"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}),
        env(
            f"Value '0' at 'provisionedThroughput.writeCapacityUnits' {FAILED} have value greater than or equal to 1",
            f"Value '0' at 'provisionedThroughput.readCapacityUnits' {FAILED} have value greater than or equal to 1",
        ),
    ),
    (
        new(BillingMode=None, ProvisionedThroughput={"ReadCapacityUnits": 1}),
        env(f"Value null at 'provisionedThroughput.writeCapacityUnits' {FAILED} not be null"),
    ),
    (
        new(**gsi(elements(("g", "X")), "ggg")),
        env(
            f"Value 'X' at 'globalSecondaryIndexes.1.member.keySchema.1.member.keyType' {FAILED} satisfy enum value set: "
            "[HASH, RANGE]"
        ),
    ),
    (
        new(**gsi("pk", "gi", {"ProjectionType": "x"})),
        env(
            f"Value 'x' at 'globalSecondaryIndexes.1.member.projection.projectionType' {FAILED} satisfy enum value set: "
            "[ALL, INCLUDE, KEYS_ONLY]",
            f"Value 'gi' at 'globalSecondaryIndexes.1.member.indexName' {FAILED} have length greater than or equal to 3",
        ),
    ),
    (
        new(**gsi("pk", "ggg", {"ProjectionType": "INCLUDE", "NonKeyAttributes": []})),
        env(
            f"Value '[]' at 'globalSecondaryIndexes.1.member.projection.nonKeyAttributes' {FAILED} have length greater "
            "than or equal to 1"
        ),
    ),
    (
        new("pk sk", PK_SK, **lsi([*schema("pk sk"), *schema("x")], "lll")),
        env(
            "Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=sk, keyType=RANGE), "
            f"KeySchemaElement(attributeName=x, keyType=HASH)]' at 'keySchema' {FAILED} have length less than or equal to 2"
        ),
    ),
    (new(BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=UNITS), NO_UNITS),
    (
        new(BillingMode=None, ProvisionedThroughput={"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 10**13}),
        f"Given value {10**12 + 1} for ReadCapacityUnits is out of bounds",
    ),
    (new(BillingMode="PROVISIONED"), BOTH_UNITS),
    (new("pk sk", "pk:S"), NO_DEFINITION),
    (new("pk", "x:S"), NOT_DEFINED.format("pk", "x")),
    (new(AttributeDefinitions=[]), NO_DEFINITION),
    (new("pk pk", "pk:S"), NO_DEFINITION),
    (new(KeySchema=elements(("pk", "RANGE"))), FIRST),
    (new(KeySchema=elements(("pk", "HASH"), ("sk", "HASH")), attributes=PK_SK), SECOND),
    (new(LocalSecondaryIndexes=[]), f"{INVALID}List of LocalSecondaryIndexes is empty"),
    (new(GlobalSecondaryIndexes=[]), f"{INVALID}List of GlobalSecondaryIndexes is empty"),
    (
        new(**lsi("pk x", "lll")),
        f"{INVALID}Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
    ),
    (new("pk sk", PK_SK, **lsi("pk x", "lll")), NOT_DEFINED.format("x, pk", "sk, pk")),
    (new("pk sk", PK_SK, **lsi("pk pk", "lll")), SAME),
    (new("pk sk", PK_SK, **lsi(elements(("pk", "HASH"), ("sk", "HASH")), "lll")), SECOND),
    (new("pk sk", PK_SK, **lsi("pk", "lll")), f"{INVALID}Index KeySchema does not have a range key for index: lll"),
    (
        new("pk sk", PK_SK, **lsi("sk pk", "lll")),
        f"{INVALID}Index KeySchema does not have the same leading hash key as table KeySchema for index: lll. index hash "
        "key: sk, table hash key: pk",
    ),
    (
        new("pk sk", PK_SK, LocalSecondaryIndexes=[index("lll", "pk sk"), index("lll", "pk sk")]),
        f"{INVALID}Duplicate index name: lll",
    ),
    (
        new("pk sk", PK_SK, LocalSecondaryIndexes=[index(f"lll{n}", "pk sk") for n in range(6)]),
        f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5",
    ),
    (new(**gsi("x", "ggg")), NOT_DEFINED.format("x", "pk")),
    (new(**gsi("x y", "ggg")), NO_DEFINITION),
    (new("pk sk", PK_SK, **gsi("x y", "ggg")), NOT_DEFINED.format("x, y", "sk, pk")),
    (new(**gsi(elements(("pk", "RANGE")), "ggg")), FIRST),
    (new(**gsi("pk pk", "ggg")), SAME),
    (new("pk sk", PK_SK, **gsi("pk pk | sk", "ggg")), SEVERAL),
    (
        new("pk sk", PK_SK, **gsi(elements(("pk", "HASH"), ("sk", "RANGE"), ("x", "HASH")), "ggg")),
        NO_DEFINITION,
    ),
    (
        new("pk sk", PK_SK + " x:S", **gsi(elements(("pk", "HASH"), ("sk", "RANGE"), ("x", "HASH")), "ggg")),
        f"{INVALID}All HASH key attributes must precede RANGE key attributes in the KeySchema",
    ),
    (
        new(
            "pk",
            "pk:S a:S b:S c:S d:S",
            **gsi("pk a b c d", "ggg")
            | {
                "GlobalSecondaryIndexes": [
                    {**index("ggg", "x"), "KeySchema": elements(*((n, "HASH") for n in ("pk", "a", "b", "c", "d")))}
                ]
            },
        ),
        f"{INVALID}The KeySchema exceeds the maximum allowed number of HASH key attributes",
    ),
    (
        new(**gsi("pk", "ggg", {"ProjectionType": "INCLUDE"})),
        f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
    ),
    (
        new(**gsi("pk", "ggg", {"ProjectionType": "ALL", "NonKeyAttributes": ["x"]})),
        f"{INVALID}ProjectionType is ALL, but NonKeyAttributes is specified",
    ),
    (
        new(**gsi("pk", "ggg", {"ProjectionType": "KEYS_ONLY", "NonKeyAttributes": ["x"]})),
        f"{INVALID}ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
    ),
    (new(**gsi("pk", "ggg", {})), f"{INVALID}Unknown ProjectionType: null"),
    (new(GlobalSecondaryIndexes=[index("ggg", "pk"), index("ggg", "pk")]), f"{INVALID}Duplicate index name: ggg"),
    (
        new(GlobalSecondaryIndexes=[index(f"ggg{n}", "pk") for n in range(21)]),
        f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20",
    ),
    (
        new(**gsi("pk", "ggg", ProvisionedThroughput=UNITS)),
        f"{INVALID}ProvisionedThroughput should not be specified for index: ggg when BillingMode is PAY_PER_REQUEST",
    ),
    (
        new("pk sk", PK_SK, **gsi("pk", "iii"), **lsi("pk sk", "iii")),
        f"{INVALID}Duplicate index name: iii",
    ),
    (new("pk", "pk:S x:S"), UNEQUAL),
    (
        new("pk", "PK:S h:S a:S unused:S", **{"KeySchema": schema("PK")}, **gsi("h a", "ggg")),
        UNUSED.format("h, a, unused, PK", "a, h, PK"),
    ),
    (
        new("pk sk", "pk:S sk:S gpk:S gsk:S zz:S", **gsi("gpk gsk", "ggg")),
        None,
    ),
    (
        new(StreamSpecification={"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}),
        f"{INVALID}Table is being created with a stream disabled, UpdateViewType should not be specified",
    ),
    (
        new(TableClass="x"),
        env(f"Value 'x' at 'tableClass' {FAILED} satisfy enum value set: [STANDARD, STANDARD_INFREQUENT_ACCESS]"),
    ),
    (
        new(
            BillingMode="PROVISIONED",
            ProvisionedThroughput=UNITS,
            OnDemandThroughput={"MaxReadRequestUnits": 0, "MaxWriteRequestUnits": 1},
        ),
        f"{INVALID}MaxReadRequestUnits for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED.",
    ),
    (
        new(OnDemandThroughput={"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 0}),
        f"{INVALID}Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range",
    ),
    (new(TableName="hash"), ("ResourceInUseException", "Table already exists: hash")),
]


@pytest.mark.parametrize(("request_", "text"), CREATE)
def test_a_table_that_is_not_created(world, request_, text):
    code, found = world.refused("CreateTable", request_)
    if text is None:
        assert "Some AttributeDefinitions are not used" in found
        assert found.endswith("keys used: [gpk, sk, pk, gsk]")
    else:
        assert (code, found) == (text if isinstance(text, tuple) else ("ValidationException", text))


def test_a_table_without_billing_mode_needs_capacity(world):
    assert world.refused("CreateTable", new(BillingMode=None))[0] == "ValidationException"


def test_an_index_of_a_provisioned_table_needs_capacity(world):
    request = new(BillingMode=None, ProvisionedThroughput=UNITS, **gsi("pk", "ggg"))
    assert world.refused("CreateTable", request)[0] == "ValidationException"


def test_a_stream_needs_a_view_type(world):
    assert world.refused("CreateTable", new(StreamSpecification={"StreamEnabled": True}))[0] == "ValidationException"


NAMED = ("DescribeTable", "DeleteTable", "UpdateTable", "DescribeTimeToLive")


@pytest.mark.parametrize("operation", NAMED)
def test_the_name_of_a_table_that_is_described_changed_or_deleted(world, operation):
    more = {"BillingMode": "PAY_PER_REQUEST"} if operation == "UpdateTable" else {}
    required = "The parameter 'TableName' is required but was not present in the request"
    assert world.refused(operation, {**more}) == ("ValidationException", required)
    short = "TableName must be at least 3 characters long and at most 255 characters long"
    assert world.refused(operation, {"TableName": "ab", **more})[1] == short
    assert world.refused(operation, {"TableName": "a" * 256, **more})[1] == short
    pattern = env(f"Value 'a b c' at 'tableName' {FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    assert world.refused(operation, {"TableName": "a b c", **more})[1] == pattern
    missing = ("ResourceNotFoundException", "Requested resource not found: Table: absent not found")
    assert world.refused(operation, {"TableName": "absent", **more}) == missing


# ---- UpdateTable


@pytest.fixture(scope="module")
def provisioned(world):
    world.create(
        "provisioned",
        "pk",
        "pk:S",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
    )
    return world


NOTHING = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)
SAME_UNITS = (
    "The provisioned throughput for the table will not change. The requested value equals the current value. Current "
    "ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. Current WriteCapacityUnits "
    "provisioned for the table: 6. Requested WriteCapacityUnits: 6. Refer to the Amazon DynamoDB Developer Guide for "
    "current limits and how to request higher limits."
)
FIVE_SIX = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}


def create_index(*args, **more):
    return {"GlobalSecondaryIndexUpdates": [{"Create": {**index(*args), **more}}]}


ONE_AT_A_TIME = (
    "LimitExceededException",
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
)
CHANGES = [
    (
        "pair",
        {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "g-all"}}, {"Delete": {"IndexName": "g-inc"}}]},
        ONE_AT_A_TIME,
    ),
    (
        "hash",
        {
            "AttributeDefinitions": definitions("gh:S"),
            "GlobalSecondaryIndexUpdates": [{"Create": index("one", "gh")}, {"Create": index("two", "gh")}],
        },
        ONE_AT_A_TIME,
    ),
    (
        "hash",
        {"AttributeDefinitions": [{"AttributeType": "X"}], **create_index("new", "gh")},
        env(
            f"Value null at 'attributeDefinitions.1.member.attributeName' {FAILED} not be null",
            f"Value 'X' at 'attributeDefinitions.1.member.attributeType' {FAILED} satisfy enum value set: [B, N, S]",
        ),
    ),
    (
        "hash",
        {"GlobalSecondaryIndexUpdates": [{"Delete": {}}]},
        env(f"Value null at 'globalSecondaryIndexUpdates.1.member.delete.indexName' {FAILED} not be null"),
    ),
    ("hash", {}, NOTHING),
    ("hash", {"AttributeDefinitions": definitions("pk:S")}, NOTHING),
    ("hash", {"GlobalSecondaryIndexUpdates": []}, NOTHING),
    ("provisioned", {"ProvisionedThroughput": FIVE_SIX}, SAME_UNITS),
    ("provisioned", {"ProvisionedThroughput": FIVE_SIX, "BillingMode": "PROVISIONED"}, SAME_UNITS),
    (
        "provisioned",
        {"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": -1}},
        env(
            f"Value '-1' at 'provisionedThroughput.writeCapacityUnits' {FAILED} have value greater than or equal to 1",
            f"Value '0' at 'provisionedThroughput.readCapacityUnits' {FAILED} have value greater than or equal to 1",
        ),
    ),
    ("hash", {"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": FIVE_SIX}, NO_UNITS),
    ("hash", {"ProvisionedThroughput": FIVE_SIX}, NO_UNITS),
    (
        "hash",
        {"BillingMode": "PROVISIONED"},
        f"{INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
    ),
    (
        "hash",
        {"BillingMode": "x"},
        env(f"Value 'x' at 'billingMode' {FAILED} satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"),
    ),
    (
        "provisioned",
        {"OnDemandThroughput": {"MaxReadRequestUnits": 0, "MaxWriteRequestUnits": 5}},
        f"{INVALID}MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED",
    ),
    (
        "hash",
        {"OnDemandThroughput": {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -2}},
        f"{INVALID}Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range",
    ),
    (
        "hash",
        {"GlobalSecondaryIndexUpdates": [{}]},
        f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
        "GlobalSecondaryIndexUpdate.Delete must not be null",
    ),
    (
        "hash",
        {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "iii"}}, {"Delete": {"IndexName": "iii"}}]},
        f"{INVALID}Only one global secondary index update per index is allowed simultaneously. Index: iii",
    ),
    (
        "pair",
        {**create_index("g-all", "gh"), "AttributeDefinitions": definitions("gh:S")},
        "Attempting to create an index which already exists",
    ),
    ("pair", create_index("new", "gh"), f"{INVALID}AttributeDefinitions is not specified for index: new"),
    ("pair", {**create_index("new", "gh"), "AttributeDefinitions": []}, NO_DEFINITION),
    (
        "pair",
        {**create_index("new", "gh"), "AttributeDefinitions": definitions("zz:S")},
        NOT_DEFINED.format("gh", "zz"),
    ),
    (
        "hash",
        {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "none"}}]},
        ("ResourceNotFoundException", "Requested resource not found: Index none for table hash"),
    ),
    (
        "hash",
        {"StreamSpecification": {"StreamEnabled": False}},
        "Table has no stream to disable: TableName: hash",
    ),
]


@pytest.mark.parametrize(("name", "change", "text"), CHANGES)
def test_a_change_of_a_table_that_is_refused(provisioned, name, change, text):
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert provisioned.refused("UpdateTable", {"TableName": name, **change}) == expected


def test_billing_modes_back_and_forth(world):
    world.create("billing", "pk", "pk:S", BillingMode="PROVISIONED", ProvisionedThroughput=FIVE_SIX)

    def described():
        return world("DescribeTable", TableName="billing")["Table"]

    first = described()
    assert "BillingModeSummary" not in first
    assert (first["ProvisionedThroughput"]["ReadCapacityUnits"], first["TableStatus"]) == (5, "ACTIVE")
    changed = world("UpdateTable", TableName="billing", ProvisionedThroughput={**FIVE_SIX, "ReadCapacityUnits": 7})
    shown = changed["TableDescription"]
    assert (shown["TableStatus"], shown["ProvisionedThroughput"]["ReadCapacityUnits"]) == ("UPDATING", 5)
    after = described()["ProvisionedThroughput"]
    assert (after["ReadCapacityUnits"], after["WriteCapacityUnits"]) == (7, 6)
    assert "LastIncreaseDateTime" in after
    world("UpdateTable", TableName="billing", BillingMode="PAY_PER_REQUEST")
    summary = described()["BillingModeSummary"]
    assert summary["BillingMode"] == "PAY_PER_REQUEST"
    zero = described()["ProvisionedThroughput"]
    assert (zero["ReadCapacityUnits"], zero["WriteCapacityUnits"]) == (0, 0)
    world("UpdateTable", TableName="billing", BillingMode="PAY_PER_REQUEST")
    world("UpdateTable", TableName="billing", BillingMode="PROVISIONED", ProvisionedThroughput=FIVE_SIX)
    back = described()["BillingModeSummary"]
    assert back == {**summary, "BillingMode": "PROVISIONED"}


def test_what_is_described(world):
    made = world.create(
        "described",
        "pk sk",
        "pk:S sk:N gh:S l1:B",
        **{
            "GlobalSecondaryIndexes": [index("ggg", "gh", "INCLUDE", NonKeyAttributes=["x", "y"])],
            "LocalSecondaryIndexes": [index("lll", "pk l1", "KEYS_ONLY")],
        },
    )
    assert (made["TableStatus"], made["GlobalSecondaryIndexes"][0]["IndexStatus"]) == ("CREATING", "CREATING")
    found = world("DescribeTable", TableName="described")["Table"]
    assert set(found) == set(
        [
            "TableName",
            "TableStatus",
            "KeySchema",
            "AttributeDefinitions",
            "CreationDateTime",
            "TableArn",
            "TableId",
            "ItemCount",
            "TableSizeBytes",
            "ProvisionedThroughput",
            "DeletionProtectionEnabled",
            "BillingModeSummary",
            "WarmThroughput",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
        ]
    )
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/described"
    assert (found["TableArn"], found["TableId"], found["TableStatus"]) == (arn, made["TableId"], "ACTIVE")
    assert found["KeySchema"] == schema("pk sk")
    assert sorted(d["AttributeName"] for d in found["AttributeDefinitions"]) == ["gh", "l1", "pk", "sk"]
    assert found["DeletionProtectionEnabled"] is False
    (global_,) = found["GlobalSecondaryIndexes"]
    assert set(global_) == set(
        [
            "IndexName",
            "KeySchema",
            "Projection",
            "IndexStatus",
            "ProvisionedThroughput",
            "IndexSizeBytes",
            "ItemCount",
            "IndexArn",
            "WarmThroughput",
        ]
    )
    assert global_["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "y"]}
    assert (global_["IndexStatus"], global_["IndexArn"]) == ("ACTIVE", f"{arn}/index/ggg")
    (local,) = found["LocalSecondaryIndexes"]
    assert set(local) == set(["IndexName", "KeySchema", "Projection", "IndexSizeBytes", "ItemCount", "IndexArn"])
    assert local["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_counts_and_sizes_have_no_overhead(world):
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "gh": {"S": "g"}, "x": {"S": "12345"}, "zz": {"S": "z"}}
    if "described" not in world("ListTables")["TableNames"]:
        test_what_is_described(world)
    world("PutItem", TableName="described", Item=item)
    found = world("DescribeTable", TableName="described")["Table"]
    assert (found["ItemCount"], found["TableSizeBytes"]) == (1, 3 + 4 + 3 + 6 + 3)
    (global_,) = found["GlobalSecondaryIndexes"]
    assert (global_["ItemCount"], global_["IndexSizeBytes"]) == (1, 3 + 4 + 3 + 6)
    assert found["LocalSecondaryIndexes"][0]["ItemCount"] == 0


def test_an_index_is_added_and_removed(world):
    world.create("grown", "pk", "pk:S")
    for number in range(5):
        world(
            "PutItem", TableName="grown", Item={"pk": {"S": str(number)}, "gh": {"S": "g"}, "gr": {"N": str(-number)}}
        )
    world("PutItem", TableName="grown", Item={"pk": {"S": "odd"}, "gh": {"N": "1"}, "gr": {"N": "1"}})
    answer = world(
        "UpdateTable",
        TableName="grown",
        AttributeDefinitions=definitions("gh:S gr:N"),
        **create_index("ggg", "gh gr", "KEYS_ONLY"),
    )["TableDescription"]
    (shown,) = answer["GlobalSecondaryIndexes"]
    assert (answer["TableStatus"], shown["IndexStatus"], shown["Backfilling"]) == ("UPDATING", "CREATING", True)
    (status,) = until_built(world, "grown", "ggg")
    assert "Backfilling" not in status
    request = {"TableName": "grown", "IndexName": "ggg", "KeyConditionExpression": "gh = :g"}
    request["ExpressionAttributeValues"] = {":g": {"S": "g"}}
    found = world("Query", **request)["Items"]
    assert [item["pk"]["S"] for item in found] == ["4", "3", "2", "1", "0"]
    world("UpdateTable", TableName="grown", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "ggg"}}])
    found = world("DescribeTable", TableName="grown")["Table"]
    assert "GlobalSecondaryIndexes" not in found
    assert found["AttributeDefinitions"] == definitions("pk:S")
    assert world.refused("Query", request)[1] == "The table does not have the specified index: ggg"
    world("PutItem", TableName="grown", Item={"pk": {"S": "after"}, "gh": {"N": "1"}})


def test_on_demand_throughput_is_merged_and_removed(world):
    world.create("limited", "pk", "pk:S", OnDemandThroughput={"MaxReadRequestUnits": 5})

    def limits():
        return world("DescribeTable", TableName="limited")["Table"].get("OnDemandThroughput")

    assert limits() == {"MaxReadRequestUnits": 5}
    change = {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 7}
    answer = world("UpdateTable", TableName="limited", OnDemandThroughput=change)
    assert answer["TableDescription"]["OnDemandThroughput"] == change
    assert limits() == {"MaxWriteRequestUnits": 7}
    world("UpdateTable", TableName="limited", BillingMode="PROVISIONED", ProvisionedThroughput=FIVE_SIX)
    assert limits() is None


def test_a_protected_table_is_not_deleted(world):
    world.create("protected", "pk", "pk:S", DeletionProtectionEnabled=True)
    text = (
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
    )
    assert world.refused("DeleteTable", {"TableName": "protected"}) == ("ValidationException", text)
    world("UpdateTable", TableName="protected", DeletionProtectionEnabled=False)
    answer = world("DeleteTable", TableName="protected")["TableDescription"]
    assert answer["TableStatus"] == "DELETING"
    assert "protected" not in world("ListTables")["TableNames"]


def test_a_table_made_anew_is_another_one(world):
    first = world.create("again", "pk", "pk:S")["TableId"]
    world("PutItem", TableName="again", Item={"pk": {"S": "a"}})
    world("DeleteTable", TableName="again")
    assert world.refused("GetItem", {"TableName": "again", "Key": {"pk": {"S": "a"}}})[0] == "ResourceNotFoundException"
    assert world.create("again", "pk", "pk:S")["TableId"] != first
    assert world("Scan", TableName="again")["Count"] == 0


# ---- ListTables


def test_tables_are_listed_in_byte_order_page_by_page(world):
    for name in ("list-b", "list-B", "list-a", "list.a"):
        world.create(name, "pk", "pk:S")
    names = world("ListTables")["TableNames"]
    assert names == sorted(names)
    assert "LastEvaluatedTableName" not in world("ListTables", Limit=100)
    seen, start = [], {}
    while True:
        page = world("ListTables", Limit=3, **start)
        seen += page["TableNames"]
        if "LastEvaluatedTableName" not in page:
            break
        start = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}
    assert seen == names
    after = world("ListTables", ExclusiveStartTableName="list-Zz")["TableNames"]
    assert after == [name for name in names if name > "list-Zz"]


def test_faults_of_a_listing_stand_together(world):
    assert world.refused("ListTables", {"ExclusiveStartTableName": "a!", "Limit": 101})[1] == env(
        f"Value 'a!' at 'exclusiveStartTableName' {FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        f"Value 'a!' at 'exclusiveStartTableName' {FAILED} have length greater than or equal to 3",
        f"Value '101' at 'limit' {FAILED} have value less than or equal to 100",
    )
    assert world.refused("ListTables", {"Limit": 0})[1] == env(
        f"Value '0' at 'limit' {FAILED} have value greater than or equal to 1"
    )


# ---- time to live, tags


def test_time_to_live(world):
    world.create("timed", "pk", "pk:S")

    def describe():
        return world("DescribeTimeToLive", TableName="timed")["TimeToLiveDescription"]

    def update(enabled, name):
        return {"TableName": "timed", "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": name}}

    assert describe() == {"TimeToLiveStatus": "DISABLED"}
    assert world.refused("UpdateTimeToLive", update(False, "ttl"))[1] == "TimeToLive is already disabled"
    answer = world("UpdateTimeToLive", **update(True, "ttl"))
    assert answer == {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}}
    assert describe() == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    assert world.refused("UpdateTimeToLive", update(True, "ttl"))[1] == "TimeToLive is already enabled"
    other = "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
    assert world.refused("UpdateTimeToLive", update(True, "other"))[1] == other
    too_soon = "Time to live has been modified multiple times within a fixed interval"
    assert world.refused("UpdateTimeToLive", update(False, "ttl")) == ("ValidationException", too_soon)


def test_time_to_live_of_nothing(world):
    specification = {"Enabled": True, "AttributeName": ""}
    assert world.refused("UpdateTimeToLive", {"TableName": "absent", "TimeToLiveSpecification": specification})[
        1
    ] == env(f"Value '' at 'timeToLiveSpecification.attributeName' {FAILED} have length greater than or equal to 1")
    specification["AttributeName"] = "ttl"
    request = {"TableName": "absent", "TimeToLiveSpecification": specification}
    assert world.refused("UpdateTimeToLive", request)[0] == "ResourceNotFoundException"


def test_tags(world):
    arn = world("DescribeTable", TableName="hash")["Table"]["TableArn"]
    tags = [{"Key": f"k{number:02}", "Value": str(number)} for number in range(12)]
    assert world("TagResource", ResourceArn=arn, Tags=tags) == {}
    world("TagResource", ResourceArn=arn, Tags=[{"Key": "k00", "Value": ""}])
    assert world("UntagResource", ResourceArn=arn, TagKeys=["k01", "absent"]) == {}
    first = world("ListTagsOfResource", ResourceArn=arn)
    rest = world("ListTagsOfResource", ResourceArn=arn, NextToken=first["NextToken"])
    found = {tag["Key"]: tag["Value"] for tag in first["Tags"] + rest["Tags"]}
    assert len(first["Tags"]) == 10
    assert "NextToken" not in rest
    assert found == {**{f"k{number:02}": str(number) for number in range(2, 12)}, "k00": ""}
    world("UntagResource", ResourceArn=arn, TagKeys=list(found))
    assert world("ListTagsOfResource", ResourceArn=arn) == {"Tags": []}


def test_tags_of_nothing(world):
    arn = world("DescribeTable", TableName="hash")["Table"]["TableArn"]
    tags = [{"Key": "a", "Value": "b"}]
    wrong = "Invalid TableArn: Invalid ResourceArn provided as input nonsense"
    for operation, more in (
        ("TagResource", {"Tags": tags}),
        ("UntagResource", {"TagKeys": ["a"]}),
        ("ListTagsOfResource", {}),
    ):
        assert world.refused(operation, {"ResourceArn": "nonsense", **more}) == ("ValidationException", wrong)
        assert world.refused(operation, {"ResourceArn": "", **more}) == ("ValidationException", "Invalid TableArn")
    empty = "Atleast one Tag needs to be provided as Input."
    assert world.refused("TagResource", {"ResourceArn": arn, "Tags": []})[1] == empty
    none = "Atleast one Tag Key needs to be provided as Input."
    assert world.refused("UntagResource", {"ResourceArn": arn, "TagKeys": []})[1] == none
    gone = arn.replace("hash", "absent")
    assert world.refused("TagResource", {"ResourceArn": gone, "Tags": tags}) == (
        "ResourceNotFoundException",
        f"Requested resource not found: ResourcArn: {gone} not found",
    )
    assert world.refused("UntagResource", {"ResourceArn": gone, "TagKeys": ["a"]}) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    code, text = world.refused("ListTagsOfResource", {"ResourceArn": gone})
    assert code == "AccessDeniedException"
    assert text.endswith(f" is not authorized to perform: dynamodb:ListTagsOfResource on resource: {gone}")


# ---- ARNs as names, limits


def test_an_arn_stands_for_a_name(world):
    arn = world("DescribeTable", TableName="hash")["Table"]["TableArn"]
    key = {"pk": {"S": "by arn"}}
    put = world("PutItem", TableName=arn, Item=key, ReturnConsumedCapacity="TOTAL")
    assert put["ConsumedCapacity"]["TableName"] == arn
    assert world("DescribeTable", TableName=arn)["Table"]["TableName"] == "hash"
    batch = world("BatchGetItem", RequestItems={arn: {"Keys": [key]}})
    assert batch == {"Responses": {arn: [key]}, "UnprocessedKeys": {}}
    world("TransactWriteItems", TransactItems=[{"Delete": {"TableName": arn, "Key": key}}])
    assert key not in world("Scan", TableName=arn)["Items"]


def test_limits_and_endpoints(world):
    assert set(world("DescribeLimits")) == {
        "AccountMaxReadCapacityUnits",
        "AccountMaxWriteCapacityUnits",
        "TableMaxReadCapacityUnits",
        "TableMaxWriteCapacityUnits",
    }
    endpoints = [{"Address": "dynamodb.us-east-1.amazonaws.com", "CachePeriodInMinutes": 1440}]
    assert world("DescribeEndpoints") == {"Endpoints": endpoints}
