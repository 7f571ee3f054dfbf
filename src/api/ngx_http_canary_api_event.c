
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_event.h"

#include "canary_event.h"
#include "canary_event_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_feed.h"
#include "ngx_http_canary_list.h"
#include "ngx_http_canary_problem.h"


typedef struct {
    ngx_http_canary_list_t        list;
    ngx_canary_endpoint_t        *endpoint;
    uint64_t                      after;     /* id of the last that is none
                                                of them */
    uint64_t                      number;    /* of the one before this */
} ngx_http_canary_events_t;


static ngx_int_t ngx_http_canary_after(ngx_http_request_t *r, uint64_t *after);
static ngx_int_t ngx_http_canary_next_event(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);


ngx_int_t
ngx_http_canary_api_events(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    uint64_t                   after;
    ngx_http_canary_events_t  *events;

    if (ngx_http_canary_after(r, &after) != NGX_OK) {
        return ngx_http_canary_problem(r, NGX_HTTP_BAD_REQUEST,
                                       "the argument \"after\" has to be the "
                                       "number of an event, a whole number");
    }

    events = (ngx_http_canary_events_t *)
                 ngx_http_canary_list_create(r,
                                             sizeof(ngx_http_canary_events_t),
                                             "events",
                                             ngx_http_canary_next_event);
    if (events == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    events->endpoint = endpoint;
    events->after = after;
    events->number = NGX_CANARY_NEWEST;

    return ngx_http_canary_feed_start(&events->list.feed);
}


static ngx_int_t
ngx_http_canary_after(ngx_http_request_t *r, uint64_t *after)
{
    off_t      n;
    ngx_str_t  value;

    *after = 0;

    if (ngx_http_arg(r, (u_char *) "after", 5, &value) != NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoof(value.data, value.len);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *after = (uint64_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_next_event(ngx_http_canary_list_t *list, cJSON *object,
    int *failed)
{
    canary_event_t             event;
    ngx_http_canary_events_t  *events;

    events = (ngx_http_canary_events_t *) list;

    if (ngx_canary_event_before(events->endpoint, events->after,
                                &events->number, &event)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_canary_render_event(object, events->endpoint, &event, failed);

    return NGX_OK;
}


void
ngx_http_canary_render_event(cJSON *object,
    ngx_canary_endpoint_t *endpoint, const canary_event_t *event,
    int *failed)
{
    canary_event_json_write(object, (char *) endpoint->name.data,
                            endpoint->name.len, event, failed);
}
