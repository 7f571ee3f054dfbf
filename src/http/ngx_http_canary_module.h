
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_MODULE_H_INCLUDED_
#define _NGX_HTTP_CANARY_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_buckets.h"
#include "canary_evidence.h"
#include "canary_histogram.h"
#include "canary_judge.h"
#include "canary_key.h"
#include "canary_outcome.h"
#include "canary_rollout.h"
#include "canary_rule.h"
#include "canary_split.h"
#include "canary_state_file.h"
#include "canary_state_json.h"
#include "canary_strategy.h"

#include "ngx_http_canary_compat.h"


#define NGX_HTTP_CANARY_RELEASES_MAX   16    /* of an endpoint, configured */
#define NGX_HTTP_CANARY_RELEASES_SEEN  48    /* of an endpoint, remembered */
#define NGX_HTTP_CANARY_NAME_MAX       64    /* bytes, of a release */
#define NGX_HTTP_CANARY_EVENTS         64    /* kept per endpoint */
#define NGX_HTTP_CANARY_REASON         192   /* bytes, ends with a zero */
#define NGX_HTTP_CANARY_QUARANTINE     60000 /* ms: used evidence rests */
#define NGX_HTTP_CANARY_PROBLEM        256   /* bytes, ends with a zero */
#define NGX_HTTP_CANARY_FIGURES        8     /* rules shown in an event */
#define NGX_HTTP_CANARY_PROCESSES      256   /* that can be told apart */
#define NGX_HTTP_CANARY_FAILURES       32    /* kept of a rollout */

#define NGX_HTTP_CANARY_REMEMBER       100   /* reloads, of what is gone */

#define NGX_HTTP_CANARY_SETTLED        64    /* pending changes whose end is
                                                remembered, per endpoint */
#define NGX_HTTP_CANARY_PATIENCE       5000  /* ms: no durability within them
                                                is a refusal */

#define NGX_HTTP_CANARY_TICK           50    /* ms */
#define NGX_HTTP_CANARY_STALE          500   /* ms: a heartbeat is old */

#define NGX_HTTP_CANARY_LINE           128   /* bytes: no false sharing */


/* for what is rare beside what is not: it takes no registers from it */

#define ngx_http_canary_noinline       __attribute__((noinline))
#define ngx_http_canary_rarely(x)      __builtin_expect(!!(x), 0)


/*
 * Shared memory
 *
 * The zone is mapped at the same address in all processes of one nginx, so
 * pointers into it are good in each of them.  "Under the lock" is the mutex
 * of the zone's slab pool, the one lock that nginx frees when a process dies
 * while holding it.
 */


/*
 * Counters of a release.  Each only ever grows, and so does what is shown of
 * them: that is sums only, no differences, which might fall for a moment.
 */

typedef struct {
    uint64_t                            responses[5];  /* 1xx to 5xx */
    uint64_t                            failed;        /* before a header, */
    uint64_t                            timeouts;      /* by a timeout */
    uint64_t                            cut;           /* after a header, */
    uint64_t                            cut_timeouts;  /* by a timeout */
    uint64_t                            aborted;
    uint64_t                            fallbacks;
    uint64_t                            timed;
    uint64_t                            time;          /* microseconds, of
                                                          what is in the
                                                          histogram, */
    uint64_t                            other_time;    /* and of the rest */
} ngx_http_canary_totals_t;


/* What meters have counted that were given up, or that overflowed. */

typedef struct {
    ngx_http_canary_totals_t            totals;
    uint64_t                            times[CANARY_BUCKETS + 1];
} ngx_http_canary_past_t;


/*
 * What one worker counts of one release; writers: atomic additions.  It is
 * made when first needed.  The worker that takes the place of another, after
 * a reload or because that one died, goes on with its meter; so two may add
 * to it for a while.  The padding makes it a whole number of lines.
 */

typedef struct ngx_http_canary_meter_s  ngx_http_canary_meter_t;

struct ngx_http_canary_meter_s {
    ngx_http_canary_totals_t            totals;
    ngx_http_canary_meter_t            *next;          /* of those not in use,
                                                          under the lock */
    u_char                              pad[NGX_HTTP_CANARY_LINE - 120];
    uint32_t                            histogram[CANARY_HISTOGRAM_BUCKETS];
                                                       /* of times that are
                                                          evidence */
};


/*
 * A release as the zone knows it.  Its id is its place in the table, written
 * into routing words.  All under the lock, but for what is in the meters.
 */

typedef struct {
    ngx_http_canary_meter_t            *base;          /* sum of the meters
                                                          when the step began;
                                                          NULL: nothing */
    ngx_http_canary_past_t             *past;          /* or NULL */
    ngx_uint_t                          first;         /* serial numbers of */
    ngx_uint_t                          serial;        /* the first and last
                                                          configuration that
                                                          name it; 0: free */
    size_t                              len;
    u_char                              name[NGX_HTTP_CANARY_NAME_MAX];
    ngx_http_canary_meter_t            *meters[];      /* [nphases], each
                                                          may be NULL */
} ngx_http_canary_release_shared_t;


