"""HTTP endpoints of DynamoDB measured beside one another: `lsm serve`, Dynoxide, DynamoDB Local, dynalite, moto.

`python -m bench.server --help`. Each server is a process of its own, the load comes from another (client.c).
"""
