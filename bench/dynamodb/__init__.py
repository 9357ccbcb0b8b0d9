"""DynamoDB in the process, measured: operations through our client and through boto3, moto and dynalite beside it.

`python -m bench.dynamodb --help`; the yardstick that moves with the machine is the JSON round trip of the item.
"""