/* The figures of one rule in an event, in the rule's own units. */

typedef struct {
    canary_rule_t                       rule;
    canary_judgement_t                  judgement;
} ngx_http_canary_figure_t;


typedef struct {
    u_char                              name[64];      /* zero-terminated */
    u_char                              address[64];   /* may be empty */
} ngx_http_canary_actor_t;


/* Under the lock; an event is not changed once its id is published. */

typedef struct {
    uint64_t                            id;            /* of all endpoints */
    uint64_t                            generation;
    uint64_t                            time;          /* ms since 1970 */
    uint32_t                            rollout;       /* its number */
    uint32_t                            verb;          /* canary_verb_t */
    uint32_t                            from_phase;
    uint32_t                            from_weight;
    uint32_t                            to_phase;
    uint32_t                            to_weight;
    uint32_t                            attempts;      /* of the step; only
                                                          with figures */
    uint32_t                            nfigures;
    ngx_http_canary_figure_t            figures[NGX_HTTP_CANARY_FIGURES];
    canary_outage_t                     outage;        /* of stable, if that
                                                          holds the rollout */
    ngx_http_canary_actor_t             actor;
    u_char                              reason[NGX_HTTP_CANARY_REASON];
} ngx_http_canary_event_t;


/* one more than are shown */

#define NGX_HTTP_CANARY_HISTORY                                               \
    ((NGX_HTTP_CANARY_EVENTS + 1) * sizeof(ngx_http_canary_event_t))


/* How an attempt failed. */

typedef enum {
    NGX_HTTP_CANARY_ANSWERED = 0,      /* 5xx, or a gRPC status like it */
    NGX_HTTP_CANARY_NO_LIVE,           /* no peer could be had */
    NGX_HTTP_CANARY_REFUSED,           /* no connection, */
    NGX_HTTP_CANARY_NO_CONNECTION,     /* not in time, */
    NGX_HTTP_CANARY_HANDSHAKE,         /* or none by TLS */
    NGX_HTTP_CANARY_CLOSED,            /* by the peer, before its header */
    NGX_HTTP_CANARY_INVALID,           /* header */
    NGX_HTTP_CANARY_TIMEOUT,           /* no header in time */
    NGX_HTTP_CANARY_CUT,               /* after it: the body broke off, */
    NGX_HTTP_CANARY_CUT_TIMEOUT,       /* or did not go on in time, */
    NGX_HTTP_CANARY_CUT_GRPC           /* or had trailers with a bad gRPC
                                          status, or with none */
} ngx_http_canary_how_e;


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
} ngx_http_canary_failure_t;


/* Under the lock.  Of another rollout than the present or last one: none. */

typedef struct {
    uint64_t                            n;             /* ever recorded */
    uint32_t                            rollout;       /* its number */
    ngx_http_canary_failure_t           ring[NGX_HTTP_CANARY_FAILURES + 1];
} ngx_http_canary_failures_t;


/* What an endpoint is at the moment: written as a whole, see below. */

typedef struct {
    canary_rollout_t                    rollout;
    uint64_t                            events;        /* ever appended */
    uint64_t                            created;       /* when the endpoint
                                                          was first seen, */
    uint64_t                            transitions[CANARY_PHASES];
                                                       /* to each phase, from
                                                          others */
    uint64_t                            ended;         /* the last rollout,
                                                          ms since 1970 */
    uint64_t                            settled;       /* generation at which
                                                          Verta's API stopped
                                                          telling how that
                                                          rollout ended */
    u_char                              last_release[NGX_HTTP_CANARY_NAME_MAX];
                                        /* its name, zero-terminated */
    u_char                              last_reason[NGX_HTTP_CANARY_REASON];
} ngx_http_canary_record_t;


/* What became of a change that had to be in the state file first. */

typedef enum {
    NGX_HTTP_CANARY_IS_PENDING = 0,
    NGX_HTTP_CANARY_APPLIED,
    NGX_HTTP_CANARY_NOT_WRITTEN,   /* the file could not be written */
    NGX_HTTP_CANARY_CANCELLED,     /* another change came first */
    NGX_HTTP_CANARY_FORGOTTEN      /* too long ago to know */
} ngx_http_canary_fate_e;


typedef struct {
    uint64_t                            sequence;
    uint64_t                            fate;
} ngx_http_canary_settled_t;


/*
 * A change that is decided and takes effect when the state file has it; see
 * ngx_http_canary_pending.c.  Under the lock; the sequence is written last.
 */

typedef struct {
    uint64_t                            sequence;      /* 0: there is none */
    uint64_t                            decided;       /* ms, monotonic */
    ngx_http_canary_record_t            record;
    ngx_http_canary_event_t             event;
} ngx_http_canary_pending_t;


