"""The order of a memtable's keys: a radix sort for flushes, a lazily extended B+-tree for scans of a live memtable.

Guarantees: a cursor sees every key its sequence may see, whatever is inserted between two gatherings.
The tree is read and extended under the database's lock; a sort reads a frozen memtable without it.
"""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

from lsm.keys cimport key_compare
from lsm.large_memory cimport large_free, large_new
from lsm.memtable cimport (inner_t, item_t, leaf_t, memtable_t, node_key, node_t, node_visible, order_t,
                           version_t, walk_next, walk_t)
from lsm.types cimport STATUS_NO_MEMORY, STATUS_OK, get64_be, prefetch, u8, u32, u64

cdef enum:
    FANOUT = 64
    MAX_HEIGHT = 12
    RADIX_FROM = 64                    # below, a shell sort wins
    GATHER_FIRST = 16
    AHEAD = 8                          # nodes whose memory is asked for before it is read
    GATHER_MOST = 128


# ---- comparing

cdef inline u64 prefix_of(const u8* key, u32 n, u32 skip) noexcept nogil:
    """Eight bytes from `skip` on as a big-endian number, zeros behind the end."""
    cdef u64 v = 0
    cdef u32 i, m
    if n >= skip + 8:
        return get64_be(key + skip)
    if n <= skip:
        return 0
    m = n - skip
    for i in range(m):
        v = (v << 8) | key[skip + i]
    return v << ((8 - m) * 8)


cdef inline bint item_less(const item_t* a, const item_t* b) noexcept nogil:
    if a.prefix != b.prefix:
        return a.prefix < b.prefix
    return key_compare(node_key(a.node), a.node.key_bytes, node_key(b.node), b.node.key_bytes) < 0


# ---- sorting

cdef void insertion_sort(item_t* items, u64 n) noexcept nogil:
    cdef u64 i, j
    cdef item_t x
    for i in range(1, n):
        x = items[i]
        j = i
        while j > 0 and item_less(&x, &items[j - 1]):
            items[j] = items[j - 1]
            j -= 1
        items[j] = x


cdef void sift_down(item_t* items, u64 root, u64 n) noexcept nogil:
    cdef u64 child
    cdef item_t x = items[root]
    while True:
        child = 2 * root + 1
        if child >= n:
            break
        if child + 1 < n and item_less(&items[child], &items[child + 1]):
            child += 1
        if not item_less(&x, &items[child]):
            break
        items[root] = items[child]
        root = child
    items[root] = x


cdef void heap_sort(item_t* items, u64 n) noexcept nogil:
    """Whole-key order, in place, n log n at worst: for runs whose prefixes do not tell them apart."""
    cdef u64 i = n // 2
    cdef item_t x
    while i > 0:
        i -= 1
        sift_down(items, i, n)
    i = n
    while i > 1:
        i -= 1
        x = items[0]
        items[0] = items[i]
        items[i] = x
        sift_down(items, 0, i)


cdef u32 common_bytes(const item_t* items, u64 n, u32 start) noexcept nogil:
    """How many bytes all keys share; they are known to share the first `start`."""
    cdef const u8* first = node_key(items[0].node)
    cdef u32 shared = items[0].node.key_bytes
    cdef u32 j
    cdef u64 i
    cdef const u8* key
    for i in range(1, n):
        if i + 8 < n:
            prefetch(items[i + 8].node)
        key = node_key(items[i].node)
        if items[i].node.key_bytes < shared:
            shared = items[i].node.key_bytes
        j = start
        while j < shared and key[j] == first[j]:
            j += 1
        shared = j if j < shared else shared
        if shared <= start:
            return start if shared > start else shared
    return shared


