
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef FLEET_H
#define FLEET_H


#include <stdint.h>


/*
 * Canaries on several machines: the fleet's test of what all of them count in
 * the same 100 ms, with nine tenths of alpha, and a test of each by its own,
 * which have one tenth together.  Prints a table of those exactly at the
 * threshold that are rolled back in 10 minutes, in "runs" rollouts each, and
 * one of how long it takes for broken ones, in at most 200; returns whether a
 * promise was not kept.
 */

int table_fleet(uint32_t runs);


#endif /* FLEET_H */
