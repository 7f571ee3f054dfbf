
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_CONF_H_INCLUDED_
#define _NGX_HTTP_CANARY_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"


/* srv_conf of the upstream{} blocks; of server{} it is not used */

typedef struct {
    ngx_canary_endpoint_t              *endpoint;      /* or NULL */

    ngx_msec_t                          interval;
    ngx_msec_t                          bake;
    ngx_msec_t                          warmup;
    ngx_msec_t                          once;
    ngx_msec_t                          patience;
    ngx_uint_t                          on_undecided;
    ngx_uint_t                          on_violation;
    ngx_uint_t                          approval;
    ngx_uint_t                          latency;
    ngx_msec_t                          unavailable;
    ngx_flag_t                          fallback;
    ngx_canary_string_t                 key;
    ngx_canary_string_t                 force;
    ngx_canary_string_t                 only;
    ngx_canary_string_t                 exclude;

    canary_matches_t                    matches;
    ngx_canary_string_t                 matched[CANARY_MATCHES_MAX];

    canary_matches_t                    asked;         /* by rules, first in */
    u_char                             *asked_file[CANARY_MATCHES_MAX];
    ngx_uint_t                          asked_line[CANARY_MATCHES_MAX];

    ngx_array_t                        *steps;         /* of uint32_t */
    ngx_array_t                        *rules;         /* of canary_rule_t */

    u_char                             *file;          /* of the first of */
    ngx_uint_t                          line;          /* its directives */
    ngx_str_t                           directive;

    ngx_uint_t                          grpc_warned;
} ngx_http_canary_srv_conf_t;


extern ngx_module_t  ngx_http_canary_module;


/* directives */

char *ngx_http_canary_add_release(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_canary_step(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_canary_add_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_canary_endpoint_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_canary_endpoint_flag(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_canary_endpoint_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_canary_string(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_canary_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_canary_add_match(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_canary_check_positive(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_canary_check_patience(ngx_conf_t *cf, void *post, void *data);

/* a module of nginx by its name; NULL: nginx is without it */

ngx_module_t *ngx_http_canary_find_module(ngx_conf_t *cf, char *name);

/* remembers where the first canary directive of an upstream{} stands */

void ngx_http_canary_note_directive(ngx_conf_t *cf,
    ngx_http_canary_srv_conf_t *conf);


/* when upstream{} blocks get their balancers */

ngx_int_t ngx_http_canary_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);


/* postconfiguration */

ngx_int_t ngx_http_canary_check_upstreams(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf);
void ngx_http_canary_check_grpc(ngx_conf_t *cf);


#endif /* _NGX_HTTP_CANARY_CONF_H_INCLUDED_ */