typedef struct ngx_http_canary_shared_s  ngx_http_canary_shared_t;

struct ngx_http_canary_shared_s {

    /* read by each request; written under the lock, released */

    uint64_t                            route;         /* routing word */
    canary_evidence_t                  *evidence;      /* NULL when idle */

    u_char                              pad[NGX_HTTP_CANARY_LINE - 16];

    /* under the lock */

    ngx_http_canary_shared_t           *next;
    ngx_http_canary_shared_t           *next_active;   /* see the zone */
    ngx_uint_t                          active;        /* it is in that list */
    ngx_uint_t                          serial;        /* of the last
                                                          configuration that
                                                          names it */

    /*
     * The record is written to the place that is not current, then current
     * is switched: a process that dies in between leaves the old one.
     */

    ngx_uint_t                          current;       /* 0 or 1 */
    ngx_http_canary_record_t            records[2];

    uint64_t                            sequence;      /* of its last change */
    uint64_t                            changed;       /* ms, monotonic: when
                                                          that was */
    ngx_http_canary_pending_t           pending;
    uint64_t                            nsettled;      /* ever */
    ngx_http_canary_settled_t           settled[NGX_HTTP_CANARY_SETTLED];

    ngx_http_canary_event_t            *events;        /* ring, or NULL */
    ngx_http_canary_failures_t         *failures;      /* or NULL */

    ngx_http_canary_release_shared_t   *releases
                                            [NGX_HTTP_CANARY_RELEASES_SEEN];
                                                       /* NULL: never used */

    uint32_t                           *phases;        /* one to a line, by
                                                          ngx_worker */
    ngx_uint_t                          nphases;       /* and of meters */

    size_t                              len;
    u_char                              name[];        /* of len bytes */
};


/* A live process of some configuration. */

typedef struct {
    ngx_pid_t                           pid;           /* 0: free */
    ngx_uint_t                          serial;
    ngx_uint_t                          slot;
} ngx_http_canary_process_t;


typedef struct {
    uint64_t                            magic;         /* and layout */
    ngx_uint_t                          nslots;
    ngx_uint_t                          nused;         /* slots that ever had
                                                          a process */
    ngx_uint_t                          serial;        /* of the newest
                                                          configuration */
    ngx_uint_t                          superseded;    /* state has moved to
                                                          another zone */
    uint64_t                            last_event;    /* id */

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
                                                          the lock */
    u_char                              problem[NGX_HTTP_CANARY_PROBLEM];
                                                       /* of these two, in
                                                          words */

    ngx_http_canary_shared_t           *endpoints;
    ngx_http_canary_shared_t           *active;        /* those with a rollout,
                                                          and such as just had
                                                          one */
    canary_evidence_t                  *spare;         /* lists of those not
                                                          in use */
    ngx_http_canary_meter_t            *spare_meters;
    ngx_http_canary_process_t           processes[NGX_HTTP_CANARY_PROCESSES];
} ngx_http_canary_zone_shared_t;


/*
 * Configuration
 */


typedef struct {
    ngx_str_t                           name;
    ngx_str_t                           upstream_name;
    ngx_http_upstream_srv_conf_t       *upstream;
    ngx_uint_t                          number;        /* in the Verta API */
    uint32_t                            id;            /* in the zone */
    ngx_http_canary_meter_t            *meter;         /* of this process;
                                                          NULL: not yet */

    u_char                             *file;          /* of the directive */
    ngx_uint_t                          line;
} ngx_http_canary_release_t;


/*
 * What the routing word of an endpoint comes to.  Each process works it out
 * when the word has changed, and not for each request.
 */

typedef struct {
    uint64_t                            word;          /* that it was made of;
                                                          CANARY_NO_WORD */
    canary_route_t                      route;
    ngx_http_canary_release_t          *stable;
    ngx_http_canary_release_t          *canary;        /* NULL: not in this
                                                          configuration */
    uint64_t                            step;          /* of the split; 0 if
                                                          there is no canary */
    uint32_t                           *phase;         /* of this worker */
    ngx_uint_t                          by_strings;    /* keys or forces
                                                          decide */
} ngx_http_canary_routing_t;


typedef struct ngx_http_canary_main_conf_s  ngx_http_canary_main_conf_t;


/* An upstream{} block under canary control. */

typedef struct {
    ngx_http_canary_main_conf_t        *main;
    ngx_str_t                           name;
    ngx_http_upstream_srv_conf_t       *upstream;
    ngx_array_t                         releases;      /* of release_t */
    canary_strategy_t                   strategy;      /* of new rollouts */
    ngx_flag_t                          fallback;
    ngx_uint_t                          latency;       /* see below */
    ngx_http_complex_value_t           *key;           /* or NULL */
    ngx_int_t                           key_variable;  /* if it is just one:
                                                          its index, or -1 */
    ngx_http_complex_value_t           *force;         /* or NULL */
    uint64_t                            salt;          /* of the key */
    ngx_uint_t                          number;        /* in the Verta API */

    ngx_http_canary_shared_t           *shared;
    ngx_http_canary_routing_t           routing;       /* of this process */
    u_char                              by_id[256];    /* release id to
                                                          index, or 255 */
} ngx_http_canary_endpoint_t;


