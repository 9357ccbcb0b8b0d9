def read_number(text: str) -> str | int:
    """The plain text of a number, or the reason why it is refused, as a number of this module (NUMBER_BAD ...).

    For tools and tests; the item codec calls number_read itself.
    """