cdef void flag_sort(item_t* items, u64 n, int shift) noexcept nogil:
    """By the prefix, most significant byte first, in place (McIlroy, Bostic, McIlroy: American flag sort, 1993)."""
    cdef u64 starts[256]
    cdef u64 ends[256]
    cdef u64 i, at
    cdef int d, b
    cdef item_t x, y
    while True:
        if n < RADIX_FROM:
            sort_by_prefix_small(items, n)
            return
        memset(ends, 0, sizeof(ends))
        for i in range(n):
            ends[(items[i].prefix >> shift) & 255] += 1
        if ends[(items[0].prefix >> shift) & 255] < n:
            break
        if shift == 0:
            return
        shift -= 8
    at = 0
    for d in range(256):
        starts[d] = at
        at += ends[d]
        ends[d] = at
    for d in range(256):
        while starts[d] < ends[d]:
            x = items[starts[d]]
            b = (x.prefix >> shift) & 255
            while b != d:
                y = items[starts[b]]
                items[starts[b]] = x
                starts[b] += 1
                x = y
                b = (x.prefix >> shift) & 255
            items[starts[d]] = x
            starts[d] += 1
    if shift == 0:
        return
    at = 0
    for d in range(256):
        if ends[d] - at > 1:
            flag_sort(items + at, ends[d] - at, shift - 8)
        at = ends[d]


cdef void sort_items(item_t* items, u64 n, u32 start, int depth) noexcept nogil:
    """Sorts keys that share their first `start` bytes."""
    cdef u32 skip
    cdef u64 i, j, k
    cdef bint ends
    if n < 2:
        return
    if n <= 24 or depth > 64:
        if n <= 24:
            insertion_sort_fresh(items, n, start)
        else:
            sort_whole(items, n, start)
        return
    skip = common_bytes(items, n, start)
    for i in range(n):
        items[i].prefix = prefix_of(node_key(items[i].node), items[i].node.key_bytes, skip)
    flag_sort(items, n, 56)
    i = 0
    while i < n:
        j = i + 1
        while j < n and items[j].prefix == items[i].prefix:
            j += 1
        if j - i > 1:
            ends = False
            for k in range(i, j):
                if items[k].node.key_bytes < skip + 8:
                    ends = True
                    break
            if ends:
                sort_whole(items + i, j - i, skip)
            else:
                sort_items(items + i, j - i, skip + 8, depth + 1)
        i = j


cdef void insertion_sort_fresh(item_t* items, u64 n, u32 start) noexcept nogil:
    cdef u64 i
    for i in range(n):
        items[i].prefix = prefix_of(node_key(items[i].node), items[i].node.key_bytes, start)
    insertion_sort(items, n)


cdef void sort_whole(item_t* items, u64 n, u32 start) noexcept nogil:
    cdef u64 i
    for i in range(n):
        items[i].prefix = prefix_of(node_key(items[i].node), items[i].node.key_bytes, start)
    if n <= 24:
        insertion_sort(items, n)
    else:
        heap_sort(items, n)


cdef void sort_by_prefix_small(item_t* items, u64 n) noexcept nogil:
    """Shell sort on the prefix alone."""
    cdef u64 gap = n // 2
    cdef u64 i, j
    cdef item_t x
    while gap > 0:
        for i in range(gap, n):
            x = items[i]
            j = i
            while j >= gap and x.prefix < items[j - gap].prefix:
                items[j] = items[j - gap]
                j -= gap
            items[j] = x
        gap = 1 if gap == 2 else gap * 5 // 11


cdef item_t* memtable_sorted(const memtable_t* m) noexcept nogil:
    """Every node in key order; `prefix` of the items is left over from the sort and means nothing."""
    cdef item_t* items = <item_t*>large_new((m.nodes + 1) * sizeof(item_t))
    cdef walk_t w
    cdef node_t* n
    cdef u64 i = 0
    if items == NULL:
        return NULL
    w.chunk = m.chunks
    w.used = 0
    while True:
        n = walk_next(&w)
        if n == NULL:
            break
        items[i].node = n
        i += 1
    sort_items(items, i, 0, 0)
    return items


# ---- the tree

cdef void order_free(order_t* o) noexcept nogil:
    if o == NULL:
        return
    if o.root != NULL:
        subtree_free(o.root, o.height)
    free(o)


cdef void subtree_free(void* node, u32 height) noexcept nogil:
    cdef u32 i
    if height > 0:
        for i in range((<inner_t*>node).count):
            subtree_free((<inner_t*>node).child[i], height - 1)
    free(node)


