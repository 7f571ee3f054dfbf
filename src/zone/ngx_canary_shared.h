
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_SHARED_H_INCLUDED_
#define _NGX_CANARY_SHARED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_away.h"
#include "canary_buckets.h"
#include "canary_course.h"
#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_fleet.h"
#include "canary_fresh.h"
#include "canary_histogram.h"
#include "canary_kept.h"
#include "canary_once.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_totals.h"

#include "ngx_canary_fleet_view.h"


/*
 * Shared memory
 *
 * The zone is mapped at the same address in all processes of one nginx, so
 * pointers into it are good in each of them.  "Under the lock" is the mutex
 * of the zone's slab pool, the one lock that nginx frees when a process dies
 * while holding it.
 */


#define NGX_CANARY_PROBLEM             256   /* bytes, ends with a zero */
#define NGX_CANARY_FAILURES            32    /* kept of a rollout */

#define NGX_CANARY_UNSEEN              1     /* serial number of no
                                                configuration: for what only
                                                the state file names */

#define NGX_CANARY_SETTLED             32    /* pending changes whose end is
                                                remembered, per endpoint */

#define NGX_CANARY_WRITES              64    /* of an endpoint at once: one
                                                that is pending, the others
                                                wait for their turn */

#define NGX_CANARY_NEWEST          ((uint64_t) -1)    /* a number that comes
                                                         after all others */

#define NGX_CANARY_QUARANTINE          60000 /* ms: used evidence rests */

#define NGX_CANARY_LINE                128   /* bytes: no false sharing */


/* for what is rare beside what is not: it takes no registers from it */

#define ngx_canary_noinline            __attribute__((noinline))
#define ngx_canary_rarely(x)      __builtin_expect(!!(x), 0)


/* What meters have counted that were given up, or that overflowed. */

typedef struct {
    canary_totals_t                     totals;
    uint64_t                            times[CANARY_BUCKETS + 1];
} ngx_canary_past_t;


/*
 * What one worker counts of one release; writers: atomic additions.  It is
 * made when first needed.  The worker that takes the place of another, after
 * a reload or because that one died, goes on with its meter; so two may add
 * to it for a while.
 */

typedef struct ngx_canary_meter_s       ngx_canary_meter_t;

struct ngx_canary_meter_s {
    canary_totals_t                     totals;
    ngx_canary_meter_t                 *next;          /* of those not in use,
                                                          under the lock */
    uint32_t                            place;         /* in its run, and in
                                                          the first one, */
    uint32_t                            nspare;        /* how many of the run
                                                          are not in use */
    u_char                              pad[2 * NGX_CANARY_LINE
                                            - sizeof(canary_totals_t)
                                            - sizeof(void *)
                                            - 2 * sizeof(uint32_t)];
    uint32_t                            histogram[CANARY_HISTOGRAM_BUCKETS];
                                                       /* of times that are
                                                          evidence */
};

_Static_assert(offsetof(ngx_canary_meter_t, histogram) % NGX_CANARY_LINE == 0
               && sizeof(ngx_canary_meter_t) % NGX_CANARY_LINE == 0,
               "what a worker counts shares no line");


/*
 * A release as the zone knows it.  Its id is its place in the table, written
 * into routing words.  All under the lock, but for what is in the meters.
 */

typedef struct {
    ngx_canary_meter_t                 *base;          /* sum of the meters
                                                          when the step began;
                                                          NULL: nothing */
    ngx_canary_past_t                  *past;          /* or NULL */
    canary_totals_t                     seen;          /* in the state file,
                                                          of all that count:
                                                          what was last read
                                                          or written */
    canary_fresh_t                      fresh;         /* times in meters */
    ngx_uint_t                          first;         /* serial numbers of */
    ngx_uint_t                          serial;        /* the first and last
                                                          configuration that
                                                          name it; 0: none */
    ngx_uint_t                          wanted;        /* of one that may yet
                                                          fail */
    size_t                              len;           /* 0: it is free */
    u_char                              name[CANARY_NAME_SIZE];
    ngx_canary_meter_t                 *meters[];      /* [nphases], each
                                                          may be NULL */
} ngx_canary_release_shared_t;


/* How an attempt failed. */

