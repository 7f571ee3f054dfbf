
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_METER_H_INCLUDED_
#define _NGX_CANARY_METER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_histogram.h"
#include "canary_judge_layout.h"
#include "canary_rollout.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* what is counted of releases */


/* the meter that this process is to use for a release from now on */
ngx_canary_meter_t *ngx_canary_make_meter(
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release);

/* a counter of a histogram has passed 2^32 */
void ngx_canary_carry(ngx_canary_endpoint_t *endpoint,
    ngx_canary_release_t *release, uint32_t index);

/*
 * Of what is shown of the steps of all endpoints: in a step that lasts weeks a
 * counter might overflow otherwise.  To be called each hour, without the lock.
 */
void ngx_canary_halve_steps(ngx_canary_main_conf_t *cmcf);

/*
 * Of all endpoints, whether their releases are measured: to be called each
 * CANARY_FRESH_NOTE_MS, without the lock.
 */
void ngx_canary_note_times(ngx_canary_main_conf_t *cmcf, uint64_t now);

/* Under the lock. */

/* where those are missing that a rollout needs of its sides, to count in and
   to show by steps: so many of */
#define NGX_CANARY_ROLLOUT_METERS  4

ngx_uint_t ngx_canary_missing_meters(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout, ngx_canary_meter_t **missing[]);

/* what is shown of the current step counts from here */
void ngx_canary_begin_step(ngx_canary_shared_t *shared);

/* NULL: nothing was counted of a release lately */
ngx_canary_meter_t *ngx_canary_any_meter(
    ngx_canary_shared_t *shared, ngx_canary_release_shared_t *place);

/* what the meters of a release hold, and their difference to its base */
void ngx_canary_sum_meters(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, ngx_canary_meter_t *sum);
void ngx_canary_subtract_base(ngx_canary_release_shared_t *place,
    ngx_canary_meter_t *sum);

/* their histograms only, since ever and since the base */
void ngx_canary_sum_times(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, canary_histogram_t *all,
    canary_histogram_t *step);

/* what has been measured of the sides of which that is needed */
void ngx_canary_times(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout, ngx_uint_t detail, canary_times_t *times);

/* all that was ever counted, */
void ngx_canary_sum_totals(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, canary_totals_t *totals);

/* and all times that were ever in them, by the buckets that are exported */
void ngx_canary_sum_buckets(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place, uint64_t *buckets);

void ngx_canary_add_totals(canary_totals_t *to, const canary_totals_t *totals);

/* makes sure of room for what is not in meters any more; NGX_ERROR: the zone
   is full */
ngx_int_t ngx_canary_add_past(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place);

/*
 * When no process uses the release: gives its meters up, and what they
 * counted is kept with it; NGX_ERROR: the zone is full, nothing is done.
 */

ngx_int_t ngx_canary_retire_meters(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place);


#endif /* _NGX_CANARY_METER_H_INCLUDED_ */
