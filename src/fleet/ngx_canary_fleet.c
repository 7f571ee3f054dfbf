
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/rand.h>

#include "ngx_canary_fleet.h"

#include "canary_fleet.h"

#include "ngx_canary_fleet_look.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_conf.h"
#include "ngx_canary_fleet_node.h"
#include "ngx_canary_redis.h"
#include "ngx_canary_shared.h"


/*
 * The life of this node.  The helper of the newest configuration, if it has the
 * state file, asks core what is to be done, and does it.
 */


static ngx_int_t ngx_canary_fleet_begin_node(ngx_canary_main_conf_t *cmcf,
    uint64_t now);
static void ngx_canary_fleet_end_node(void);
static uint64_t ngx_canary_fleet_random(void);
static void ngx_canary_fleet_timer(ngx_event_t *ev);
static void ngx_canary_fleet_do(ngx_canary_fleet_node_t *node,
    canary_fleet_todo_t *todo, uint64_t now);
static void ngx_canary_fleet_not_sent(ngx_canary_fleet_node_t *node,
    uint64_t now);
static void ngx_canary_fleet_ready(ngx_canary_redis_t *redis);
static void ngx_canary_fleet_lost(ngx_canary_redis_t *redis);


static const ngx_canary_redis_events_t  ngx_canary_fleet_events = {
    ngx_canary_fleet_ready,
    ngx_canary_fleet_lost
};


static ngx_canary_fleet_node_t  *ngx_canary_fleet_this;


void
ngx_canary_fleet_begin(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_canary_zone_t        *zone;
    ngx_canary_fleet_t       *fleet;
    ngx_canary_fleet_conf_t  *conf;

    zone = cmcf->zone;
    conf = cmcf->fleet;

    ngx_canary_lock(zone);

    fleet = zone->fleet;

    if (fleet && (conf == NULL
                  || ngx_strncmp(fleet->name, conf->name.data,
                                 conf->name.len + 1)
                     != 0))
    {
        ngx_canary_forget_others(zone);
        zone->fleet = NULL;
        ngx_slab_free_locked(zone->pool, fleet);
        fleet = NULL;
    }

    if (conf && fleet == NULL) {
        fleet = ngx_slab_calloc_locked(zone->pool,
                                       sizeof(ngx_canary_fleet_t));
        if (fleet == NULL) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "canary: the canary_zone is too small for a fleet, "
                          "this nginx stays alone");

        } else {
            ngx_memcpy(fleet->name, conf->name.data, conf->name.len);
            fleet->state = CANARY_FLEET_JOINING;
            fleet->stable = cmcf->fresh;
            fleet->kept.incarnation = (uint32_t) ngx_canary_fleet_random();
            zone->fleet = fleet;
        }
    }

    if (fleet) {
        ngx_memzero(fleet->node, CANARY_NAME_SIZE);
        ngx_memcpy(fleet->node, conf->node.data, conf->node.len);
        fleet->node_tests = conf->node_tests;
    }

    ngx_canary_unlock(zone);
}


void
ngx_canary_fleet(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_canary_zone_t        *zone;
    ngx_canary_fleet_node_t  *node;

    node = ngx_canary_fleet_this;

    if (node && node->cmcf != cmcf) {
        ngx_canary_fleet_end_node();
        node = NULL;
    }

    zone = cmcf->zone;

    if (zone->fleet == NULL) {
        return;
    }

    if (zone->superseded || zone->serial != cmcf->serial
        || zone->locker != ngx_pid)
    {
        ngx_canary_fleet_end_node();

        /* another nginx has the file, and is the node: this one follows that */

        if (zone->foreign && !zone->superseded
            && (zone->fleet->stable
                || zone->fleet->state != CANARY_FLEET_ISOLATED))
        {
            ngx_canary_lock(zone);
            ngx_canary_fleet_set_state(zone, CANARY_FLEET_ISOLATED, 0);
            ngx_canary_unlock(zone);
        }

        return;
    }

    if (node == NULL && ngx_canary_fleet_begin_node(cmcf, now) != NGX_OK) {
        return;
    }

    ngx_canary_fleet_pass(ngx_canary_fleet_this);
}


canary_lead_t *
ngx_canary_fleet_lead(ngx_canary_shared_t *shared, uint64_t now)
{
    return ngx_canary_fleet_this
           ? ngx_canary_fleet_obey(ngx_canary_fleet_this, shared, now) : NULL;
}


/* who stops says so, and is not waited for; not at a reload */

void
ngx_canary_fleet_finish(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_fleet_node_t  *node;

    node = ngx_canary_fleet_this;

    if (node == NULL) {
        return;
    }

    if (!cmcf->zone->superseded && cmcf->zone->serial == cmcf->serial
        && (ngx_quit || ngx_terminate)
        && ngx_canary_fleet_ask_bye(node) == NGX_OK)
    {
        ngx_canary_redis_flush(node->redis);
    }

    ngx_canary_fleet_end_node();
}


