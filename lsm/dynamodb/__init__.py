"""DynamoDB's semantics on the engine: tables, items, expressions, indexes, transactions, in this process.

`connect(path).client()` is a client with boto3's methods, without boto3; `boto3_session(path)` a boto3 Session whose
dynamodb clients and resources never leave the process.
"""

from lsm.dynamodb.boto import boto3_session
from lsm.dynamodb.client import Client, ClientError, ParamValidationError, WaiterError
from lsm.dynamodb.clock import Clock
from lsm.dynamodb.connection import Connection, connect
from lsm.dynamodb.errors import ApiError

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "Clock",
    "Connection",
    "ParamValidationError",
    "WaiterError",
    "boto3_session",
    "connect",
]
