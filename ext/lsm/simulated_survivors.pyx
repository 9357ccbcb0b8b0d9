"""Which disks may be found after a power failure: chosen by a seed among all that the order kept by a mode allows.

Guarantees: what was synced is there; the same disk, mode and seed give the same result. Pieces are 512 bytes or 4 KiB,
each as it was after some number of the changes since the last sync. Called with a disk that nothing else uses.
"""
from libc.errno cimport ENOMEM
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen, strrchr

from lsm.memory_names cimport PATH_ROOM
from lsm.simulated_disk cimport (BLOCK, GRAVE, LENGTH_SET, PIECE, change_t, disk_add, disk_copy, disk_free, disk_new,
                                 entry_t, image_put, name_find, name_t, names_apply, node_t)
from lsm.types cimport u8

cdef enum:                            # how the pieces of one file are chosen
    PIECES_NONE = 0
    PIECES_ALL = 1
    PIECES_ANY = 2                    # each as of a moment of its own
    PIECES_SUBSET = 3                 # each old or new
    PIECES_MOMENT = 4                 # all as of one moment
    PIECES_ALL_BUT_ONE = 5
    PIECES_ONLY_ONE = 6
    PIECES_WAYS = 7

cdef struct choice_t:                 # of one survivor
    disk_t* old
    disk_t* new
    int mode
    u64 random
    u64 piece                         # bytes
    bint garbage                      # what was never written holds bytes of files that are gone
    u64 journal                       # number of the last entry that arrived

cdef struct file_t:                   # of one file of it
    const node_t* node
    u64 changes
    u64 most                          # longest that the file was
    u8* bytes
    u64* lengths                      # after each number of changes
    u64* arrived                      # of each piece: how many of the changes
    bint* written                     # of each piece: whether anything was put there


cdef u64 random_of(choice_t* c) noexcept nogil:
    cdef u64 x
    c.random += <u64>0x9E3779B97F4A7C15
    x = c.random
    x = (x ^ (x >> 30)) * <u64>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <u64>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline u64 below(choice_t* c, u64 n) noexcept nogil:
    return random_of(c) % n


# ---- names

cdef int directory_of(const char* path, char* out) noexcept nogil:
    """Where the path lies; the empty string at the top."""
    cdef const char* slash = strrchr(path, c"/")
    cdef size_t n = <size_t>(slash - path) if slash != NULL else 0
    memcpy(out, path, n)
    out[n] = 0
    return 0


cdef u64 directory_random(choice_t* c, const char* path, u64 salt) noexcept nogil:
    """The same number for every name of one directory."""
    cdef char directory[PATH_ROOM]
    cdef u64 h = salt
    cdef size_t i
    directory_of(path, directory)
    for i in range(strlen(directory)):
        h = (h ^ <u8>directory[i]) * <u64>0x100000001B3
    h = (h ^ (h >> 29)) * <u64>0xBF58476D1CE4E5B9
    return h ^ (h >> 32)


cdef u64 names_changed_in(disk_t* d, const char* path, u64 upto) noexcept nogil:
    """Entries of the path's directory with a number of at most `upto`."""
    cdef char directory[PATH_ROOM]
    cdef char other[PATH_ROOM]
    cdef entry_t* e = d.first
    cdef u64 n = 0
    directory_of(path, directory)
    while e != NULL:
        if e.kind != LENGTH_SET and e.number <= upto:
            directory_of(e.path, other)
            n += 1 if strlen(other) == strlen(directory) and same(other, directory) else 0
        e = e.next
    return n


cdef bint same(const char* a, const char* b) noexcept nogil:
    while a[0] != 0 and a[0] == b[0]:
        a += 1
        b += 1
    return a[0] == b[0]


cdef bint name_arrived(choice_t* c, const entry_t* e, u64 salt) noexcept nogil:
    cdef u64 all_of_them
    if c.mode == MODE_NOTHING:
        return False
    if c.mode == MODE_EVERYTHING:
        return True
    if c.mode == MODE_EXT4:
        return e.number <= c.journal
    all_of_them = names_changed_in(c.old, e.path, ~<u64>0)
    return names_changed_in(c.old, e.path, e.number) <= directory_random(c, e.path, salt) % (all_of_them + 1)


cdef void choose_journal(choice_t* c) noexcept nogil:
    """What was committed, and some of what followed: one in four times none of it, or all."""
    cdef entry_t* e = c.old.first
    cdef u64 low = 0
    cdef u64 high = 0
    cdef u64 way = below(c, 4)
    while e != NULL:
        if e.committed:
            low = e.number
        high = e.number
        e = e.next
    if way == 0:
        c.journal = low
    elif way == 1:
        c.journal = high
    else:
        c.journal = low + below(c, high - low + 1) if high > low else high


