
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_writer.h"

#include "canary_evidence_layout.h"
#include "canary_evidence_sum.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_state_file.h"
#include "canary_state_json.h"
#include "canary_state_thread.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_collect.h"
#include "ngx_canary_follow.h"
#include "ngx_canary_writer_lock.h"
#include "ngx_canary_written.h"


/*
 * The process that runs the control loop writes the state file, if no other
 * has its lock.  What was changed while one write goes on is written by the
 * next, all of it together.
 */


#define NGX_CANARY_BUSY_MS        5   /* ms between looks at the thread */
#define NGX_CANARY_COUNT_PACE 60000   /* ms until what was counted is written
                                         without a change, */
#define NGX_CANARY_SPENT        900   /* and what budgets have spent: they lose
                                         no more than a second in a crash */


static void ngx_canary_counted(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_spent(ngx_canary_main_conf_t *cmcf, uint64_t now);
static ngx_uint_t ngx_canary_spent_moved(ngx_canary_shared_t *shared);
static ngx_uint_t ngx_canary_to_write(ngx_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_canary_forget_written(void);
static void ngx_canary_begin_write(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_end_write(ngx_canary_main_conf_t *cmcf,
    canary_state_job_t *job, uint64_t now);
static void ngx_canary_file_replaced(ngx_canary_main_conf_t *cmcf,
    uint64_t now);


static canary_state_job_t  ngx_canary_job;


void
ngx_canary_writer(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    canary_state_job_t  *job;

    job = canary_state_thread_poll();

    if (job) {
        ngx_canary_end_write(cmcf, job, now);
    }

    if (canary_state_thread_busy()) {
        return;
    }

    if (!ngx_canary_is_newest(cmcf)) {
        ngx_canary_writer_unlock();
        return;
    }

    ngx_canary_writer_set_dir(cmcf);
    ngx_canary_expire_pending(cmcf, now);

    if (!ngx_canary_writer_lock(cmcf, now)) {
        return;
    }

    ngx_canary_counted(cmcf, now);
    ngx_canary_spent(cmcf, now);

    if (ngx_canary_to_write(cmcf, now)) {
        ngx_canary_begin_write(cmcf, now);
    }
}


ngx_msec_t
ngx_canary_writer_pace(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (canary_state_thread_busy()
        || (ngx_canary_writer_fd() != -1 && now - zone->changed < 1000))
    {
        return NGX_CANARY_BUSY_MS;
    }

    return NGX_CANARY_TICK;
}


ngx_uint_t
ngx_canary_writer_ending(ngx_canary_main_conf_t *cmcf)
{
    if (ngx_canary_writer_fd() == -1 || !ngx_canary_is_newest(cmcf)) {
        return 0;
    }

    canary_state_file_ending(ngx_canary_writer_fd());

    return 1;
}


/* the last word: what is not in the file yet, and the totals */

void
ngx_canary_writer_finish(ngx_canary_main_conf_t *cmcf)
{
    uint64_t             now;
    ngx_uint_t           tries;
    canary_state_job_t  *job;

    now = ngx_canary_milliseconds();
    job = canary_state_thread_wait();

    if (job) {
        ngx_canary_end_write(cmcf, job, now);
    }

    /* once more if lock or file were not what they had been */

    for (tries = 0; tries < 3; tries++) {

        if (ngx_canary_writer_fd() == -1 || !ngx_canary_is_newest(cmcf)) {
            break;
        }

        ngx_canary_begin_write(cmcf, now);

        job = canary_state_thread_wait();
        if (job == NULL) {
            break;
        }

        ngx_canary_end_write(cmcf, job, now);

        if (job->done <= 0) {
            break;
        }

        (void) ngx_canary_writer_lock(cmcf, now);
    }

    canary_state_thread_end();

    ngx_canary_forget_written();
    ngx_canary_writer_unlock();
}


/* a crash takes no more from the totals than a minute has added to them */

static void
ngx_canary_counted(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    uint64_t            counted;
    ngx_canary_zone_t  *zone;

    static uint64_t  last, known;

    zone = cmcf->zone;

    if (last == 0) {
        last = now;
    }

    if (now - last < NGX_CANARY_COUNT_PACE) {
        return;
    }

    last = now;
    counted = ngx_canary_attempts(cmcf);

    if (counted != known && zone->sequence <= zone->durable) {
        ngx_canary_lock(zone);
        (void) ngx_canary_next_sequence(zone);
        ngx_canary_unlock(zone);
    }

    known = counted;
}


/* these are few, and nobody waits for it */

static void
ngx_canary_spent(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_uint_t            moved;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    static uint64_t  last;

    zone = cmcf->zone;

    if (now - last < NGX_CANARY_SPENT || zone->sequence > zone->durable) {
        return;
    }

    moved = 0;

    ngx_canary_lock(zone);

    for (shared = zone->active;
         shared && !moved;
         shared = shared->next_active)
    {
        moved = ngx_canary_spent_moved(shared);
    }

    if (moved) {
        zone->sequence++;
        last = now;
    }

    ngx_canary_unlock(zone);
}


static ngx_uint_t
ngx_canary_spent_moved(ngx_canary_shared_t *shared)
{
    ngx_uint_t         i;
    canary_rollout_t  *rollout;

    rollout = &ngx_canary_record(shared)->rollout;

    if (rollout->phase == CANARY_IDLE || shared->evidence == NULL) {
        return 0;
    }

    for (i = 0; i < rollout->strategy.nrules; i++) {
        if (canary_rule_info[rollout->strategy.rules[i].kind].unit
            == CANARY_UNIT_COUNT)
        {
            return canary_evidence_spent_by(shared->evidence,
                                            CANARY_SIDE_CANARY)
                   != shared->spent.sides[CANARY_SIDE_CANARY];
        }
    }

    return 0;
}


static ngx_uint_t
ngx_canary_to_write(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    uint64_t            sequence;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    sequence = __atomic_load_n(&zone->sequence, __ATOMIC_ACQUIRE);

    /* a failure is over when a write has worked, and only then */

    if (sequence <= zone->durable && !zone->failing) {
        return 0;
    }

    /* what failed is tried again later, what is new is tried at once */

    return !zone->failing || sequence > zone->refused
           || ngx_canary_write_may_retry(now);
}


static void
ngx_canary_forget_written(void)
{
    canary_state_destroy(ngx_canary_job.state);
    ngx_canary_job.state = NULL;
}


static void
ngx_canary_begin_write(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    canary_state_job_t  *job;

    job = &ngx_canary_job;

    ngx_canary_forget_written();

    ngx_memzero(job, sizeof(canary_state_job_t));

    job->dir = ngx_canary_writer_dir();
    job->guard.lock = ngx_canary_writer_fd();
    job->guard.file = cmcf->zone->file;
    job->zone = cmcf->zone;
    job->state = ngx_canary_collect(cmcf, &job->sequence);

    if (job->state) {
        canary_state_thread_start(job);
        return;
    }

    if (!ngx_canary_is_newest(cmcf)) {
        return;
    }

    job->done = -1;
    job->error.call = "malloc()";
    job->error.err = NGX_ENOMEM;

    ngx_canary_end_write(cmcf, job, now);
}


/*
 * What the file has takes effect before it is said to be there, so that
 * whoever finds only a part of that done does the rest.
 */

static void
ngx_canary_end_write(ngx_canary_main_conf_t *cmcf,
    canary_state_job_t *job, uint64_t now)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (job->zone != zone) {
        return;
    }

    if (job->appended) {
        ngx_canary_has_events(cmcf, job->state);
    }

    if (job->done == 0) {
        ngx_canary_settle_pending(cmcf, NGX_CANARY_APPLIED, job->sequence, now);

        ngx_canary_lock(zone);

        zone->file = job->id;
        zone->durable = ngx_max(zone->durable, job->sequence);

        ngx_canary_unlock(zone);

        ngx_canary_write_worked(cmcf);
        return;
    }

    if (job->id.inode) {
        zone->file = job->id;

    } else if (job->state) {
        ngx_canary_not_seen(cmcf, job->state);
    }

    switch (job->done) {

    case CANARY_STATE_FILE_UNLOCKED:
        ngx_canary_writer_lock_lost(cmcf);
        return;

    case CANARY_STATE_FILE_REPLACED:
        ngx_canary_file_replaced(cmcf, now);
        return;

    default: /* -1 */
        ngx_canary_write_failed(cmcf, &job->error, now);
        ngx_canary_write_refused(cmcf, job->sequence, now);
    }
}


/*
 * By somebody without the lock.  What another nginx has written, as it said
 * there, is taken over; else what is known here is newer.
 */

static void
ngx_canary_file_replaced(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_uint_t  foreign;

    foreign = ngx_canary_follow(cmcf, 1, now, ngx_cycle->log);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: the state file in \"%V\" has been removed or "
                  "replaced while this nginx wrote it, %s",
                  &cmcf->state_path->name,
                  foreign ? "by one of another nginx, which is taken over"
                          : "it is written anew");
}
