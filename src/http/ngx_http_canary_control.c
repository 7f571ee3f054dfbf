
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


/*
 * The control loop runs in nginx's helper process, or in the only process if
 * there is just one.  During a reload two helpers are alive for a moment:
 * that of the newest configuration acts, and the other one sees so and does
 * not, since all it does it does under the lock.
 */


#define NGX_HTTP_CANARY_REAP   500  /* ms */
#define NGX_HTTP_CANARY_BATCH  100  /* idle endpoints under one lock */


static void ngx_http_canary_timer(ngx_event_t *ev);
static void ngx_http_canary_control(ngx_http_canary_main_conf_t *cmcf);
static ngx_uint_t ngx_http_canary_control_endpoint(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared, uint64_t now);
static ngx_uint_t ngx_http_canary_lead(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);


static ngx_event_t       ngx_http_canary_event;
static ngx_connection_t  ngx_http_canary_dumb;


/* the helper calls this again after as many milliseconds as it returns */

ngx_msec_t
ngx_http_canary_manager(void *data)
{
    ngx_http_canary_main_conf_t  *cmcf = data;

    if (cmcf->sh && !ngx_quit && !ngx_terminate) {
        ngx_http_canary_control(cmcf);
    }

    return NGX_HTTP_CANARY_TICK;
}


void
ngx_http_canary_start_timer(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ev = &ngx_http_canary_event;

    if (ev->timer_set) {
        return;
    }

    /* the event's log line looks for a descriptor */

    ngx_http_canary_dumb.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_canary_timer;
    ev->data = &ngx_http_canary_dumb;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_CANARY_TICK);
}


static void
ngx_http_canary_timer(ngx_event_t *ev)
{
    ngx_http_canary_main_conf_t  *cmcf;

    static ngx_http_canary_main_conf_t  *known;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return;
    }

    /* a reload replaces the configuration under a running timer */

    ev->log = ngx_cycle->log;

    cmcf = ngx_http_canary_running();

    if (cmcf) {
        if (cmcf != known) {
            ngx_http_canary_enter_process(cmcf);
            known = cmcf;
        }

        ngx_http_canary_control(cmcf);
    }

    ngx_add_timer(ev, NGX_HTTP_CANARY_TICK);
}


static void
ngx_http_canary_control(ngx_http_canary_main_conf_t *cmcf)
{
    uint64_t                        now;
    ngx_uint_t                      n, busy;
    ngx_slab_pool_t                *shpool;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_zone_shared_t  *sh;

    static uint64_t  reaped;

    sh = cmcf->sh;
    shpool = cmcf->shpool;
    now = ngx_http_canary_milliseconds();

    ngx_shmtx_lock(&shpool->mutex);

    if (!ngx_http_canary_lead(cmcf, now)) {
        ngx_shmtx_unlock(&shpool->mutex);
        return;
    }

    if (now - reaped >= NGX_HTTP_CANARY_REAP) {
        ngx_http_canary_reap(sh);
        reaped = now;
    }

    shared = sh->endpoints;

    ngx_shmtx_unlock(&shpool->mutex);

    /*
     * Endpoints are only ever added at the head of the list or taken out by
     * the master of a newer configuration; the lock is given back after each
     * one that is at work, so that many rollouts do not make workers wait.
     */

    while (shared) {

        ngx_shmtx_lock(&shpool->mutex);

        if (sh->superseded || sh->serial != cmcf->serial) {
            ngx_shmtx_unlock(&shpool->mutex);
            return;
        }

        n = 0;

        do {
            busy = ngx_http_canary_control_endpoint(sh, shpool, shared, now);
            shared = shared->next;
        } while (shared && !busy && ++n < NGX_HTTP_CANARY_BATCH);

        ngx_shmtx_unlock(&shpool->mutex);
    }
}


/*
 * Returns 1 if there was something to do.  What a process that died left
 * undone shows in the word: it routes by a rollout that has no evidence.
 */

static ngx_uint_t
ngx_http_canary_control_endpoint(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t now)
{
    ngx_http_canary_record_t  *record;

    if (shared->evidence == NULL
        && canary_route_decode(shared->route).phase == CANARY_IDLE)
    {
        return 0;
    }

    ngx_http_canary_repair(shared);

    if (shared->evidence) {
        record = ngx_http_canary_record(shared);

        canary_evidence_tick(shared->evidence, record->rollout.tests, now);

        (void) ngx_http_canary_progress(sh, shpool, shared, now,
                                        ngx_cycle->log);
    }

    return 1;
}


static ngx_uint_t
ngx_http_canary_lead(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    if (sh->superseded || sh->serial != cmcf->serial) {
        return 0;
    }

    sh->controller = ngx_pid;
    sh->controller_serial = cmcf->serial;
    sh->heartbeat = now;

    return 1;
}