typedef enum {
    NGX_CANARY_ANSWERED = 0,      /* 5xx, or a gRPC status like it */
    NGX_CANARY_NO_LIVE,           /* no peer could be had */
    NGX_CANARY_REFUSED,           /* no connection, */
    NGX_CANARY_NO_CONNECTION,     /* not in time, */
    NGX_CANARY_HANDSHAKE,         /* or none by TLS */
    NGX_CANARY_CLOSED,            /* by the peer, before its header */
    NGX_CANARY_INVALID,           /* header */
    NGX_CANARY_TIMEOUT,           /* no header in time */
    NGX_CANARY_CUT,               /* after it: the body broke off, */
    NGX_CANARY_CUT_TIMEOUT,       /* or did not go on in time, */
    NGX_CANARY_CUT_GRPC                /* or had trailers with a bad gRPC
                                          status, or with none */
} ngx_canary_how_e;


/*
 * One of the last failed attempts on the canary.  Texts end with a zero, and
 * have what can be written in a request line.
 */

typedef struct {
    uint64_t                            time;          /* ms since 1970 */
    uint64_t                            elapsed;       /* microseconds */
    uint32_t                            step;
    uint32_t                            weight;
    uint32_t                            status;        /* 0: no header */
    uint32_t                            how;           /* of the enum above */
    int32_t                             grpc_status;   /* -1: none */
    u_char                              method[17];
    u_char                              uri[257];
    u_char                              peer[65];      /* empty: none */
    u_char                              request_id[33];
                                                       /* empty: none */
} ngx_canary_failure_t;


/* Under the lock.  Of another rollout than the present or last one: none. */

typedef struct {
    uint64_t                            n;             /* ever recorded */
    uint32_t                            rollout;       /* its number */
    ngx_canary_failure_t                ring[NGX_CANARY_FAILURES + 1];
} ngx_canary_failures_t;


/* What an endpoint is at the moment: written as a whole, see below. */

typedef struct {
    canary_rollout_t                    rollout;
    uint64_t                            events;        /* ever appended */
    uint64_t                            created;       /* when the endpoint
                                                          was first seen, */
    uint64_t                            transitions[CANARY_PHASES];
                                                       /* to each phase, from
                                                          others */
    uint64_t                            results[2];    /* rollouts that ended:
                                                          promoted, and rolled
                                                          back */
    uint64_t                            ended;         /* the last rollout,
                                                          ms since 1970 */
    uint64_t                            settled;       /* generation at which
                                                          Verta's API stopped
                                                          telling how that
                                                          rollout ended */
    uint32_t                            last_verb;     /* what ended it,
                                                          canary_verb_t; 0: not
                                                          known */
    u_char                              last_release[CANARY_NAME_SIZE];
                                        /* its name, zero-terminated */
    u_char                              last_reason[CANARY_REASON_SIZE];
} ngx_canary_record_t;


/* What became of a change that had to be in the state file first. */

typedef enum {
    NGX_CANARY_IS_PENDING = 0,
    NGX_CANARY_APPLIED,
    NGX_CANARY_NOT_WRITTEN,   /* the file could not be written */
    NGX_CANARY_CANCELLED,     /* another change came first */
    NGX_CANARY_OUTRUN,        /* a change of another node of the fleet did */
    NGX_CANARY_WAITS,         /* the fleet does not let it; it says why */
    NGX_CANARY_UNREACHED,     /* the fleet was not asked */
    NGX_CANARY_UNKNOWN,       /* it was asked, and did not answer */
    NGX_CANARY_OVERTAKEN,     /* it has it; here it is another's turn, or the
                                 file could not be written */
    NGX_CANARY_FORGOTTEN           /* too long ago to know */
} ngx_canary_fate_e;


typedef struct {
    uint64_t                            sequence;
    uint64_t                            fate;
} ngx_canary_settled_t;


/* What an endpoint is after a change. */

typedef struct {
    ngx_canary_record_t                 record;
    canary_event_t                      event;
} ngx_canary_after_t;


/*
 * A change that is decided and takes effect when the state file has it; see
 * ngx_canary_pending.c.  What the endpoint is then is in its history.  Under
 * the lock; the sequence is written last.
 */

