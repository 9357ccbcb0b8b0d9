"""The DynamoDB endpoint: HTTP in front of lsm.dynamodb, as `lsm serve` runs it.

One event loop per process. Needs the extra `serve`: httptools, orjson, prometheus-client, and uvloop where it exists.
"""
