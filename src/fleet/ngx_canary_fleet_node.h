
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FLEET_NODE_H_INCLUDED_
#define _NGX_CANARY_FLEET_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "canary_fleet.h"
#include "canary_judge_layout.h"
#include "canary_lead.h"
#include "canary_orders.h"
#include "canary_rollout.h"
#include "canary_parcel.h"
#include "canary_state.h"
#include "canary_view.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_conf.h"
#include "ngx_canary_redis.h"
#include "ngx_canary_shared.h"


/*
 * This node, in the memory of the helper: core's state machine, the connection,
 * and what joins both with the zone.
 */


#define NGX_CANARY_FLEET_KEYS     7
#define NGX_CANARY_FLEET_EVENTS   4        /* the last ones, in a record */
#define NGX_CANARY_FLEET_RECORD   65536    /* bytes at most */


/* what is known of a node's times */

typedef struct {
    uint64_t                    key;       /* of its name */
    canary_times_mark_t         marks[CANARY_SIDES];
} ngx_canary_fleet_times_t;


/* The fleet's test of a rollout, while this node leads. */

typedef struct {
    canary_rollout_t            rollout;   /* as it was looked at last */
    canary_lead_t              *lead;
    ngx_uint_t                  ntimes;
    ngx_canary_fleet_times_t   *times;
    ngx_uint_t                  ntold;     /* nodes that have, */
    ngx_uint_t                  told_room; /* and room for them */
    canary_view_node_t         *told;
    canary_view_t               shown;     /* what it has told last of it */
} ngx_canary_fleet_led_t;


/* beside the canary_fleet_endpoint_t of the same index */

typedef struct {
    ngx_canary_shared_t        *shared;    /* NULL: it is not configured here,
                                              but elsewhere */
    char                       *word;      /* its name in Redis */
    char                       *text;      /* the record after its first line:
                                              of one that is not configured, or
                                              what is to be changed there; NULL:
                                              none */
    size_t                      len;
    uint64_t                    asked;     /* pending sequence of what the
                                              fleet is asked for, */
    uint64_t                    filing;    /* and of what it has, when the file
                                              is to have it; 0: none */
    ngx_uint_t                  applies;   /* a stop of this node is, without
                                              anything pending */
    canary_fleet_record_t       coming;    /* that is filing */
    canary_fleet_record_t       filed;     /* last one that core was told of */
    canary_orders_t            *orders;    /* of the leader; NULL: none yet */
    uint64_t                    waited;    /* when the fleet did not let a step
                                              of it, 0: never, */
    u_char                      waits[CANARY_REASON_SIZE];
                                           /* and why */
    ngx_canary_fleet_led_t     *led;       /* NULL: not here */
} ngx_canary_fleet_endpoint_t;


typedef struct {
    ngx_canary_main_conf_t       *cmcf;
    ngx_canary_fleet_conf_t      *conf;
    ngx_canary_redis_t           *redis;
    canary_fleet_t                core;
    canary_fleet_endpoint_t      *states;
    ngx_canary_fleet_endpoint_t  *endpoints;
    ngx_uint_t                    n;       /* of both, */
    ngx_uint_t                    room;    /* that there is for */

    ngx_event_t                   timer;   /* when core wants to be asked */
    ngx_connection_t              dumb;
    ngx_uint_t                    busy;    /* it is being asked */

    ngx_str_t                     keys[NGX_CANARY_FLEET_KEYS];
    u_char                        keys_text[NGX_CANARY_FLEET_KEYS
                                            * (CANARY_NAME_SIZE + 20)];

    uint64_t                      join_sent;
    uint64_t                      tick_sent;
    ngx_uint_t                    told;    /* with evidence */
    redisReply                   *live;    /* texts of nodes lie in it */
    canary_fleet_node_t           nodes[CANARY_FLEET_NODES];
    canary_fleet_member_t         members[CANARY_FLEET_NODES];

    uint32_t                      term;    /* of the answer before */
    ngx_str_t                     tests;   /* their state, as this leader found
                                              it */
    ngx_uint_t                    hint;    /* where to look for an endpoint, */
    ngx_uint_t                    part;    /* and for one that is told of */
    ngx_uint_t                    nwrong;
    uint64_t                      wrong[CANARY_FLEET_NODES];
                                           /* keys of nodes of which that is
                                              known */

    uint32_t                      changed; /* of core, as the zone has it */
    uint64_t                      contact; /* as the file has it, about */
    uint64_t                      nodes_at;   /* ms of Redis: as of when these
                                                 nodes are */
    uint64_t                      shown;   /* ms: when the zone got them, 0: not
                                              yet */
    ngx_uint_t                    shown_state;
    ngx_canary_fleet_sums_t       counted; /* of the connection, as the zone
                                              has it */
    uint64_t                      forget;  /* number of what is being
                                              forgotten */
    uint64_t                      lonely;  /* since when it is isolated, if
                                              that is to be warned of */
} ngx_canary_fleet_node_t;


/* life */

void ngx_canary_fleet_pass(ngx_canary_fleet_node_t *node);

/* between the zone and core */

