# Numbers as DynamoDB keeps them: decimal text in, its digits and exponent out; the plain text and the ordered key of
# these. No Python objects.
from lsm.types cimport i64, u8, u32

cdef enum:
    NUMBER_OK = 0
    NUMBER_BAD = 1                    # not a number
    NUMBER_LONG = 2                   # more than 38 significant digits
    NUMBER_HIGH = 3
    NUMBER_LOW = 4
    NUMBER_FAR = 5                    # the exponent does not fit 64 bits
    NUMBER_DIGITS = 38
    NUMBER_LOWEST = -130              # exponent of the first digit
    NUMBER_HIGHEST = 125
    NUMBER_TEXT = 176                 # room for any plain text: sign, 0., 129 zeros, 38 digits
    NUMBER_KEY = 24

cdef struct number_t:
    bint negative
    u32 count                         # of digits, without zeros at either end; 0: zero
    i64 exponent                      # of the first digit: 0 for 1 to 9.99
    u8 digits[38]

# NUMBER_OK, or why the text is refused
cdef int number_read(const u8* text, size_t n, number_t* out) noexcept nogil
# bytes written: the plain text, no exponent
cdef u32 number_text(const number_t* number, u8* out) noexcept nogil
# bytes written: compared as bytes these keys have the order of the numbers
cdef u32 number_key(const number_t* number, u8* out) noexcept nogil
# DynamoDB's size in bytes
cdef u32 number_size(const number_t* number) noexcept nogil
