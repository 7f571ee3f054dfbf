
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_meter.h"

#include "canary_buckets.h"
#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_fresh.h"
#include "canary_histogram.h"
#include "canary_judge_layout.h"
#include "canary_judge_times.h"
#include "canary_rollout.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare_meters.h"


/*
 * What is counted of releases.
 *
 * A meter is 3 KB and there may be as many as endpoints, releases and workers
 * multiplied, so each is made when a worker first makes an attempt on a
 * release.  Where the zone has no room for one, workers share.
 */


static ngx_int_t ngx_canary_need_meter(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place, ngx_canary_meter_t **meter);
static void ngx_canary_add_buckets(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, uint64_t *buckets);
static void ngx_canary_halve_endpoint(ngx_canary_shared_t *shared);
static void ngx_canary_note_endpoint(ngx_canary_shared_t *shared,
    uint64_t now);
static uint64_t ngx_canary_timed(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place);


/* counts what no memory is left for, and nobody reads */

static ngx_canary_meter_t       ngx_canary_lost;


ngx_canary_noinline ngx_canary_meter_t *
ngx_canary_make_meter(ngx_canary_endpoint_t *endpoint,
    ngx_canary_release_t *release)
{
    ngx_canary_meter_t           *meter, **own;
    ngx_canary_shared_t          *shared;
    ngx_canary_main_conf_t       *cmcf;
    ngx_canary_release_shared_t  *place;

    cmcf = endpoint->main;
    shared = endpoint->shared;

    ngx_canary_lock(cmcf->zone);

    place = shared->releases[release->id];
    own = &place->meters[ngx_worker % shared->nphases];

    /* additions are atomic, so workers may share a meter */

    meter = (ngx_canary_need_meter(cmcf->zone, place, own) == NGX_OK)
            ? *own : ngx_canary_any_meter(shared, place);

    ngx_canary_unlock(cmcf->zone);

    if (meter == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: no memory in canary_zone \"%V\" to count "
                      "attempts on release \"%V\" of \"%V\": those of this "
                      "process will be missing in its totals",
                      &cmcf->zone_name, &release->name, &endpoint->name);

        meter = &ngx_canary_lost;
    }

    release->meter = meter;

    return meter;
}


ngx_canary_meter_t *
ngx_canary_any_meter(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place)
{
    ngx_uint_t  i;

    for (i = 0; i < shared->nphases; i++) {
        if (place->meters[i]) {
            return place->meters[i];
        }
    }

    return NULL;
}


/* one to count in, and a base: one of zeros is as good as none */

ngx_uint_t
ngx_canary_missing_meters(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout, ngx_canary_meter_t **missing[])
{
    ngx_uint_t                    i, n;
    ngx_canary_release_shared_t  *sides[2];

    sides[0] = shared->releases[rollout->stable];
    sides[1] = shared->releases[rollout->canary];

    for (i = 0, n = 0; i < 2; i++) {

        if (ngx_canary_any_meter(shared, sides[i]) == NULL) {
            missing[n++] = &sides[i]->meters[0];
        }

        if (sides[i]->base == NULL) {
            missing[n++] = &sides[i]->base;
        }
    }

    return n;
}


/*
 * Releases that are in no rollout may have found no memory for a base: theirs
 * is then that of an earlier step.
 */

void
ngx_canary_begin_step(ngx_canary_shared_t *shared)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    __atomic_store_n(&shared->basing, 1, __ATOMIC_SEQ_CST);

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place && ngx_canary_any_meter(shared, place)
            && ngx_canary_add_meter(shared->zone, &place->base) == NGX_OK)
        {
            ngx_canary_sum_meters(shared, place, place->base);
        }
    }

    __atomic_store_n(&shared->basing, 0, __ATOMIC_RELEASE);
}


void
ngx_canary_sum_meters(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, ngx_canary_meter_t *sum)
{
    ngx_uint_t           i, k;
    ngx_canary_meter_t  *meter;

    ngx_canary_clear_meter(sum);

    for (i = 0; i < shared->nphases; i++) {
        meter = place->meters[i];

        if (meter == NULL) {
            continue;
        }

        ngx_canary_add_totals(&sum->totals, &meter->totals);

        for (k = 0; k < CANARY_HISTOGRAM_BUCKETS; k++) {
            sum->histogram[k] += __atomic_load_n(&meter->histogram[k],
                                                 __ATOMIC_RELAXED);
        }
    }
}


