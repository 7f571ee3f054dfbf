
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_SECTION_H_INCLUDED_
#define _NGX_HTTP_CANARY_SECTION_H_INCLUDED_


#include "canary_evidence_layout.h"
#include "canary_outage.h"
#include "canary_rollout.h"

#include "ngx_http_canary_endpoint.h"


/* Changes of rollouts: those that take effect at once, and pending ones. */


#define NGX_HTTP_CANARY_PATIENCE       5000  /* ms: no durability within them
                                                is a refusal */


/* ngx_http_canary_section.c: changes of a rollout, under the lock */

typedef enum {
    NGX_HTTP_CANARY_DONE = 0,      /* status tells the rest */
    NGX_HTTP_CANARY_PENDING,       /* takes effect when the file has it */
    NGX_HTTP_CANARY_BUSY,          /* others are first, or the state file is
                                      handed over; if the change queues, it
                                      may now have a ticket */
    NGX_HTTP_CANARY_CROWDED,       /* so many wait that it may not */
    NGX_HTTP_CANARY_STOPPED,       /* while it waited, something was done that
                                      stops what it would expose */
    NGX_HTTP_CANARY_NO_FILE,       /* another nginx has the state file */
    NGX_HTTP_CANARY_STALE_MATCH,   /* If-Match names another generation */
    NGX_HTTP_CANARY_NO_MEMORY,     /* the zone is full */
    NGX_HTTP_CANARY_SUPERSEDED     /* the zone has been replaced */
} ngx_http_canary_section_e;


/*
 * A change that somebody asked for.  "match" is called under the lock, with
 * the present generation; if it returns 0 nothing is done.
 */

typedef struct {
    canary_command_t                    command;
    canary_actor_t                      actor;
    u_char                              reason[CANARY_REASON_SIZE];
                                        /* zero-terminated; may be empty */
    ngx_uint_t                        (*match)(void *data,
                                               uint64_t generation);
    void                               *data;
    const canary_outage_t              *outage;        /* CANARY_HOLDING */
    ngx_uint_t                          queues;        /* waits for its turn */

    uint64_t                            ticket;        /* 0: none; also a
                                                          result, and good for
                                                          the next attempt */

    /* result */

    canary_status_t                     status;
    uint32_t                            verbs;         /* that apply now */
    uint64_t                            sequence;      /* of the change */
} ngx_http_canary_change_t;


ngx_http_canary_section_e ngx_http_canary_change(
    ngx_http_canary_endpoint_t *endpoint, ngx_http_canary_change_t *change);

/* as above, with the lock held; figures may be NULL */
ngx_http_canary_section_e ngx_http_canary_change_locked(
    ngx_http_canary_shared_t *shared, ngx_http_canary_change_t *change,
    const canary_figure_t *figures, ngx_uint_t nfigures, ngx_log_t *log);

/* carries out what the state file does not have of an event that stops, as it
   is; NGX_DECLINED: it does not apply */
ngx_int_t ngx_http_canary_stop_by_event(ngx_http_canary_shared_t *shared,
    canary_event_t *event, uint64_t now, ngx_log_t *log);

/*
 * Does what a process that died in the middle of a change has left undone: by
 * whoever is about to look at an endpoint, and at all of them by whoever finds
 * another process dead.
 */
void ngx_http_canary_mend(ngx_http_canary_shared_t *shared, uint64_t now);
void ngx_http_canary_mend_all(ngx_http_canary_zone_shared_t *sh, uint64_t now);

/* takes dead processes out, when what they have left undone is mended */
void ngx_http_canary_bury(ngx_http_canary_zone_shared_t *sh, uint64_t now);


/* ngx_http_canary_turn.c: who waits for whom */

/*
 * Under the lock.  DONE: a change need not wait any more; BUSY: it has to, and
 * has a ticket if it queues; CROWDED: it may not even wait.
 */
ngx_http_canary_section_e ngx_http_canary_take_turn(
    ngx_http_canary_shared_t *shared, ngx_http_canary_change_t *change);

/* under the lock: whether anything waits for its turn */
ngx_uint_t ngx_http_canary_queued(ngx_http_canary_shared_t *shared,
    uint64_t now);

/* under the lock: all that waits now does so in vain, but for the change that
   stops it, should it have a ticket */
void ngx_http_canary_stop_queued(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change);

/* whether a change that has a ticket waits in vain */
ngx_uint_t ngx_http_canary_stopped(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change);

/* whether a change with a ticket need not wait any more */
ngx_uint_t ngx_http_canary_is_turn(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_change_t *change);

/* gives its ticket back, if it has one */
void ngx_http_canary_leave_turn(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_change_t *change);


/* ngx_http_canary_provide.c: memory of the zone, under the lock */

/* memory for all that a rollout needs, or for events only, if need be from
   rollouts that have ended; NGX_ERROR: the zone is full */
ngx_int_t ngx_http_canary_provide(ngx_http_canary_shared_t *shared,
    const canary_rollout_t *rollout);
ngx_int_t ngx_http_canary_provide_history(ngx_http_canary_shared_t *shared);
void ngx_http_canary_add_slots(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t configured, canary_evidence_t *evidence, ngx_uint_t n);
size_t ngx_http_canary_books_size(void);


#endif /* _NGX_HTTP_CANARY_SECTION_H_INCLUDED_ */
