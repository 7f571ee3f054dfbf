
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_figures.h"

#include "canary_fleet_clock.h"
#include "canary_view.h"

#include "ngx_canary_shared.h"


/*
 * They are kept as the bytes that came, so that they take as much room as they
 * have to say, and are read by whoever is asked.
 */


void
ngx_canary_keep_figures(ngx_canary_shared_t *shared, const u_char *bytes,
    size_t len)
{
    ngx_slab_pool_t       *pool;
    ngx_canary_figures_t  *figures;

    pool = shared->zone->pool;
    figures = shared->figures;

    if (figures && figures->size < len) {
        shared->figures = NULL;
        ngx_slab_free_locked(pool, figures);
        figures = NULL;
    }

    if (figures == NULL) {
        figures = ngx_slab_alloc_locked(pool, sizeof(ngx_canary_figures_t)
                                              + 2 * len);
        if (figures == NULL) {
            return;
        }

        figures->size = 2 * len;
        figures->len = 0;
        shared->figures = figures;
    }

    /* who dies in between has none */

    __atomic_store_n(&figures->len, 0, __ATOMIC_RELEASE);
    ngx_memcpy(figures->bytes, bytes, len);
    __atomic_store_n(&figures->len, len, __ATOMIC_RELEASE);
}


ngx_int_t
ngx_canary_figures(ngx_canary_shared_t *shared, uint64_t now,
    canary_view_t *view, canary_view_node_t *nodes)
{
    ngx_canary_zone_t     *zone;
    ngx_canary_figures_t  *figures;

    zone = shared->zone;
    figures = shared->figures;

    if (zone->fleet == NULL || figures == NULL || figures->len == 0
        || !ngx_canary_fleet_reached(zone))
    {
        return NGX_DECLINED;
    }

    return (canary_view_decode(figures->bytes, figures->len, view, nodes)
            && canary_view_is_of(view, &ngx_canary_record(shared)->rollout,
                                 canary_fleet_time(&zone->fleet->kept.clock,
                                                   now)))
           ? NGX_OK : NGX_DECLINED;
}
