
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_list.h"

#include "ngx_http_canary_answer.h"


/* {..., "NAME": [ITEM, ...]}, made in turns. */


static ngx_int_t ngx_http_canary_list_next(ngx_http_canary_feed_t *feed);
static ngx_int_t ngx_http_canary_list_item(ngx_http_canary_list_t *list,
    const char *before);
static ngx_int_t ngx_http_canary_list_add(ngx_http_canary_feed_t *feed,
    const char *before, const char *name, const char *after);


ngx_int_t
ngx_http_canary_list_start(ngx_http_request_t *r, const char *head,
    ngx_http_canary_list_pt item, ngx_canary_endpoint_t *endpoint,
    uint64_t after)
{
    ngx_http_canary_list_t  *list;

    list = (ngx_http_canary_list_t *)
               ngx_http_canary_feed_create(r, sizeof(ngx_http_canary_list_t),
                                           &ngx_http_canary_json,
                                           ngx_http_canary_list_next);
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list->head = head;
    list->item = item;
    list->endpoint = endpoint;
    list->after = after;
    list->number = NGX_CANARY_NEWEST;

    return ngx_http_canary_feed_start(&list->feed);
}


static ngx_int_t
ngx_http_canary_list_next(ngx_http_canary_feed_t *feed)
{
    ngx_int_t                rc;
    ngx_http_canary_list_t  *list;

    list = (ngx_http_canary_list_t *) feed;

    if (list->n == 0
        && ngx_http_canary_list_add(feed, list->head, "[", "") != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_canary_list_item(list, list->n ? "," : "");

    if (rc != NGX_DECLINED) {
        list->n++;
        return rc;
    }

    /* with a newline for those who read it in a terminal */

    return (ngx_http_canary_list_add(feed, "]", "}", "\n") == NGX_OK)
           ? NGX_DONE : NGX_ERROR;
}


static ngx_int_t
ngx_http_canary_list_item(ngx_http_canary_list_t *list, const char *before)
{
    int         failed;
    char       *printed;
    cJSON      *object;
    ngx_int_t   rc;

    failed = 0;
    object = cJSON_CreateObject();

    if (object == NULL) {
        return NGX_ERROR;
    }

    rc = list->item(list, object, &failed);

    if (rc == NGX_OK) {
        printed = failed ? NULL : cJSON_PrintUnformatted(object);

        rc = printed ? ngx_http_canary_list_add(&list->feed, before, printed,
                                                "")
                     : NGX_ERROR;

        cJSON_free(printed);
    }

    cJSON_Delete(object);

    return rc;
}


static ngx_int_t
ngx_http_canary_list_add(ngx_http_canary_feed_t *feed, const char *before,
    const char *text, const char *after)
{
    size_t   size;
    u_char  *p;

    size = ngx_strlen(before) + ngx_strlen(text) + ngx_strlen(after);

    p = ngx_http_canary_feed_room(feed, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    feed->buf.last = ngx_sprintf(p, "%s%s%s", before, text, after);

    return NGX_OK;
}