/* what the time of an attempt ends with */

#define NGX_HTTP_CANARY_LATENCY_HEADER    0
#define NGX_HTTP_CANARY_LATENCY_RESPONSE  1


/* srv_conf of the upstream{} blocks; of server{} it is not used */

typedef struct {
    ngx_http_canary_endpoint_t         *endpoint;      /* or NULL */

    ngx_msec_t                          interval;
    ngx_msec_t                          bake;
    ngx_uint_t                          on_undecided;
    ngx_uint_t                          on_violation;
    ngx_uint_t                          latency;
    ngx_flag_t                          fallback;
    ngx_http_complex_value_t           *key;
    ngx_int_t                           key_variable;
    ngx_http_complex_value_t           *force;

    ngx_array_t                        *steps;         /* of uint32_t */
    ngx_array_t                        *rules;         /* of canary_rule_t */

    u_char                             *file;          /* of the first of */
    ngx_uint_t                          line;          /* its directives */
    ngx_str_t                           directive;

    ngx_uint_t                          grpc_warned;
} ngx_http_canary_srv_conf_t;


struct ngx_http_canary_main_conf_s {
    ngx_array_t                         endpoints;     /* of endpoint_t * */
    ngx_shm_zone_t                     *zone;          /* NULL: no endpoint */
    ngx_str_t                           zone_name;
    size_t                              zone_size;
    u_char                             *zone_file;     /* of canary_zone; */
    ngx_uint_t                          zone_line;     /* NULL: by default */
    ngx_path_t                         *state_path;

    ngx_cycle_t                        *cycle;
    ngx_slab_pool_t                    *shpool;
    ngx_http_canary_zone_shared_t      *sh;
    ngx_http_canary_zone_shared_t      *old;           /* zone it came from */
    ngx_slab_pool_t                    *old_shpool;
    ngx_uint_t                          fresh;         /* the zone knows
                                                          nothing yet */
    ngx_uint_t                          serial;        /* of this cycle */
    ngx_uint_t                          committed;     /* it is in use */
};


typedef struct {
    ngx_flag_t                          api;
    ngx_flag_t                          verta;
    ngx_flag_t                          write;         /* of either */
    ngx_str_t                           workspace;     /* in the Verta API */
    ngx_flag_t                          metrics;
    ngx_array_t                        *tokens;        /* of token_t; NULL:
                                                          none are needed */
} ngx_http_canary_loc_conf_t;


/*
 * Requests
 */


/* how a release came to be chosen */

typedef enum {
    NGX_HTTP_CANARY_BY_WEIGHT = 0,
    NGX_HTTP_CANARY_BY_KEY,
    NGX_HTTP_CANARY_BY_FORCE,
    NGX_HTTP_CANARY_BY_FALLBACK
} ngx_http_canary_reason_e;


/* the part that a release had when it was chosen; forced ones may have none */

typedef enum {
    NGX_HTTP_CANARY_STABLE = 0,
    NGX_HTTP_CANARY_CANARY,
    NGX_HTTP_CANARY_NEITHER
} ngx_http_canary_role_e;


/* The choice of a release: made once per main request and endpoint. */

typedef struct ngx_http_canary_choice_s  ngx_http_canary_choice_t;

struct ngx_http_canary_choice_s {
    ngx_http_canary_choice_t           *next;
    uint64_t                            word;          /* routing word that it
                                                          was made by */
    ngx_http_canary_endpoint_t         *endpoint;
    ngx_http_canary_release_t          *release;       /* of the last attempt,
                                                          or chosen for it */
    uint8_t                             reason;        /* of the enums above */
    uint8_t                             role;
    uint8_t                             in_cache_key;  /* was looked at for
                                                          a cache key */
    uint8_t                             moved;         /* to another release
                                                          since it was made */
};


/* how far an attempt has come; before it began, it has ended */

typedef enum {
    NGX_HTTP_CANARY_ENDED = 0,
    NGX_HTTP_CANARY_OPEN,
    NGX_HTTP_CANARY_RESPONDED,         /* its header is counted */
    NGX_HTTP_CANARY_COUNTED            /* and a good end adds nothing to it */
} ngx_http_canary_state_e;


/* An attempt on a release, as it is being accounted. */

