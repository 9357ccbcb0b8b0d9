"""What each operation does once its request was read: one function per operation, from form to answer.

Each takes the Service (lsm/dynamodb/service.py), the form (requests/forms.py) and the front door.
"""
