
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_spare_meters.h"


/*
 * They are in a list, and cut from runs of pages, since the zone's allocator
 * would round each up to a page; a run is given back to the zone when all of
 * it is in the list, and the memory is needed.
 */


#define NGX_HTTP_CANARY_METERS_RUN  4    /* are 3 pages of 4 KB */


static void ngx_http_canary_cut_meters(ngx_http_canary_zone_shared_t *sh);
static ngx_uint_t ngx_http_canary_free_runs(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_meter_t **meters, ngx_uint_t n);
static int ngx_libc_cdecl ngx_http_canary_compare_meters(const void *one,
    const void *two);
static size_t ngx_http_canary_run_size(void);


/*
 * A process that is killed here may
 * lose one, but leaves none in two places, nor one with old counts.
 */

ngx_int_t
ngx_http_canary_add_meter(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_meter_t **meter)
{
    ngx_http_canary_meter_t  *spare;

    if (*meter) {
        return NGX_OK;
    }

    if (sh->spare_meters == NULL) {
        ngx_http_canary_cut_meters(sh);
    }

    spare = sh->spare_meters;

    if (spare == NULL) {
        return NGX_ERROR;
    }

    __atomic_store_n(&sh->spare_meters, spare->next, __ATOMIC_RELEASE);

    ngx_memzero(spare, sizeof(ngx_http_canary_meter_t));

    __atomic_store_n(meter, spare, __ATOMIC_RELEASE);

    return NGX_OK;
}


static void
ngx_http_canary_cut_meters(ngx_http_canary_zone_shared_t *sh)
{
    size_t                    size;
    ngx_uint_t                n;
    ngx_http_canary_meter_t  *meter;

    size = ngx_http_canary_run_size();

    meter = ngx_slab_alloc_locked(sh->pool, size);
    if (meter == NULL) {
        return;
    }

    for (n = size / sizeof(ngx_http_canary_meter_t); n; n--) {
        meter->next = sh->spare_meters;

        __atomic_store_n(&sh->spare_meters, meter++, __ATOMIC_RELEASE);
    }
}


void
ngx_http_canary_put_meter(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_meter_t **meter)
{
    ngx_http_canary_meter_t  *spare;

    spare = *meter;

    if (spare == NULL) {
        return;
    }

    __atomic_store_n(meter, NULL, __ATOMIC_RELEASE);

    spare->next = sh->spare_meters;

    __atomic_store_n(&sh->spare_meters, spare, __ATOMIC_RELEASE);
}


void
ngx_http_canary_forget_meters(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *place)
{
    ngx_uint_t                      i;
    ngx_http_canary_zone_shared_t  *sh;

    sh = shared->zone;

    ngx_http_canary_put_meter(sh, &place->base);

    for (i = 0; i < shared->nphases; i++) {
        ngx_http_canary_put_meter(sh, &place->meters[i]);
    }
}


ngx_uint_t
ngx_http_canary_free_spare_meters(ngx_http_canary_zone_shared_t *sh)
{
    ngx_uint_t                n, freed;
    ngx_http_canary_meter_t  *meter, **meters;

    n = 0;

    for (meter = sh->spare_meters; meter; meter = meter->next) {
        n++;
    }

    if (n == 0) {
        return 0;
    }

    meters = ngx_alloc(n * sizeof(ngx_http_canary_meter_t *), ngx_cycle->log);
    if (meters == NULL) {
        return 0;
    }

    n = 0;

    for (meter = sh->spare_meters; meter; meter = meter->next) {
        meters[n++] = meter;
    }

    ngx_qsort(meters, n, sizeof(ngx_http_canary_meter_t *),
              ngx_http_canary_compare_meters);

    freed = ngx_http_canary_free_runs(sh, meters, n);

    ngx_free(meters);

    return freed;
}


/*
 * Meters in the order of their addresses: only the first one of a run is where
 * a page begins.  The list is made anew; a process that is killed meanwhile
 * loses what is not in it yet.
 */

static ngx_uint_t
ngx_http_canary_free_runs(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_meter_t **meters, ngx_uint_t n)
{
    ngx_uint_t                i, run, freed;
    ngx_http_canary_meter_t  *meter;

    freed = 0;
    run = ngx_http_canary_run_size() / sizeof(ngx_http_canary_meter_t);

    __atomic_store_n(&sh->spare_meters, NULL, __ATOMIC_RELEASE);

    for (i = 0; i < n; /* void */ ) {
        meter = meters[i];

        if ((uintptr_t) meter % ngx_pagesize == 0
            && i + run <= n && meters[i + run - 1] == meter + run - 1)
        {
            ngx_slab_free_locked(sh->pool, meter);
            i += run;
            freed = 1;
            continue;
        }

        meter->next = sh->spare_meters;

        __atomic_store_n(&sh->spare_meters, meter, __ATOMIC_RELEASE);

        i++;
    }

    return freed;
}


static int ngx_libc_cdecl
ngx_http_canary_compare_meters(const void *one, const void *two)
{
    uintptr_t  first, second;

    first = (uintptr_t) *(ngx_http_canary_meter_t **) one;
    second = (uintptr_t) *(ngx_http_canary_meter_t **) two;

    return (first > second) - (first < second);
}


static size_t
ngx_http_canary_run_size(void)
{
    return ngx_align(NGX_HTTP_CANARY_METERS_RUN
                     * sizeof(ngx_http_canary_meter_t), ngx_pagesize);
}
