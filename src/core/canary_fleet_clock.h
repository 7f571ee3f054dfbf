
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_CLOCK_H
#define CANARY_FLEET_CLOCK_H


#include <stddef.h>
#include <stdint.h>


/*
 * The fleet's clock, which cohorts of all nodes are cut by: the time of Redis
 * and a shift that hides when that jumps.  A node keeps what the fleet's clock
 * is ahead of its own, which only has to go forward evenly.  All in ms.
 */


#define CANARY_FLEET_TICK        50    /* with a rollout anywhere */
#define CANARY_FLEET_TICK_IDLE   250   /* without */
#define CANARY_FLEET_SLOT        100   /* of a cohort */
#define CANARY_FLEET_STEADY      25    /* clocks that are off by more take two
                                          slots as one observation */


typedef struct {
    int64_t   offset;        /* fleet's time - the node's */
    int64_t   server;        /* Redis' - the node's; 0: not known */
    uint64_t  born;          /* the node's, when the fleet's data were */
    uint32_t  best;          /* the best round trip, about */
    uint32_t  refused;       /* samples since one that was used */
    uint32_t  known;         /* 0: nothing is known yet */
    uint32_t  fresh;         /* "best" is of another connection */
} canary_fleet_clock_t;


/* The fleet's time at a time of the node; 0 if nothing is known. */

uint64_t canary_fleet_time(const canary_fleet_clock_t *clock, uint64_t now);

/*
 * An answer that was asked for at "sent" and came at "received" said that the
 * fleet's time was "time".  The first sets the clock, later ones move it by
 * at most 5 ms, if their way was about as short as the shortest.
 */

void canary_fleet_clock_sample(canary_fleet_clock_t *clock, uint64_t sent,
    uint64_t received, uint64_t time);

/*
 * Another connection: round trips may be longer, and what the clock says is
 * kept.
 */

void canary_fleet_clock_reconnect(canary_fleet_clock_t *clock);

/* What it may be off by, at most. */

uint32_t canary_fleet_clock_error(const canary_fleet_clock_t *clock);

/*
 * How many ms of the beat a node calls after the beat: 2..21 by its name, 30
 * for the leader, who then has what the others sent on this one.
 */

uint32_t canary_fleet_phase(const char *name, int leader);

/*
 * The first time of the fleet after "time" that is a phase after a multiple of
 * the beat.
 */

uint64_t canary_fleet_beat(uint64_t time, uint32_t beat, uint32_t phase);

/*
 * ms until the next attempt to connect, after so many in a row that failed
 * (1...): 50, 100, 200, 400, 500 ..., times 0.5 to 1 by "random".
 */

uint32_t canary_fleet_backoff(uint32_t failures, uint32_t random);


#endif /* CANARY_FLEET_CLOCK_H */
