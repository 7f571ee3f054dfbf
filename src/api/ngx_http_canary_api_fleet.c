
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_fleet.h"

#include "canary_fleet_record.h"
#include "canary_rule.h"
#include "canary_view.h"
#include "canary_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_figures.h"
#include "ngx_canary_fleet_look.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_text.h"


/* The nodes of the fleet, as this one knows them. */


#define NGX_HTTP_CANARY_LACK  (2 * NGX_CANARY_FLEET_LACKING)


/* what the leader has told of a rollout */

typedef struct {
    canary_view_t        view;
    canary_view_node_t   nodes[CANARY_FLEET_NODES];
} ngx_http_canary_told_t;


static void ngx_http_canary_fleet_redis(cJSON *object,
    ngx_canary_fleet_self_t *self, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_fleet_node(cJSON *list,
    ngx_canary_fleet_seen_t *node, u_char *lacks, u_char *buf, int *failed);
static ngx_int_t ngx_http_canary_fleet_told(ngx_canary_endpoint_t *endpoint,
    ngx_http_canary_told_t *told);
static void ngx_http_canary_fleet_served(cJSON *list,
    ngx_canary_main_conf_t *cmcf, ngx_http_canary_told_t *told,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_fleet_served_at(cJSON *list,
    ngx_http_canary_told_t *told, const char *endpoint, int *failed);
static void ngx_http_canary_fleet_share(cJSON *object, const char *name,
    const canary_view_node_t *node, int *failed);
static void ngx_http_canary_fleet_lack(cJSON *list, u_char *line, u_char *end,
    u_char *buf, int *failed);


ngx_int_t
ngx_http_canary_api_fleet(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    int                       failed;
    cJSON                    *json, *list;
    u_char                   *buf;
    ngx_uint_t                i;
    ngx_canary_main_conf_t   *cmcf;
    ngx_http_canary_told_t   *told;
    ngx_canary_fleet_self_t   self;
    ngx_canary_fleet_view_t  *view;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    view = ngx_palloc(r->pool, sizeof(ngx_canary_fleet_view_t));
    buf = ngx_palloc(r->pool, NGX_HTTP_CANARY_LACK);
    told = ngx_palloc(r->pool, sizeof(ngx_http_canary_told_t));

    if (view == NULL || buf == NULL || told == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (cmcf->zone == NULL
        || ngx_canary_fleet_copy(cmcf->zone, &self, view) != NGX_OK)
    {
        return ngx_http_canary_no_fleet(r);
    }

    failed = 0;
    json = cJSON_CreateObject();

    canary_json_add_text(json, "name", (char *) self.name, &failed);
    canary_json_add_text(json, "node", (char *) self.node, &failed);
    canary_json_add_text(json, "state",
                         ngx_canary_fleet_state_name(self.state), &failed);

    if (self.sums.leader[0]) {
        canary_json_add_text(json, "leader", (char *) self.sums.leader,
                             &failed);
    } else {
        canary_json_add_null(json, "leader", &failed);
    }

    canary_json_add_number(json, "version", self.sums.version, 0, &failed);
    canary_json_add_number(json, "slot_ms", self.sums.slot, 0, &failed);

    ngx_http_canary_fleet_redis(json, &self, r->pool, &failed);

    list = canary_json_add_array(json, "nodes", &failed);

    for (i = 0; i < self.sums.nnodes; i++) {
        ngx_http_canary_fleet_node(list, &view->nodes[i], view->lacking, buf,
                                   &failed);
    }

    ngx_http_canary_fleet_served(list, cmcf, told, r->pool, &failed);

    return ngx_http_canary_answer(r, NGX_HTTP_OK, &ngx_http_canary_json, json,
                                  failed);
}


static void
ngx_http_canary_fleet_redis(cJSON *object, ngx_canary_fleet_self_t *self,
    ngx_pool_t *pool, int *failed)
{
    cJSON       *redis;
    uint64_t     now;
    ngx_time_t  *time;

    redis = canary_json_add_object(object, "redis", failed);

    if (self->sums.address[0]) {
        ngx_http_canary_render_line(redis, "address", self->sums.address,
                                    pool, failed);
    } else {
        canary_json_add_null(redis, "address", failed);
    }

    canary_json_add_number(redis, "rtt_ms", self->sums.rtt, 0, failed);

    if (self->contact == 0) {
        canary_json_add_null(redis, "last_contact_seconds", failed);
        return;
    }

    time = ngx_timeofday();
    now = (uint64_t) time->sec * 1000 + time->msec;

    canary_json_add_number(redis, "last_contact_seconds",
                           (now > self->contact) ? now - self->contact : 0, 3,
                           failed);
}


static void
ngx_http_canary_fleet_node(cJSON *list, ngx_canary_fleet_seen_t *node,
    u_char *lacks, u_char *buf, int *failed)
{
    cJSON   *item;
    u_char  *p, *last, *end;

    item = canary_json_add_object(list, NULL, failed);

    canary_json_add_text(item, "name", (char *) node->name, failed);
    canary_json_add_text(item, "address", (char *) node->address, failed);
    canary_json_add_text(item, "state",
                         ngx_canary_fleet_seen_name(node->state), failed);
    canary_json_add_number(item, "age_ms", node->age, 0, failed);
    canary_json_add_number(item, "version", node->version, 0, failed);
    (void) canary_json_add_object(item, "served_weight", failed);

    list = canary_json_add_array(item, "lacks", failed);

    p = lacks + node->lacks;
    last = p + node->lacks_len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            break;
        }

        ngx_http_canary_fleet_lack(list, p, end, buf, failed);
    }
}


/*
 * "release v3 of shop": a line is ENDPOINT KIND [WHAT], see
 * canary_fleet_nodes.h; what cannot be read is shown as it is.
 */

static void
ngx_http_canary_fleet_lack(cJSON *list, u_char *line, u_char *end,
    u_char *buf, int *failed)
{
    char    *p, *last;
    size_t   len;
    u_char  *kind, *what;

    p = (char *) buf;
    last = p + NGX_HTTP_CANARY_LACK - sizeof(" of ");

    kind = ngx_strlchr(line, end, ' ');

    if (kind == NULL || *line == '-') {
        p = (char *) ngx_cpymem(p, line, end - line);
        goto done;
    }

    what = ngx_strlchr(kind + 1, end, ' ');
    what = what ? what : end;

    p = (char *) ngx_cpymem(p, kind + 1, what - kind - 1);
    *p++ = ' ';

    if (what < end) {
        len = canary_fleet_unescape((char *) what + 1, end - what - 1, p,
                                    last - p);
        p = (char *) ngx_cpymem(p + len, " of ", sizeof(" of ") - 1);
    }

    p += canary_fleet_unescape((char *) line, kind - line, p, last - p);

done:

    *p = '\0';

    canary_json_add_text(list, NULL, (char *) buf, failed);
}


void
ngx_http_canary_render_fleet(cJSON *object, ngx_canary_main_conf_t *cmcf,
    int *failed)
{
    cJSON                    *fleet;
    ngx_canary_fleet_self_t   self;

    if (ngx_canary_fleet_self(cmcf->zone, &self) != NGX_OK) {
        return;
    }

    fleet = canary_json_add_object(object, "fleet", failed);

    canary_json_add_number(fleet, "nodes", self.sums.nnodes, 0, failed);
    canary_json_add_number(fleet, "live",
                           self.sums.seen[NGX_CANARY_FLEET_LEADS]
                           + self.sums.seen[NGX_CANARY_FLEET_LIVES], 0,
                           failed);
    canary_json_add(fleet, "reached",
                    cJSON_CreateBool((int)
                                     ngx_canary_fleet_in_touch(self.state)),
                    failed);
}


static ngx_int_t
ngx_http_canary_fleet_told(ngx_canary_endpoint_t *endpoint,
    ngx_http_canary_told_t *told)
{
    ngx_int_t           rc;
    ngx_canary_zone_t  *zone;

    zone = endpoint->main->zone;

    ngx_canary_lock(zone);

    rc = ngx_canary_figures(endpoint->shared, ngx_canary_milliseconds(),
                            &told->view, told->nodes);

    ngx_canary_unlock(zone);

    return rc;
}


/* of all nodes, by endpoint: those that have served something of the step */

static void
ngx_http_canary_fleet_served(cJSON *list, ngx_canary_main_conf_t *cmcf,
    ngx_http_canary_told_t *told, ngx_pool_t *pool, int *failed)
{
    char                    *name;
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {

        if (ngx_http_canary_fleet_told(endpoints[i], told) != NGX_OK) {
            continue;
        }

        name = ngx_http_canary_utf8(pool, &endpoints[i]->name);

        if (name == NULL) {
            *failed = 1;
            return;
        }

        ngx_http_canary_fleet_served_at(list, told, name, failed);
    }
}


static void
ngx_http_canary_fleet_served_at(cJSON *list, ngx_http_canary_told_t *told,
    const char *endpoint, int *failed)
{
    cJSON     *item, *name;
    uint32_t   i;

    cJSON_ArrayForEach(item, list) {
        name = cJSON_GetObjectItemCaseSensitive(item, "name");

        for (i = 0; i < told->view.nnodes; i++) {
            if (cJSON_IsString(name)
                && ngx_strcmp(name->valuestring, told->nodes[i].name) == 0
                && told->nodes[i].started[CANARY_SIDE_CANARY]
                   + told->nodes[i].started[CANARY_SIDE_STABLE])
            {
                ngx_http_canary_fleet_share(
                    cJSON_GetObjectItemCaseSensitive(item, "served_weight"),
                    endpoint, &told->nodes[i], failed);
            }
        }
    }
}


/* of the canary, of all attempts of the step; null without any */

static void
ngx_http_canary_fleet_share(cJSON *object, const char *name,
    const canary_view_node_t *node, int *failed)
{
    double  canary, all;

    canary = (double) node->started[CANARY_SIDE_CANARY];
    all = canary + (double) node->started[CANARY_SIDE_STABLE];

    if (all == 0) {
        canary_json_add_null(object, name, failed);
        return;
    }

    canary_json_add_number(object, name,
                           (uint64_t) (canary / all * CANARY_RATIO_ONE + 0.5),
                           9, failed);
}


void
ngx_http_canary_render_nodes(cJSON *object, ngx_canary_endpoint_t *endpoint,
    ngx_pool_t *pool, int *failed)
{
    cJSON                     *list, *item;
    uint32_t                   i;
    const canary_view_node_t  *node;
    ngx_canary_fleet_self_t    self;
    ngx_http_canary_told_t    *told;

    if (ngx_canary_fleet_self(endpoint->main->zone, &self) != NGX_OK) {
        return;
    }

    told = ngx_palloc(pool, sizeof(ngx_http_canary_told_t));

    if (told == NULL) {
        *failed = 1;
        return;
    }

    list = canary_json_add_array(object, "nodes", failed);

    if (ngx_http_canary_fleet_told(endpoint, told) != NGX_OK) {
        return;
    }

    for (i = 0; i < told->view.nnodes; i++) {
        node = &told->nodes[i];
        item = canary_json_add_object(list, NULL, failed);

        canary_json_add_text(item, "name", node->name, failed);
        canary_json_add_number(item, "attempts",
                               node->started[CANARY_SIDE_CANARY], 0, failed);
        canary_json_add_number(item, "bad", node->bad, 0, failed);
        ngx_http_canary_fleet_share(item, "served_weight", node, failed);
        canary_json_add_text(item, "verdict",
                             canary_verdict_name(
                                 (canary_verdict_t) node->verdict),
                             failed);
    }
}


ngx_int_t
ngx_http_canary_no_fleet(ngx_http_request_t *r)
{
    return ngx_http_canary_refuse(r, NGX_HTTP_NOT_FOUND,
                                  "this nginx is in no fleet: there is no "
                                  "\"canary_fleet\" in its nginx.conf");
}
