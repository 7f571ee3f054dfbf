
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_SHARE_H
#define CANARY_FLEET_SHARE_H


#include <stdint.h>


/*
 * How a fleet divides what it has in common: the chance of a false alarm, and
 * the vote.
 *
 * The fleet's test has 9/10 of alpha; the tests of single nodes have 1/10
 * together, so each has 1/10 of a seat.  There are twice as many seats as
 * members, at least, when the tests begin, so that nodes which come meanwhile
 * have one.
 */


#define CANARY_FLEET_SEATS_MIN   8
#define CANARY_FLEET_SHARE       0.9     /* of alpha: the fleet's test */


/* The power of two that is at least twice the members, and at least 8. */

uint32_t canary_fleet_seats(uint32_t members);

/*
 * Whether a node runs a test of its own: one of the members when the tests
 * began, the last of whom joined as number "joined", or among the first who
 * came after, for whom there are seats.
 */

int canary_fleet_has_seat(uint32_t seats, uint32_t members, uint64_t joined,
    uint64_t number);

/* Shares of alpha; without "node_tests", as configured, nodes have none. */

double canary_fleet_share(int node_tests);
double canary_fleet_node_share(int node_tests, uint32_t seats);

/* Whether so many are more than half of the members. */

int canary_fleet_majority(uint32_t n, uint32_t members);

/*
 * The highest version that more than half of the members have: 0 if fewer than
 * that many are known.
 */

uint64_t canary_fleet_quorum(const uint64_t *versions, uint32_t n,
    uint32_t members);


#endif /* CANARY_FLEET_SHARE_H */
