
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ENDPOINT_H_INCLUDED_
#define _NGX_CANARY_ENDPOINT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_match.h"
#include "canary_route.h"
#include "canary_strategy.h"

#include "ngx_canary_shared.h"


/* What a configuration says, and what a process makes of it. */


#define NGX_CANARY_RELEASES_MAX        16    /* of an endpoint, configured */


typedef struct {
    ngx_str_t                           name;
    ngx_str_t                           upstream_name;
    void                               *upstream;      /* the shell's */
    ngx_uint_t                          number;        /* in the Verta API */
    uint32_t                            id;            /* in the zone */
    ngx_canary_meter_t                 *meter;         /* of this process;
                                                          NULL: not yet */

    u_char                             *file;          /* of the directive */
    ngx_uint_t                          line;
} ngx_canary_release_t;


/* whether anything but the weight decides */

#define NGX_CANARY_NO_STRING              0
#define NGX_CANARY_KEY_ALONE              1
#define NGX_CANARY_ANY_STRING             2


/*
 * What the routing word of an endpoint comes to.  Each process works it out
 * when the word has changed, and not for each request.
 */

typedef struct {
    uint64_t                            word;          /* that it was made of;
                                                          CANARY_NO_WORD */
    canary_route_t                      route;
    ngx_canary_release_t               *stable;
    ngx_canary_release_t               *canary;        /* NULL: not in this
                                                          configuration */
    uint64_t                            step;          /* of the split; 0 if
                                                          there is no canary */
    uint32_t                           *phase;         /* of this worker */
    ngx_uint_t                          by_strings;    /* one of the above:
                                                          any, too, if the
                                                          attempt may be no
                                                          ordinary one */
} ngx_canary_routing_t;


typedef struct ngx_canary_main_conf_s       ngx_canary_main_conf_t;
typedef struct ngx_canary_attempt_s       ngx_canary_attempt_t;
typedef struct ngx_canary_fleet_conf_s    ngx_canary_fleet_conf_t;


/* A string with variables in it, which the shell looks at for each request. */

typedef struct {
    void                               *value;         /* the shell's; NULL:
                                                          none */
    ngx_int_t                           variable;      /* if it is just one:
                                                          its index, or -1 */
} ngx_canary_string_t;


/* The protocol of an endpoint: what of an attempt only that can tell. */

typedef struct {
    const char                         *name;
    void                              (*describe)(
                                         ngx_canary_attempt_t *attempt,
                                         uint64_t elapsed,
                                         ngx_canary_failure_t *failure);
    uint32_t                          (*key)(          /* hash of that which
                                                          chose its release */
                                         ngx_canary_attempt_t *attempt);
    ngx_uint_t                        (*is_set)(       /* what it came to is
                                                          neither empty nor 0
                                                          by a string */
                                         ngx_canary_attempt_t *attempt,
                                         ngx_canary_string_t *string);
} ngx_canary_shell_t;


/* An upstream{} block under canary control. */

typedef struct {
    ngx_canary_main_conf_t             *main;
    ngx_str_t                           name;
    ngx_array_t                         releases;      /* of release_t */
    ngx_uint_t                          first;         /* of these: stable when
                                                          nothing is known, */
    ngx_uint_t                          marked;        /* as it is marked */
    ngx_uint_t                          begun;         /* with that one, as far
                                                          as is known yet */
    canary_strategy_t                   strategy;      /* of new rollouts */
    ngx_flag_t                          fallback;
    ngx_uint_t                          latency;       /* see below */
    ngx_msec_t                          unavailable;   /* 0: no limit */
    ngx_canary_string_t                 key;
    ngx_msec_t                          once;          /* that a key counts
                                                          in; 0: always */
    ngx_canary_string_t                 force;
    ngx_canary_string_t                 only;
    ngx_canary_string_t                 exclude;
    canary_matches_t                    matches;       /* names, and by place
                                                          what they are */
    ngx_canary_string_t                 matched[CANARY_MATCHES_MAX];
    ngx_msec_t                          warmup;        /* 0: none */
    ngx_uint_t                          selects;       /* what is evidence, by
                                                          the last two */
    ngx_uint_t                          by_key;        /* reason, for the shell,
                                                          of a choice by key */
    uint64_t                            salt;          /* of the key */
    ngx_uint_t                          number;        /* in the Verta API */

    ngx_canary_shared_t                *shared;
    ngx_canary_routing_t                routing;       /* of this process */
    u_char                              by_id[256];    /* release id to
                                                          index, or 255 */
    ngx_queue_t                         writes;        /* that wait for their
                                                          turn, in this
                                                          process, */
    ngx_queue_t                         line;          /* and a link of those
                                                          that have such */
    const ngx_canary_shell_t           *shell;
} ngx_canary_endpoint_t;


/* what the time of an attempt ends with */

#define NGX_CANARY_LATENCY_HEADER         0
#define NGX_CANARY_LATENCY_RESPONSE       1


/*
 * The configuration of a cycle, of all shells: that of the core module, and
 * the main configuration of http{}.
 */

struct ngx_canary_main_conf_s {
    ngx_array_t                         endpoints;     /* of endpoint_t * */
    ngx_shm_zone_t                     *shm_zone;      /* NULL: no endpoint */
    ngx_str_t                           zone_name;
    size_t                              zone_size;
    u_char                             *zone_file;     /* of canary_zone; */
    ngx_uint_t                          zone_line;     /* NULL: by default */
    ngx_path_t                         *state_path;
    ngx_str_t                           former_path;   /* to be read if it is
                                                          not empty */
    ngx_canary_fleet_conf_t            *fleet;         /* NULL: alone */

    ngx_cycle_t                        *cycle;
    ngx_canary_zone_t                  *zone;
    ngx_canary_zone_t                  *old;           /* zone it came from */
    ngx_uint_t                          reused;        /* the zone is that of
                                                          the one before */
    ngx_uint_t                          fresh;         /* the zone knows
                                                          nothing yet */
    ngx_uint_t                          serial;        /* of this cycle */
    ngx_uint_t                          committed;     /* it is in use, */
    uint64_t                            loaded;        /* since then, ms since
                                                          1970 */
};


extern ngx_module_t  ngx_canary_module;


#endif /* _NGX_CANARY_ENDPOINT_H_INCLUDED_ */
