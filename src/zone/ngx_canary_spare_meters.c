
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_spare_meters.h"

#include "ngx_canary_shared.h"


/*
 * They are in a list, and cut from runs of pages, since the zone's allocator
 * would round each up to a page; a run is given back to the zone when all of
 * it is in the list, and the memory is needed.
 */


#define NGX_CANARY_METERS_RUN       4    /* are 3 pages of 4 KB */


static void ngx_canary_cut_meters(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_free_runs(ngx_canary_zone_t *zone,
    ngx_canary_meter_t **meters, ngx_uint_t n);
static int ngx_libc_cdecl ngx_canary_compare_meters(const void *one,
    const void *two);
static size_t ngx_canary_run_size(void);


/*
 * A process that is killed here may
 * lose one, but leaves none in two places, nor one with old counts.
 */

ngx_int_t
ngx_canary_add_meter(ngx_canary_zone_t *zone, ngx_canary_meter_t **meter)
{
    ngx_canary_meter_t  *spare;

    if (*meter) {
        return NGX_OK;
    }

    if (zone->spare_meters == NULL) {
        ngx_canary_cut_meters(zone);
    }

    spare = zone->spare_meters;

    if (spare == NULL) {
        return NGX_ERROR;
    }

    __atomic_store_n(&zone->spare_meters, spare->next, __ATOMIC_RELEASE);

    ngx_memzero(spare, sizeof(ngx_canary_meter_t));

    __atomic_store_n(meter, spare, __ATOMIC_RELEASE);

    return NGX_OK;
}


static void
ngx_canary_cut_meters(ngx_canary_zone_t *zone)
{
    size_t               size;
    ngx_uint_t           n;
    ngx_canary_meter_t  *meter;

    size = ngx_canary_run_size();

    meter = ngx_slab_alloc_locked(zone->pool, size);
    if (meter == NULL) {
        return;
    }

    for (n = size / sizeof(ngx_canary_meter_t); n; n--) {
        meter->next = zone->spare_meters;

        __atomic_store_n(&zone->spare_meters, meter++, __ATOMIC_RELEASE);
    }
}


void
ngx_canary_put_meter(ngx_canary_zone_t *zone, ngx_canary_meter_t **meter)
{
    ngx_canary_meter_t  *spare;

    spare = *meter;

    if (spare == NULL) {
        return;
    }

    __atomic_store_n(meter, NULL, __ATOMIC_RELEASE);

    spare->next = zone->spare_meters;

    __atomic_store_n(&zone->spare_meters, spare, __ATOMIC_RELEASE);
}


void
ngx_canary_forget_meters(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place)
{
    ngx_uint_t          i;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;

    ngx_canary_put_meter(zone, &place->base);

    for (i = 0; i < shared->nphases; i++) {
        ngx_canary_put_meter(zone, &place->meters[i]);
    }
}


ngx_uint_t
ngx_canary_free_spare_meters(ngx_canary_zone_t *zone)
{
    ngx_uint_t           n, freed;
    ngx_canary_meter_t  *meter, **meters;

    n = 0;

    for (meter = zone->spare_meters; meter; meter = meter->next) {
        n++;
    }

    if (n == 0) {
        return 0;
    }

    meters = ngx_alloc(n * sizeof(ngx_canary_meter_t *), ngx_cycle->log);
    if (meters == NULL) {
        return 0;
    }

    n = 0;

    for (meter = zone->spare_meters; meter; meter = meter->next) {
        meters[n++] = meter;
    }

    ngx_qsort(meters, n, sizeof(ngx_canary_meter_t *),
              ngx_canary_compare_meters);

    freed = ngx_canary_free_runs(zone, meters, n);

    ngx_free(meters);

    return freed;
}


/*
 * Meters in the order of their addresses: only the first one of a run is where
 * a page begins.  The list is made anew; a process that is killed meanwhile
 * loses what is not in it yet.
 */

static ngx_uint_t
ngx_canary_free_runs(ngx_canary_zone_t *zone,
    ngx_canary_meter_t **meters, ngx_uint_t n)
{
    ngx_uint_t           i, run, freed;
    ngx_canary_meter_t  *meter;

    freed = 0;
    run = ngx_canary_run_size() / sizeof(ngx_canary_meter_t);

    __atomic_store_n(&zone->spare_meters, NULL, __ATOMIC_RELEASE);

    for (i = 0; i < n; /* void */ ) {
        meter = meters[i];

        if ((uintptr_t) meter % ngx_pagesize == 0
            && i + run <= n && meters[i + run - 1] == meter + run - 1)
        {
            ngx_slab_free_locked(zone->pool, meter);
            i += run;
            freed = 1;
            continue;
        }

        meter->next = zone->spare_meters;

        __atomic_store_n(&zone->spare_meters, meter, __ATOMIC_RELEASE);

        i++;
    }

    return freed;
}


static int ngx_libc_cdecl
ngx_canary_compare_meters(const void *one, const void *two)
{
    uintptr_t  first, second;

    first = (uintptr_t) *(ngx_canary_meter_t **) one;
    second = (uintptr_t) *(ngx_canary_meter_t **) two;

    return (first > second) - (first < second);
}


static size_t
ngx_canary_run_size(void)
{
    return ngx_align(NGX_CANARY_METERS_RUN
                     * sizeof(ngx_canary_meter_t), ngx_pagesize);
}
