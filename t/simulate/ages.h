
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef AGES_H
#define AGES_H


#include <stdint.h>


/*
 * Rollouts that go on in one step for hours to months: how long it takes
 * until a canary that turns bad then is rolled back, and whether one that is
 * exactly at the limit ever is.  Each prints a table, and returns whether a
 * promise was not kept.
 */

/*
 * "walk": each observation of the 90 days is made.  Otherwise only those of
 * the first hour, and the last 20,000 before a time that is looked at: of
 * those between nothing is left but the weight that they took.
 */

int table_ages(uint32_t runs, int walk);

/* Eight times so many rollouts of an hour, and so many of a day. */

int table_limit(uint32_t runs);


#endif /* AGES_H */