cdef int choose_names(choice_t* c, name_t** names) noexcept nogil:
    """The names that are found, and what they lead to, on the old disk."""
    cdef name_t* durable = c.old.durable_names
    cdef entry_t* e = c.old.first
    cdef entry_t link
    cdef u64 salt = random_of(c)
    memset(&link, 0, sizeof(link))
    while durable != NULL:
        link.path = durable.path
        link.node = durable.node
        if names_apply(names, &link) < 0:
            return -ENOMEM
        durable = durable.next
    while e != NULL:
        if e.kind != LENGTH_SET and name_arrived(c, e, salt):
            if names_apply(names, e) < 0:
                return -ENOMEM
        e = e.next
    return 0


cdef void drop_orphaned_names(name_t** names, disk_t* old) noexcept nogil:
    """What lies in a directory whose own name did not arrive cannot be found."""
    cdef name_t** at = names
    cdef name_t* gone
    while at[0] != NULL:
        if parents_found(at[0].path, names[0], old):
            at = &at[0].next
        else:
            gone = at[0]
            at[0] = gone.next
            free(gone.path)
            free(gone)


cdef bint parents_found(const char* path, name_t* names, disk_t* old) noexcept nogil:
    cdef char parent[PATH_ROOM]
    cdef name_t* known
    directory_of(path, parent)
    while parent[0] != 0:
        known = name_find(old.names, parent)
        if known != NULL and known.node.directory and name_find(names, parent) == NULL:
            return False
        directory_of(parent, parent)
    return True


# ---- bytes

cdef int file_begin(file_t* f, const node_t* node, u64 piece) noexcept nogil:
    cdef const change_t* change = node.first
    cdef u64 i = 0
    cdef u64 pieces
    memset(f, 0, sizeof(file_t))
    f.node = node
    f.changes = node.change_count
    f.lengths = <u64*>malloc((f.changes + 1) * sizeof(u64))
    if f.lengths == NULL:
        return -ENOMEM
    f.lengths[0] = f.most = node.durable.size
    while change != NULL:
        i += 1
        f.lengths[i] = change.offset + change.n
        if not change.sets_length and f.lengths[i] < f.lengths[i - 1]:
            f.lengths[i] = f.lengths[i - 1]
        f.most = f.lengths[i] if f.lengths[i] > f.most else f.most
        change = change.next
    pieces = f.most // piece + 1
    f.bytes = <u8*>malloc(f.most + 1)
    f.arrived = <u64*>malloc(pieces * sizeof(u64))
    f.written = <bint*>malloc(pieces * sizeof(bint))
    if f.bytes == NULL or f.arrived == NULL or f.written == NULL:
        return -ENOMEM
    memset(f.bytes, 0, f.most + 1)
    if node.durable.size > 0:
        memcpy(f.bytes, node.durable.bytes, node.durable.size)
    for i in range(pieces):
        f.arrived[i] = 0
        f.written[i] = i * piece < node.durable.size
    return 0


cdef void file_end(file_t* f) noexcept nogil:
    free(f.bytes)
    free(f.lengths)
    free(f.arrived)
    free(f.written)


cdef void choose_pieces(choice_t* c, file_t* f, u64 low, u64 high) noexcept nogil:
    """Of each piece how many of the changes arrived, from `low` to `high`."""
    cdef u64 pieces = f.most // c.piece + 1
    cdef u64 way = below(c, PIECES_WAYS)
    cdef u64 moment = low + below(c, high - low + 1)
    cdef u64 one = below(c, pieces)
    cdef u64 i
    for i in range(pieces):
        if way == PIECES_NONE:
            f.arrived[i] = low
        elif way == PIECES_ALL:
            f.arrived[i] = high
        elif way == PIECES_ANY:
            f.arrived[i] = low + below(c, high - low + 1)
        elif way == PIECES_SUBSET:
            f.arrived[i] = high if below(c, 2) else low
        elif way == PIECES_MOMENT:
            f.arrived[i] = moment
        elif way == PIECES_ALL_BUT_ONE:
            f.arrived[i] = low if i == one else high
        else:
            f.arrived[i] = high if i == one else low


