// What a program does with the JavaScript SDK v3, against the endpoint in the first argument. Prints a line for each
// part that went as it must; ends with status 1 at the first that did not.
"use strict";

const assert = require("node:assert");
const dynamodb = require("@aws-sdk/client-dynamodb");
const lib = require("@aws-sdk/lib-dynamodb");

const settings = {
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
};
const client = new dynamodb.DynamoDBClient(settings);
const documents = lib.DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
const TableName = "Music";

async function tables() {
  await client.send(
    new dynamodb.CreateTableCommand({
      TableName,
      KeySchema: [
        { AttributeName: "artist", KeyType: "HASH" },
        { AttributeName: "song", KeyType: "RANGE" },
      ],
      AttributeDefinitions: [
        { AttributeName: "artist", AttributeType: "S" },
        { AttributeName: "song", AttributeType: "S" },
      ],
      BillingMode: "PAY_PER_REQUEST",
    }),
  );
  const waited = await dynamodb.waitUntilTableExists({ client, maxWaitTime: 300 }, { TableName });
  assert.equal(waited.state, "SUCCESS");
  const { Table } = await client.send(new dynamodb.DescribeTableCommand({ TableName }));
  assert.equal(Table.TableStatus, "ACTIVE");
  assert.ok(Table.CreationDateTime instanceof Date && Math.abs(Table.CreationDateTime - new Date()) < 3600e3);
  assert.deepEqual((await client.send(new dynamodb.ListTablesCommand({}))).TableNames, [TableName]);
}

async function items() {
  const Item = {
    artist: { S: "Bach \u{1f600}" },
    song: { S: "Aria" },
    number: { N: "12345678901234567890123456789012345678" },
    bytes: { B: new Uint8Array([0, 255, 10]) },
    deep: { M: { list: { L: [{ BOOL: false }, { NULL: true }] } } },
    set: { NS: ["1", "-2.5"] },
  };
  await client.send(new dynamodb.PutItemCommand({ TableName, Item }));
  const Key = { artist: Item.artist, song: Item.song };
  const got = await client.send(new dynamodb.GetItemCommand({ TableName, Key, ConsistentRead: true }));
  got.Item.set.NS.sort();
  Item.set.NS.sort();
  assert.deepEqual(got.Item, Item);
  assert.equal(got.$metadata.httpStatusCode, 200);
  assert.equal(got.$metadata.requestId.length, 52);
}

async function documentsAndUpdates() {
  const Key = { artist: "Ann", song: "One" };
  await documents.send(
    new lib.PutCommand({ TableName, Item: { ...Key, plays: 1, tags: new Set(["a", "b"]), more: { x: [null, true, "é"] } } }),
  );
  const updated = await documents.send(
    new lib.UpdateCommand({
      TableName,
      Key,
      UpdateExpression: "ADD plays :n SET more.x[3] = :s",
      ConditionExpression: "contains(tags, :a)",
      ExpressionAttributeValues: { ":n": 41, ":s": "last", ":a": "a" },
      ReturnValues: "ALL_NEW",
    }),
  );
  const { Item } = await documents.send(new lib.GetCommand({ TableName, Key }));
  assert.deepEqual(updated.Attributes, Item);
  assert.deepEqual(Item, { ...Key, plays: 42, tags: new Set(["a", "b"]), more: { x: [null, true, "é", "last"] } });
  const gone = await documents.send(new lib.DeleteCommand({ TableName, Key, ReturnValues: "ALL_OLD" }));
  assert.equal(gone.Attributes.plays, 42);
}

async function batches() {
  for (let begin = 0; begin < 100; begin += 25) {
    const puts = Array.from({ length: 25 }, (_, n) => ({
      PutRequest: { Item: { artist: "many", song: String(begin + n).padStart(3, "0"), text: "x".repeat(20000) } },
    }));
    const answer = await documents.send(new lib.BatchWriteCommand({ RequestItems: { [TableName]: puts } }));
    assert.deepEqual(answer.UnprocessedItems, {});
  }
  const Keys = [..."0123456789"].map((n) => ({ artist: "many", song: `00${n}` }));
  const answer = await documents.send(new lib.BatchGetCommand({ RequestItems: { [TableName]: { Keys } } }));
  assert.equal(answer.Responses[TableName].length, 10);
}