cdef int order_build(memtable_t* m, order_t* o) noexcept nogil:
    """A fresh tree over all nodes: leaves three quarters full, then level by level."""
    cdef item_t* items = memtable_sorted(m)
    cdef u64 n = m.nodes
    cdef u64 i = 0
    cdef u32 take
    cdef leaf_t* leaf
    cdef leaf_t* before = NULL
    cdef void** level
    cdef u64 width = 0
    if items == NULL:
        return STATUS_NO_MEMORY
    level = <void**>large_new((n // 48 + 2) * sizeof(void*))
    if level == NULL:
        large_free(items)
        return STATUS_NO_MEMORY
    o.sample = items[0].node
    o.skip = shared_bytes(items[0].node, items[n - 1].node)
    while i < n:
        take = <u32>(n - i) if n - i < 48 else 48
        leaf = <leaf_t*>malloc(sizeof(leaf_t))
        if leaf == NULL:
            large_free(items)
            free_level(level, width, 0)
            return STATUS_NO_MEMORY
        fill_leaf(leaf, items + i, take, o.skip)
        leaf.previous = before
        leaf.next = NULL
        if before != NULL:
            before.next = leaf
        else:
            o.first = leaf
        before = leaf
        level[width] = leaf
        width += 1
        i += take
    o.last = before
    o.count = n
    large_free(items)
    return order_stack(o, level, width)


cdef void fill_leaf(leaf_t* leaf, const item_t* items, u32 n, u32 skip) noexcept nogil:
    cdef u32 i
    leaf.count = n
    for i in range(n):
        leaf.node[i] = items[i].node
        leaf.prefix[i] = prefix_of(node_key(items[i].node), items[i].node.key_bytes, skip)


cdef void free_level(void** level, u64 width, u32 height) noexcept nogil:
    cdef u64 i
    for i in range(width):
        subtree_free(level[i], height)
    large_free(level)


cdef void first_of(void* node, u32 height, u64* prefix, node_t** key) noexcept nogil:
    while height > 0:
        node = (<inner_t*>node).child[0]
        height -= 1
    prefix[0] = (<leaf_t*>node).prefix[0]
    key[0] = (<leaf_t*>node).node[0]


cdef int order_stack(order_t* o, void** level, u64 width) noexcept nogil:
    """Inner levels over `width` nodes of one height; takes `level` over."""
    cdef u32 height = 0
    cdef u64 above, i
    cdef u32 k, take
    cdef inner_t* inner
    while width > 1:
        above = 0
        i = 0
        while i < width:
            take = <u32>(width - i) if width - i < 48 else 48
            inner = <inner_t*>malloc(sizeof(inner_t))
            if inner == NULL:
                # what stands before i hangs below level[0:above]
                for k in range(above):
                    subtree_free(level[k], height + 1)
                while i < width:
                    subtree_free(level[i], height)
                    i += 1
                large_free(level)
                return STATUS_NO_MEMORY
            inner.count = take
            for k in range(take):
                inner.child[k] = level[i + k]
                first_of(level[i + k], height, &inner.prefix[k], &inner.node[k])
            level[above] = inner
            above += 1
            i += take
        width = above
        height += 1
    o.root = level[0]
    o.height = height
    large_free(level)
    return STATUS_OK


cdef inline u32 shared_bytes(const node_t* a, const node_t* b) noexcept nogil:
    cdef u32 n = a.key_bytes if a.key_bytes < b.key_bytes else b.key_bytes
    cdef u32 i = 0
    while i < n and node_key(a)[i] == node_key(b)[i]:
        i += 1
    return i


cdef void order_reprefix(order_t* o, u32 skip) noexcept nogil:
    """Keys now share fewer bytes: the order stays, the prefixes are read anew."""
    cdef leaf_t* leaf = o.first
    cdef u32 i
    o.skip = skip
    while leaf != NULL:
        for i in range(leaf.count):
            leaf.prefix[i] = prefix_of(node_key(leaf.node[i]), leaf.node[i].key_bytes, skip)
        leaf = leaf.next
    reprefix_inner(o.root, o.height, skip)


cdef void reprefix_inner(void* node, u32 height, u32 skip) noexcept nogil:
    cdef inner_t* inner = <inner_t*>node
    cdef u32 i
    if height == 0:
        return
    for i in range(inner.count):
        inner.prefix[i] = prefix_of(node_key(inner.node[i]), inner.node[i].key_bytes, skip)
        reprefix_inner(inner.child[i], height - 1, skip)


cdef inline bint entry_less(u64 prefix, const node_t* node, u64 p, const u8* key, u32 n) noexcept nogil:
    """Is the tree's entry below the key?"""
    if prefix != p:
        return prefix < p
    return key_compare(node_key(node), node.key_bytes, key, n) < 0


cdef inline u32 child_for(const inner_t* inner, u64 p, const u8* key, u32 n) noexcept nogil:
    """The last child whose first entry is <= key, or 0."""
    cdef u32 low = 1
    cdef u32 high = inner.count
    cdef u32 middle
    while low < high:
        middle = (low + high) >> 1
        if entry_less(inner.prefix[middle], inner.node[middle], p, key, n) or (
                inner.prefix[middle] == p
                and key_compare(node_key(inner.node[middle]), inner.node[middle].key_bytes, key, n) == 0):
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef inline u32 slot_for(const leaf_t* leaf, u64 p, const u8* key, u32 n) noexcept nogil:
    """The first entry >= key, or count."""
    cdef u32 low = 0
    cdef u32 high = leaf.count
    cdef u32 middle
    while low < high:
        middle = (low + high) >> 1
        if entry_less(leaf.prefix[middle], leaf.node[middle], p, key, n):
            low = middle + 1
        else:
            high = middle
    return low


cdef int order_insert(order_t* o, node_t* node) noexcept nogil:
    cdef inner_t* path[12]
    cdef u32 taken[12]
    cdef u32 depth = 0
    cdef u32 height = o.height
    cdef u32 slot, keep, i, at
    cdef u64 p
    cdef const u8* key = node_key(node)
    cdef u32 n = node.key_bytes
    cdef void* x = o.root
    cdef leaf_t* leaf
    cdef leaf_t* fresh
    i = 0
    while i < o.skip and i < n and key[i] == node_key(o.sample)[i]:
        i += 1
    if i < o.skip:
        order_reprefix(o, i)
    p = prefix_of(key, n, o.skip)
    while height > 0:
        path[depth] = <inner_t*>x
        taken[depth] = child_for(<inner_t*>x, p, key, n)
        x = (<inner_t*>x).child[taken[depth]]
        depth += 1
        height -= 1
    leaf = <leaf_t*>x
    slot = slot_for(leaf, p, key, n)
    o.stamp += 1
    if leaf.count == FANOUT:
        fresh = <leaf_t*>malloc(sizeof(leaf_t))
        if fresh == NULL:
            return STATUS_NO_MEMORY
        # a key behind the last of all: ascending inserts leave full leaves behind
        keep = FANOUT if slot == FANOUT and leaf.next == NULL else FANOUT // 2
        fresh.count = FANOUT - keep
        memcpy(fresh.prefix, &leaf.prefix[keep], fresh.count * sizeof(u64))
        memcpy(fresh.node, &leaf.node[keep], fresh.count * sizeof(node_t*))
        leaf.count = keep
        if slot > keep or keep == FANOUT:
            leaf_put(fresh, slot - keep, p, node)
        else:
            leaf_put(leaf, slot, p, node)
        if order_raise(o, path, taken, depth, fresh, fresh.prefix[0], fresh.node[0], leaf, 0) != STATUS_OK:
            return STATUS_NO_MEMORY
        fresh.previous = leaf
        fresh.next = leaf.next
        if leaf.next != NULL:
            leaf.next.previous = fresh
        else:
            o.last = fresh
        leaf.next = fresh
    else:
        leaf_put(leaf, slot, p, node)
    o.count += 1
    return STATUS_OK


cdef void leaf_put(leaf_t* leaf, u32 slot, u64 p, node_t* node) noexcept nogil:
    memmove(&leaf.prefix[slot + 1], &leaf.prefix[slot], (leaf.count - slot) * sizeof(u64))
    memmove(&leaf.node[slot + 1], &leaf.node[slot], (leaf.count - slot) * sizeof(node_t*))
    leaf.prefix[slot] = p
    leaf.node[slot] = node
    leaf.count += 1


cdef void inner_put(inner_t* inner, u32 slot, u64 p, node_t* node, void* child) noexcept nogil:
    memmove(&inner.prefix[slot + 1], &inner.prefix[slot], (inner.count - slot) * sizeof(u64))
    memmove(&inner.node[slot + 1], &inner.node[slot], (inner.count - slot) * sizeof(node_t*))
    memmove(&inner.child[slot + 1], &inner.child[slot], (inner.count - slot) * sizeof(void*))
    inner.prefix[slot] = p
    inner.node[slot] = node
    inner.child[slot] = child
    inner.count += 1


cdef int order_raise(order_t* o, inner_t** path, u32* taken, u32 depth, void* fresh, u64 p, node_t* node,
                     void* left, u32 height) noexcept nogil:
    """Hangs `fresh` right of `left` into the level above, splitting upwards as needed."""
    cdef inner_t* inner
    cdef inner_t* split
    cdef u32 slot, keep
    while depth > 0:
        depth -= 1
        inner = path[depth]
        slot = taken[depth] + 1
        if inner.count < FANOUT:
            inner_put(inner, slot, p, node, fresh)
            return STATUS_OK
        split = <inner_t*>malloc(sizeof(inner_t))
        if split == NULL:
            return STATUS_NO_MEMORY
        keep = FANOUT - 4 if slot == FANOUT else FANOUT // 2
        split.count = FANOUT - keep
        memcpy(split.prefix, &inner.prefix[keep], split.count * sizeof(u64))
        memcpy(split.node, &inner.node[keep], split.count * sizeof(node_t*))
        memcpy(split.child, &inner.child[keep], split.count * sizeof(void*))
        inner.count = keep
        if slot > keep:
            inner_put(split, slot - keep, p, node, fresh)
        else:
            inner_put(inner, slot, p, node, fresh)
        fresh = split
        p = split.prefix[0]
        node = split.node[0]
        left = inner
        height += 1
    inner = <inner_t*>malloc(sizeof(inner_t))
    if inner == NULL:
        return STATUS_NO_MEMORY
    inner.count = 2
    inner.child[0] = left
    first_of(left, height, &inner.prefix[0], &inner.node[0])
    inner.child[1] = fresh
    inner.prefix[1] = p
    inner.node[1] = node
    o.root = inner
    o.height += 1
    return STATUS_OK


cdef void order_drop(memtable_t* m) noexcept nogil:
    """A later tree gets a stamp that no cursor has seen: leaves that it remembers are gone."""
    m.order_stamp = m.order.stamp
    order_free(m.order)
    m.order = NULL


cdef u64 memtable_unordered(const memtable_t* m) noexcept nogil:
    return m.nodes - (m.order.count if m.order != NULL else 0)


cdef int memtable_catch_up(memtable_t* m) noexcept nogil:
    """Keys that came since the last scan enter the tree: one by one where few, by a fresh build where many.

    Where memory runs out the tree is dropped whole; the next scan builds it again.
    """
    cdef u64 behind = memtable_unordered(m)
    cdef walk_t w
    cdef node_t* n
    cdef int status = STATUS_OK
    if behind == 0:
        return STATUS_OK
    if m.order == NULL or (behind > 1024 and behind * 4 > m.order.count):
        if m.order != NULL:
            order_drop(m)
        m.order = <order_t*>calloc(1, sizeof(order_t))
        if m.order == NULL:
            return STATUS_NO_MEMORY
        m.order.stamp = m.order_stamp + 1
        status = order_build(m, m.order)
        w.chunk = m.current
        w.used = m.current.used
    else:
        w.chunk = m.indexed_chunk
        w.used = m.indexed_used
        while status == STATUS_OK:
            n = walk_next(&w)
            if n == NULL:
                break
            status = order_insert(m.order, n)
    if status != STATUS_OK:
        order_drop(m)
        return status
    m.indexed_chunk = w.chunk
    m.indexed_used = w.used
    return STATUS_OK


# ---- cursors

cdef void mem_cursor_init(mem_cursor_t* c, memtable_t* m, u64 seq, bint reverse) noexcept nogil:
    c.mem = m
    c.seq = seq
    c.reverse = reverse
    c.exhausted = m.nodes == 0
    c.count = 0
    c.at = 0
    c.want = GATHER_FIRST
    c.last = NULL
    c.leaf = NULL
    c.slot = 0


cdef void place(mem_cursor_t* c, const u8* key, u32 n) noexcept nogil:
    """leaf and slot of the first entry >= key; slot == count of the last leaf where there is none."""
    cdef order_t* o = c.mem.order
    cdef void* x = o.root
    cdef u32 height = o.height
    cdef u32 shared = n if n < o.skip else o.skip
    cdef int order = memcmp(key, node_key(o.sample), shared)
    cdef u64 p
    c.stamp = o.stamp
    if order < 0 or (order == 0 and n < o.skip):
        c.leaf = o.first
        c.slot = 0
        return
    if order > 0:
        c.leaf = o.last
        c.slot = o.last.count
        return
    p = prefix_of(key, n, o.skip)
    while height > 0:
        x = (<inner_t*>x).child[child_for(<inner_t*>x, p, key, n)]
        height -= 1
    c.leaf = <leaf_t*>x
    c.slot = slot_for(c.leaf, p, key, n)


cdef int mem_cursor_seek(mem_cursor_t* c, const u8* key, u32 key_bytes) noexcept nogil:
    cdef int status
    if c.exhausted:
        return STATUS_OK
    status = memtable_catch_up(c.mem)
    if status != STATUS_OK:
        return status
    c.last = NULL
    if key != NULL:
        place(c, key, key_bytes)
    elif c.reverse:
        c.leaf = c.mem.order.last
        c.slot = c.leaf.count
    else:
        c.leaf = c.mem.order.first
        c.slot = 0
    c.stamp = c.mem.order.stamp
    gather(c)
    return STATUS_OK


cdef int mem_cursor_refill(mem_cursor_t* c) noexcept nogil:
    cdef const node_t* last = c.last
    if c.exhausted:
        c.count = 0
        c.at = 0
        return STATUS_OK
    # memory ran out under another scan, and the tree went
    if c.mem.order == NULL and memtable_catch_up(c.mem) != STATUS_OK:
        return STATUS_NO_MEMORY
    if c.stamp != c.mem.order.stamp:
        place(c, node_key(last), last.key_bytes)
        if not c.reverse:
            c.slot += 1                # `last` itself stands here: it was given already
    gather(c)
    return STATUS_OK


cdef inline void ask_for_node(const node_t* n) noexcept nogil:
    """Starts the reads of a node, its key, and the beginning of its value."""
    prefetch(n)
    prefetch(<const u8*>n + 64)
    prefetch(<const u8*>n + 128)


cdef void gather(mem_cursor_t* c) noexcept nogil:
    """Fills node[] and version[] with up to `want` entries that the cursor's sequence sees.

    Invisible entries are stepped over; `last` is the last node looked at, so that a refill goes on behind it.
    """
    cdef leaf_t* leaf = c.leaf
    cdef u32 slot = c.slot
    cdef u32 n = 0
    cdef u32 want = c.want
    cdef const node_t* node
    cdef const version_t* v
    cdef u32 i
    c.at = 0
    for i in range(AHEAD if AHEAD < want else want):
        if c.reverse and i < slot:
            ask_for_node(leaf.node[slot - 1 - i])
        elif not c.reverse and slot + i < leaf.count:
            ask_for_node(leaf.node[slot + i])
    if c.reverse:
        while n < want:
            if slot == 0:
                if leaf.previous == NULL:
                    c.exhausted = True
                    break
                leaf = leaf.previous
                slot = leaf.count
                continue
            slot -= 1
            node = leaf.node[slot]
            v = node_visible(node, c.seq)
            c.last = node
            if v != NULL:
                c.node[n] = node
                c.version[n] = v
                n += 1
    else:
        while n < want:
            if slot == leaf.count:
                if leaf.next == NULL:
                    c.exhausted = True
                    break
                leaf = leaf.next
                slot = 0
                continue
            if slot + AHEAD < leaf.count:
                ask_for_node(leaf.node[slot + AHEAD])
            node = leaf.node[slot]
            slot += 1
            v = node_visible(node, c.seq)
            c.last = node
            if v != NULL:
                c.node[n] = node
                c.version[n] = v
                n += 1
    c.leaf = leaf
    c.slot = slot
    c.count = n
    c.want = GATHER_MOST if want * 2 > GATHER_MOST else want * 2
