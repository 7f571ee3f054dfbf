
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_feed.h"
#include "canary_rule_json.h"


typedef struct {
    ngx_http_canary_list_t        list;
    ngx_http_canary_endpoint_t   *endpoint;
    uint64_t                      after;     /* id of the last that is none
                                                of them */
    uint64_t                      number;    /* of the one before this */
} ngx_http_canary_events_t;


static ngx_int_t ngx_http_canary_after(ngx_http_request_t *r,
    uint64_t *after);
static ngx_int_t ngx_http_canary_next_event(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);
static void ngx_http_canary_render_actor(cJSON *object,
    const canary_actor_t *actor, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_render_state(cJSON *object, const char *name,
    uint32_t phase, uint32_t weight, int *failed);
static void ngx_http_canary_render_outage(cJSON *object,
    const canary_event_t *event, int *failed);
static void ngx_http_canary_render_decision(cJSON *object,
    const canary_event_t *event, int *failed);


ngx_int_t
ngx_http_canary_api_events(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint)
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
    events->number = NGX_HTTP_CANARY_NEWEST;

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

    if (ngx_http_canary_event_before(events->endpoint, events->after,
                                     &events->number, &event)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_canary_render_event(object, events->endpoint, &event,
                                 list->feed.pool, failed);

    return NGX_OK;
}


void
ngx_http_canary_render_event(cJSON *object,
    ngx_http_canary_endpoint_t *endpoint,
    const canary_event_t *event, ngx_pool_t *pool, int *failed)
{
    canary_json_add_number(object, "id", event->id, 0, failed);
    ngx_http_canary_render_name(object, "endpoint", &endpoint->name, pool,
                                failed);
    ngx_http_canary_render_time(object, "time", event->time, 1, failed);

    ngx_http_canary_render_actor(object, &event->actor, pool, failed);

    ngx_http_canary_render_state(object, "from", event->from_phase,
                                 event->from_weight, failed);
    ngx_http_canary_render_state(object, "to", event->to_phase,
                                 event->to_weight, failed);

    ngx_http_canary_render_line(object, "reason", event->reason, pool,
                                failed);

    ngx_http_canary_render_decision(object, event, failed);
}


static void
ngx_http_canary_render_actor(cJSON *object,
    const canary_actor_t *actor, ngx_pool_t *pool, int *failed)
{
    object = canary_json_add_object(object, "actor", failed);

    ngx_http_canary_render_line(object, "name", actor->name, pool, failed);

    if (actor->address[0]) {
        ngx_http_canary_render_line(object, "address", actor->address, pool,
                                    failed);
    } else {
        canary_json_add_null(object, "address", failed);
    }
}


static void
ngx_http_canary_render_state(cJSON *object, const char *name, uint32_t phase,
    uint32_t weight, int *failed)
{
    object = canary_json_add_object(object, name, failed);

    canary_json_add_text(object, "phase", canary_phase_name(phase), failed);
    canary_json_add_number(object, "weight", weight,
                           CANARY_WEIGHT_DECIMALS, failed);
}


/* what stable did in the time in which it broke the rule too */

static void
ngx_http_canary_render_outage(cJSON *object,
    const canary_event_t *event, int *failed)
{
    const canary_rule_t  *rule;

    rule = &event->figures[0].rule;

    object = canary_json_add_object(object, "stable", failed);

    if (canary_rule_info[rule->kind].quantile) {

        /* its value is a share of attempts, not a time */

        canary_json_add_number(object, "above_threshold",
                               (uint64_t) (event->outage.value
                                           * CANARY_RATIO_ONE + 0.5),
                               9, failed);
    } else {
        canary_rule_json_write_value(object, "value", rule,
                                     event->outage.value, failed);
    }

    canary_json_add_number(object, "attempts", event->outage.attempts, 0,
                           failed);
    canary_json_add_number(object, "seconds", event->outage.ms, 3, failed);
}


/* the figures that decided; of a violation, the rule that broke is first */

static void
ngx_http_canary_render_decision(cJSON *object,
    const canary_event_t *event, int *failed)
{
    const canary_rule_t    *rule;
    const canary_figure_t  *broken;

    object = canary_json_add_object(object, "figures", failed);

    if (event->nfigures == 0) {
        return;
    }

    canary_json_add_number(object, "attempts", event->attempts, 0, failed);

    if (event->verb == CANARY_VIOLATION || event->verb == CANARY_HOLDING) {
        broken = &event->figures[0];
        rule = &broken->rule;

        canary_json_add_text(object, "rule", canary_rule_info[rule->kind].name,
                             failed);
        canary_rule_json_write_value(object, "value", rule,
                                     broken->judgement.value, failed);
        canary_rule_json_write_threshold(object, "threshold", rule, failed);
    }

    if (event->verb == CANARY_HOLDING) {
        ngx_http_canary_render_outage(object, event, failed);
    }

    ngx_http_canary_render_figures(canary_json_add_array(object, "rules",
                                                         failed),
                                   event->figures, event->nfigures, failed);
}