typedef struct {
    uint64_t                            sequence;      /* 0: there is none */
    uint64_t                            decided;       /* ms, monotonic */
    uint64_t                            ready;         /* a file with changes
                                                          up to this one has
                                                          it; 0: it is not to
                                                          be there yet, */
    ngx_uint_t                          asked;         /* since the fleet has
                                                          not agreed, but may
                                                          have been asked */
} ngx_canary_pending_t;


/* A write that waits for its turn.  Under the lock; the pid is written last. */

typedef struct {
    ngx_pid_t                           pid;           /* whose; 0: free */
    uint64_t                            ticket;        /* its number, from 1 */
    uint64_t                            since;         /* ms, monotonic */
} ngx_canary_place_t;


/*
 * The writes of an endpoint that wait, those of all workers; see
 * ngx_canary_turn.c.  Under the lock.
 */

typedef struct {
    uint64_t                            tickets;       /* ever given */
    uint64_t                            stopped;       /* up to this one they
                                                          are void; read
                                                          without the lock,
                                                          too */
    uint64_t                            step;          /* ms, monotonic: when
                                                          a step was due that
                                                          could not be taken;
                                                          0: none was */
    ngx_canary_place_t                  places[NGX_CANARY_WRITES - 1];
} ngx_canary_turns_t;


/*
 * What the file of events has of the ring, and is yet to have.  A change that
 * was pending and is never made leaves an event that may be in the file by
 * then: it is void, and the file is told so.  Under the lock.
 */

typedef struct {
    uint64_t                            appended;      /* id of the last event
                                                          in the file */
    uint64_t                            nvoid;         /* ever, and of these */
    uint64_t                            told;          /* the file knows */
    uint64_t                            voids[CANARY_STATE_VOIDS];
                                                       /* their ids: a ring */
} ngx_canary_journal_t;


/*
 * What endpoints need that ever change: room for a change that is pending and
 * for those that wait for it, and a ring of events, one more than are shown,
 * so that the oldest of these survives the writing of the next.  Events are
 * not touched before they are written.
 */

typedef struct {
    ngx_canary_after_t                  pending;
    ngx_canary_turns_t                  turns;
    ngx_canary_journal_t                journal;
    canary_event_t                      events[CANARY_EVENTS + 1];
    u_char                              waits[CANARY_REASON_SIZE];
                                                       /* of a fleet: why no
                                                          step may be taken, or
                                                          empty */
} ngx_canary_history_t;


/* What the leader of a fleet shows of a rollout.  Under the lock. */

typedef struct {
    size_t                              size;          /* of bytes */
    size_t                              len;           /* of a canary_view_t,
                                                          0: none */
    u_char                              bytes[];
} ngx_canary_figures_t;


/*
 * A record of the fleet of an endpoint that is not configured here: its word
 * and text.  Under the lock.
 */

typedef struct ngx_canary_other_s        ngx_canary_other_t;

struct ngx_canary_other_s {
    ngx_canary_other_t                 *next;
    size_t                              word_len;
    size_t                              len;
    u_char                              text[];
};


/*
 * What this nginx is in a fleet.  Written by the helper under the lock; "state"
 * and "stable" are read without it.
 */

typedef struct {
    u_char                              name[CANARY_NAME_SIZE];
                                                       /* of the fleet, */
    u_char                              node[CANARY_NAME_SIZE];
                                                       /* and in it */
    canary_fleet_kept_t                 kept;
    uint64_t                            number;        /* it joined as that
                                                          member; 0: it is none
                                                          yet */
    ngx_uint_t                          node_tests;    /* of the directive */
    ngx_uint_t                          state;         /* canary_fleet_state_t
                                                        */
    ngx_uint_t                          stable;        /* all endpoints serve
                                                          their stable release
                                                        */
    ngx_uint_t                          met;           /* it has joined, or
                                                          given up waiting */
    uint64_t                            contact;       /* ms since 1970: the
                                                          last answer; 0: none
                                                          is known */
    uint64_t                            raises_from;   /* what is pending may
                                                          take effect from this
                                                          time on, */
    uint64_t                            raises_until;  /* until that, ms */
    u_char                              reason[CANARY_REASON_SIZE];
                                                       /* of the last change
                                                          that had to wait */
    ngx_canary_other_t                 *others;
    size_t                              others_size;   /* bytes, of all */
    ngx_canary_fleet_view_t             view;
} ngx_canary_fleet_t;


