# What the modules of the write-ahead log share: the state of an open log, its locks, and what they guard.
#
# Locks, in the order they may be taken: the database's lock, release, sync, drain, signal. `signal` is a leaf, held for
# a few instructions, never across a call that waits; `drain` is held across writes, `sync` across fsync.
from lsm.filesystem cimport fs_ops_t
from lsm.pthreads cimport pthread_cond_t, pthread_mutex_t, pthread_t
from lsm.types cimport COUNTER_BITS, error_t, u8, u32, u64

cdef enum:
    FRAME_HEADER = 48
    WAL_HEADER = 128                  # of a segment file
    RING_HEADER = 4096                # of the ring file: a page of its own
    WAL_MAX_FRAME = 1073741824        # bytes, header included
    WAL_MIN_RING = 4096

cdef enum:
    WAL_SPARES = 2                    # files of released segments that are kept at most

cdef enum:                            # wal_reserve: the frame does not go through the ring, use wal_append_large
    WAL_LARGE = 2

cdef enum:
    WAL_OPEN = 0
    WAL_CLOSED = 1
    WAL_POISONED = 2                  # a sync or write failed with unknown effect; final

cdef extern from *:
    """
    #include <time.h>
    static inline unsigned long long lsm_wall_us(void) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        return (unsigned long long)t.tv_sec * 1000000u + (unsigned long)t.tv_nsec / 1000u;
    }
    static inline void lsm_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    u64 wall_us "lsm_wall_us"() nogil
    void fence "lsm_fence"() nogil

# One segment file. Those of earlier openings are only counted and removed: handle -1, durable, sealed.
cdef struct segment_t:
    segment_t* next                   # newer
    char* path
    int handle
    bint durable                      # finished, and synced since
    bint sealed                       # has its trailer
    u64 number
    u64 base                          # stream offset of its first frame
    u64 first_seq
    u64 last_seq                      # first_seq - 1 while it holds no frame
    u64 frames
    u64 bytes                         # of the file, header included, trailer not
    u64 allocated                     # zeros, or what the file held before, follow up to here; under sync
    bint stretched                    # they may follow; cut before there is a trailer; under sync

cdef struct wal_t:
    # written by committers, under the database's lock
    u64 head                          # stream offset behind the last frame; release store after the frame's bytes
    u64 last                          # its sequence; stored after head
    u64 time                          # its commit time, microseconds
    u8* ring                          # NULL: not begun, or no mapping to be had and every frame is written at once
    u64 ring_mask
    u64 wake_at                       # bytes behind head that call the thread
    u64 largest                       # frames beyond it do not go through the ring; release store when the log begins
    u32 salt_crc                      # checksum state after the salt
    u32 origin
    u64 frame_count
    # written rarely, read by committers
    u8 gap0[64]
    int state
    int follow                        # keep everything durable without being asked
    int asleep                        # the thread waits for `wake`
    int begun                         # has its files and thread; under sync
    bint durable_log                  # False: no files at all, commits are durable by definition
    u64 drained                       # stream offset up to which segments hold the frames; under drain
    u64 durable                       # sequence; under sync
    u8 gap1[64]
    const fs_ops_t* fs
    u8* ring_page                     # the mapping: header page, then the ring
    int ring_handle
    u64 ring_bytes
    char* ring_path
    char* directory
    u64 salt
    u64 epoch
    u64 opening_first                 # the first sequence this opening gives
    u64 segment_bytes
    u8 database_id[16]
    # under drain
    pthread_mutex_t drain_lock
    u64 drained_seq                   # last sequence in the segments
    segment_t* oldest                 # newest last; removed only under release, sync and drain
    segment_t* current
    bint names_dirty                  # a file was created since the directory was synced
    u64 drains
    u64 drained_bytes
    u64 next_number                   # of the next segment file
    segment_t* leftover               # failed, and its file did not go; NULL: none
    u64 segments_created
    u64 spares[WAL_SPARES]            # numbers that spare files had as segments
    u32 spare_count
    u64 spares_seen                   # segments_created when it was last looked whether they are in use
    pthread_mutex_t sync_lock
    u64 fsyncs
    u64 round_us                      # how long the last sync took
    u64 round_commits                 # and how many commits it made durable
    u64 small_rounds                  # in a row, of few commits each
    pthread_mutex_t release_lock
    u64 segments_released
    # under signal
    pthread_mutex_t signal_lock
    pthread_cond_t wake
    pthread_cond_t moved              # durable advanced, or will not
    bint led                          # somebody leads a round of syncing
    u64 wanted                        # sequence that somebody waits for
    u64 attempts                      # of the thread to sync, ended
    bint stop
    bint waits_for_room               # the last attempt found the disk full
    error_t refusal                   # why the last attempt failed, status 0 where it did not
    error_t failure                   # what poisoned the log
    int event_read                    # -1 until somebody asks
    int event_write
    bint thread_runs
    pthread_t thread
    u64 stalls                        # calls of wal_make_room
    u64 large_frames


cdef inline bint used_up(u64 seq) noexcept nogil:
    """No opening goes on behind such a sequence: what commits until somebody looks does not reach the counter's end."""
    return seq << (64 - COUNTER_BITS) >> (64 - COUNTER_BITS + 32) == (<u64>1 << (COUNTER_BITS - 32)) - 1
