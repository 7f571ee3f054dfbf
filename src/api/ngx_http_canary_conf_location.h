
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_CONF_LOCATION_H_INCLUDED_
#define _NGX_HTTP_CANARY_CONF_LOCATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"


/* What a location of the APIs is configured to be. */


typedef struct {
    ngx_flag_t                          api;
    ngx_flag_t                          verta;
    ngx_flag_t                          write;         /* of either */
    off_t                               body_max;      /* of either: the
                                                          smaller of ours and
                                                          that of nginx */
    ngx_str_t                           workspace;     /* in the Verta API */
    ngx_flag_t                          metrics;
    ngx_array_t                        *tokens;        /* of token_t; NULL:
                                                          none are needed */
} ngx_http_canary_loc_conf_t;


extern ngx_module_t  ngx_http_canary_api_module;


/* directives */

char *ngx_http_canary_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_canary_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* whether an API may be in this location */

char *ngx_http_canary_check_location(ngx_conf_t *cf,
    ngx_http_canary_loc_conf_t *lcf);

/* the limit of bodies, which nginx would answer itself, is left to the API */

void ngx_http_canary_take_body_limit(ngx_http_core_loc_conf_t *clcf,
    ngx_http_canary_loc_conf_t *lcf);


/*
 * The other dialect, whose room lies below: its directive, and what of it is to
 * be known when all directives have been.
 */

char *ngx_http_canary_verta_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* for the blocks of if and limit_except */
void ngx_http_canary_verta_merge(ngx_conf_t *cf,
    ngx_http_canary_loc_conf_t *prev, ngx_http_canary_loc_conf_t *conf);

/* gives each endpoint its id */
void ngx_http_canary_verta_number(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_HTTP_CANARY_CONF_LOCATION_H_INCLUDED_ */
