
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * A clock that goes ahead, so that a test need not wait as long as a user
 * would: with a line of CANARY_FAULTS,
 *
 *   clock 0 MS
 *
 * the monotonic clock is so much later, for nginx and its timers too.
 */


#define _GNU_SOURCE

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  first, ms;

    if (syscall(SYS_clock_gettime, id, ts) == -1) {
        return -1;
    }

    if (id == CLOCK_MONOTONIC && faults_find("clock", &first, &ms)) {
        ts->tv_sec += ms / 1000;
        ts->tv_nsec += (long) (ms % 1000) * 1000000;

        if (ts->tv_nsec >= 1000000000) {
            ts->tv_nsec -= 1000000000;
            ts->tv_sec++;
        }
    }

    return 0;
}
