
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_canary_fleet_node.h"

#include "canary_fleet.h"
#include "canary_json.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_redis.h"


/* A machine that will not return: a worker asks, and is told what came. */


static char *ngx_canary_fleet_forget_event(const ngx_canary_forget_t *forget);
static ngx_canary_forget_e ngx_canary_fleet_forget_here(
    ngx_canary_fleet_node_t *node, ngx_canary_forget_e state,
    uint64_t *value);
static ngx_canary_forget_e ngx_canary_fleet_forget_reply(redisReply *reply,
    uint64_t *value);
static void ngx_canary_fleet_forget_over(ngx_canary_fleet_node_t *node,
    ngx_canary_forget_e state, uint64_t value);
static void ngx_canary_fleet_forgotten(const ngx_canary_forget_t *forget,
    uint64_t left);


void
ngx_canary_fleet_look_forget(ngx_canary_fleet_node_t *node)
{
    char                 *event;
    ngx_int_t             rc;
    ngx_uint_t            asked;
    ngx_canary_zone_t    *zone;
    ngx_canary_forget_t   forget;

    zone = node->cmcf->zone;

    ngx_canary_lock(zone);

    forget = zone->fleet->view.forget;

    asked = forget.number && forget.state == NGX_CANARY_FORGET_ASKED;

    if (asked) {
        zone->fleet->view.forget.state = NGX_CANARY_FORGET_SENT;
    }

    ngx_canary_unlock(zone);

    if (!asked) {
        return;
    }

    node->forget = forget.number;

    rc = NGX_ERROR;

    if (canary_fleet_reached(&node->core)) {
        event = ngx_canary_fleet_forget_event(&forget);

        if (event) {
            rc = ngx_canary_fleet_ask_forget(node, (char *) forget.node,
                                             event);
            cJSON_free(event);
        }
    }

    if (rc != NGX_OK) {
        ngx_canary_fleet_forget_over(node, NGX_CANARY_FORGET_UNREACHED, 0);
    }
}


/* as the fleet's log has it; NULL: no memory */

static char *
ngx_canary_fleet_forget_event(const ngx_canary_forget_t *forget)
{
    int     failed;
    char   *text;
    cJSON  *event, *actor;

    failed = 0;
    event = cJSON_CreateObject();

    canary_json_add_text(event, "type", "forgotten", &failed);
    canary_json_add_text(event, "node", (char *) forget->node, &failed);

    actor = canary_json_add_object(event, "actor", &failed);

    canary_json_add_text(actor, "name", (char *) forget->actor.name, &failed);
    canary_json_add_text(actor, "address", (char *) forget->actor.address,
                         &failed);

    text = failed ? NULL : cJSON_PrintUnformatted(event);

    cJSON_Delete(event);

    return text;
}


void
ngx_canary_fleet_said_forget(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
    ngx_canary_fleet_node_t *node = data;

    uint64_t             value;
    ngx_canary_forget_e  state;

    value = 0;
    state = ngx_canary_fleet_forget_reply(reply, &value);

    if (node->conf->nkeys && state != NGX_CANARY_FORGET_LOST) {
        state = ngx_canary_fleet_forget_here(node, state, &value);
    }

    ngx_canary_fleet_forget_over(node, state, value);
}


/* with a key each node counts members for itself, and tells whom it forgets */

static ngx_canary_forget_e
ngx_canary_fleet_forget_here(ngx_canary_fleet_node_t *node,
    ngx_canary_forget_e state, uint64_t *value)
{
    u_char              name[CANARY_NAME_SIZE];
    ngx_canary_zone_t  *zone;

    zone = node->cmcf->zone;

    ngx_canary_lock(zone);

    ngx_memzero(name, CANARY_NAME_SIZE);

    if (zone->fleet) {
        ngx_memcpy(name, zone->fleet->view.forget.node, CANARY_NAME_SIZE - 1);
    }

    ngx_canary_unlock(zone);

    if (canary_fleet_forget(&node->core, (char *) name,
                            ngx_canary_milliseconds()))
    {
        *value = node->core.kept.nmembers;
        return NGX_CANARY_FORGET_DONE;
    }

    return (state == NGX_CANARY_FORGET_DONE) ? NGX_CANARY_FORGET_UNKNOWN
                                             : state;
}


static ngx_canary_forget_e
ngx_canary_fleet_forget_reply(redisReply *reply, uint64_t *value)
{
    const char  *what;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements < 2
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        return NGX_CANARY_FORGET_LOST;
    }

    what = reply->element[0]->str;

    if (reply->elements > 2
        && reply->element[2]->type == REDIS_REPLY_INTEGER
        && reply->element[2]->integer >= 0)
    {
        *value = (uint64_t) reply->element[2]->integer;
    }

    return (ngx_strcmp(what, "OK") == 0) ? NGX_CANARY_FORGET_DONE
           : (ngx_strcmp(what, "ALIVE") == 0) ? NGX_CANARY_FORGET_ALIVE
           : (ngx_strcmp(what, "UNKNOWN") == 0) ? NGX_CANARY_FORGET_UNKNOWN
                                                : NGX_CANARY_FORGET_UNREACHED;
}


static void
ngx_canary_fleet_forget_over(ngx_canary_fleet_node_t *node,
    ngx_canary_forget_e state, uint64_t value)
{
    ngx_uint_t            known;
    ngx_canary_zone_t    *zone;
    ngx_canary_forget_t  *place, forget;

    zone = node->cmcf->zone;
    known = 0;

    ngx_canary_lock(zone);

    place = zone->fleet ? &zone->fleet->view.forget : NULL;

    if (place && place->number && place->number == node->forget) {
        place->state = state;
        place->value = value;
        forget = *place;
        known = 1;
    }

    /* it is to be seen without it */

    node->shown = 0;

    ngx_canary_unlock(zone);

    if (known && state == NGX_CANARY_FORGET_DONE) {
        ngx_canary_fleet_forgotten(&forget, value);
    }
}


static void
ngx_canary_fleet_forgotten(const ngx_canary_forget_t *forget, uint64_t left)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "canary: node \"%s\" of the fleet is forgotten, by %s%s%s: "
                  "%uL members are left",
                  forget->node, forget->actor.name,
                  forget->actor.address[0] ? " " : "",
                  forget->actor.address, left);
}
