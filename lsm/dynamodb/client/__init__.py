"""A client with boto3's names, in the process and without boto3: see lsm.dynamodb.connect."""

from lsm.dynamodb.client.client import Client
from lsm.dynamodb.client.exceptions import ClientError, ParamValidationError, WaiterError

__all__ = ["Client", "ClientError", "ParamValidationError", "WaiterError"]