typedef struct {
    ngx_http_canary_endpoint_t         *endpoint;
    ngx_http_canary_release_t          *release;
    struct timespec                     started;       /* monotonic */
    struct timespec                     now;           /* when last asked; not
                                                          on the stack, which
                                                          would be guarded */
    canary_ticket_t                     ticket;
    uint32_t                            epoch;         /* of the ticket */
    uint8_t                             reason;        /* as in the choice, */
    uint8_t                             role;          /* but of this one */
    uint8_t                             response;      /* class, once it is
                                                          counted */
    uint8_t                             state;
    uint8_t                             evidence;      /* has a ticket */
    uint8_t                             upgraded;
    uint8_t                             how;           /* it failed, when it
                                                          has */
} ngx_http_canary_attempt_t;


/* The balancer of a request to an endpoint; see ngx_http_canary_upstream.c. */

typedef struct {
    ngx_http_canary_attempt_t           attempt;
    ngx_http_canary_choice_t           *choice;

    /* the balancer of the release, in nginx's order: copied in wide words */

    ngx_event_get_peer_pt               get;
    ngx_event_free_peer_pt              free;
    ngx_event_notify_peer_pt            notify;
    void                               *data;
#if (NGX_SSL || NGX_COMPAT)
    ngx_event_set_peer_session_pt       set_session;
    ngx_event_save_peer_session_pt      save_session;
#endif
    ngx_uint_t                          tries;
#if (NGX_HTTP_CANARY_HAVE_RESOLVE)
    ngx_uint_t                          config;        /* of its servers, when
                                                          it was made */
#endif

    ngx_list_part_t                    *headers;       /* where the response's
                                                          headers ended */
    ngx_uint_t                          nheaders;      /* when it began */
    void                              (*finalize_request)(
                                                     ngx_http_request_t *r,
                                                     ngx_int_t rc);
    ngx_int_t                           rc;

    ngx_http_request_t                 *request;
    uint32_t                            used;          /* attempts made */
    uint16_t                            finalized;
    uint8_t                             failed;        /* the last attempt,
                                                          and it counts */
    uint8_t                             switched;
} ngx_http_canary_peer_t;


/*
 * What belongs to a main request, with the first choice and the first
 * balancer in it: all that most requests need.
 */

typedef struct ngx_http_canary_ctx_s  ngx_http_canary_ctx_t;

struct ngx_http_canary_ctx_s {
    ngx_http_canary_ctx_t              *spare;         /* next of those that
                                                          are not in use */
    ngx_pool_cleanup_t                  cleanup;       /* to be found by */
    ngx_http_canary_choice_t           *last;          /* choice used last;
                                                          NULL: none yet */
    ngx_http_canary_choice_t            choice;        /* head of the list */
    ngx_http_canary_peer_t              peer;          /* used if it has a
                                                          request */
};


extern ngx_module_t  ngx_http_canary_module;


/* ngx_http_canary_upstream.c */

ngx_int_t ngx_http_canary_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
ngx_int_t ngx_http_canary_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
void ngx_http_canary_add_header_filter(void);

/* the last attempt that the request itself made; NULL: none */
ngx_http_canary_attempt_t *ngx_http_canary_last_attempt(
    ngx_http_request_t *r);


/* ngx_http_canary_choice.c */

/* the context, whose last choice is that of the endpoint; NULL: no memory */
ngx_http_canary_ctx_t *ngx_http_canary_choose(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);

/* contexts that no request has, when the process ends */
void ngx_http_canary_free_spare(void);

/* when the routing word has changed */
void ngx_http_canary_reroute(ngx_http_canary_endpoint_t *endpoint,
    uint64_t word);

/* NULL: the request has not come to an endpoint */
ngx_http_canary_choice_t *ngx_http_canary_last_choice(ngx_http_request_t *r);

/* the release of an id; NULL: not in this configuration */

static ngx_inline ngx_http_canary_release_t *
ngx_http_canary_release(ngx_http_canary_endpoint_t *endpoint, uint32_t id)
{
    ngx_uint_t                  i;
    ngx_http_canary_release_t  *releases;

    i = endpoint->by_id[id & 0xff];
    releases = endpoint->releases.elts;

    return (i < endpoint->releases.nelts) ? &releases[i] : NULL;
}


/* the stable release of a routing word, or the first if it is not known */

static ngx_inline ngx_http_canary_release_t *
ngx_http_canary_stable(ngx_http_canary_endpoint_t *endpoint, uint32_t id)
{
    ngx_http_canary_release_t  *release;

    release = ngx_http_canary_release(endpoint, id);

    return release ? release : endpoint->releases.elts;
}


/* all that requests are routed by, in one atomic load */

static ngx_inline uint64_t
ngx_http_canary_word(ngx_http_canary_endpoint_t *endpoint)
{
    return __atomic_load_n(&endpoint->shared->route, __ATOMIC_ACQUIRE);
}


static ngx_inline canary_route_t
ngx_http_canary_route(ngx_http_canary_endpoint_t *endpoint)
{
    return canary_route_decode(ngx_http_canary_word(endpoint));
}


/* what that comes to; good until the endpoint is routed again */

