
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "traffic.h"


static uint64_t random_next(random_t *random);
static void traffic_next_bad(traffic_t *traffic);
static uint32_t traffic_requests(traffic_t *traffic);
static void traffic_visit(traffic_t *traffic, tick_t *tick);
static void traffic_next_client(traffic_t *traffic, uint32_t n);


void
random_init(random_t *random, uint64_t seed)
{
    int       i;
    uint64_t  z;

    for (i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;

        z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;

        random->state[i] = z ^ (z >> 31);
    }
}


static uint64_t
random_next(random_t *random)
{
    uint64_t   product, *s, shifted;

    s = random->state;

    product = s[1] * 5;
    product = ((product << 7) | (product >> 57)) * 9;
    shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 45) | (s[3] >> 19);

    return product;
}


double
random_unit(random_t *random)
{
    return ((double) (random_next(random) >> 12) + 0.5) / 4503599627370496.0;
}


void
traffic_init(traffic_t *traffic, uint64_t seed, double attempts, double share,
    uint32_t repeats)
{
    double    chance, requests, sum;
    uint32_t  i;

    random_init(&traffic->random, seed);
    traffic->visits = 0;

    /* of one request there are 1 + (repeats - 1) * bad attempts on average */

    traffic->repeats = repeats;
    traffic->bad = share / (repeats - (repeats - 1) * share);

    requests = attempts / (1 + (repeats - 1) * traffic->bad);

    chance = exp(-requests);
    sum = 0;

    for (i = 0; i < TRAFFIC_MAX; i++) {
        sum += chance;
        traffic->cdf[i] = sum;
        chance *= requests / (i + 1);
    }

    traffic_next_bad(traffic);
}


void
traffic_change(traffic_t *traffic, double share)
{
    traffic->bad = share;

    traffic_next_bad(traffic);
}


static void
traffic_next_bad(traffic_t *traffic)
{
    if (traffic->bad <= 0) {
        traffic->until_bad = INFINITY;
        return;
    }

    traffic->until_bad = floor(log(random_unit(&traffic->random))
                               / log1p(-traffic->bad));
}


static uint32_t
traffic_requests(traffic_t *traffic)
{
    double    x;
    uint32_t  high, low, middle;

    x = random_unit(&traffic->random);
    low = 0;
    high = TRAFFIC_MAX / 4 - 1;

    while (low < high) {
        middle = (low + high) / 2;

        if (traffic->cdf[middle] < x) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


void
traffic_tick(traffic_t *traffic, tick_t *tick)
{
    double    requests;
    uint32_t  i;

    tick->attempts = 0;
    tick->bad = 0;

    if (traffic->visits) {
        traffic_visit(traffic, tick);
        return;
    }

    requests = traffic_requests(traffic);

    while (traffic->until_bad < requests
           && tick->attempts + requests + traffic->repeats < TRAFFIC_MAX)
    {
        requests -= traffic->until_bad + 1;
        tick->attempts += (uint32_t) traffic->until_bad;

        for (i = 0; i < traffic->repeats; i++) {
            tick->place[tick->bad++] = ++tick->attempts;
        }

        traffic_next_bad(traffic);
    }

    tick->attempts += (uint32_t) requests;
    traffic->until_bad -= requests;
}


void
traffic_have_clients(traffic_t *traffic, uint32_t visits, uint32_t seconds)
{
    uint32_t  n;

    traffic->visits = visits;
    traffic->once = seconds * 1000;

    if (visits == 0) {
        return;
    }

    traffic->now = 0;
    memset(&traffic->keys, 0, sizeof(canary_once_t));

    for (n = 0; n < TRAFFIC_CLIENTS; n++) {
        traffic_next_client(traffic, n);
    }
}


static void
traffic_next_client(traffic_t *traffic, uint32_t n)
{
    traffic->clients[n] = (uint32_t) random_next(&traffic->random);
    traffic->is_bad[n] = random_unit(&traffic->random) < traffic->bad;
}


static void
traffic_visit(traffic_t *traffic, tick_t *tick)
{
    uint32_t  n, requests;

    for (requests = traffic_requests(traffic); requests; requests--) {
        n = (uint32_t) (random_unit(&traffic->random) * TRAFFIC_CLIENTS);

        if (random_unit(&traffic->random) * traffic->visits < 1) {
            traffic_next_client(traffic, n);
        }

        if (traffic->once
            && !canary_once_take(&traffic->keys, traffic->clients[n],
                                 traffic->now, traffic->once))
        {
            continue;
        }

        tick->attempts++;

        if (traffic->is_bad[n]) {
            tick->place[tick->bad++] = tick->attempts;
        }
    }

    traffic->now += TRAFFIC_TICK;
}


void
poisson_init(poisson_t *poisson, double mean)
{
    double    sum;
    uint32_t  i, place;

    sum = 0;

    for (i = 0; i < POISSON_MAX; i++) {
        sum += exp(((i && mean > 0) ? i * log(mean) : 0) - mean
                   - lgamma(i + 1.0));
        poisson->cdf[i] = (mean > 0) ? sum : 1;
    }

    for (i = 0, place = 0; i < POISSON_GUIDE; i++) {
        while (place < POISSON_MAX - 1
               && poisson->cdf[place] < (double) i / POISSON_GUIDE)
        {
            place++;
        }

        poisson->guide[i] = (uint16_t) place;
    }
}


uint32_t
poisson_next(const poisson_t *poisson, random_t *random)
{
    double    x;
    uint32_t  i;

    x = random_unit(random);

    for (i = poisson->guide[(uint32_t) (x * POISSON_GUIDE)];
         i < POISSON_MAX - 1 && poisson->cdf[i] < x;
         i++)
    {
        /* void */
    }

    return i;
}
