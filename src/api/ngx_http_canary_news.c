
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_news.h"

#include "canary_event_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_gather.h"


/* Events as text, for the streams of them. */


#define NGX_HTTP_CANARY_NEWS_PREFIX  (sizeof("id: \ndata: \n\n") + NGX_INT64_LEN)


static ngx_http_canary_events_text_t *ngx_http_canary_events_text(
    ngx_canary_batch_t *batch);
static char *ngx_http_canary_event_line(ngx_canary_found_t *found);


ngx_int_t
ngx_http_canary_make_news(ngx_http_canary_news_t *news,
    ngx_canary_main_conf_t *cmcf, uint64_t after)
{
    ngx_canary_batch_t  *batch;

    if (news->text && news->after == after) {
        return NGX_OK;
    }

    ngx_http_canary_leave_text(&news->text);

    batch = ngx_alloc(sizeof(ngx_canary_batch_t), ngx_cycle->log);
    if (batch == NULL) {
        return NGX_ERROR;
    }

    ngx_canary_gather(cmcf, after, batch);

    news->after = after;
    news->upto = batch->upto;
    news->text = ngx_http_canary_events_text(batch);

    ngx_free(batch);

    if (news->text == NULL) {
        return NGX_ERROR;
    }

    news->made++;

    return NGX_OK;
}


static ngx_http_canary_events_text_t *
ngx_http_canary_events_text(ngx_canary_batch_t *batch)
{
    char                           *lines[NGX_CANARY_BATCH];
    size_t                          size;
    u_char                         *p;
    ngx_uint_t                      i, failed;
    ngx_http_canary_events_text_t  *text;

    size = sizeof(ngx_http_canary_events_text_t);
    failed = 0;

    for (i = 0; i < batch->n; i++) {
        lines[i] = ngx_http_canary_event_line(batch->order[i]);

        if (lines[i]) {
            size += NGX_HTTP_CANARY_NEWS_PREFIX + ngx_strlen(lines[i]);

        } else {
            failed = 1;
        }
    }

    text = failed ? NULL : ngx_alloc(size, ngx_cycle->log);

    if (text) {
        p = text->data;

        for (i = 0; i < batch->n; i++) {
            p = ngx_sprintf(p, "id: %uL\ndata: %s\n\n",
                            batch->order[i]->event.id, lines[i]);
        }

        text->len = p - text->data;
        text->users = 1;

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "canary news: %ui events, %uz bytes", batch->n,
                       text->len);
    }

    for (i = 0; i < batch->n; i++) {
        cJSON_free(lines[i]);
    }

    return text;
}


/* there is no line end in JSON that is not formatted */

static char *
ngx_http_canary_event_line(ngx_canary_found_t *found)
{
    int         failed;
    char       *line;
    cJSON      *json;
    ngx_str_t  *name;

    failed = 0;
    name = &found->endpoint->name;

    json = cJSON_CreateObject();

    canary_event_json_write(json, (char *) name->data, name->len,
                            &found->event, &failed);

    line = failed ? NULL : cJSON_PrintUnformatted(json);

    cJSON_Delete(json);

    return line;
}


void
ngx_http_canary_leave_text(ngx_http_canary_events_text_t **text)
{
    if (*text && --(*text)->users == 0) {
        ngx_free(*text);
    }

    *text = NULL;
}