typedef struct ngx_canary_shared_s       ngx_canary_shared_t;
typedef struct ngx_canary_zone_s              ngx_canary_zone_t;

struct ngx_canary_shared_s {

    /* read by each request; written under the lock, released */

    uint64_t                            route;         /* routing word */
    canary_evidence_t                  *evidence;      /* NULL when idle */
    canary_once_t                      *keys;          /* that have counted;
                                                          NULL: all count */

    u_char                              pad[NGX_CANARY_LINE - 24];

    canary_away_t                       away[CANARY_SIDES];

    ngx_canary_zone_t                  *zone;          /* it lies in */

    /* under the lock */

    ngx_canary_shared_t                *next;
    ngx_canary_shared_t                *next_active;   /* see the zone */
    ngx_uint_t                          first;         /* configurations, as */
    ngx_uint_t                          serial;        /* those of a release */
    ngx_uint_t                          wanted;
    ngx_uint_t                          keyed;         /* the last that needs
                                                          its keys, or that
                                                          may yet fail */

    /*
     * The record is written to the place that is not current, then current
     * is switched: a process that dies in between leaves the old one.
     */

    ngx_uint_t                          current;       /* 0 or 1 */
    ngx_canary_record_t                 records[2];

    ngx_uint_t                          basing;        /* the bases of a step
                                                          are being written;
                                                          found set, whoever
                                                          did it has died */

    canary_state_spent_t                spent;         /* seen in the state
                                                           file, as above */

    uint64_t                            sequence;      /* of its last change */
    uint64_t                            changed;       /* ms, monotonic: when
                                                          that was */
    ngx_canary_pending_t                pending;
    ngx_uint_t                          unmet;         /* in a fleet: it was
                                                          not configured here,
                                                          and serves stable
                                                          until the fleet has
                                                          said what it is */
    uint64_t                            agreed;        /* what changed up to
                                                          this one the fleet
                                                          has, in the files of
                                                          most nodes */
    uint64_t                            nsettled;      /* ever */
    ngx_canary_settled_t                settled[NGX_CANARY_SETTLED];

    ngx_canary_history_t               *history;       /* or NULL */
    ngx_canary_failures_t              *failures;      /* or NULL */
    canary_course_t                    *course;        /* or NULL */
    ngx_canary_figures_t               *figures;       /* or NULL */

    ngx_canary_release_shared_t        *releases
                                            [CANARY_RELEASES];
                                                       /* NULL: never used */

    uint32_t                           *phases;        /* one to a line, by
                                                          ngx_worker */
    ngx_uint_t                          nphases;       /* and of meters */

    size_t                              len;
    u_char                              name[];        /* of len bytes */
};


/* Live processes, in a list for each configuration.  Under the lock. */

typedef struct ngx_canary_process_s       ngx_canary_process_t;

struct ngx_canary_process_s {
    ngx_canary_process_t               *next;
    ngx_pid_t                           pid;
    ngx_uint_t                          slot;
};


typedef struct ngx_canary_generation_s       ngx_canary_generation_t;

struct ngx_canary_generation_s {
    ngx_canary_generation_t            *next;
    ngx_uint_t                          serial;
    ngx_canary_process_t               *processes;
    ngx_uint_t                          expected;      /* that were started,
                                                          but not seen yet */
    uint64_t                            since;         /* ms, monotonic: when
                                                          they were */
};


/* the nginx that has the lock of the state file: one that this one follows, as
   in a binary upgrade, or one that has nothing to do with it */

#define NGX_CANARY_FOREIGN_SAME   1
#define NGX_CANARY_FOREIGN_OTHER  2


struct ngx_canary_zone_s {
    uint64_t                            magic;         /* and layout */
    ngx_slab_pool_t                    *pool;          /* it is made of */
    ngx_uint_t                          nslots;
    ngx_uint_t                          nused;         /* slots that ever had
                                                          a process */
    ngx_uint_t                          serial;        /* of the newest
                                                          configuration */
    uint64_t                            configurations;  /* what is added to
                                                          serial numbers where
                                                          they are shown: so
                                                          that they go on after
                                                          a restart */
    ngx_uint_t                          closed;        /* the newest has no
                                                          endpoints, and so
                                                          no zone */
    ngx_uint_t                          superseded;    /* state has moved to
                                                          another zone */
    uint64_t                            last_event;    /* id */
    ngx_canary_fleet_t                 *fleet;         /* NULL: alone */