async function pages() {
  const query = {
    TableName,
    KeyConditionExpression: "artist = :a AND song BETWEEN :b AND :c",
    ExpressionAttributeValues: { ":a": "many", ":b": "010", ":c": "089" },
  };
  const songs = [];
  let count = 0;
  for await (const page of lib.paginateQuery({ client: documents }, query)) {
    songs.push(...page.Items.map((item) => item.song));
    count += 1;
  }
  assert.ok(count > 1);
  assert.deepEqual(songs, Array.from({ length: 80 }, (_, n) => String(n + 10).padStart(3, "0")));
  let scanned = 0;
  for await (const page of lib.paginateScan({ client: documents, pageSize: 30 }, { TableName, Select: "COUNT" })) {
    scanned += page.Count;
  }
  assert.equal(scanned, 101);
}

async function transactions() {
  const put = (song) => ({ Put: { TableName, Item: { artist: "t", song } } });
  await documents.send(new lib.TransactWriteCommand({ TransactItems: [put("1"), put("2")] }));
  const check = { TableName, Key: { artist: "t", song: "9" }, ConditionExpression: "attribute_exists(song)" };
  await assert.rejects(
    documents.send(new lib.TransactWriteCommand({ TransactItems: [put("3"), { ConditionCheck: check }] })),
    (error) => {
      assert.ok(error instanceof dynamodb.TransactionCanceledException);
      assert.deepEqual(
        error.CancellationReasons.map((reason) => reason.Code),
        ["None", "ConditionalCheckFailed"],
      );
      return true;
    },
  );
  const get = (song) => ({ Get: { TableName, Key: { artist: "t", song } } });
  const { Responses } = await documents.send(new lib.TransactGetCommand({ TransactItems: [get("2"), get("3")] }));
  assert.deepEqual(Responses, [{ Item: { artist: "t", song: "2" } }, {}]);
}

async function errors() {
  const Item = { artist: { S: "Bach \u{1f600}" }, song: { S: "Aria" } };
  const put = { TableName, Item, ConditionExpression: "attribute_not_exists(artist)" };
  await assert.rejects(
    client.send(new dynamodb.PutItemCommand({ ...put, ReturnValuesOnConditionCheckFailure: "ALL_OLD" })),
    (error) => {
      assert.ok(error instanceof dynamodb.ConditionalCheckFailedException);
      assert.equal(error.message, "The conditional request failed");
      assert.equal(error.Item.song.S, "Aria");
      return true;
    },
  );
  await assert.rejects(
    client.send(new dynamodb.GetItemCommand({ TableName: "Nowhere", Key: Item })),
    dynamodb.ResourceNotFoundException,
  );
  await assert.rejects(client.send(new dynamodb.QueryCommand({ TableName })), { name: "ValidationException" });
}

async function manyAtOnce() {
  const add = () =>
    documents.send(
      new lib.UpdateCommand({
        TableName,
        Key: { artist: "counter", song: "-" },
        UpdateExpression: "ADD n :one",
        ExpressionAttributeValues: { ":one": 1 },
      }),
    );
  await Promise.all(Array.from({ length: 300 }, add));
  const { Item } = await documents.send(new lib.GetCommand({ TableName, Key: { artist: "counter", song: "-" } }));
  assert.equal(Item.n, 300);
}

async function end() {
  await client.send(new dynamodb.DeleteTableCommand({ TableName }));
  const waited = await dynamodb.waitUntilTableNotExists({ client, maxWaitTime: 300 }, { TableName });
  assert.equal(waited.state, "SUCCESS");
}

(async () => {
  const parts = [tables, items, documentsAndUpdates, batches, pages, transactions, errors, manyAtOnce, end];
  for (const part of parts) {
    await part();
    console.log(part.name);
  }
  client.destroy();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
