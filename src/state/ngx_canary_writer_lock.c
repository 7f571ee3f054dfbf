
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_writer_lock.h"

#include "canary_state_file.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_follow.h"
#include "ngx_canary_history.h"
#include "ngx_canary_owner.h"
#include "ngx_canary_written.h"


/*
 * The lock of the state file, as the process has it that writes.
 *
 * It may be had by the helper of an earlier configuration of this nginx, which
 * is about to end: then there is nothing to do but wait.  Or it is had by
 * another nginx, as in a binary upgrade: then that one decides, and what it
 * writes is taken over here.
 */


#define NGX_CANARY_LOOK         100   /* ms between looks at the lock, */
#define NGX_CANARY_LOOK_AGAIN  1000   /* and at one that is had: writes look
                                         as well, but may be rare */


static void ngx_canary_got_lock(ngx_canary_main_conf_t *cmcf, uint64_t now);
static void ngx_canary_no_lock(ngx_canary_main_conf_t *cmcf,
    pid_t holder, uint64_t now);
static void ngx_canary_foreign_problem(ngx_canary_main_conf_t *cmcf,
    pid_t holder);


static int         ngx_canary_lock_fd = -1;
static char        ngx_canary_dir[NGX_MAX_PATH];
static uint64_t    ngx_canary_looked;
static ngx_uint_t  ngx_canary_nameless;


int
ngx_canary_writer_fd(void)
{
    return ngx_canary_lock_fd;
}


const char *
ngx_canary_writer_dir(void)
{
    return ngx_canary_dir;
}


void
ngx_canary_writer_set_dir(ngx_canary_main_conf_t *cmcf)
{
    if (ngx_strcmp(ngx_canary_dir, cmcf->state_path->name.data) != 0) {
        ngx_canary_writer_unlock();
        (void) ngx_cpystrn((u_char *) ngx_canary_dir,
                           cmcf->state_path->name.data, NGX_MAX_PATH);
    }
}


ngx_uint_t
ngx_canary_writer_lock(ngx_canary_main_conf_t *cmcf, uint64_t now)
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

        ngx_canary_writer_lock_lost(cmcf);
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

    if (!ngx_canary_is_newest(cmcf)) {
        ngx_canary_unlock(zone);
        ngx_canary_writer_unlock();
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

    ngx_canary_settle_pending(cmcf, NGX_CANARY_NOT_WRITTEN, (uint64_t) -1, now);

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


void
ngx_canary_writer_unlock(void)
{
    if (ngx_canary_lock_fd != -1) {
        (void) close(ngx_canary_lock_fd);
        ngx_canary_lock_fd = -1;
    }
}


void
ngx_canary_writer_lock_lost(ngx_canary_main_conf_t *cmcf)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: the lock \"%V/state.lock\" has been removed or "
                  "replaced, it is taken anew", &cmcf->state_path->name);

    ngx_canary_writer_unlock();

    ngx_canary_looked = 0;
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
