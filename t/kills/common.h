
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef KILLS_COMMON_H
#define KILLS_COMMON_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"

#include "kills.h"


/* where a child says what is not right; -1: this is none */

extern int  kills_pipe;


void kills_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
ngx_canary_main_conf_t *kills_conf(void);
ngx_canary_endpoint_t *kills_endpoint(ngx_uint_t n);
canary_rollout_t *kills_rollout(ngx_canary_endpoint_t *endpoint);

/* http.conf, which there is */
FILE *kills_open_conf(const char *mode);
void kills_write_conf(const char *http);


#endif /* KILLS_COMMON_H */
