# Called from compiled code only; `table_doors` is the way in from Python.
