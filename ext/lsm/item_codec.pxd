# Items as bytes; Python calls it, no compiled module does.
