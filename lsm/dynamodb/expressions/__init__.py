"""Expressions and the legacy parameters: read, checked, evaluated. One grammar, one evaluator; knows no storage.

Condition, KeyCondition, Projection and Update are made by `parse` (ApiError for faults of the text alone) and looked at
by `check` (names, values, operands): the two are apart because the service does other checks between them.
"""

from lsm.dynamodb.expressions.checked import checked, checked_keys
from lsm.dynamodb.expressions.conditions import Condition, value_at
from lsm.dynamodb.expressions.key_conditions import BoundKeys, KeyCondition, KeyTest
from lsm.dynamodb.expressions.projections import Projection, pick
from lsm.dynamodb.expressions.unused import unused_names, unused_values
from lsm.dynamodb.expressions.updates import Update

__all__ = [
    "BoundKeys",
    "Condition",
    "KeyCondition",
    "KeyTest",
    "Projection",
    "Update",
    "checked",
    "checked_keys",
    "pick",
    "unused_names",
    "unused_values",
    "value_at",
]
