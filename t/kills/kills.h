
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef KILLS_H
#define KILLS_H


#include <stddef.h>
#include <stdint.h>


/*
 * Stores to the zone, counted; driver.c tells what for.
 *
 * The module is compiled with -fsanitize=thread and linked without its
 * library: the calls that the compiler makes before each store end up in
 * stores.c, which is loaded with LD_PRELOAD.  What is in the zone and comes
 * from the module is counted, and before one of them the process kills itself.
 * A copy of more than 16 bytes is counted in up to four parts, so that it may
 * be left half done.
 */


#define KILLS_SITES  400000


/* Shared by all processes that come from one nginx. */

typedef struct {

    /* whose stores count: 0 nobody's; -1 of all; else of that ngx_process */

    int        kind;
    int        locked;         /* only of the holder of the zone's lock */
    int64_t    left;           /* that are still done: at 0 it dies */
    uint64_t   count;          /* of this run */
    uintptr_t  site;           /* of the last one: offset in the module */
    int        died;           /* process, if it did */

    int        simulated;      /* clock, no threads, no fsync() */
    uint64_t   now;            /* microseconds, of that clock */
    int        disk;           /* errno of fsync() */

    uint32_t   nsites;         /* noted, if room is not 0 */
    uint32_t   room;
    uint32_t   sites[KILLS_SITES];
} kills_t;


extern kills_t  *kills;


#endif /* KILLS_H */
