
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FRESH_H
#define CANARY_FRESH_H


#include <stdint.h>


/*
 * Whether a release has been measured lately: what was is no longer told as
 * what is.  The control loop notes, each CANARY_FRESH_NOTE_MS, how many
 * attempts there are that have a time, so that it costs them nothing.  All
 * that is zero: none was.
 */


#define CANARY_FRESH_MS       60000
#define CANARY_FRESH_NOTE_MS  5000


typedef struct {
    uint64_t  count;       /* attempts that had a time by then */
    uint64_t  since;       /* ms: when there were found to be more; 0: never */
} canary_fresh_t;


/* There are so many now.  Fewer than before: others are counted by now. */

void canary_fresh_note(canary_fresh_t *fresh, uint64_t count, uint64_t now);

/*
 * Whether one ended in the last CANARY_FRESH_MS, or up to
 * CANARY_FRESH_NOTE_MS before.
 */

int canary_fresh(const canary_fresh_t *fresh, uint64_t count, uint64_t now);


#endif /* CANARY_FRESH_H */
