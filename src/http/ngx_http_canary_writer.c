
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "canary_state_thread.h"


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


#define NGX_HTTP_CANARY_RETRY   500   /* ms until a failed write is tried
                                         again without a reason to */
#define NGX_HTTP_CANARY_LOOK    100   /* ms between looks at the lock, */
#define NGX_HTTP_CANARY_LOOK_AGAIN 1000 /* and at one that is had: writes look
                                           as well, but may be rare */
#define NGX_HTTP_CANARY_BUSY_MS 5     /* ms between looks at the thread */
#define NGX_HTTP_CANARY_COUNTED 60000 /* ms until what was counted is written
                                         without a change, */
#define NGX_HTTP_CANARY_SPENT   900   /* and what budgets have spent: they lose
                                         no more than a second in a crash */


static ngx_uint_t ngx_http_canary_leads(ngx_http_canary_main_conf_t *cmcf);
static ngx_uint_t ngx_http_canary_have_lock(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_got_lock(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_append_again(ngx_http_canary_main_conf_t *cmcf);
static void ngx_http_canary_no_lock(ngx_http_canary_main_conf_t *cmcf,
    pid_t holder, uint64_t now);
static void ngx_http_canary_forget_written(void);
static void ngx_http_canary_free_lock(void);
static void ngx_http_canary_expire(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_counted(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_spent(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static ngx_uint_t ngx_http_canary_spent_moved(
    ngx_http_canary_shared_t *shared);
static ngx_uint_t ngx_http_canary_to_write(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_begin_write(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_end_write(ngx_http_canary_main_conf_t *cmcf,
    canary_state_job_t *job, uint64_t now);
static void ngx_http_canary_write_refused(ngx_http_canary_main_conf_t *cmcf,
    uint64_t sequence, uint64_t now);
static void ngx_http_canary_lock_lost(ngx_http_canary_main_conf_t *cmcf);
static void ngx_http_canary_file_replaced(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_http_canary_settle_all(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_fate_e fate, uint64_t sequence, uint64_t now);
static void ngx_http_canary_write_failed(ngx_http_canary_main_conf_t *cmcf,
    canary_state_file_error_t *error, uint64_t now);
static void ngx_http_canary_write_worked(ngx_http_canary_main_conf_t *cmcf);


static int                           ngx_http_canary_lock_fd = -1;
static ngx_uint_t                    ngx_http_canary_nameless;
static uint64_t                      ngx_http_canary_looked;
static uint64_t                      ngx_http_canary_failed;
static char                          ngx_http_canary_dir[NGX_MAX_PATH];
static canary_state_job_t            ngx_http_canary_job;


void
ngx_http_canary_writer(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    canary_state_job_t  *job;

    job = canary_state_thread_poll();

    if (job) {
        ngx_http_canary_end_write(cmcf, job, now);
    }

    if (canary_state_thread_busy()) {
        return;
    }

    if (!ngx_http_canary_leads(cmcf)) {
        ngx_http_canary_free_lock();
        return;
    }

    /* a reload of a single process may have changed the path */

    if (ngx_strcmp(ngx_http_canary_dir, cmcf->state_path->name.data) != 0) {
        ngx_http_canary_free_lock();
        (void) ngx_cpystrn((u_char *) ngx_http_canary_dir,
                           cmcf->state_path->name.data, NGX_MAX_PATH);
    }

    ngx_http_canary_expire(cmcf, now);

    if (!ngx_http_canary_have_lock(cmcf, now)) {
        return;
    }

    ngx_http_canary_counted(cmcf, now);
    ngx_http_canary_spent(cmcf, now);

    if (ngx_http_canary_to_write(cmcf, now)) {
        ngx_http_canary_begin_write(cmcf, now);
    }
}


ngx_msec_t
ngx_http_canary_writer_pace(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    if (canary_state_thread_busy()
        || (ngx_http_canary_lock_fd != -1 && now - sh->changed < 1000))
    {
        return NGX_HTTP_CANARY_BUSY_MS;
    }

    return NGX_HTTP_CANARY_TICK;
}


ngx_uint_t
ngx_http_canary_writer_ending(ngx_http_canary_main_conf_t *cmcf)
{
    if (ngx_http_canary_lock_fd == -1 || !ngx_http_canary_leads(cmcf)) {
        return 0;
    }

    canary_state_file_ending(ngx_http_canary_lock_fd);

    return 1;
}


/* the last word: what is not in the file yet, and the totals */

void
ngx_http_canary_writer_finish(ngx_http_canary_main_conf_t *cmcf)
{
    uint64_t             now;
    ngx_uint_t           tries;
    canary_state_job_t  *job;

    now = ngx_http_canary_milliseconds();
    job = canary_state_thread_wait();

    if (job) {
        ngx_http_canary_end_write(cmcf, job, now);
    }

    /* once more if lock or file were not what they had been */

    for (tries = 0; tries < 3; tries++) {

        if (ngx_http_canary_lock_fd == -1 || !ngx_http_canary_leads(cmcf)) {
            break;
        }

        ngx_http_canary_begin_write(cmcf, now);

        job = canary_state_thread_wait();
        if (job == NULL) {
            break;
        }

        ngx_http_canary_end_write(cmcf, job, now);

        if (job->done <= 0) {
            break;
        }

        (void) ngx_http_canary_have_lock(cmcf, now);
    }

    canary_state_thread_end();

    ngx_http_canary_forget_written();
    ngx_http_canary_free_lock();
}


static ngx_uint_t
ngx_http_canary_leads(ngx_http_canary_main_conf_t *cmcf)
{
    return !cmcf->sh->superseded && cmcf->sh->serial == cmcf->serial;
}


static ngx_uint_t
ngx_http_canary_have_lock(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    int                        rc;
    pid_t                      holder;
    canary_state_file_error_t  error;

    if (ngx_http_canary_lock_fd != -1) {

        if (now - ngx_http_canary_looked < NGX_HTTP_CANARY_LOOK_AGAIN) {
            return 1;
        }

        ngx_http_canary_looked = now;

        if (canary_state_file_holds(ngx_http_canary_dir,
                                    ngx_http_canary_lock_fd))
        {
            return 1;
        }

        ngx_http_canary_lock_lost(cmcf);
    }

    if (now - ngx_http_canary_looked < NGX_HTTP_CANARY_LOOK) {
        return 0;
    }

    ngx_http_canary_looked = now;

    rc = canary_state_file_lock(ngx_http_canary_dir, &ngx_http_canary_lock_fd,
                                &holder, &error);

    if (rc == 1) {
        ngx_http_canary_got_lock(cmcf, now);
        return ngx_http_canary_lock_fd != -1;
    }

    if (rc == 0) {
        ngx_http_canary_no_lock(cmcf, holder, now);

    } else {
        ngx_http_canary_write_failed(cmcf, &error, now);
        ngx_http_canary_write_refused(cmcf, (uint64_t) -1, now);
    }

    return 0;
}


static void
ngx_http_canary_got_lock(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    uint32_t                        path;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;
    path = ngx_crc32_long(cmcf->state_path->name.data,
                          cmcf->state_path->name.len);

    ngx_http_canary_nameless = 0;

    /*
     * Another nginx may have written to the file since we did.  But a path
     * that a reload has changed leads to what is older than what we know.
     */

    if (sh->durable == 0 || sh->path == path) {
        (void) ngx_http_canary_follow(cmcf, 1, now, ngx_cycle->log);

    } else {
        (void) canary_state_file_stat(ngx_http_canary_dir, &sh->file);
        ngx_http_canary_append_again(cmcf);
    }

    ngx_http_canary_lock(sh);

    if (!ngx_http_canary_leads(cmcf)) {
        ngx_http_canary_unlock(sh);
        ngx_http_canary_free_lock();
        return;
    }

    if (sh->foreign) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "canary: the state file in \"%V\" is now written by "
                      "this nginx", &cmcf->state_path->name);

        sh->foreign = 0;
        sh->problem[0] = '\0';
        (void) ngx_http_canary_next_sequence(sh);
    }

    sh->locker = ngx_pid;
    sh->path = path;

    ngx_http_canary_unlock(sh);
}


/* in another directory there is another file of events, or none */

static void
ngx_http_canary_append_again(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_shared_t  *shared;

    ngx_http_canary_lock(cmcf->sh);

    for (shared = cmcf->sh->endpoints; shared; shared = shared->next) {
        if (shared->history) {
            shared->history->journal.appended = 0;
        }
    }

    ngx_http_canary_unlock(cmcf->sh);
}


static void
ngx_http_canary_no_lock(ngx_http_canary_main_conf_t *cmcf, pid_t holder,
    uint64_t now)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    /* of our own helper of an earlier configuration */

    if (holder && holder == sh->locker) {
        return;
    }

    /* a lock just given back has no holder, nor has one of another host or
       container, but that one for longer */

    if (holder == 0 && ngx_http_canary_nameless++ < 3) {
        return;
    }

    ngx_http_canary_lock(sh);

    if (!sh->foreign) {
        ngx_snprintf(sh->problem, NGX_HTTP_CANARY_PROBLEM - 1,
                     "another nginx, process %P, writes the state file in "
                     "\"%V\"%Z", holder, &cmcf->state_path->name);
        sh->problem[NGX_HTTP_CANARY_PROBLEM - 1] = '\0';

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "canary: %s: until it ends, this one follows the file, "
                      "takes no steps and accepts no changes but those that "
                      "stop a rollout", sh->problem);
    }

    sh->foreign = 1;
    sh->locker = 0;

    ngx_http_canary_unlock(sh);

    ngx_http_canary_settle_all(cmcf, NGX_HTTP_CANARY_NOT_WRITTEN, (uint64_t) -1,
                               now);

    (void) ngx_http_canary_follow(cmcf, 0, now, ngx_cycle->log);
}


static void
ngx_http_canary_forget_written(void)
{
    canary_state_destroy(ngx_http_canary_job.state);
    ngx_http_canary_job.state = NULL;
}


static void
ngx_http_canary_free_lock(void)
{
    if (ngx_http_canary_lock_fd != -1) {
        (void) close(ngx_http_canary_lock_fd);
        ngx_http_canary_lock_fd = -1;
    }
}


/* those that nobody asks after any more */

static void
ngx_http_canary_expire(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_http_canary_shared_t  *shared;

    static uint64_t  last;

    if (now - last < NGX_HTTP_CANARY_RETRY) {
        return;
    }

    last = now;

    ngx_http_canary_lock(cmcf->sh);

    for (shared = cmcf->sh->endpoints; shared; shared = shared->next) {
        if (shared->pending.sequence
            && now - shared->pending.decided >= NGX_HTTP_CANARY_PATIENCE
            && now > shared->pending.decided)
        {
            ngx_http_canary_conclude(shared, NGX_HTTP_CANARY_NOT_WRITTEN, now,
                                     ngx_cycle->log);
        }
    }

    ngx_http_canary_unlock(cmcf->sh);
}


/* a crash takes no more from the totals than a minute has added to them */

static void
ngx_http_canary_counted(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    uint64_t                        counted;
    ngx_http_canary_zone_shared_t  *sh;

    static uint64_t  last, known;

    sh = cmcf->sh;

    if (last == 0) {
        last = now;
    }

    if (now - last < NGX_HTTP_CANARY_COUNTED) {
        return;
    }

    last = now;
    counted = ngx_http_canary_attempts(cmcf);

    if (counted != known && sh->sequence <= sh->durable) {
        ngx_http_canary_lock(sh);
        (void) ngx_http_canary_next_sequence(sh);
        ngx_http_canary_unlock(sh);
    }

    known = counted;
}


/* these are few, and nobody waits for it */

static void
ngx_http_canary_spent(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_uint_t                      moved;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_zone_shared_t  *sh;

    static uint64_t  last;

    sh = cmcf->sh;

    if (now - last < NGX_HTTP_CANARY_SPENT || sh->sequence > sh->durable) {
        return;
    }

    moved = 0;

    ngx_http_canary_lock(sh);

    for (shared = sh->active; shared && !moved; shared = shared->next_active) {
        moved = ngx_http_canary_spent_moved(shared);
    }

    if (moved) {
        sh->sequence++;
        last = now;
    }

    ngx_http_canary_unlock(sh);
}


static ngx_uint_t
ngx_http_canary_spent_moved(ngx_http_canary_shared_t *shared)
{
    ngx_uint_t         i;
    canary_rollout_t  *rollout;

    rollout = &ngx_http_canary_record(shared)->rollout;

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
ngx_http_canary_to_write(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    uint64_t                        sequence;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    sequence = __atomic_load_n(&sh->sequence, __ATOMIC_ACQUIRE);

    /* a failure is over when a write has worked, and only then */

    if (sequence <= sh->durable && !sh->failing) {
        return 0;
    }

    /* what failed is tried again later, what is new is tried at once */

    return !sh->failing || sequence > sh->refused
           || now - ngx_http_canary_failed >= NGX_HTTP_CANARY_RETRY;
}


static void
ngx_http_canary_begin_write(ngx_http_canary_main_conf_t *cmcf, uint64_t now)
{
    canary_state_job_t  *job;

    job = &ngx_http_canary_job;

    ngx_http_canary_forget_written();

    ngx_memzero(job, sizeof(canary_state_job_t));

    job->dir = ngx_http_canary_dir;
    job->guard.lock = ngx_http_canary_lock_fd;
    job->guard.file = cmcf->sh->file;
    job->zone = cmcf->sh;
    job->state = ngx_http_canary_collect(cmcf, &job->sequence);

    if (job->state) {
        canary_state_thread_start(job);
        return;
    }

    if (!ngx_http_canary_leads(cmcf)) {
        return;
    }

    job->done = -1;
    job->error.call = "malloc()";
    job->error.err = NGX_ENOMEM;

    ngx_http_canary_end_write(cmcf, job, now);
}


/*
 * What the file has takes effect before it is said to be there, so that
 * whoever finds only a part of that done does the rest.
 */

static void
ngx_http_canary_end_write(ngx_http_canary_main_conf_t *cmcf,
    canary_state_job_t *job, uint64_t now)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    if (job->zone != sh) {
        return;
    }

    if (job->appended) {
        ngx_http_canary_has_events(cmcf, job->state);
    }

    if (job->done == 0) {
        ngx_http_canary_settle_all(cmcf, NGX_HTTP_CANARY_APPLIED,
                                   job->sequence, now);

        ngx_http_canary_lock(sh);

        sh->file = job->id;
        sh->durable = ngx_max(sh->durable, job->sequence);

        ngx_http_canary_unlock(sh);

        ngx_http_canary_write_worked(cmcf);
        return;
    }

    if (job->id.inode) {
        sh->file = job->id;

    } else if (job->state) {
        ngx_http_canary_not_seen(cmcf, job->state);
    }

    switch (job->done) {

    case CANARY_STATE_FILE_UNLOCKED:
        ngx_http_canary_lock_lost(cmcf);
        return;

    case CANARY_STATE_FILE_REPLACED:
        ngx_http_canary_file_replaced(cmcf, now);
        return;

    default: /* -1 */
        ngx_http_canary_write_failed(cmcf, &job->error, now);
        ngx_http_canary_write_refused(cmcf, job->sequence, now);
    }
}


/*
 * Whoever removed the lock has let another nginx have one.  What waits to be
 * written goes on waiting until it is known which of them writes.
 */

static void
ngx_http_canary_lock_lost(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: the lock \"%V/state.lock\" has been removed or "
                  "replaced, it is taken anew", &cmcf->state_path->name);

    ngx_http_canary_free_lock();

    ngx_http_canary_looked = 0;
}


/*
 * By somebody without the lock.  What another nginx has written, as it said
 * there, is taken over; else what is known here is newer.
 */

static void
ngx_http_canary_file_replaced(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now)
{
    ngx_uint_t  foreign;

    foreign = ngx_http_canary_follow(cmcf, 1, now, ngx_cycle->log);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: the state file in \"%V\" has been removed or "
                  "replaced while this nginx wrote it, %s",
                  &cmcf->state_path->name,
                  foreign ? "by one of another nginx, which is taken over"
                          : "it is written anew");
}


/* what came after that has a try of its own */

static void
ngx_http_canary_write_refused(ngx_http_canary_main_conf_t *cmcf,
    uint64_t sequence, uint64_t now)
{
    ngx_uint_t                      all;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;
    all = (sh->sequence <= sequence);

    ngx_http_canary_settle_all(cmcf, NGX_HTTP_CANARY_NOT_WRITTEN, sequence,
                               now);

    ngx_http_canary_lock(sh);

    sh->refused = ngx_max(sh->refused, all ? sh->sequence : sequence);

    ngx_http_canary_unlock(sh);
}


/*
 * Pending changes up to a sequence number.  In a zone that was replaced
 * nothing takes effect any more.
 */

static void
ngx_http_canary_settle_all(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_fate_e fate, uint64_t sequence, uint64_t now)
{
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    ngx_http_canary_lock(sh);

    for (shared = sh->superseded ? NULL : sh->endpoints;
         shared;
         shared = shared->next)
    {
        if (shared->pending.sequence
            && shared->pending.sequence <= sequence)
        {
            ngx_http_canary_conclude(shared, fate, now, ngx_cycle->log);
        }
    }

    ngx_http_canary_unlock(sh);
}


static void
ngx_http_canary_write_failed(ngx_http_canary_main_conf_t *cmcf,
    canary_state_file_error_t *error, uint64_t now)
{
    ngx_uint_t                      known;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    ngx_http_canary_failed = now;

    ngx_http_canary_lock(sh);

    known = sh->failing;
    sh->failing = 1;
    sh->foreign = 0;

    ngx_snprintf(sh->problem, NGX_HTTP_CANARY_PROBLEM - 1,
                 "the state file in \"%V\" cannot be written: %s failed "
                 "(%d: %s)%Z", &cmcf->state_path->name, error->call,
                 error->err, strerror(error->err));
    sh->problem[NGX_HTTP_CANARY_PROBLEM - 1] = '\0';

    ngx_http_canary_unlock(sh);

    if (!known) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: %s: until it can, no rollout goes on",
                      sh->problem);
    }
}


static void
ngx_http_canary_write_worked(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    if (!sh->failing) {
        return;
    }

    ngx_http_canary_lock(sh);

    sh->failing = 0;
    sh->problem[0] = '\0';

    ngx_http_canary_unlock(sh);

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
ngx_http_canary_foreign(ngx_http_canary_main_conf_t *cmcf)
{
    return cmcf->sh->foreign
           && canary_state_file_kept((char *) cmcf->state_path->name.data,
                                     cmcf->sh->controller);
}
