
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_spare_meters.h"

#include "ngx_canary_shared.h"


/*
 * They are in a list, and cut from runs of pages, since the zone's allocator
 * would round each up to a page; a run is given back to the zone when none of
 * it is in use, and the memory is needed.  A process that is killed here may
 * lose one, and with it the run, but leaves none in two places, nor one with
 * old counts.
 */


#define NGX_CANARY_METERS_RUN       4    /* are 3 pages of 4 KB */


static void ngx_canary_cut_meters(ngx_canary_zone_t *zone);
static void ngx_canary_list_meter(ngx_canary_zone_t *zone,
    ngx_canary_meter_t *meter);
static size_t ngx_canary_run_size(void);


static ngx_inline ngx_canary_meter_t *
ngx_canary_run(ngx_canary_meter_t *meter)
{
    return meter - meter->place;
}


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

    ngx_canary_run(spare)->nspare--;

    ngx_canary_clear_meter(spare);

    __atomic_store_n(meter, spare, __ATOMIC_RELEASE);

    return NGX_OK;
}


static void
ngx_canary_cut_meters(ngx_canary_zone_t *zone)
{
    size_t               size;
    uint32_t             i;
    ngx_canary_meter_t  *run;

    size = ngx_canary_run_size();

    run = ngx_slab_alloc_locked(zone->pool, size);
    if (run == NULL) {
        return;
    }

    run->nspare = 0;

    for (i = 0; i < size / sizeof(ngx_canary_meter_t); i++) {
        run[i].place = i;
        ngx_canary_list_meter(zone, &run[i]);
    }
}


/* counted last: no run is freed of which one may be in use */

static void
ngx_canary_list_meter(ngx_canary_zone_t *zone, ngx_canary_meter_t *meter)
{
    meter->next = zone->spare_meters;

    __atomic_store_n(&zone->spare_meters, meter, __ATOMIC_RELEASE);

    ngx_canary_run(meter)->nspare++;
}


void
ngx_canary_put_meter(ngx_canary_zone_t *zone, ngx_canary_meter_t **meter)
{
    ngx_canary_meter_t  *spare;

    spare = *meter;

    if (spare) {
        __atomic_store_n(meter, NULL, __ATOMIC_RELEASE);

        ngx_canary_list_meter(zone, spare);
    }
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


/* all meters of such runs are out of the list before the first run is freed */

ngx_uint_t
ngx_canary_free_spare_meters(ngx_canary_zone_t *zone)
{
    ngx_uint_t           n, freed;
    ngx_canary_meter_t  *meter, **place, *runs;

    n = ngx_canary_run_size() / sizeof(ngx_canary_meter_t);
    runs = NULL;
    freed = 0;

    for (place = &zone->spare_meters; *place; /* void */ ) {
        meter = *place;

        if (ngx_canary_run(meter)->nspare != n) {
            place = &meter->next;
            continue;
        }

        __atomic_store_n(place, meter->next, __ATOMIC_RELEASE);

        if (meter->place == 0) {
            meter->next = runs;
            runs = meter;
        }
    }

    while (runs) {
        meter = runs;
        runs = meter->next;

        ngx_slab_free_locked(zone->pool, meter);
        freed = 1;
    }

    return freed;
}


static size_t
ngx_canary_run_size(void)
{
    return ngx_align(NGX_CANARY_METERS_RUN
                     * sizeof(ngx_canary_meter_t), ngx_pagesize);
}