/*
 * By the control loop at each tick.  Counters are copied first, and plainly,
 * so that the compiler may take several at a time: each is read as a whole.
 */

void
ngx_canary_sum_times(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, canary_histogram_t *all,
    canary_histogram_t *step)
{
    uint32_t    sum[CANARY_HISTOGRAM_BUCKETS], part[CANARY_HISTOGRAM_BUCKETS];
    ngx_uint_t  i, k;

    ngx_memzero(sum, sizeof(sum));

    for (i = 0; i < shared->nphases; i++) {

        if (place->meters[i] == NULL) {
            continue;
        }

        ngx_memcpy(part, place->meters[i]->histogram, sizeof(part));

        for (k = 0; k < CANARY_HISTOGRAM_BUCKETS; k++) {
            sum[k] += part[k];
        }
    }

    for (k = 0; k < CANARY_HISTOGRAM_BUCKETS; k++) {
        all->counts[k] = sum[k];
    }

    if (place->base) {
        for (k = 0; k < CANARY_HISTOGRAM_BUCKETS; k++) {
            sum[k] -= place->base->histogram[k];
        }
    }

    for (k = 0; k < CANARY_HISTOGRAM_BUCKETS; k++) {
        step->counts[k] = sum[k];
    }
}


void
ngx_canary_add_totals(canary_totals_t *to, const canary_totals_t *totals)
{
    uint64_t        *counter;
    ngx_uint_t       i;
    const uint64_t  *more;

    counter = (uint64_t *) to;
    more = (const uint64_t *) totals;

    for (i = 0; i < CANARY_COUNTERS; i++) {
        counter[i] += __atomic_load_n(&more[i], __ATOMIC_RELAXED);
    }
}


void
ngx_canary_subtract_base(ngx_canary_release_shared_t *place,
    ngx_canary_meter_t *sum)
{
    uint64_t            *counter, *less;
    ngx_uint_t           i;
    ngx_canary_meter_t  *base;

    base = place->base;

    if (base == NULL) {
        return;
    }

    counter = (uint64_t *) &sum->totals;
    less = (uint64_t *) &base->totals;

    for (i = 0; i < CANARY_COUNTERS; i++) {
        counter[i] -= less[i];
    }

    /* modulo 2^32, so that it does not matter if one has overflowed */

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        sum->histogram[i] -= base->histogram[i];
    }
}


void
ngx_canary_times(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout, ngx_uint_t detail, canary_times_t *times)
{
    unsigned    sides;
    ngx_uint_t  side;

    sides = canary_judge_needs_times(&rollout->strategy, (int) detail);

    for (side = 0; side < CANARY_SIDES; side++) {

        if (!(sides & 1u << side)) {
            continue;
        }

        ngx_canary_sum_times(shared,
                             shared->releases[(side == CANARY_SIDE_CANARY)
                                              ? rollout->canary
                                              : rollout->stable],
                             &times->sides[side], &times->step[side]);
    }
}


void
ngx_canary_sum_totals(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, canary_totals_t *totals)
{
    ngx_uint_t  i;

    ngx_memzero(totals, sizeof(canary_totals_t));

    if (place->past) {
        ngx_canary_add_totals(totals, &place->past->totals);
    }

    for (i = 0; i < shared->nphases; i++) {
        if (place->meters[i]) {
            ngx_canary_add_totals(totals, &place->meters[i]->totals);
        }
    }
}


void
ngx_canary_sum_buckets(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, uint64_t *buckets)
{
    ngx_uint_t  i;

    for (i = 0; i <= CANARY_BUCKETS; i++) {
        buckets[i] = place->past ? place->past->times[i] : 0;
    }

    ngx_canary_add_buckets(shared, place, buckets);
}


