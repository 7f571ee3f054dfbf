
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "common.h"

#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_http_canary_conf.h"


int  kills_pipe = -1;


void
kills_fail(const char *format, ...)
{
    int      n;
    char     text[512];
    va_list  args;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    if (kills_pipe == -1) {
        fprintf(stderr, "%s\n", text);

    } else {
        (void) !write(kills_pipe, text, ngx_min((size_t) n,
                                                sizeof(text) - 1));
    }

    _exit(1);
}


ngx_canary_main_conf_t *
kills_conf(void)
{
    return ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_canary_module);
}


ngx_canary_endpoint_t *
kills_endpoint(ngx_uint_t n)
{
    ngx_canary_endpoint_t  **endpoints;

    endpoints = kills_conf()->endpoints.elts;

    return endpoints[n];
}


canary_rollout_t *
kills_rollout(ngx_canary_endpoint_t *endpoint)
{
    return &ngx_canary_record(endpoint->shared)->rollout;
}


FILE *
kills_open_conf(const char *mode)
{
    FILE  *file;
    char   path[NGX_MAX_PATH];

    (void) snprintf(path, sizeof(path), "%.*shttp.conf",
                    (int) ngx_cycle->conf_prefix.len,
                    (char *) ngx_cycle->conf_prefix.data);

    file = fopen(path, mode);

    if (file == NULL) {
        kills_fail("%s cannot be opened", path);
    }

    return file;
}


void
kills_write_conf(const char *http)
{
    FILE  *file;

    file = kills_open_conf("w");

    if (fputs(http, file) == EOF || fclose(file) != 0) {
        kills_fail("http.conf cannot be written");
    }
}