static ngx_inline ngx_http_canary_routing_t *
ngx_http_canary_routing(ngx_http_canary_endpoint_t *endpoint)
{
    uint64_t  word;

    word = ngx_http_canary_word(endpoint);

    if (ngx_http_canary_rarely(word != endpoint->routing.word)) {
        ngx_http_canary_reroute(endpoint, word);
    }

    return &endpoint->routing;
}


/*
 * The clock of nginx is that of the last event, in milliseconds; attempts are
 * timed more finely, and processes that share memory need the same time.
 */

static ngx_inline uint64_t
ngx_http_canary_microseconds(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static ngx_inline uint64_t
ngx_http_canary_milliseconds(void)
{
    return ngx_http_canary_microseconds() / 1000;
}


/* ngx_http_canary_zone.c */

char *ngx_http_canary_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_canary_add_zone(ngx_conf_t *cf,
    ngx_http_canary_main_conf_t *cmcf);

/* why a rollout cannot begin, zero-terminated */
void ngx_http_canary_zone_full(ngx_http_canary_main_conf_t *cmcf,
    u_char *text, size_t size);

/* the running configuration; NULL without http{} or without an endpoint */
ngx_http_canary_main_conf_t *ngx_http_canary_running(void);


/* ngx_http_canary_process.c */

/* the slot of this process */
extern ngx_uint_t  ngx_http_canary_slot;

void ngx_http_canary_enter_process(ngx_http_canary_main_conf_t *cmcf);
void ngx_http_canary_leave_process(ngx_http_canary_main_conf_t *cmcf);

/* under the lock: takes out what dead processes have left */
void ngx_http_canary_reap(ngx_http_canary_zone_shared_t *sh);

/* under the lock: whether a process is alive that has a configuration with
   one of these serial numbers */
ngx_uint_t ngx_http_canary_serial_alive(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t first, ngx_uint_t last);


/* ngx_http_canary_registry.c: endpoints and releases in the zone */

/* additive: may run while an older configuration serves; NGX_ERROR: the
   zone is full; NGX_DECLINED: too many names of releases are in use */
ngx_int_t ngx_http_canary_register(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* when the configuration is certain: forgets what no one refers to, and
   rolls back what has lost its release */
void ngx_http_canary_reconcile(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* under the lock: the id of a release, a new one if need be;
   CANARY_NO_RELEASE: the zone is full, or the table is */
ngx_uint_t ngx_http_canary_add_place(
    ngx_http_canary_main_conf_t *cmcf, ngx_http_canary_shared_t *shared,
    ngx_str_t *name);

/* under the lock: rolls back what has lost its release */
void ngx_http_canary_check_endpoints(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* copies the state of the endpoints of another zone, cmcf->old */
ngx_int_t ngx_http_canary_import(ngx_http_canary_main_conf_t *cmcf);

/* under the lock: an endpoint by its name; NULL: there is none, and the zone
   is full */
ngx_http_canary_shared_t *ngx_http_canary_find_shared(
    ngx_http_canary_zone_shared_t *sh, ngx_str_t *name);
ngx_http_canary_shared_t *ngx_http_canary_create_shared(
    ngx_http_canary_main_conf_t *cmcf, ngx_str_t *name);

/* bytes of a zone that is large enough for the configuration */
size_t ngx_http_canary_zone_needed(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t nslots);
size_t ngx_http_canary_zone_wanted(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t nslots, ngx_uint_t workers);


/* ngx_http_canary_section.c: changes of a rollout, under the lock */

typedef enum {
    NGX_HTTP_CANARY_DONE = 0,      /* status tells the rest */
    NGX_HTTP_CANARY_PENDING,       /* takes effect when the file has it */
    NGX_HTTP_CANARY_BUSY,          /* another change is pending */
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
    ngx_http_canary_actor_t             actor;
    u_char                              reason[NGX_HTTP_CANARY_REASON];
                                        /* zero-terminated; may be empty */
    ngx_uint_t                        (*match)(void *data,
                                               uint64_t generation);
    void                               *data;
    const canary_outage_t              *outage;        /* CANARY_HOLDING */

    /* result */

    canary_status_t                     status;
    uint32_t                            verbs;         /* that apply now */
    uint64_t                            sequence;      /* of the change */
} ngx_http_canary_change_t;


ngx_http_canary_section_e ngx_http_canary_change(
    ngx_http_canary_endpoint_t *endpoint, ngx_http_canary_change_t *change);

/* as above, with the lock held; figures may be NULL */
ngx_http_canary_section_e ngx_http_canary_change_locked(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared, ngx_http_canary_change_t *change,
    const ngx_http_canary_figure_t *figures, ngx_uint_t nfigures,
    ngx_log_t *log);

static ngx_inline ngx_http_canary_record_t *
ngx_http_canary_record(ngx_http_canary_shared_t *shared)
{
    return &shared->records[shared->current & 1];
}

/* makes a record that was decided the present one, with its event */
void ngx_http_canary_take_effect(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event,
    uint64_t now, ngx_log_t *log);

/* evidence of a rollout that is over, or did not begin, may be used again */
void ngx_http_canary_put_spare(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared);

/* publishes the routing word again, if a process died before it could */
void ngx_http_canary_repair(ngx_http_canary_shared_t *shared);

/* memory for the history of an endpoint, and with it the evidence of a
   rollout, rather new than used less than so many ms ago; NGX_ERROR: the zone
   is full */
ngx_int_t ngx_http_canary_add_history(ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared);
ngx_int_t ngx_http_canary_equip(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t rest);
void ngx_http_canary_add_slots(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, canary_evidence_t *evidence);
size_t ngx_http_canary_books_size(void);


/* ngx_http_canary_meter.c: what is counted of releases */

/* the meter that this process is to use for a release from now on */
ngx_http_canary_meter_t *ngx_http_canary_make_meter(
    ngx_http_canary_endpoint_t *endpoint, ngx_http_canary_release_t *release);

/* a counter of a histogram has passed 2^32 */
void ngx_http_canary_carry(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_release_t *release, uint32_t index);

/* Under the lock. */

/* makes sure of what both sides of a rollout need to be counted, and to be
   shown by steps; NGX_ERROR: the zone is full */
ngx_int_t ngx_http_canary_add_meters(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    const canary_rollout_t *rollout);

/* which of these there are, and in the same section of the lock back to those:
   nobody counts in the others yet */
ngx_uint_t ngx_http_canary_has_meters(ngx_http_canary_shared_t *shared,
    const canary_rollout_t *rollout);
void ngx_http_canary_drop_meters(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared, const canary_rollout_t *rollout,
    ngx_uint_t kept);

/* what is shown of the current step counts from here */
void ngx_http_canary_begin_step(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared);

/* NULL: nothing was counted of a release lately */
ngx_http_canary_meter_t *ngx_http_canary_any_meter(
    ngx_http_canary_shared_t *shared, ngx_http_canary_release_shared_t *place);

/* what the meters of a release hold, and their difference to its base */
void ngx_http_canary_sum_meters(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *place, ngx_http_canary_meter_t *sum);
void ngx_http_canary_subtract_base(ngx_http_canary_release_shared_t *place,
    ngx_http_canary_meter_t *sum);

/* their histograms only, since ever and since the base */
void ngx_http_canary_sum_times(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *place, canary_histogram_t *all,
    canary_histogram_t *step);

/* all times that were ever in them, by the buckets that are exported */
void ngx_http_canary_sum_buckets(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *place, uint64_t *buckets);

void ngx_http_canary_add_totals(ngx_http_canary_totals_t *to,
    const ngx_http_canary_totals_t *totals);

/* all that another zone knows of a release; NGX_ERROR: the zone is full */
ngx_int_t ngx_http_canary_import_meters(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_release_shared_t *place,
    ngx_http_canary_shared_t *from, ngx_http_canary_release_shared_t *release);

/*
 * When no process uses the release: gives its meters up, and what they
 * counted is kept with it (NGX_ERROR: the zone is full, nothing is done) or
 * forgotten.
 */

ngx_int_t ngx_http_canary_retire_meters(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *place);
void ngx_http_canary_forget_meters(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *place);


/* ngx_http_canary_pending.c: under the lock */

/* the number of a change that the file is to have */
uint64_t ngx_http_canary_next_sequence(ngx_http_canary_zone_shared_t *sh);

void ngx_http_canary_defer(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared, ngx_http_canary_record_t *next,
    ngx_http_canary_event_t *event, uint64_t now);

/* ends what is pending, if anything is; APPLIED makes it happen */
void ngx_http_canary_conclude(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_fate_e fate, uint64_t now, ngx_log_t *log);

ngx_http_canary_fate_e ngx_http_canary_fate(ngx_http_canary_shared_t *shared,
    uint64_t sequence);

/* whether the file has, or will soon have, what the endpoint is */
ngx_uint_t ngx_http_canary_durable(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared, uint64_t now);


/* ngx_http_canary_state.c: what the state file has of the zone */

/* what is kept of the state before, if any, is taken over; NULL: no memory, or
   the configuration was replaced meanwhile; *sequence: the last change that
   it has */
canary_state_t *ngx_http_canary_collect(ngx_http_canary_main_conf_t *cmcf,
    canary_state_t *before, uint64_t *sequence);

/* attempts of the configuration's releases that were counted so far, of any
   kind: rises with each */
uint64_t ngx_http_canary_attempts(ngx_http_canary_main_conf_t *cmcf);

/* into a zone that knows nothing; when the configuration is certain */
void ngx_http_canary_restore(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* what another nginx has written; "own" if from now on we do */
void ngx_http_canary_follow(ngx_http_canary_main_conf_t *cmcf, ngx_uint_t own,
    uint64_t now, ngx_log_t *log);


/* ngx_http_canary_writer.c: the controlling process writes the file */

void ngx_http_canary_writer(ngx_http_canary_main_conf_t *cmcf, uint64_t now);

/* before the process ends */
void ngx_http_canary_writer_finish(ngx_http_canary_main_conf_t *cmcf);

/* ms until it has something to do */
ngx_msec_t ngx_http_canary_writer_pace(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);


/* ngx_http_canary_judge.c: under the lock */

typedef struct {
    canary_verdict_t                    verdict;       /* of all */
    uint64_t                            attempts;      /* decided, canary */
    uint64_t                            started;       /* in the step */
    uint64_t                            stable_started;
    ngx_uint_t                          nfigures;
    ngx_http_canary_figure_t            figures[CANARY_RULES_MAX];
    ngx_int_t                           failing;       /* index, or -1 */
    ngx_int_t                           held;          /* rule that stable
                                                          breaks too, or -1 */
} ngx_http_canary_judgement_t;

/* what has been measured of the sides of which that is needed */
void ngx_http_canary_times(ngx_http_canary_shared_t *shared,
    const canary_rollout_t *rollout, ngx_uint_t detail,
    canary_times_t *times);

/* with "detail", what is only to be shown is computed too */
void ngx_http_canary_judge(ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_uint_t detail, ngx_http_canary_judgement_t *judgement);

/* the control loop: judges if there is a reason to, acts when a rule is
   broken, and takes the next step when it is time to */
void ngx_http_canary_progress(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_log_t *log);

/* a failed attempt: judged at once, by the process that saw it */
void ngx_http_canary_trip(ngx_http_canary_endpoint_t *endpoint,
    uint32_t epoch, ngx_log_t *log);


/* ngx_http_canary_failure.c: the last failed attempts of a rollout */

/* adds the attempt that just failed; without memory it does nothing */
void ngx_http_canary_record_failure(ngx_http_canary_attempt_t *attempt,
    uint64_t elapsed);

/* copies them, newest first, into an array of NGX_HTTP_CANARY_FAILURES;
   returns their number, and that of the rollout they are of */
ngx_uint_t ngx_http_canary_last_failures(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_failure_t *failures, uint32_t *rollout);

/* under the lock: copies those of another zone, if there is memory */
void ngx_http_canary_import_failures(ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *to, ngx_http_canary_shared_t *from);


/* ngx_http_canary_control.c: the control loop */

ngx_msec_t ngx_http_canary_manager(void *data);
void ngx_http_canary_start_timer(ngx_cycle_t *cycle);


/* ngx_http_canary_variables.c */

ngx_int_t ngx_http_canary_add_variables(ngx_conf_t *cf);


/* ngx_http_canary_api.c */

ngx_int_t ngx_http_canary_api_handler(ngx_http_request_t *r);


/* ngx_http_canary_verta.c */

ngx_int_t ngx_http_canary_verta_handler(ngx_http_request_t *r);


/* ngx_http_canary_metrics.c */

ngx_int_t ngx_http_canary_metrics_handler(ngx_http_request_t *r);


/* ngx_http_canary_snapshot.c: a consistent copy for those who show it */

#define NGX_HTTP_CANARY_QUANTILES  4                  /* p50, p90, p95, p99 */


typedef struct {
    ngx_str_t                           name;
    ngx_str_t                           upstream;
    ngx_uint_t                          number;
    uint32_t                            id;
    ngx_http_canary_totals_t            totals;        /* since the state
                                                          began */
    ngx_http_canary_totals_t            step;          /* since the step */
    uint64_t                            measured;      /* since the step: times
                                                          in the histogram, */
    uint32_t                            quantiles[NGX_HTTP_CANARY_QUANTILES];
                                                       /* and of these,
                                                          microseconds */
} ngx_http_canary_release_view_t;


typedef struct {
    ngx_http_canary_endpoint_t         *endpoint;
    ngx_http_canary_record_t            record;
    ngx_http_canary_judgement_t         judgement;     /* when not idle */
    uint64_t                            now;           /* ms, monotonic */
    uint64_t                            heartbeat;     /* ms old */
    ngx_uint_t                          durable;
    u_char                              problem[NGX_HTTP_CANARY_PROBLEM];
                                        /* of the state file, or empty */
    ngx_uint_t                          nreleases;
    ngx_http_canary_release_view_t      releases[NGX_HTTP_CANARY_RELEASES_MAX];
} ngx_http_canary_snapshot_t;


void ngx_http_canary_snapshot(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_snapshot_t *snapshot);

/*
 * Copies events with an id above "after", newest first, into an array of
 * NGX_HTTP_CANARY_EVENTS; returns their number.
 */

ngx_uint_t ngx_http_canary_events(ngx_http_canary_endpoint_t *endpoint,
    uint64_t after, ngx_http_canary_event_t *events);


#endif /* _NGX_HTTP_CANARY_MODULE_H_INCLUDED_ */
