
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_TIME_H
#define CANARY_REPLAY_TIME_H


#include <stdint.h>


/* Times as texts.  All return 0 if it is none, or is out of range. */


#define CANARY_REPLAY_TIME_MAX  4102444800000000ull
                                     /* microseconds: the year 2100 */


/* A number of seconds, to be at most "max" microseconds. */

int canary_replay_seconds(const char *text, uint64_t max,
    uint64_t *microseconds);

/* In seconds since 1970 or as RFC 3339 has it, before the year 2100. */

int canary_replay_time(const char *text, uint64_t *microseconds);

/* "n" digits, a number up to "max"; *text is then what follows them. */

int canary_replay_digits(const char **text, unsigned n, unsigned max,
    unsigned *value);


#endif /* CANARY_REPLAY_TIME_H */
