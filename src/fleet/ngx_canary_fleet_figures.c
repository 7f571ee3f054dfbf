
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"

#include "canary_fleet.h"
#include "canary_lead.h"
#include "canary_view.h"

#include "ngx_canary_figures.h"
#include "ngx_canary_shared.h"


/*
 * What all nodes show of a rollout: the leader tells it once a second, and at
 * once when a verdict or what a step waits for has changed.
 */


#define NGX_CANARY_FLEET_WAITED  3000      /* ms that a step which the fleet did
                                              not let is told of */


static ngx_uint_t ngx_canary_fleet_figures_differ(
    ngx_canary_fleet_led_t *led, const u_char *waits);
static const u_char *ngx_canary_fleet_waits_for(
    ngx_canary_fleet_endpoint_t *endpoint, uint64_t now);


/* one at a time, in the only thread of the helper */

static canary_view_t       ngx_canary_fleet_view;
static canary_view_node_t  ngx_canary_fleet_view_nodes[CANARY_FLEET_NODES];
static u_char              ngx_canary_fleet_view_bytes[CANARY_VIEW_BYTES];


size_t
ngx_canary_fleet_figures(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    ngx_uint_t all, uint64_t now, u_char **bytes)
{
    size_t                        len;
    u_char                        waits[CANARY_REASON_SIZE];
    canary_view_t                *view;
    ngx_canary_shared_t          *shared;
    ngx_canary_fleet_led_t       *led;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    shared = endpoint->shared;
    led = endpoint->led;

    if (node->core.state != CANARY_FLEET_LEADER || shared == NULL
        || led == NULL || !canary_lead_is_of(led->lead, &led->rollout))
    {
        return 0;
    }

    ngx_canary_lock(shared->zone);

    (void) ngx_cpystrn(waits, (u_char *) ngx_canary_fleet_waits_for(endpoint,
                                                                    now),
                       CANARY_REASON_SIZE);

    ngx_canary_unlock(shared->zone);

    if (!all && !ngx_canary_fleet_figures_differ(led, waits)) {
        return 0;
    }

    view = &ngx_canary_fleet_view;

    canary_view_take(led->lead, &led->rollout, view);

    ngx_memcpy(view->waits, waits, CANARY_REASON_SIZE);
    view->nnodes = (uint32_t) led->ntold;

    led->shown = *view;

    len = canary_view_encode(view, led->told, ngx_canary_fleet_view_bytes,
                             CANARY_VIEW_BYTES);
    *bytes = ngx_canary_fleet_view_bytes;

    if (len) {
        ngx_canary_lock(shared->zone);
        ngx_canary_keep_figures(shared, *bytes, len);
        ngx_canary_unlock(shared->zone);
    }

    return len;
}


static ngx_uint_t
ngx_canary_fleet_figures_differ(ngx_canary_fleet_led_t *led,
    const u_char *waits)
{
    return led->shown.number != led->rollout.number
           || led->shown.trial != led->rollout.trial
           || led->shown.step != led->rollout.tests
           || led->shown.held != canary_lead_held(led->lead)
           || led->shown.result.verdict != canary_lead_verdict(led->lead)
           || ngx_strcmp(led->shown.waits, waits) != 0;
}


/* under the lock */

static const u_char *
ngx_canary_fleet_waits_for(ngx_canary_fleet_endpoint_t *endpoint,
    uint64_t now)
{
    ngx_canary_history_t  *history;

    history = endpoint->shared->history;

    if (history && history->waits[0]) {
        return history->waits;
    }

    return (endpoint->waited && now - endpoint->waited
                                < NGX_CANARY_FLEET_WAITED)
           ? endpoint->waits : (u_char *) "";
}


/* {endpoint, view ...} */

void
ngx_canary_fleet_hear_figures(ngx_canary_fleet_node_t *node, redisReply *list)
{
    size_t                 i;
    ngx_int_t              n;
    ngx_str_t              text;
    ngx_uint_t             wrong;
    ngx_canary_shared_t   *shared;
    canary_parcel_part_t   part;

    static ngx_str_t  name = ngx_string("the leader");

    wrong = 0;
    ngx_memzero(&part, sizeof(canary_parcel_part_t));

    for (i = 0; i + 1 < list->elements; i += 2) {
        text = ngx_canary_fleet_text(list, i);

        part.name = text.data;
        part.name_len = text.len;

        text = ngx_canary_fleet_text(list, i + 1);

        n = ngx_canary_fleet_index(node, &part);
        shared = (n == -1) ? NULL : node->endpoints[n].shared;

        if (shared == NULL) {
            continue;
        }

        if (text.len > CANARY_VIEW_BYTES
            || !canary_view_decode(text.data, text.len, &ngx_canary_fleet_view,
                                   ngx_canary_fleet_view_nodes))
        {
            wrong = 1;
            continue;
        }

        ngx_canary_lock(shared->zone);
        ngx_canary_keep_figures(shared, text.data, text.len);
        ngx_canary_unlock(shared->zone);
    }

    if (list->elements) {
        ngx_canary_fleet_report(node, 2, &name, "figures", wrong);
    }
}


/* a node of a rollout that is led here, by its cohorts */

void
ngx_canary_fleet_note(ngx_canary_fleet_led_t *led, const ngx_str_t *name,
    const canary_cohorts_t *cohorts)
{
    canary_view_node_t  *told;

    if (led->ntold == CANARY_FLEET_NODES || name->len >= CANARY_NAME_SIZE) {
        return;
    }

    if (led->ntold == led->told_room) {
        told = realloc(led->told, (2 * led->told_room + 4)
                                  * sizeof(canary_view_node_t));
        if (told == NULL) {
            return;
        }

        led->told = told;
        led->told_room = 2 * led->told_room + 4;
    }

    told = &led->told[led->ntold];

    ngx_memzero(told, sizeof(canary_view_node_t));
    ngx_memcpy(told->name, name->data, name->len);

    if (canary_fleet_name_valid(told->name, name->len)
        && canary_view_take_node(cohorts, &led->rollout, told))
    {
        led->ntold++;
    }
}
