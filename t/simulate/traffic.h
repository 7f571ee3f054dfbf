
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef TRAFFIC_H
#define TRAFFIC_H


#include <stdint.h>

#include "canary_once.h"


/*
 * The attempts on a canary, tick by tick: requests come as a Poisson process,
 * and each of them is bad by chance, independently of the others.  A bad one
 * may be retried at once, with the same result.  The same seed gives the same
 * attempts.
 */

#define TRAFFIC_MAX      1024    /* attempts in a tick, at most */
#define TRAFFIC_TICK     100     /* ms */
#define TRAFFIC_CLIENTS  50      /* at the same time */


/* xoshiro256** (Blackman, Vigna), seeded by splitmix64 (Steele, Vigna). */

typedef struct {
    uint64_t  state[4];
} random_t;


typedef struct {
    random_t       random;
    double         cdf[TRAFFIC_MAX];   /* of the requests in a tick */
    double         share;              /* bad attempts of all */
    double         bad;                /* chance of a request to be bad */
    double         until_bad;          /* good requests until the next bad */
    uint32_t       repeats;            /* attempts of a bad request */
    uint32_t       visits;             /* of a client; 0: there are none */
    uint32_t       once;               /* ms; 0: all of them count */
    uint64_t       now;                /* ms */
    uint32_t       clients[TRAFFIC_CLIENTS];    /* hashes of their keys */
    int            is_bad[TRAFFIC_CLIENTS];
    canary_once_t  keys;
} traffic_t;


typedef struct {
    uint32_t  attempts;
    uint32_t  bad;
    uint32_t  place[TRAFFIC_MAX];      /* of each bad attempt, from 1 on */
} tick_t;


/*
 * attempts: their mean number in a tick, at most 100; share: how many of them
 * are bad on average, 0 to 1; repeats: 1, or how often a bad request is
 * tried.
 */

void traffic_init(traffic_t *traffic, uint64_t seed, double attempts,
    double share, uint32_t repeats);

/* Another share of bad attempts from the next tick on; only with repeats 1. */

void traffic_change(traffic_t *traffic, double share);

/*
 * Requests are those of clients, each of whom sends so many on average, among
 * others.  All are bad of a client who is: the share is that of such clients.
 * Attempts are those that count.
 */

void traffic_have_clients(traffic_t *traffic, uint32_t visits,
    uint32_t seconds);

void traffic_tick(traffic_t *traffic, tick_t *tick);


/*
 * For those who count by ticks: how many come in one, at so many on average,
 * 0 to 1,000.
 */

#define POISSON_MAX    1400
#define POISSON_GUIDE  256

typedef struct {
    double    cdf[POISSON_MAX];
    uint16_t  guide[POISSON_GUIDE];    /* where to begin to look */
} poisson_t;


void random_init(random_t *random, uint64_t seed);

/* From 0 to 1, both exclusive. */

double random_unit(random_t *random);

void poisson_init(poisson_t *poisson, double mean);
uint32_t poisson_next(const poisson_t *poisson, random_t *random);


#endif /* TRAFFIC_H */
