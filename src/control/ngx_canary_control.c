
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_canary_control.h"

#include "canary_fleet.h"
#include "canary_fresh.h"
#include "canary_route.h"

#include "ngx_canary_course.h"
#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_process.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_zone.h"
#include "ngx_canary_change.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_writer.h"
#include "ngx_canary_fleet.h"


/*
 * The control loop runs in nginx's helper process, or in the only process if
 * there is just one.  During a reload two helpers are alive for a moment:
 * that of the newest configuration acts, and the other one sees so and does
 * not, since all it does it does under the lock.
 */


#define NGX_CANARY_REAP          500                /* ms */
#define NGX_CANARY_HALVE         3600000            /* ms */
#define NGX_CANARY_MANAGER       (60 * 60 * 1000)   /* ms: nginx's longest */
#define NGX_CANARY_OUTLAST       1000               /* ms at most that the last
                                                       word waits for workers
                                                       that end as well, */
#define NGX_CANARY_OUTLAST_PAUSE       5            /* ms between looks */


static void ngx_canary_finish_helper(void);
static void ngx_canary_outlast(ngx_canary_main_conf_t *cmcf);
static void ngx_canary_timer(ngx_event_t *ev);
static uint64_t ngx_canary_beat(ngx_canary_main_conf_t *cmcf, uint64_t now,
    ngx_msec_t *next);
static void ngx_canary_control(ngx_canary_main_conf_t *cmcf, uint64_t now);
static ngx_uint_t ngx_canary_control_endpoint(
    ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *shared, uint64_t now);
static ngx_uint_t ngx_canary_lead(ngx_canary_main_conf_t *cmcf, uint64_t now);


static ngx_event_t                   ngx_canary_event;
static ngx_connection_t              ngx_canary_dumb;
static ngx_canary_main_conf_t       *ngx_canary_helper_conf;


/*
 * The helper calls this at its start.  It has one timer for the managers of
 * all paths and the least of what they return: caches keep their pace only if
 * the control loop does not make its own by this.
 */

ngx_msec_t
ngx_canary_manager(void *data)
{
    ngx_canary_start_timer();

    return NGX_CANARY_MANAGER;
}


void
ngx_canary_finish(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_outlast(cmcf);
    ngx_canary_writer_finish(cmcf);
    ngx_canary_fleet_finish(cmcf);
}


static void
ngx_canary_finish_helper(void)
{
    if (ngx_process == NGX_PROCESS_HELPER) {
        ngx_canary_finish(ngx_canary_helper_conf);
    }
}


/*
 * Workers that are told to end when this process is have requests to finish,
 * which count as well.  The next nginx may wait for the lock meanwhile, so not
 * for those that take long.
 */

static void
ngx_canary_outlast(ngx_canary_main_conf_t *cmcf)
{
    uint64_t    until;
    ngx_uint_t  alive;

    if (!ngx_canary_writer_ending(cmcf)) {
        return;
    }

    until = ngx_canary_milliseconds() + NGX_CANARY_OUTLAST;

    while (ngx_quit && !ngx_terminate
           && ngx_canary_milliseconds() < until)
    {
        ngx_canary_lock(cmcf->zone);

        ngx_canary_bury(cmcf->zone, ngx_canary_milliseconds());
        alive = ngx_canary_serial_alive(cmcf->zone, 0, (ngx_uint_t) -1);

        ngx_canary_unlock(cmcf->zone);

        if (!alive) {
            break;
        }

        ngx_time_update();

        (void) ngx_canary_tick(cmcf);

        ngx_msleep(NGX_CANARY_OUTLAST_PAUSE);
    }
}


void
ngx_canary_begin_process(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_lock(cmcf->zone);

    ngx_canary_bury(cmcf->zone, ngx_canary_milliseconds());

    ngx_canary_unlock(cmcf->zone);

    ngx_canary_enter_process(cmcf);
}


/* the file may have to be looked after more often than the rollouts */

ngx_msec_t
ngx_canary_tick(ngx_canary_main_conf_t *cmcf)
{
    uint64_t    now, beat;
    ngx_msec_t  pace, next;

    static uint64_t  controlled, beaten;

    if (ngx_process == NGX_PROCESS_HELPER
        && ngx_canary_helper_conf == NULL)
    {
        /* a helper ends by exit(), and calls no module before it does */

        ngx_canary_helper_conf = cmcf;
        (void) atexit(ngx_canary_finish_helper);
    }

    now = ngx_canary_milliseconds();

    beat = ngx_canary_beat(cmcf, now, &next);

    if (beat ? beat != beaten : now - controlled >= NGX_CANARY_TICK - 1) {
        ngx_canary_control(cmcf, now);
        controlled = now;
        beaten = beat;
    }

    ngx_canary_writer(cmcf, now);
    ngx_canary_fleet(cmcf, now);

    pace = ngx_canary_writer_pace(cmcf, now);

    return ngx_min(pace, next);
}


