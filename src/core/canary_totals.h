
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_TOTALS_H
#define CANARY_TOTALS_H


#include <stdint.h>


/*
 * What is counted of a release, in shared memory and in files.  Each counter
 * only ever grows, and so does what is shown of them: that is sums only, no
 * differences, which might fall for a moment.  There are nothing but counters
 * here, so that all of them can be gone through.
 */


typedef struct {
    uint64_t  responses[5];    /* 1xx to 5xx */
    uint64_t  failed;          /* before a header, */
    uint64_t  timeouts;        /* by a timeout */
    uint64_t  cut;             /* after a header, */
    uint64_t  cut_timeouts;    /* by a timeout */
    uint64_t  aborted;         /* by the client, before a header, */
    uint64_t  cancelled;       /* or, by gRPC, as the trailers tell */
    uint64_t  abandoned;       /* by the client, before the response ended */
    uint64_t  no_live;         /* met no live server; no attempts, unless they
                                  are among the failed */
    uint64_t  fallbacks;
    uint64_t  timed;
    uint64_t  time;            /* microseconds, of what is in a histogram, */
    uint64_t  other_time;      /* and of the rest; in files: of all */
} canary_totals_t;


#define CANARY_COUNTERS  (sizeof(canary_totals_t) / sizeof(uint64_t))


#endif /* CANARY_TOTALS_H */