cdef void put_write(choice_t* c, file_t* f, const change_t* change, u64 number) noexcept nogil:
    cdef u64 at = change.offset
    cdef u64 end = change.offset + change.n
    cdef u64 n
    while at < end:
        n = c.piece - at % c.piece
        n = n if n < end - at else end - at
        if f.arrived[at // c.piece] >= number:
            memcpy(f.bytes + at, change.bytes + (at - change.offset), n)
            f.written[at // c.piece] = True
        at += n


cdef void put_length(choice_t* c, file_t* f, u64 length, u64 number, u64 sure) noexcept nogil:
    """Zeros from there on, in the pieces that saw the cut; every piece sees one that surely arrived."""
    cdef u64 at = length
    cdef u64 n
    while at < f.most:
        n = c.piece - at % c.piece
        n = n if n < f.most - at else f.most - at
        if number <= sure or f.arrived[at // c.piece] >= number:
            memset(f.bytes + at, 0, n)
            if at % c.piece == 0:
                f.written[at // c.piece] = False
        at += n


cdef void put_changes(choice_t* c, file_t* f, u64 sure) noexcept nogil:
    cdef const change_t* change = f.node.first
    cdef u64 number = 0
    while change != NULL:
        number += 1
        if change.sets_length:
            put_length(c, f, change.offset, number, sure)
        else:
            put_write(c, f, change, number)
        change = change.next


cdef void put_garbage(choice_t* c, file_t* f) noexcept nogil:
    """Pieces of the file that nothing was ever written to."""
    cdef u64 i, n, at
    for i in range(f.most // c.piece + 1):
        if f.written[i]:
            continue
        n = c.piece if f.most - i * c.piece > c.piece else f.most - i * c.piece
        at = below(c, GRAVE // PIECE) * PIECE
        n = n if n < <u64>GRAVE - at else <u64>GRAVE - at
        memcpy(f.bytes + i * c.piece, c.old.grave + at, n)


cdef u64 any_length(choice_t* c, file_t* f) noexcept nogil:
    """Old, new, one between in time, or one between in size."""
    cdef u64 way = below(c, 4)
    cdef u64 low = f.most
    cdef u64 i
    if way == 0:
        return f.lengths[0]
    if way == 1:
        return f.lengths[f.changes]
    if way == 2:
        return f.lengths[below(c, f.changes + 1)]
    for i in range(f.changes + 1):
        low = f.lengths[i] if f.lengths[i] < low else low
    return low + below(c, f.most - low + 1)


cdef u64 strict_file(choice_t* c, file_t* f) noexcept nogil:
    choose_pieces(c, f, 0, f.changes)
    put_changes(c, f, 0)
    if c.garbage:
        put_garbage(c, f)
    return any_length(c, f)


cdef u64 ordered_file(choice_t* c, file_t* f) noexcept nogil:
    """Lengths set arrived with the journal; what the file grew by arrived before its length; the rest in any order."""
    cdef const change_t* change = f.node.first
    cdef u64 low = 0
    cdef u64 high = f.changes
    cdef u64 number = 0
    cdef u64 length, moment, i
    while change != NULL:
        number += 1
        if change.sets_length and change.entry <= c.journal:
            low = number
        elif change.sets_length:
            high = number - 1
            break
        change = change.next
    choose_pieces(c, f, 0, high)
    moment = low + below(c, high - low + 1)
    length = f.lengths[moment]
    if moment < high and f.lengths[moment + 1] > length and below(c, 2):
        moment += 1
        length += below(c, (f.lengths[moment] - length) // BLOCK + 1) * BLOCK
    for i in range(f.most // c.piece + 1):
        if (i + 1) * c.piece > f.lengths[0] and f.arrived[i] < moment:
            f.arrived[i] = moment
    put_changes(c, f, low)
    return length


# ---- one survivor

cdef int file_survives(choice_t* c, const name_t* name) noexcept nogil:
    """A file with two names comes twice: nothing here makes such a one but a move between directories."""
    cdef node_t* node = disk_add(c.new, name.path, name.node.directory, True)
    cdef file_t f
    cdef u64 length
    cdef int r
    if node == NULL:
        return -ENOMEM
    if c.mode == MODE_NOTHING:
        return settle(node, name.node.durable.bytes, name.node.durable.size)
    if c.mode == MODE_EVERYTHING or name.node.change_count == 0:
        return settle(node, name.node.now.bytes, name.node.now.size)
    r = file_begin(&f, name.node, c.piece)
    if r == 0:
        length = strict_file(c, &f) if c.mode == MODE_STRICT else ordered_file(c, &f)
        r = settle(node, f.bytes, length)
    file_end(&f)
    return r


cdef int settle(node_t* node, const u8* source, u64 n) noexcept nogil:
    cdef int r = image_put(&node.now, source, n, 0)
    return r if r < 0 else image_put(&node.durable, source, n, 0)


cdef int fill(choice_t* c) noexcept nogil:
    cdef name_t* names = NULL
    cdef name_t* name
    cdef int r = choose_names(c, &names)
    drop_orphaned_names(&names, c.old)
    name = names
    while name != NULL and r == 0:
        r = file_survives(c, name)
        name = name.next
    while names != NULL:
        name = names
        names = name.next
        free(name.path)
        free(name)
    return r


cdef disk_t* disk_survivor(disk_t* d, int mode, u64 seed) noexcept nogil:
    cdef choice_t c
    if mode == MODE_KILLED:
        return disk_copy(d)
    memset(&c, 0, sizeof(c))
    c.old = d
    c.new = disk_new()
    if c.new == NULL:
        return NULL
    c.mode = mode
    c.random = seed
    c.piece = PIECE if below(&c, 2) else BLOCK
    c.garbage = below(&c, 3) == 0
    choose_journal(&c)
    c.new.capacity = d.capacity
    memcpy(c.new.grave, d.grave, GRAVE)
    c.new.grave_used = d.grave_used
    if fill(&c) < 0:
        disk_free(c.new)
        return NULL
    return c.new
