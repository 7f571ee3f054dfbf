
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
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_collect.h"
#include "ngx_canary_follow.h"
#include "ngx_canary_owner.h"


/*
 * The process that runs the control loop writes the state file, if no other
 * has its lock.  What was changed while one write goes on is written by the
 * next, all of it together.
 *
 * The lock may be had by the helper of an earlier configuration of this
 * nginx, which is about to end: then there is nothing to do but wait.  Or it
 * is had by another nginx, as in a binary upgrade: then that one decides, and
 * what it writes is taken over here.
 */


#define NGX_CANARY_RETRY        500   /* ms until a failed write is tried
                                         again without a reason to */
#define NGX_CANARY_LOOK         100   /* ms between looks at the lock, */
#define NGX_CANARY_LOOK_AGAIN 1000 /* and at one that is had: writes look
                                      as well, but may be rare */
#define NGX_CANARY_BUSY_MS 5     /* ms between looks at the thread */
#define NGX_CANARY_COUNT_PACE 60000 /* ms until what was counted is written
                                       without a change, */
#define NGX_CANARY_SPENT        900   /* and what budgets have spent: they lose
                                         no more than a second in a crash */


static ngx_uint_t ngx_canary_leads(ngx_canary_main_conf_t *cmcf);
static ngx_uint_t ngx_canary_have_lock(ngx_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_canary_got_lock(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_foreign_problem(ngx_canary_main_conf_t *cmcf,
    pid_t holder);
static void ngx_canary_no_lock(ngx_canary_main_conf_t *cmcf,
    pid_t holder, uint64_t now);
static void ngx_canary_forget_written(void);
static void ngx_canary_free_lock(void);
static void ngx_canary_expire(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_counted(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_spent(ngx_canary_main_conf_t *cmcf, uint64_t now);
static ngx_uint_t ngx_canary_spent_moved(ngx_canary_shared_t *shared);
static ngx_uint_t ngx_canary_to_write(ngx_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_canary_begin_write(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_end_write(ngx_canary_main_conf_t *cmcf,
    canary_state_job_t *job, uint64_t now);
static void ngx_canary_write_refused(ngx_canary_main_conf_t *cmcf,
    uint64_t sequence, uint64_t now);
static void ngx_canary_lock_lost(ngx_canary_main_conf_t *cmcf);
static void ngx_canary_file_replaced(ngx_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_canary_settle_all(ngx_canary_main_conf_t *cmcf,
    ngx_canary_fate_e fate, uint64_t sequence, uint64_t now);
static void ngx_canary_write_failed(ngx_canary_main_conf_t *cmcf,
    canary_state_file_error_t *error, uint64_t now);
static void ngx_canary_write_worked(ngx_canary_main_conf_t *cmcf);


static int                           ngx_canary_lock_fd = -1;
static ngx_uint_t                    ngx_canary_nameless;
static uint64_t                      ngx_canary_looked;
static uint64_t                      ngx_canary_write_has_failed;
static char                          ngx_canary_dir[NGX_MAX_PATH];
static canary_state_job_t            ngx_canary_job;


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

    if (!ngx_canary_leads(cmcf)) {
        ngx_canary_free_lock();
        return;
    }

    /* a reload of a single process may have changed the path */

    if (ngx_strcmp(ngx_canary_dir, cmcf->state_path->name.data) != 0) {
        ngx_canary_free_lock();
        (void) ngx_cpystrn((u_char *) ngx_canary_dir,
                           cmcf->state_path->name.data, NGX_MAX_PATH);
    }

    ngx_canary_expire(cmcf, now);

    if (!ngx_canary_have_lock(cmcf, now)) {
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
        || (ngx_canary_lock_fd != -1 && now - zone->changed < 1000))
    {
        return NGX_CANARY_BUSY_MS;
    }

    return NGX_CANARY_TICK;
}


ngx_uint_t
ngx_canary_writer_ending(ngx_canary_main_conf_t *cmcf)
{
    if (ngx_canary_lock_fd == -1 || !ngx_canary_leads(cmcf)) {
        return 0;
    }

    canary_state_file_ending(ngx_canary_lock_fd);

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

        if (ngx_canary_lock_fd == -1 || !ngx_canary_leads(cmcf)) {
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

        (void) ngx_canary_have_lock(cmcf, now);
    }

    canary_state_thread_end();

    ngx_canary_forget_written();
    ngx_canary_free_lock();
}


static ngx_uint_t
ngx_canary_leads(ngx_canary_main_conf_t *cmcf)
{
    return !cmcf->zone->superseded && cmcf->zone->serial == cmcf->serial;
}


static ngx_uint_t
ngx_canary_have_lock(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    int                        rc;
    char                       owner[CANARY_STATE_OWNER];
    pid_t                      holder;
    canary_state_file_error_t  error;

    if (ngx_canary_lock_fd != -1) {

        if (now - ngx_canary_looked < NGX_CANARY_LOOK_AGAIN) {
            return 1;
        }

        ngx_canary_looked = now;

        if (canary_state_file_holds(ngx_canary_dir, ngx_canary_lock_fd)) {
            return 1;
        }

        ngx_canary_lock_lost(cmcf);
    }

    if (now - ngx_canary_looked < NGX_CANARY_LOOK) {
        return 0;
    }

    ngx_canary_looked = now;

    /* who has ended may be back: it is not ours for that */

    if (cmcf->zone->foreign == NGX_CANARY_FOREIGN_OTHER
        && ngx_canary_owned_by_other(cmcf, owner))
    {
        return 0;
    }

    ngx_canary_owner(cmcf, owner);

    rc = canary_state_file_lock(ngx_canary_dir, owner, &ngx_canary_lock_fd,
                                &holder, &error);

    if (rc == 1) {
        ngx_canary_got_lock(cmcf, now);
        return ngx_canary_lock_fd != -1;
    }

    if (rc == 0) {
        ngx_canary_no_lock(cmcf, holder, now);

    } else {
        ngx_canary_write_failed(cmcf, &error, now);
        ngx_canary_write_refused(cmcf, (uint64_t) -1, now);
    }

    return 0;
}


static void
ngx_canary_got_lock(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    uint32_t            path;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;
    path = ngx_crc32_long(cmcf->state_path->name.data,
                          cmcf->state_path->name.len);

    ngx_canary_nameless = 0;

    /*
     * Another nginx may have written to the file since we did.  But a path
     * that a reload has changed leads to what is older than what we know.
     */

    if (zone->durable == 0 || zone->path == path) {
        (void) ngx_canary_follow(cmcf, 1, now, ngx_cycle->log);

    } else {
        (void) canary_state_file_stat(ngx_canary_dir, &zone->file);
        ngx_canary_append_again(cmcf);
    }

    ngx_canary_lock(zone);

    if (!ngx_canary_leads(cmcf)) {
        ngx_canary_unlock(zone);
        ngx_canary_free_lock();
        return;
    }

    if (zone->foreign) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "canary: the state file in \"%V\" is now written by "
                      "this nginx", &cmcf->state_path->name);

        zone->foreign = 0;
        zone->problem[0] = '\0';
        (void) ngx_canary_next_sequence(zone);
    }

    zone->locker = ngx_pid;
    zone->path = path;

    ngx_canary_unlock(zone);
}


/* in another directory there is another file of events, or none */

void
ngx_canary_append_again(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_shared_t  *shared;

    ngx_canary_lock(cmcf->zone);

    for (shared = cmcf->zone->endpoints; shared; shared = shared->next) {
        if (shared->history) {
            shared->history->journal.appended = 0;
        }
    }

    ngx_canary_unlock(cmcf->zone);
}


static void
ngx_canary_no_lock(ngx_canary_main_conf_t *cmcf, pid_t holder, uint64_t now)
{
    ngx_uint_t          other;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    /* of our own helper of an earlier configuration */

    if (holder && holder == zone->locker) {
        return;
    }

    /* a lock just given back has no holder, nor has one of another host or
       container, but that one for longer */

    if (holder == 0 && ngx_canary_nameless++ < 3) {
        return;
    }

    ngx_canary_lock(zone);

    /* its name may come a moment after the lock */

    if (zone->foreign != NGX_CANARY_FOREIGN_OTHER) {
        ngx_canary_foreign_problem(cmcf, holder);
    }

    zone->locker = 0;
    other = (zone->foreign == NGX_CANARY_FOREIGN_OTHER);

    ngx_canary_unlock(zone);

    ngx_canary_settle_all(cmcf, NGX_CANARY_NOT_WRITTEN, (uint64_t) -1, now);

    if (!other) {
        (void) ngx_canary_follow(cmcf, 0, now, ngx_cycle->log);
    }
}


/* with the lock; what another nginx does is nothing to follow */

static void
ngx_canary_foreign_problem(ngx_canary_main_conf_t *cmcf, pid_t holder)
{
    char                owner[CANARY_STATE_OWNER];
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (ngx_canary_owned_by_other(cmcf, owner)) {
        ngx_snprintf(zone->problem, NGX_CANARY_PROBLEM - 1,
                     "another nginx, process %P with the %s, has the state "
                     "file in \"%V\"%Z", holder, owner,
                     &cmcf->state_path->name);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: another nginx, process %P with the %s, has "
                      "the state file in \"%V\": this one does not follow "
                      "it, takes no steps and accepts no changes but those "
                      "that stop a rollout, until canary_state_path gives it "
                      "a directory of its own",
                      holder, owner, &cmcf->state_path->name);

        zone->foreign = NGX_CANARY_FOREIGN_OTHER;

    } else if (!zone->foreign) {
        ngx_snprintf(zone->problem, NGX_CANARY_PROBLEM - 1,
                     "another nginx, process %P, writes the state file in "
                     "\"%V\"%Z", holder, &cmcf->state_path->name);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "canary: %s: until it ends, this one follows the file, "
                      "takes no steps and accepts no changes but those that "
                      "stop a rollout", zone->problem);

        zone->foreign = NGX_CANARY_FOREIGN_SAME;
    }

    zone->problem[NGX_CANARY_PROBLEM - 1] = '\0';
}


static void
ngx_canary_forget_written(void)
{
    canary_state_destroy(ngx_canary_job.state);
    ngx_canary_job.state = NULL;
}


static void
ngx_canary_free_lock(void)
{
    if (ngx_canary_lock_fd != -1) {
        (void) close(ngx_canary_lock_fd);
        ngx_canary_lock_fd = -1;
    }
}


/* those that nobody asks after any more */

static void
ngx_canary_expire(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_canary_shared_t  *shared;

    static uint64_t  last;

    if (now - last < NGX_CANARY_RETRY) {
        return;
    }

    last = now;

    ngx_canary_lock(cmcf->zone);

    for (shared = cmcf->zone->endpoints; shared; shared = shared->next) {
        if (shared->pending.sequence && !ngx_canary_held_in_file(shared)
            && now - shared->pending.decided >= NGX_CANARY_PATIENCE
            && now > shared->pending.decided)
        {
            ngx_canary_conclude(shared, NGX_CANARY_NOT_WRITTEN, now,
                                ngx_cycle->log);
        }
    }

    ngx_canary_unlock(cmcf->zone);
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
           || now - ngx_canary_write_has_failed >= NGX_CANARY_RETRY;
}


static void
ngx_canary_begin_write(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    canary_state_job_t  *job;

    job = &ngx_canary_job;

    ngx_canary_forget_written();

    ngx_memzero(job, sizeof(canary_state_job_t));

    job->dir = ngx_canary_dir;
    job->guard.lock = ngx_canary_lock_fd;
    job->guard.file = cmcf->zone->file;
    job->zone = cmcf->zone;
    job->state = ngx_canary_collect(cmcf, &job->sequence);

    if (job->state) {
        canary_state_thread_start(job);
        return;
    }

    if (!ngx_canary_leads(cmcf)) {
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
        ngx_canary_settle_all(cmcf, NGX_CANARY_APPLIED, job->sequence, now);

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
        ngx_canary_lock_lost(cmcf);
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
 * Whoever removed the lock has let another nginx have one.  What waits to be
 * written goes on waiting until it is known which of them writes.
 */

static void
ngx_canary_lock_lost(ngx_canary_main_conf_t *cmcf)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: the lock \"%V/state.lock\" has been removed or "
                  "replaced, it is taken anew", &cmcf->state_path->name);

    ngx_canary_free_lock();

    ngx_canary_looked = 0;
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


/* what came after that has a try of its own */

static void
ngx_canary_write_refused(ngx_canary_main_conf_t *cmcf,
    uint64_t sequence, uint64_t now)
{
    ngx_uint_t          all;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;
    all = (zone->sequence <= sequence);

    ngx_canary_settle_all(cmcf, NGX_CANARY_NOT_WRITTEN, sequence, now);

    ngx_canary_lock(zone);

    zone->refused = ngx_max(zone->refused, all ? zone->sequence : sequence);

    ngx_canary_unlock(zone);
}


/*
 * Pending changes up to a sequence number.  In a zone that was replaced
 * nothing takes effect any more.
 */

static void
ngx_canary_settle_all(ngx_canary_main_conf_t *cmcf,
    ngx_canary_fate_e fate, uint64_t sequence, uint64_t now)
{
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    for (shared = zone->superseded ? NULL : zone->endpoints;
         shared;
         shared = shared->next)
    {
        if (shared->pending.sequence
            && (fate != NGX_CANARY_APPLIED || !shared->pending.held)
            && ((shared->pending.ready && shared->pending.ready <= sequence)
                || sequence == (uint64_t) -1))
        {
            ngx_canary_conclude(shared, fate, now, ngx_cycle->log);
        }
    }

    ngx_canary_unlock(zone);
}


static void
ngx_canary_write_failed(ngx_canary_main_conf_t *cmcf,
    canary_state_file_error_t *error, uint64_t now)
{
    ngx_uint_t          known;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    ngx_canary_write_has_failed = now;

    ngx_canary_lock(zone);

    known = zone->failing;
    zone->failing = 1;
    zone->foreign = 0;

    ngx_snprintf(zone->problem, NGX_CANARY_PROBLEM - 1,
                 "the state file in \"%V\" cannot be written: %s failed "
                 "(%d: %s)%Z", &cmcf->state_path->name, error->call,
                 error->err, strerror(error->err));
    zone->problem[NGX_CANARY_PROBLEM - 1] = '\0';

    ngx_canary_unlock(zone);

    if (!known) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: %s: until it can, no rollout goes on",
                      zone->problem);
    }
}


static void
ngx_canary_write_worked(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (!zone->failing) {
        return;
    }

    ngx_canary_lock(zone);

    zone->failing = 0;
    zone->problem[0] = '\0';

    ngx_canary_unlock(zone);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "canary: the state file in \"%V\" is written again",
                  &cmcf->state_path->name);
}


/*
 * An nginx that has the lock and is about to end has said so; one that has
 * ended has no lock.  The next look of our writer will find that, or it has
 * it already and is reading the file.
 */

ngx_uint_t
ngx_canary_foreign(ngx_canary_main_conf_t *cmcf)
{
    return cmcf->zone->foreign == NGX_CANARY_FOREIGN_OTHER
           || (cmcf->zone->foreign
               && canary_state_file_kept(
                                        (char *) cmcf->state_path->name.data,
                                        cmcf->zone->controller));
}
