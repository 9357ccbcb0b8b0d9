"""DynamoDB's semantics on the engine: tables, items, expressions, indexes, transactions.

`lsm.dynamodb.service.Service` is the one entry that all front doors use.
"""
