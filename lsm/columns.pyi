# Called from compiled code only.