static void
ngx_canary_add_buckets(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, uint64_t *buckets)
{
    ngx_uint_t  i;

    for (i = 0; i < shared->nphases; i++) {
        if (place->meters[i]) {
            canary_buckets_add(buckets, place->meters[i]->histogram);
        }
    }
}


void
ngx_canary_halve_steps(ngx_canary_main_conf_t *cmcf)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {

        ngx_canary_lock(cmcf->zone);

        if (!cmcf->zone->superseded) {
            ngx_canary_halve_endpoint(endpoints[i]->shared);
        }

        ngx_canary_unlock(cmcf->zone);
    }
}


static void
ngx_canary_halve_endpoint(ngx_canary_shared_t *shared)
{
    ngx_uint_t                    i;
    ngx_canary_meter_t            sum;
    ngx_canary_release_shared_t  *place;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place == NULL || ngx_canary_any_meter(shared, place) == NULL) {
            continue;
        }

        ngx_canary_sum_meters(shared, place, &sum);

        if (canary_histogram_is_full(sum.histogram,
                                     place->base ? place->base->histogram
                                                 : NULL)
            && ngx_canary_add_meter(shared->zone, &place->base) == NGX_OK)
        {
            canary_histogram_halve(sum.histogram, place->base->histogram);
        }
    }
}


void
ngx_canary_note_times(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {

        ngx_canary_lock(cmcf->zone);

        if (!cmcf->zone->superseded) {
            ngx_canary_note_endpoint(endpoints[i]->shared, now);
        }

        ngx_canary_unlock(cmcf->zone);
    }
}


static void
ngx_canary_note_endpoint(ngx_canary_shared_t *shared, uint64_t now)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place) {
            canary_fresh_note(&place->fresh, ngx_canary_timed(shared, place),
                              now);
        }
    }
}


static uint64_t
ngx_canary_timed(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place)
{
    uint64_t    timed;
    ngx_uint_t  i;

    timed = 0;

    for (i = 0; i < shared->nphases; i++) {
        if (place->meters[i]) {
            timed += __atomic_load_n(&place->meters[i]->totals.timed,
                                     __ATOMIC_RELAXED);
        }
    }

    return timed;
}


/*
 * Counters of 32 bits are enough for differences, which are halved in time;
 * what is exported goes on.
 */

ngx_canary_noinline void
ngx_canary_carry(ngx_canary_endpoint_t *endpoint,
    ngx_canary_release_t *release, uint32_t index)
{
    ngx_canary_main_conf_t       *cmcf;
    ngx_canary_release_shared_t  *place;

    cmcf = endpoint->main;

    ngx_canary_lock(cmcf->zone);

    place = endpoint->shared->releases[release->id];

    if (ngx_canary_add_past(cmcf->zone, place) == NGX_OK) {
        place->past->times[canary_bucket(index)] += 1ull << 32;
    }

    ngx_canary_unlock(cmcf->zone);
}


ngx_int_t
ngx_canary_retire_meters(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place)
{
    ngx_canary_meter_t  sum;

    if (ngx_canary_any_meter(shared, place)) {
        if (ngx_canary_add_past(shared->zone, place) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_canary_sum_meters(shared, place, &sum);
        ngx_canary_add_totals(&place->past->totals, &sum.totals);
        ngx_canary_add_buckets(shared, place, place->past->times);
    }

    ngx_canary_forget_meters(shared, place);

    return NGX_OK;
}


/* the same for a release that is configured: others give way to it */

static ngx_int_t
ngx_canary_need_meter(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place, ngx_canary_meter_t **meter)
{
    while (ngx_canary_add_meter(zone, meter) != NGX_OK) {
        if (!ngx_canary_release_configured(zone, place)
            || !ngx_canary_give_way(zone))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_canary_add_past(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place)
{
    ngx_canary_past_t  *past;

    if (place->past) {
        return NGX_OK;
    }

    past = ngx_canary_alloc_for(zone,
                              ngx_canary_release_configured(zone, place),
                              sizeof(ngx_canary_past_t));
    if (past == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(past, sizeof(ngx_canary_past_t));

    __atomic_store_n(&place->past, past, __ATOMIC_RELEASE);

    return NGX_OK;
}