ngx_int_t ngx_canary_fleet_meet(ngx_canary_fleet_node_t *node);
void ngx_canary_fleet_look(ngx_canary_fleet_node_t *node, uint64_t now);
void ngx_canary_fleet_show(ngx_canary_fleet_node_t *node, uint64_t now);
void ngx_canary_fleet_conclude(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo, uint64_t now);
void ngx_canary_fleet_end(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now);
void ngx_canary_fleet_record(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout, canary_fleet_record_t *record);

/* index of an endpoint by its word, added if it is not known; -1: no memory,
   or no word */
ngx_int_t ngx_canary_fleet_find(ngx_canary_fleet_node_t *node,
    const char *word, size_t len);

/* for those who show it, and what they ask for */

void ngx_canary_fleet_show_view(ngx_canary_fleet_node_t *node, uint64_t now);
void ngx_canary_fleet_count(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_change_e what);
void ngx_canary_fleet_look_forget(ngx_canary_fleet_node_t *node);
void ngx_canary_fleet_said_forget(ngx_canary_redis_t *redis,
    redisReply *reply, void *data);

/* records */

/* a record as text, with that head, to be freed with free(); NULL: no memory */
char *ngx_canary_fleet_write(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const canary_fleet_record_t *head, ngx_uint_t pending, size_t *len);

/* what an answer says is to be done with a record; text follows its head */
void ngx_canary_fleet_take(ngx_canary_fleet_node_t *node,
    const canary_fleet_offer_t *offer, const char *text, size_t len,
    uint64_t now);

/* this node's record gets a head */
void ngx_canary_fleet_rename(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const canary_fleet_record_t *head);

/* evidence */

typedef enum {
    NGX_CANARY_FLEET_COHORTS = 0,          /* of this node */
    NGX_CANARY_FLEET_ORDERS,               /* of this leader, */
    NGX_CANARY_FLEET_TESTS                 /* and the state of its tests */
} ngx_canary_fleet_part_e;


/* what an answer to a tick says of it */

typedef struct {
    uint64_t                      now;     /* ms of Redis */
    uint32_t                      term;
    ngx_str_t                     mark;    /* orders, as they were sent */
    ngx_str_t                     tests;
    redisReply                   *evidence;
} ngx_canary_fleet_heard_t;


/* what is sent of all rollouts, to be freed with free(); len is 0 if there is
   nothing; NGX_ERROR: no memory */
ngx_int_t ngx_canary_fleet_parcel(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_part_e kind, uint64_t now, ngx_str_t *parcel);

void ngx_canary_fleet_hear(ngx_canary_fleet_node_t *node,
    const ngx_canary_fleet_heard_t *heard, uint64_t now);

/* index of what a part is of; -1: it is not known here */
ngx_int_t ngx_canary_fleet_index(ngx_canary_fleet_node_t *node,
    const canary_parcel_part_t *part);

/* what a node of that key tells of "what" makes sense, or not: said once */
void ngx_canary_fleet_report(ngx_canary_fleet_node_t *node, uint64_t key,
    ngx_str_t *name, const char *what, ngx_uint_t wrong);

/* figures of a rollout that are to be told, if this node leads and, unless all
   are, there is something new; shown here at once; 0: none */
size_t ngx_canary_fleet_figures(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    ngx_uint_t all, uint64_t now, u_char **bytes);
void ngx_canary_fleet_hear_figures(ngx_canary_fleet_node_t *node,
    redisReply *list);
void ngx_canary_fleet_note(ngx_canary_fleet_led_t *led, const ngx_str_t *name,
    const canary_cohorts_t *cohorts);

/* slots that are one observation, by the clocks of all nodes at "now" of Redis:
   as long as cohorts of a leader are */
uint32_t ngx_canary_fleet_width(ngx_canary_fleet_node_t *node, uint64_t now);

/* before a look, under the lock; see ngx_canary_fleet_lead() */
canary_lead_t *ngx_canary_fleet_obey(ngx_canary_fleet_node_t *node,
    ngx_canary_shared_t *shared, uint64_t now);

/* it does not lead any more */
void ngx_canary_fleet_free_led(ngx_canary_fleet_node_t *node);
void ngx_canary_fleet_free_one(ngx_canary_fleet_endpoint_t *endpoint);

/* scripts; NGX_ERROR: not sent */

ngx_int_t ngx_canary_fleet_ask_join(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo, uint64_t now);
ngx_int_t ngx_canary_fleet_ask_tick(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo, uint64_t now);
ngx_int_t ngx_canary_fleet_ask_commit(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo);
ngx_int_t ngx_canary_fleet_ask_bye(ngx_canary_fleet_node_t *node);
ngx_int_t ngx_canary_fleet_ask_forget(ngx_canary_fleet_node_t *node,
    const char *name, const char *event);
void ngx_canary_fleet_init_scripts(ngx_canary_fleet_node_t *node);

/* their answers */

void ngx_canary_fleet_joined(ngx_canary_redis_t *redis, redisReply *reply,
    void *data);
void ngx_canary_fleet_ticked(ngx_canary_redis_t *redis, redisReply *reply,
    void *data);
void ngx_canary_fleet_committed(ngx_canary_redis_t *redis, redisReply *reply,
    void *data);

/* an element; empty if it is not there, or not a text */
ngx_str_t ngx_canary_fleet_text(redisReply *reply, size_t i);


#endif /* _NGX_CANARY_FLEET_NODE_H_INCLUDED_ */
