
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Preloaded into a program, moves its wall clock by as many ms as the first
 * eight bytes of the file CANARY_CLOCK say, at any time.  Its monotonic clock
 * goes on.  (libfaketime does not get along with redis-server's malloc.)
 */


#define _GNU_SOURCE

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static const volatile int64_t  *clock_moved;


__attribute__((constructor))
static void
clock_open(void)
{
    int          fd;
    void        *p;
    const char  *file;

    file = getenv("CANARY_CLOCK");

    if (file == NULL) {
        return;
    }

    fd = open(file, O_RDONLY);

    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        abort();
    }

    (void) close(fd);

    clock_moved = p;
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int      rc;
    int64_t  ms;

    rc = (int) syscall(SYS_clock_gettime, id, ts);

    if (rc == 0 && clock_moved
        && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    {
        ms = (int64_t) ts->tv_sec * 1000 + ts->tv_nsec / 1000000
             + *clock_moved;

        ts->tv_sec = (time_t) (ms / 1000);
        ts->tv_nsec = (long) (ms % 1000) * 1000000 + ts->tv_nsec % 1000000;
    }

    return rc;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = (suseconds_t) (ts.tv_nsec / 1000);

    return 0;
}


time_t
time(time_t *seconds)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return (time_t) -1;
    }

    if (seconds) {
        *seconds = ts.tv_sec;
    }

    return ts.tv_sec;
}
