
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_CHANGE_H_INCLUDED_
#define _NGX_CANARY_CHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"
#include "canary_outage.h"
#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* Changes of rollouts: those that take effect at once, and pending ones. */


#define NGX_CANARY_PATIENCE            5000  /* ms: no durability within them
                                                is a refusal */


/* changes of a rollout, under the lock */


typedef enum {
    NGX_CANARY_DONE = 0,      /* status tells the rest */
    NGX_CANARY_PENDING,       /* takes effect when the file has it */
    NGX_CANARY_BUSY,          /* others are first, or the state file is
                                 handed over; if the change queues, it
                                 may now have a ticket */
    NGX_CANARY_CROWDED,       /* so many wait that it may not */
    NGX_CANARY_STOPPED,       /* while it waited, something was done that
                                 stops what it would expose */
    NGX_CANARY_NO_FILE,       /* another nginx has the state file */
    NGX_CANARY_NO_FLEET,      /* the fleet cannot be reached */
    NGX_CANARY_STALE_MATCH,   /* If-Match names another generation */
    NGX_CANARY_NO_MEMORY,     /* the zone is full */
    NGX_CANARY_SUPERSEDED          /* the zone has been replaced */
} ngx_canary_section_e;


/*
 * A change that somebody asked for.  "match" is called under the lock, with
 * the present rollout; if it returns 0 nothing is done.
 */

typedef struct {
    canary_command_t                    command;
    canary_actor_t                      actor;
    u_char                              reason[CANARY_REASON_SIZE];
                                        /* zero-terminated; may be empty */
    ngx_uint_t                        (*match)(void *data,
                                               const canary_rollout_t *rollout);
    void                               *data;
    const canary_outage_t              *outage;        /* of stable, for an
                                                          event about it */
    const canary_figure_t              *figures;       /* that decided it, */
    ngx_uint_t                          nfigures;      /* if any did */
    ngx_uint_t                          queues;        /* waits for its turn */

    uint64_t                            ticket;        /* 0: none; also a
                                                          result, and good for
                                                          the next attempt */

    /* result */

    canary_status_t                     status;
    uint32_t                            verbs;         /* that apply now */
    uint64_t                            sequence;      /* of the change */
} ngx_canary_change_t;


ngx_canary_section_e ngx_canary_change(
    ngx_canary_endpoint_t *endpoint, ngx_canary_change_t *change);

/* as above, with the lock held */
ngx_canary_section_e ngx_canary_change_locked(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_log_t *log);

/* carries out what the state file does not have of an event that stops, as it
   is; NGX_DECLINED: it does not apply */
ngx_int_t ngx_canary_stop_by_event(ngx_canary_shared_t *shared,
    canary_event_t *event, uint64_t now, ngx_log_t *log);

/*
 * Does what a process that died in the middle of a change has left undone: by
 * whoever is about to look at an endpoint, and at all of them by whoever finds
 * another process dead.
 */
void ngx_canary_mend(ngx_canary_shared_t *shared, uint64_t now);
void ngx_canary_mend_all(ngx_canary_zone_t *zone, uint64_t now);

/* takes dead processes out, when what they have left undone is mended */
void ngx_canary_bury(ngx_canary_zone_t *zone, uint64_t now);


#endif /* _NGX_CANARY_CHANGE_H_INCLUDED_ */
