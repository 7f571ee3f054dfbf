
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_text.h"

#include "canary_json.h"

#include "ngx_http_canary_answer.h"


/* Text and times of nginx in JSON. */


void
ngx_http_canary_render_line(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed)
{
    ngx_str_t  line;

    line.data = (u_char *) text;
    line.len = ngx_strlen(text);

    ngx_http_canary_render_name(object, name, &line, pool, failed);
}


void
ngx_http_canary_render_name(cJSON *object, const char *name, ngx_str_t *text,
    ngx_pool_t *pool, int *failed)
{
    char  *utf8;

    utf8 = ngx_http_canary_utf8(pool, text);

    if (utf8 == NULL) {
        *failed = 1;
        return;
    }

    canary_json_add_text(object, name, utf8, failed);
}


void
ngx_http_canary_render_time(cJSON *object, const char *name, uint64_t time,
    ngx_uint_t ms, int *failed)
{
    u_char   *p, text[64], *last;
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (time / 1000), &tm);

    last = text + sizeof(text) - 1;

    p = ngx_slprintf(text, last, "%4d-%02d-%02dT%02d:%02d:%02d",
                     tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                     tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    if (ms) {
        p = ngx_slprintf(p, last, ".%03uL", time % 1000);
    }

    p = ngx_slprintf(p, last, "Z");
    *p = '\0';

    canary_json_add_text(object, name, (char *) text, failed);
}
