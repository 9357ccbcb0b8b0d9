# What the core needs of POSIX threads.
cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_t:
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
    int pthread_join(pthread_t thread, void** result)

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <signal.h>
    #include <time.h>
    #ifdef __linux__
    #include <sys/resource.h>
    #endif
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
    /* Signals stay with the threads that the program knows of. */
    static inline int lsm_thread_start(pthread_t* thread, void* (*run)(void*), void* argument) {
        pthread_attr_t attributes;
        sigset_t all, before;
        int status = pthread_attr_init(&attributes);
        if (status != 0) return status;
        pthread_attr_setstacksize(&attributes, 1 << 20);   /* musl gives 128 KiB, blocks are read on the stack */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        status = pthread_create(thread, &attributes, run, argument);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return status;
    }
    typedef struct { void (*run)(void*); void* argument; int niceness; } lsm_aside_t;
    static inline void* lsm_aside(void* p) {
        lsm_aside_t* a = (lsm_aside_t*)p;
    #ifdef __linux__
        /* A nice value is a thread's own on Linux. Failure: it runs on as it is. */
        if (setpriority(PRIO_PROCESS, 0, a->niceness) != 0) errno = 0;
    #endif
        a->run(a->argument);
        return NULL;
    }
    static inline void lsm_run_aside(int niceness, void (*run)(void*), void* argument) {
    #ifdef __linux__
        lsm_aside_t a;
        pthread_t thread;
        a.run = run; a.argument = argument; a.niceness = niceness;
        if (lsm_thread_start(&thread, lsm_aside, &a) == 0) {
            pthread_join(thread, NULL);
            return;
        }
    #endif
        (void)niceness; (void)lsm_aside;
        run(argument);
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
    int thread_start "lsm_thread_start"(pthread_t* thread, void* (*run)(void*) noexcept nogil, void* argument) nogil
    # In a thread of its own that is so nice, if there is one to be had; returns when it is done. For work that takes
    # neither the GIL nor the core's lock: who holds them must not be the last to get a processor.
    void run_aside "lsm_run_aside"(int niceness, void (*run)(void*) noexcept nogil, void* argument) nogil
