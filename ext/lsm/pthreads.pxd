# What the core needs of POSIX threads.
cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* m, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* m)
    int pthread_mutex_lock(pthread_mutex_t* m)
    int pthread_mutex_trylock(pthread_mutex_t* m)
    int pthread_mutex_unlock(pthread_mutex_t* m)
    int pthread_cond_init(pthread_cond_t* c, void* attributes)
    int pthread_cond_destroy(pthread_cond_t* c)
    int pthread_cond_wait(pthread_cond_t* c, pthread_mutex_t* m)
    int pthread_cond_signal(pthread_cond_t* c)
    int pthread_cond_broadcast(pthread_cond_t* c)

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <time.h>
    /* Waits at most `us` microseconds: 1 when woken, 0 when the time is over. */
    static inline int lsm_cond_wait_us(pthread_cond_t* c, pthread_mutex_t* m, unsigned long long us) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += us / 1000000u;
        t.tv_nsec += (us % 1000000u) * 1000;
        if (t.tv_nsec >= 1000000000L) { t.tv_sec += 1; t.tv_nsec -= 1000000000L; }
        return pthread_cond_timedwait(c, m, &t) != ETIMEDOUT;
    }
    /* 1: locked; 0: it was not to be had within `us` microseconds. */
    static inline int lsm_mutex_lock_within(pthread_mutex_t* m, unsigned long long us) {
        struct timespec t;
    #if defined(__APPLE__)
        t.tv_sec = 0;
        t.tv_nsec = 20000;             /* there is no pthread_mutex_timedlock */
        for (us = us / 20 + 1; us > 0; us--) {
            if (pthread_mutex_trylock(m) == 0) return 1;
            nanosleep(&t, NULL);
        }
        return pthread_mutex_trylock(m) == 0;
    #else
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += (long)us * 1000;
        while (t.tv_nsec >= 1000000000L) { t.tv_sec += 1; t.tv_nsec -= 1000000000L; }
        return pthread_mutex_timedlock(m, &t) == 0;
    #endif
    }
    static inline unsigned long long lsm_now_us(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (unsigned long long)t.tv_sec * 1000000u + t.tv_nsec / 1000;
    }
    """
    int cond_wait_us "lsm_cond_wait_us"(pthread_cond_t* c, pthread_mutex_t* m, unsigned long long us) nogil
    bint mutex_lock_within "lsm_mutex_lock_within"(pthread_mutex_t* m, unsigned long long us) nogil
    unsigned long long now_us "lsm_now_us"() nogil
