
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FLEET_VIEW_H_INCLUDED_
#define _NGX_CANARY_FLEET_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"
#include "canary_fleet_nodes.h"


/*
 * What the helper, which has the connection, lets all processes know of the
 * fleet, once a second and when this node's state changes; and what they ask
 * of it.  All of it is under the lock of the zone.
 */


#define NGX_CANARY_FLEET_ADDRESS  256      /* bytes, ends with a zero */
#define NGX_CANARY_FLEET_LACKING  8192     /* bytes, of all nodes */


/* how another node is */

typedef enum {
    NGX_CANARY_FLEET_LEADS = 0,
    NGX_CANARY_FLEET_LIVES,        /* seen within the timeout */
    NGX_CANARY_FLEET_IS_SILENT,
    NGX_CANARY_FLEET_IS_GONE,
    NGX_CANARY_FLEET_SEEN          /* how many of these there are */
} ngx_canary_fleet_seen_e;

const char *ngx_canary_fleet_seen_name(ngx_uint_t state);


/* what became of commits */

typedef enum {
    NGX_CANARY_FLEET_DID = 0,
    NGX_CANARY_FLEET_CONFLICTED,
    NGX_CANARY_FLEET_REFUSED,
    NGX_CANARY_FLEET_CHANGES
} ngx_canary_fleet_change_e;


typedef struct {
    u_char      name[CANARY_NAME_SIZE];
    u_char      address[CANARY_NAME_SIZE];
    uint64_t    version;                   /* of changes that its file has */
    uint64_t    age;                       /* ms that it was silent for, when
                                              it was looked for */
    uint32_t    state;                     /* ngx_canary_fleet_seen_e */
    uint16_t    lacks;                     /* where in "lacking" its lines */
    uint16_t    lacks_len;                 /* are, each with its "\n" */
} ngx_canary_fleet_seen_t;


typedef struct {
    u_char      leader[CANARY_NAME_SIZE];  /* or empty */
    u_char      address[NGX_CANARY_FLEET_ADDRESS];    /* of Redis, or empty */
    uint32_t    rtt;                       /* ms of the last tick */
    uint32_t    nnodes;
    uint32_t    slot;                      /* ms that are one observation */
    uint64_t    version;                   /* of changes that this node knows */
    uint64_t    seen[NGX_CANARY_FLEET_SEEN];          /* nodes by state */

    /* ever, as long as there is the zone */

    uint64_t    changes[NGX_CANARY_FLEET_CHANGES];
    uint64_t    connects;
    uint64_t    sent;                      /* bytes */
    uint64_t    received;
} ngx_canary_fleet_sums_t;


/*
 * A machine is to be forgotten: one at a time, of whatever worker.  The owner
 * frees it by setting "number" to 0; one that has died does not, so it may be
 * taken from "till" on.
 */

typedef enum {
    NGX_CANARY_FORGET_ASKED = 0,
    NGX_CANARY_FORGET_SENT,
    NGX_CANARY_FORGET_DONE,                /* "value" members are left */
    NGX_CANARY_FORGET_ALIVE,               /* heard of "value" ms ago */
    NGX_CANARY_FORGET_UNKNOWN,             /* no member of that name */
    NGX_CANARY_FORGET_UNREACHED,           /* nothing happened */
    NGX_CANARY_FORGET_LOST                 /* not known what did */
} ngx_canary_forget_e;

typedef struct {
    uint64_t        number;                /* of the request; 0: there is
                                              none */
    uint64_t        till;                  /* ms, monotonic */
    uint64_t        value;
    ngx_uint_t      state;                 /* ngx_canary_forget_e */
    u_char          node[CANARY_NAME_SIZE];
    canary_actor_t  actor;
} ngx_canary_forget_t;


typedef struct {
    ngx_canary_fleet_sums_t  sums;
    ngx_canary_fleet_seen_t  nodes[CANARY_FLEET_NODES];
    u_char                   lacking[NGX_CANARY_FLEET_LACKING];
    uint64_t                 forgets;      /* number of the last */
    ngx_canary_forget_t      forget;
} ngx_canary_fleet_view_t;


/* What this node is, for those who show it. */

typedef struct {
    u_char                   name[CANARY_NAME_SIZE];
    u_char                   node[CANARY_NAME_SIZE];
    ngx_uint_t               state;        /* canary_fleet_state_t */
    uint64_t                 contact;      /* ms since 1970, or 0 */
    ngx_canary_fleet_sums_t  sums;
} ngx_canary_fleet_self_t;

const char *ngx_canary_fleet_state_name(ngx_uint_t state);


#endif /* _NGX_CANARY_FLEET_VIEW_H_INCLUDED_ */