static ngx_int_t
ngx_canary_fleet_begin_node(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    canary_fleet_conf_t       conf;
    ngx_canary_fleet_node_t  *node;

    node = ngx_calloc(sizeof(ngx_canary_fleet_node_t), ngx_cycle->log);
    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_canary_fleet_this = node;

    node->cmcf = cmcf;
    node->conf = cmcf->fleet;

    node->redis = ngx_canary_redis_create(&node->conf->redis,
                                          &ngx_canary_fleet_events, node,
                                          ngx_cycle->log);

    if (node->redis == NULL || ngx_canary_fleet_meet(node) != NGX_OK) {
        ngx_canary_fleet_end_node();
        return NGX_ERROR;
    }

    ngx_canary_fleet_init_scripts(node);

    ngx_memzero(&conf, sizeof(canary_fleet_conf_t));

    conf.name = (char *) cmcf->zone->fleet->node;
    conf.timeout = node->conf->redis.timeout;
    conf.random = ngx_canary_fleet_random();
    conf.goes_on = (int) cmcf->zone->fleet->met;

    canary_fleet_init(&node->core, &conf, &cmcf->zone->fleet->kept,
                      node->states, (unsigned) node->n, now);

    node->changed = node->core.changed;

    node->dumb.fd = (ngx_socket_t) -1;
    node->timer.handler = ngx_canary_fleet_timer;
    node->timer.data = &node->dumb;
    node->timer.log = ngx_cycle->log;
    node->timer.cancelable = 1;
    node->dumb.data = node;

    return NGX_OK;
}


static void
ngx_canary_fleet_end_node(void)
{
    ngx_uint_t                i;
    ngx_canary_fleet_node_t  *node;

    node = ngx_canary_fleet_this;

    if (node == NULL) {
        return;
    }

    ngx_canary_fleet_this = NULL;
    node->busy = 1;

    if (node->timer.timer_set) {
        ngx_del_timer(&node->timer);
    }

    if (node->redis) {
        ngx_canary_redis_destroy(node->redis);
    }

    ngx_canary_fleet_free_led(node);

    for (i = 0; i < node->n; i++) {
        free(node->endpoints[i].word);
        free(node->endpoints[i].text);
        free(node->endpoints[i].orders);
    }

    freeReplyObject(node->live);
    free(node->states);
    free(node->endpoints);
    ngx_free(node);
}


static uint64_t
ngx_canary_fleet_random(void)
{
    uint64_t  number;

    if (RAND_bytes((u_char *) &number, sizeof(number)) != 1) {
        number = (uint64_t) ngx_random() << 32 ^ (uint64_t) ngx_random();
    }

    return number ? number : 1;
}


static void
ngx_canary_fleet_timer(ngx_event_t *ev)
{
    ngx_canary_fleet_pass(((ngx_connection_t *) ev->data)->data);
}


/* does what is to be done, until there is nothing */

void
ngx_canary_fleet_pass(ngx_canary_fleet_node_t *node)
{
    uint64_t             now, due;
    canary_fleet_todo_t  todo;

    /* a configuration without a fleet may be there before this process ends */

    if (node->busy || ngx_exiting || ngx_quit || ngx_terminate
        || node->cmcf->zone->fleet == NULL)
    {
        return;
    }

    node->busy = 1;
    now = ngx_canary_milliseconds();

    ngx_canary_fleet_look(node, now);
    ngx_canary_fleet_look_forget(node);

    for ( ;; ) {
        canary_fleet_next(&node->core, now, &todo);

        if (todo.act == CANARY_FLEET_NOTHING) {
            break;
        }

        ngx_canary_fleet_do(node, &todo, now);
    }

    ngx_canary_fleet_show(node, now);

    due = canary_fleet_due(&node->core, now);

    if (node->timer.timer_set) {
        ngx_del_timer(&node->timer);
    }

    ngx_add_timer(&node->timer, (ngx_msec_t) (due > now ? due - now : 1));

    node->busy = 0;
}


static void
ngx_canary_fleet_do(ngx_canary_fleet_node_t *node, canary_fleet_todo_t *todo,
    uint64_t now)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    switch (todo->act) {

    case CANARY_FLEET_CONNECT:
        ngx_canary_redis_connect(node->redis);
        break;

    case CANARY_FLEET_DISCONNECT:
        ngx_canary_redis_close(node->redis, "no answer in time");
        break;

    case CANARY_FLEET_JOIN:
        rc = ngx_canary_fleet_ask_join(node, todo, now);
        break;

    case CANARY_FLEET_TELL:
    case CANARY_FLEET_COMMIT:
        rc = ngx_canary_fleet_ask_commit(node, todo);
        break;

    case CANARY_FLEET_SEND_TICK:
        rc = ngx_canary_fleet_ask_tick(node, todo, now);
        break;

    case CANARY_FLEET_CONCLUDE:
        ngx_canary_fleet_conclude(node, todo, now);
        break;

    default: /* CANARY_FLEET_END */
        ngx_canary_fleet_end(node, todo->endpoint, now);
        break;
    }

    if (rc != NGX_OK) {
        ngx_canary_fleet_not_sent(node, now);
    }
}


static void
ngx_canary_fleet_not_sent(ngx_canary_fleet_node_t *node, uint64_t now)
{
    ngx_canary_redis_close(node->redis, "no memory for what is to be sent");
    canary_fleet_disconnected(&node->core, now);
}


static void
ngx_canary_fleet_ready(ngx_canary_redis_t *redis)
{
    ngx_canary_fleet_node_t  *node;

    node = ngx_canary_redis_data(redis);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "canary: fleet \"%V\" is connected to Redis at \"%V\"",
                  &node->conf->name, &ngx_canary_redis_status(redis)->address);

    canary_fleet_connected(&node->core, ngx_canary_milliseconds());

    ngx_canary_fleet_pass(node);
}


static void
ngx_canary_fleet_lost(ngx_canary_redis_t *redis)
{
    ngx_canary_fleet_node_t  *node;

    node = ngx_canary_redis_data(redis);

    canary_fleet_disconnected(&node->core, ngx_canary_milliseconds());

    ngx_canary_fleet_pass(node);
}