/*
 * All nodes of a fleet look at the same time, when slots of its clock begin and
 * half-way to the next; the number of the present beat, 0: there is none.
 */

static uint64_t
ngx_canary_beat(ngx_canary_main_conf_t *cmcf, uint64_t now, ngx_msec_t *next)
{
    uint64_t             time;
    ngx_canary_fleet_t  *fleet;

    fleet = cmcf->zone->fleet;
    time = fleet ? canary_fleet_time(&fleet->kept.clock, now) : 0;

    *next = NGX_CANARY_TICK - time % NGX_CANARY_TICK;

    return time / NGX_CANARY_TICK;
}


void
ngx_canary_start_timer(void)
{
    ngx_event_t  *ev;

    ev = &ngx_canary_event;

    if (ev->timer_set) {
        return;
    }

    /* the event's log line looks for a descriptor */

    ngx_canary_dumb.fd = (ngx_socket_t) -1;

    ev->handler = ngx_canary_timer;
    ev->data = &ngx_canary_dumb;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, 0);
}


static void
ngx_canary_timer(ngx_event_t *ev)
{
    ngx_msec_t               next;
    ngx_canary_main_conf_t  *cmcf;

    static ngx_canary_main_conf_t       *known;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return;
    }

    /* a reload replaces the configuration under a running timer */

    ev->log = ngx_cycle->log;

    cmcf = ngx_canary_running();
    next = NGX_CANARY_TICK;

    if (cmcf) {
        if (cmcf != known && ngx_process == NGX_PROCESS_SINGLE) {
            ngx_canary_begin_process(cmcf);
            known = cmcf;
        }

        next = ngx_canary_tick(cmcf);
    }

    ngx_add_timer(ev, next);
}


static void
ngx_canary_control(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared, **next;

    static uint64_t  reaped, halved, noted;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    if (!ngx_canary_lead(cmcf, now)) {
        ngx_canary_unlock(zone);
        return;
    }

    if (now - reaped >= NGX_CANARY_REAP) {
        ngx_canary_bury(zone, now);
        reaped = now;
    }

    next = &zone->active;

    ngx_canary_unlock(zone);

    if (now - halved >= NGX_CANARY_HALVE) {
        ngx_canary_halve_steps(cmcf);
        halved = now;
    }

    if (now - noted >= CANARY_FRESH_NOTE_MS) {
        ngx_canary_note_times(cmcf, now);
        noted = now;
    }

    /*
     * The lock is given back between endpoints, so that many rollouts do not
     * make workers wait.  Others add to the list, at its head; what is taken
     * out of it is taken out here, but for the master of a newer
     * configuration, and then this process has nothing to do any more.
     */

    for ( ;; ) {

        ngx_canary_lock(zone);

        shared = ngx_canary_is_newest(cmcf) ? *next : NULL;

        if (shared == NULL) {
            ngx_canary_unlock(zone);
            return;
        }

        if (ngx_canary_control_endpoint(cmcf, shared, now)) {
            next = &shared->next_active;

        } else {
            *next = shared->next_active;
        }

        ngx_canary_unlock(zone);
    }
}


/* returns 0 when there is nothing to do for the endpoint */

static ngx_uint_t
ngx_canary_control_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, uint64_t now)
{
    ngx_canary_record_t  *record;

    ngx_canary_mend(shared, now);
    ngx_canary_follow_course(shared, now);

    record = ngx_canary_record(shared);

    if (record->rollout.phase == CANARY_IDLE) {

        /* evidence that waits for a rollout whose start is pending */

        return shared->evidence != NULL;
    }

    if (shared->evidence == NULL || shared->unmet) {
        return 1;
    }

    ngx_canary_progress(cmcf, shared, ngx_canary_fleet_lead(shared, now), now,
                        ngx_cycle->log);

    return 1;
}


static ngx_uint_t
ngx_canary_lead(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (!ngx_canary_is_newest(cmcf)) {
        return 0;
    }

    /* the helper before this one may have died at any time */

    if (zone->controller != ngx_pid) {
        ngx_canary_mend_all(zone, now);
    }

    zone->controller = ngx_pid;
    zone->controller_serial = cmcf->serial;
    zone->heartbeat = now;

    return 1;
}
