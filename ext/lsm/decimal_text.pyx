"""Numbers as DynamoDB keeps them: 38 significant digits, 1E-130 to 9.99E+125 of either sign, and zero.

Guarantees: every number has one text and one key, and keys compare as bytes as their numbers do. No state, any thread.
"""
from lsm.types cimport i64, u8, u32

cdef enum:
    KEY_NEGATIVE = 0
    KEY_ZERO = 1
    KEY_POSITIVE = 2

cdef i64 FAR = <i64>1 << 62            # no sum of an exponent and a count of digits overflows


cdef inline bint is_digit(u8 c) noexcept nogil:
    return 48 <= c <= 57


cdef int read_exponent(const u8* p, size_t n, i64* out) noexcept nogil:
    """The digits behind the E; a sign is allowed, at least one digit needed."""
    cdef bint negative = False
    cdef i64 value = 0
    cdef int status = NUMBER_OK
    cdef size_t i = 0
    if n and (p[0] == 43 or p[0] == 45):
        negative = p[0] == 45
        i = 1
    if i == n:
        return NUMBER_BAD
    while i < n:
        if not is_digit(p[i]):
            return NUMBER_BAD
        if value > (<i64>0x7FFFFFFFFFFFFFFF - (p[i] - 48)) // 10:
            status = NUMBER_FAR
        elif status == NUMBER_OK:
            value = value * 10 + (p[i] - 48)
        i += 1
    if value > FAR:
        value = FAR
    out[0] = -value if negative else value
    return status


cdef int number_read(const u8* text, size_t n, number_t* out) noexcept nogil:
    cdef size_t i = 0
    cdef size_t digits = 0            # written, zeros too
    cdef size_t fraction = 0          # of those, behind the point
    cdef size_t gap = 0               # zeros read since the last other digit
    cdef size_t significant = 0       # from the first other digit to the last
    cdef bint point = False
    cdef i64 exponent = 0
    cdef i64 first = 0                # exponent of the first digit that is not zero, before `exponent`
    cdef int status = NUMBER_OK
    cdef u8 c
    out.negative = False
    out.count = 0
    out.exponent = 0
    if n and (text[0] == 43 or text[0] == 45):
        out.negative = text[0] == 45
        i = 1
    while i < n:
        c = text[i]
        if c == 46:
            if point:
                return NUMBER_BAD
            point = True
        elif is_digit(c):
            digits += 1
            if point:
                fraction += 1
            if c == 48:
                if significant:
                    gap += 1
            else:
                if not significant:
                    first = -<i64>fraction if point else 0
                    gap = 0
                significant += gap + 1
                if significant <= NUMBER_DIGITS:
                    while gap:
                        out.digits[significant - 1 - gap] = 0
                        gap -= 1
                    out.digits[significant - 1] = c - 48
                gap = 0
            if significant and not point and significant + gap > 1:
                first += 1
        elif c == 69 or c == 101:
            status = read_exponent(text + i + 1, n - i - 1, &exponent)
            break
        else:
            return NUMBER_BAD
        i += 1
    if not digits:
        return NUMBER_BAD
    if status != NUMBER_OK:
        return status
    if not significant:
        # zero has the range of a one in the place of its last digit
        out.negative = False
        first = exponent - <i64>fraction
        if first > NUMBER_HIGHEST:
            return NUMBER_HIGH
        return NUMBER_LOW if first < NUMBER_LOWEST else NUMBER_OK
    out.exponent = first + exponent
    if significant > NUMBER_DIGITS:
        return NUMBER_LONG
    out.count = <u32>significant
    if out.exponent > NUMBER_HIGHEST:
        return NUMBER_HIGH
    return NUMBER_LOW if out.exponent < NUMBER_LOWEST else NUMBER_OK


cdef u32 number_text(const number_t* number, u8* out) noexcept nogil:
    cdef u32 n = 0
    cdef i64 i
    if number.count == 0:
        out[0] = 48
        return 1
    if number.negative:
        out[n] = 45
        n += 1
    if number.exponent < 0:
        out[n] = 48
        out[n + 1] = 46
        n += 2
        for i in range(-number.exponent - 1):
            out[n] = 48
            n += 1
    for i in range(number.count):
        if i and i == number.exponent + 1:
            out[n] = 46
            n += 1
        out[n] = 48 + number.digits[i]
        n += 1
    for i in range(<i64>number.count, number.exponent + 1):
        out[n] = 48
        n += 1
    return n


cdef u32 number_key(const number_t* number, u8* out) noexcept nogil:
    cdef u8 flip = 255 if number.negative else 0
    cdef u32 n = 2
    cdef u32 i
    cdef u8 pair
    if number.count == 0:
        out[0] = KEY_ZERO
        return 1
    out[0] = KEY_NEGATIVE if number.negative else KEY_POSITIVE
    out[1] = <u8>(number.exponent - NUMBER_LOWEST) ^ flip
    for i in range(0, number.count, 2):
        pair = number.digits[i] * 10 + (number.digits[i + 1] if i + 1 < number.count else 0) + 1
        out[n] = pair ^ flip
        n += 1
    if number.negative:
        out[n] = 255                  # of two that begin alike the longer is the smaller
        n += 1
    return n


cdef u32 number_size(const number_t* number) noexcept nogil:
    cdef i64 whole = 0                # digits before the point, without zeros that end the number
    cdef i64 count = number.count
    if count == 0:
        return 1
    if number.exponent >= 0:
        whole = number.exponent + 1 if number.exponent + 1 < count else count
    return <u32>(1 + (whole + 1) // 2 + (count - whole + 1) // 2 + (1 if number.negative else 0))


def read_number(str text not None):
    """The plain text of a number, or the reason why it is refused, as a number of this module (NUMBER_BAD ...).

    For tools and tests; the item codec calls number_read itself.
    """
    cdef bytes encoded = text.encode("utf-8", "surrogatepass")
    cdef number_t number
    cdef u8 out[176]
    cdef int status = number_read(encoded, len(encoded), &number)
    if status != NUMBER_OK:
        return status
    return out[:number_text(&number, out)].decode("ascii")