    uint64_t                            heartbeat;     /* ms, monotonic */
    ngx_pid_t                           controller;
    ngx_uint_t                          controller_serial;

    /*
     * The state file: changes have sequence numbers, and a file has all
     * changes up to one of them.  Under the lock.
     */

    uint64_t                            writer;        /* this zone, as the
                                                          file names it */
    uint64_t                            sequence;      /* last change */
    uint64_t                            durable;       /* last in the file */
    uint64_t                            refused;       /* last that was tried
                                                          in vain */
    uint64_t                            changed;       /* ms, monotonic: when
                                                          it last rose */
    canary_state_file_id_t              file;          /* last read, written */
    uint32_t                            path;          /* checksum of where */
    ngx_pid_t                           locker;        /* holds the lock; 0:
                                                          nobody here */
    ngx_uint_t                          failing;       /* last try failed */
    ngx_uint_t                          foreign;       /* another nginx has
                                                          the lock: see below;
                                                          0: none */
    u_char                              problem[NGX_CANARY_PROBLEM];
                                                       /* of these two, in
                                                          words */

    ngx_canary_shared_t                *endpoints;
    ngx_canary_shared_t                *active;        /* those with a rollout,
                                                          and such as just had
                                                          one */
    canary_evidence_t                  *spare;         /* lists of those not
                                                          in use */
    ngx_canary_meter_t                 *spare_meters;
    ngx_canary_generation_t            *generations;
    ngx_uint_t                          unrecorded_first;
    ngx_uint_t                          unrecorded;    /* configurations with
                                                          processes that found
                                                          no memory; 0: none */
    ngx_uint_t                          removed;       /* endpoints, ever: tells
                                                          who goes through the
                                                          list of them */
};


static ngx_inline void
ngx_canary_lock(ngx_canary_zone_t *zone)
{
    ngx_shmtx_lock(&zone->pool->mutex);
}


static ngx_inline void
ngx_canary_unlock(ngx_canary_zone_t *zone)
{
    ngx_shmtx_unlock(&zone->pool->mutex);
}


/* whether a change that exposes may be made at all */

static ngx_inline ngx_uint_t
ngx_canary_fleet_reached(ngx_canary_zone_t *zone)
{
    return zone->fleet == NULL
           || zone->fleet->state == CANARY_FLEET_FOLLOWER
           || zone->fleet->state == CANARY_FLEET_LEADER;
}


/* whether the file may have, or is to have, what is pending */

static ngx_inline ngx_uint_t
ngx_canary_pending_ready(ngx_canary_shared_t *shared)
{
    return shared->pending.sequence && shared->pending.ready;
}


/* the place of an event in the ring: it has a history */

static ngx_inline canary_event_t *
ngx_canary_event_at(ngx_canary_shared_t *shared, uint64_t number)
{
    return &shared->history->events[number % (CANARY_EVENTS + 1)];
}


/* the number of a configuration as it is shown, from 1 on */

static ngx_inline uint64_t
ngx_canary_configuration(ngx_canary_zone_t *zone, ngx_uint_t serial)
{
    return zone->configurations + serial;
}


/* what it has counted */

static ngx_inline void
ngx_canary_clear_meter(ngx_canary_meter_t *meter)
{
    ngx_memzero(&meter->totals, sizeof(canary_totals_t));
    ngx_memzero(meter->histogram, sizeof(meter->histogram));
}


static ngx_inline ngx_canary_record_t *
ngx_canary_record(ngx_canary_shared_t *shared)
{
    return &shared->records[shared->current & 1];
}


/*
 * The clock of nginx is that of the last event, in milliseconds; attempts are
 * timed more finely, and processes that share memory need the same time.
 */

static ngx_inline uint64_t
ngx_canary_microseconds(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static ngx_inline uint64_t
ngx_canary_milliseconds(void)
{
    return ngx_canary_microseconds() / 1000;
}


/* ms since 1970 */

static ngx_inline uint64_t
ngx_canary_wall_clock(void)
{
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    return (uint64_t) tv.tv_sec * 1000 + (uint64_t) tv.tv_usec / 1000;
}


#endif /* _NGX_CANARY_SHARED_H_INCLUDED_ */
