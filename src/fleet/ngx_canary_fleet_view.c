
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"

#include "canary_fleet.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_redis.h"


/* What all processes know of the fleet, put into the zone. */


#define NGX_CANARY_FLEET_SHOWN  1000       /* ms until it is put there again */


static void ngx_canary_fleet_show_sums(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_sums_t *sums);
static void ngx_canary_fleet_show_nodes(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_view_t *view);
static ngx_uint_t ngx_canary_fleet_seen_state(ngx_canary_fleet_node_t *node,
    canary_fleet_node_t *other);
static size_t ngx_canary_fleet_show_lacks(canary_fleet_node_t *other,
    u_char *p, u_char *last);


/* under the lock; an isolated node shows the nodes that it knew last */

void
ngx_canary_fleet_show_view(ngx_canary_fleet_node_t *node, uint64_t now)
{
    ngx_canary_fleet_view_t  *view;

    if (node->shown && node->shown_state == node->core.state
        && now - node->shown < NGX_CANARY_FLEET_SHOWN)
    {
        return;
    }

    view = &node->cmcf->zone->fleet->view;

    ngx_canary_fleet_show_sums(node, &view->sums);

    if (canary_fleet_reached(&node->core)) {
        (void) ngx_cpystrn(view->sums.leader, (u_char *) node->core.leader,
                           CANARY_NAME_SIZE);

        if (node->core.nodes) {
            ngx_canary_fleet_show_nodes(node, view);
        }
    }

    node->shown = now;
    node->shown_state = node->core.state;
}


static void
ngx_canary_fleet_show_sums(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_sums_t *sums)
{
    ngx_canary_fleet_sums_t          *counted;
    const ngx_canary_redis_status_t  *redis;

    redis = ngx_canary_redis_status(node->redis);
    counted = &node->counted;

    (void) ngx_cpystrn(sums->address, redis->address.data,
                       ngx_min(redis->address.len + 1,
                               NGX_CANARY_FLEET_ADDRESS));

    sums->slot = sums->slot ? sums->slot : CANARY_SLOT_MS;
    sums->rtt = node->core.rtt;
    sums->version = node->core.kept.version;

    sums->connects += redis->connects - counted->connects;
    sums->sent += redis->sent - counted->sent;
    sums->received += redis->received - counted->received;

    counted->connects = redis->connects;
    counted->sent = redis->sent;
    counted->received = redis->received;
}


static void
ngx_canary_fleet_show_nodes(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_view_t *view)
{
    u_char                   *p, *last;
    ngx_uint_t                i;
    canary_fleet_node_t      *other;
    ngx_canary_fleet_seen_t  *seen;

    p = view->lacking;
    last = p + NGX_CANARY_FLEET_LACKING;

    ngx_memzero(view->sums.seen, sizeof(view->sums.seen));

    for (i = 0; i < node->core.nnodes; i++) {
        other = &node->core.nodes[i];
        seen = &view->nodes[i];

        ngx_memcpy(seen->name, other->name, CANARY_NAME_SIZE);
        ngx_memcpy(seen->address, other->address, CANARY_NAME_SIZE);

        seen->version = other->version;
        seen->age = (node->nodes_at > other->last)
                    ? node->nodes_at - other->last : 0;
        seen->state = (uint32_t) ngx_canary_fleet_seen_state(node, other);
        seen->lacks = (uint16_t) (p - view->lacking);
        seen->lacks_len = (uint16_t) ngx_canary_fleet_show_lacks(other, p,
                                                                 last);
        p += seen->lacks_len;
        view->sums.seen[seen->state]++;
    }

    view->sums.nnodes = (uint32_t) i;
    view->sums.slot = CANARY_SLOT_MS
                      * ngx_canary_fleet_width(node, node->nodes_at);
}


static ngx_uint_t
ngx_canary_fleet_seen_state(ngx_canary_fleet_node_t *node,
    canary_fleet_node_t *other)
{
    switch (canary_fleet_node_age(other, node->nodes_at,
                                  node->core.conf.timeout))
    {

    case CANARY_FLEET_LIVE:
        return (ngx_strcmp(other->name, node->core.leader) == 0)
               ? NGX_CANARY_FLEET_LEADS : NGX_CANARY_FLEET_LIVES;

    case CANARY_FLEET_SILENT:
        return NGX_CANARY_FLEET_IS_SILENT;

    default: /* CANARY_FLEET_NODE_GONE */
        return NGX_CANARY_FLEET_IS_GONE;
    }
}


/* whole lines, as many as there is room for */

static size_t
ngx_canary_fleet_show_lacks(canary_fleet_node_t *other, u_char *p,
    u_char *last)
{
    size_t       len;
    u_char      *start;
    const char  *at, *line;

    start = p;
    at = other->lacks;

    while ((line = canary_fleet_next_lack(other, &at, &len)) != NULL) {

        if (len + 1 > (size_t) (last - p)) {
            break;
        }

        p = ngx_cpymem(p, line, len);
        *p++ = '\n';
    }

    return p - start;
}


void
ngx_canary_fleet_count(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_change_e what)
{
    ngx_canary_zone_t  *zone;

    zone = node->cmcf->zone;

    ngx_canary_lock(zone);

    if (zone->fleet) {
        zone->fleet->view.sums.changes[what]++;
    }

    ngx_canary_unlock(zone);
}
