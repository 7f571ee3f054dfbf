
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_fleet_share.h"


/* Seats, shares of alpha, majorities. */


uint32_t
canary_fleet_seats(uint32_t members)
{
    uint32_t  seats;

    seats = CANARY_FLEET_SEATS_MIN;

    while (seats / 2 < members && seats < 1u << 31) {
        seats *= 2;
    }

    return seats;
}


int
canary_fleet_has_seat(uint32_t seats, uint32_t members, uint64_t joined,
    uint64_t number)
{
    return number <= joined
           || (seats > members && number - joined <= seats - members);
}


double
canary_fleet_share(int node_tests)
{
    return node_tests ? CANARY_FLEET_SHARE : 1;
}


double
canary_fleet_node_share(int node_tests, uint32_t seats)
{
    return node_tests ? (1 - CANARY_FLEET_SHARE) / seats : 0;
}


int
canary_fleet_majority(uint32_t n, uint32_t members)
{
    return n > members / 2;
}


uint64_t
canary_fleet_quorum(const uint64_t *versions, uint32_t n, uint32_t members)
{
    uint32_t  i, j, have;
    uint64_t  quorum;

    quorum = 0;

    for (i = 0; i < n; i++) {
        have = 0;

        for (j = 0; j < n; j++) {
            have += versions[j] >= versions[i];
        }

        if (versions[i] > quorum && canary_fleet_majority(have, members)) {
            quorum = versions[i];
        }
    }

    return quorum;
}
