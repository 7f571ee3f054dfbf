
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"

#include "canary_cohorts.h"
#include "canary_fleet.h"
#include "canary_key.h"
#include "canary_lead.h"
#include "canary_orders.h"
#include "canary_parcel.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"


/*
 * Evidence: what this node tells of its rollouts, what the leader's orders are,
 * and how a leader comes to the evidence of all nodes.
 */


static canary_lead_t *ngx_canary_fleet_led(ngx_canary_fleet_node_t *node,
    ngx_uint_t i);
static size_t ngx_canary_fleet_encode(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, ngx_canary_fleet_part_e kind, uint64_t now);
static size_t ngx_canary_fleet_encode_led(ngx_canary_fleet_led_t *led,
    ngx_canary_fleet_part_e kind);
static ngx_int_t ngx_canary_fleet_pack(ngx_str_t *parcel, size_t *room,
    const char *word, size_t len);
static void ngx_canary_fleet_orders(ngx_canary_fleet_node_t *node,
    ngx_str_t *mark);
static ngx_int_t ngx_canary_fleet_read_orders(ngx_canary_fleet_node_t *node,
    ngx_str_t *parcel);
static void ngx_canary_fleet_open(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t time, uint32_t width);
static ngx_int_t ngx_canary_fleet_open_led(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, uint64_t time);
static void ngx_canary_fleet_load(ngx_canary_fleet_node_t *node,
    ngx_uint_t i);
static void ngx_canary_fleet_add_node(ngx_canary_fleet_node_t *node,
    ngx_str_t *name, ngx_str_t *parcel, uint64_t now);
static ngx_int_t ngx_canary_fleet_add_part(ngx_canary_fleet_node_t *node,
    ngx_str_t *name, canary_node_t state, const canary_parcel_part_t *part);
static canary_node_t ngx_canary_fleet_node_state(
    ngx_canary_fleet_node_t *node, ngx_str_t *name, uint64_t now);
static canary_times_mark_t *ngx_canary_fleet_times(
    ngx_canary_fleet_led_t *led, uint64_t key);


/* one at a time is encoded or decoded, in the only thread of the helper */

static canary_cohorts_t  ngx_canary_fleet_cohorts;
static u_char            ngx_canary_fleet_bytes[CANARY_COHORTS_BYTES];


/* in the control loop, under the lock */

canary_lead_t *
ngx_canary_fleet_obey(ngx_canary_fleet_node_t *node,
    ngx_canary_shared_t *shared, uint64_t now)
{
    uint64_t                      time;
    ngx_uint_t                    n, i;
    canary_orders_t              *orders;
    ngx_canary_fleet_endpoint_t  *endpoint;

    /* they come in about the same order each time */

    for (n = 0, i = 0; n < node->n; n++) {
        i = (node->hint + n) % node->n;

        if (node->endpoints[i].shared == shared) {
            break;
        }
    }

    if (n == node->n || !canary_fleet_reached(&node->core)) {
        return NULL;
    }

    node->hint = i + 1;

    endpoint = &node->endpoints[i];
    orders = endpoint->orders;
    time = canary_fleet_time(&node->core.kept.clock, now);

    if (orders) {
        canary_orders_obey(shared->evidence,
                           &ngx_canary_record(shared)->rollout,
                           time / CANARY_SLOT_MS, orders);
    }

    return ngx_canary_fleet_led(node, i);
}


static canary_lead_t *
ngx_canary_fleet_led(ngx_canary_fleet_node_t *node, ngx_uint_t i)
{
    return (node->core.state == CANARY_FLEET_LEADER && node->endpoints[i].led)
           ? node->endpoints[i].led->lead : NULL;
}


ngx_int_t
ngx_canary_fleet_parcel(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_part_e kind, uint64_t now, ngx_str_t *parcel)
{
    size_t      len, room;
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = NGX_OK;
    room = 0;

    ngx_str_null(parcel);

    for (i = 0; i < node->n && rc == NGX_OK; i++) {
        len = ngx_canary_fleet_encode(node, i, kind, now);

        if (len) {
            rc = ngx_canary_fleet_pack(parcel, &room, node->endpoints[i].word,
                                       len);
        }
    }

    return rc;
}


/* into ngx_canary_fleet_bytes; 0: there is nothing to tell */

static size_t
ngx_canary_fleet_encode(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    ngx_canary_fleet_part_e kind, uint64_t now)
{
    size_t                len;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    if (kind != NGX_CANARY_FLEET_COHORTS) {
        return ngx_canary_fleet_led(node, i)
               ? ngx_canary_fleet_encode_led(node->endpoints[i].led, kind) : 0;
    }

    shared = node->endpoints[i].shared;

    if (shared == NULL || node->states[i].ours.phase == CANARY_IDLE) {
        return 0;
    }

    zone = shared->zone;
    len = 0;

    ngx_canary_lock(zone);

    if (shared->evidence
        && ngx_canary_record(shared)->rollout.phase != CANARY_IDLE)
    {
        ngx_canary_tell(node->cmcf, shared, now, &ngx_canary_fleet_cohorts);
        len = 1;
    }

    ngx_canary_unlock(zone);

    return len ? canary_cohorts_encode(&ngx_canary_fleet_cohorts,
                                       ngx_canary_fleet_bytes,
                                       sizeof(ngx_canary_fleet_bytes))
               : 0;
}


static size_t
ngx_canary_fleet_encode_led(ngx_canary_fleet_led_t *led,
    ngx_canary_fleet_part_e kind)
{
    canary_orders_t  orders;

    if (!canary_lead_is_of(led->lead, &led->rollout)) {
        return 0;
    }

    if (kind == NGX_CANARY_FLEET_TESTS) {
        return canary_lead_save(led->lead, &led->rollout,
                                ngx_canary_fleet_bytes,
                                sizeof(ngx_canary_fleet_bytes));
    }

    canary_lead_orders(led->lead, &orders);

    return canary_orders_encode(&orders, ngx_canary_fleet_bytes,
                                sizeof(ngx_canary_fleet_bytes));
}


static ngx_int_t
ngx_canary_fleet_pack(ngx_str_t *parcel, size_t *room, const char *word,
    size_t len)
{
    u_char         *data;
    size_t          need;
    canary_parcel_part_t     part;

    part.name = (const u_char *) word;
    part.name_len = ngx_strlen(word);
    part.bytes = ngx_canary_fleet_bytes;
    part.len = len;

    need = parcel->len + part.name_len + len + CANARY_PARCEL_HEAD;

    if (need > *room) {
        *room = 2 * need;

        data = realloc(parcel->data, *room);
        if (data == NULL) {
            return NGX_ERROR;
        }

        parcel->data = data;
    }

    parcel->len += canary_parcel_put(&part, parcel->data + parcel->len);

    return NGX_OK;
}


void
ngx_canary_fleet_hear(ngx_canary_fleet_node_t *node,
    const ngx_canary_fleet_heard_t *heard, uint64_t now)
{
    size_t      i;
    uint32_t    width;
    uint64_t    time;
    ngx_str_t   name, parcel, mark;

    mark = heard->mark;
    ngx_canary_fleet_orders(node, &mark);

    if (node->core.state != CANARY_FLEET_LEADER || heard->term != node->term) {
        ngx_canary_fleet_free_led(node);
    }

    node->term = heard->term;

    if (node->core.state != CANARY_FLEET_LEADER) {
        return;
    }

    if (heard->tests.len) {
        free(node->tests.data);

        node->tests.len = 0;
        node->tests.data = malloc(heard->tests.len);

        if (node->tests.data) {
            node->tests.len = heard->tests.len;
            ngx_memcpy(node->tests.data, heard->tests.data, node->tests.len);
        }
    }

    time = canary_fleet_time(&node->core.kept.clock, now);

    if (!node->told || time == 0) {
        return;
    }

    width = ngx_canary_fleet_width(node, heard->now);

    for (i = 0; i < node->n; i++) {
        ngx_canary_fleet_open(node, i, time, width);
    }

    for (i = 0; i + 1 < heard->evidence->elements; i += 2) {
        name = ngx_canary_fleet_text(heard->evidence, i);
        parcel = ngx_canary_fleet_text(heard->evidence, i + 1);

        ngx_canary_fleet_add_node(node, &name, &parcel, heard->now);
    }

    for (i = 0; i < node->n; i++) {
        if (node->endpoints[i].led) {
            canary_lead_close(node->endpoints[i].led->lead);
        }
    }
}


/* of the leader; where there are none, those from before do no harm */

static void
ngx_canary_fleet_orders(ngx_canary_fleet_node_t *node, ngx_str_t *mark)
{
    ngx_int_t  rc;
    ngx_str_t  parcel;

    static ngx_str_t  name = ngx_string("the leader");

    if (mark->len == 0) {
        return;
    }

    parcel.len = 0;
    parcel.data = malloc(ngx_base64_decoded_length(mark->len));

    if (parcel.data == NULL) {
        return;
    }

    rc = ngx_decode_base64url(&parcel, mark);

    if (rc == NGX_OK) {
        rc = ngx_canary_fleet_read_orders(node, &parcel);
    }

    ngx_canary_fleet_report(node, 0, &name, "evidence", rc != NGX_OK);

    free(parcel.data);
}


static ngx_int_t
ngx_canary_fleet_read_orders(ngx_canary_fleet_node_t *node, ngx_str_t *parcel)
{
    int                           more;
    ngx_int_t                     i, rc;
    canary_parcel_part_t     part;
    const u_char                 *at, *end;
    canary_orders_t               orders;
    ngx_canary_fleet_endpoint_t  *endpoint;

    at = parcel->data;
    end = at + parcel->len;
    rc = NGX_OK;

    while ((more = canary_parcel_next(&at, end, &part)) == 1) {
        i = ngx_canary_fleet_index(node, &part);

        if (i == -1) {
            continue;
        }

        if (!canary_orders_decode(part.bytes, part.len, &orders)) {
            rc = NGX_ERROR;
            continue;
        }

        endpoint = &node->endpoints[i];

        if (endpoint->orders == NULL) {
            endpoint->orders = malloc(sizeof(canary_orders_t));
        }

        if (endpoint->orders) {
            *endpoint->orders = orders;
        }
    }

    return (more == 0) ? rc : NGX_ERROR;
}


/* the tests of a rollout take what is known now, if there is one */

static void
ngx_canary_fleet_open(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t time, uint32_t width)
{
    ngx_int_t                     rc;
    ngx_canary_zone_t            *zone;
    ngx_canary_shared_t          *shared;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    shared = endpoint->shared;
    rc = NGX_DECLINED;

    if (shared && node->states[i].ours.phase != CANARY_IDLE) {
        zone = shared->zone;

        ngx_canary_lock(zone);

        if (shared->evidence
            && ngx_canary_record(shared)->rollout.phase != CANARY_IDLE)
        {
            rc = ngx_canary_fleet_open_led(node, i, time);
        }

        ngx_canary_unlock(zone);
    }

    if (rc == NGX_OK) {
        canary_lead_open(endpoint->led->lead, &endpoint->led->rollout, time,
                         width);

    } else {
        ngx_canary_fleet_free_one(endpoint);
    }
}


/* under the lock */

static ngx_int_t
ngx_canary_fleet_open_led(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t time)
{
    ngx_uint_t               begins;
    ngx_canary_shared_t     *shared;
    ngx_canary_fleet_led_t  *led;

    shared = node->endpoints[i].shared;
    led = node->endpoints[i].led;
    begins = (led == NULL);

    if (led == NULL) {
        led = calloc(1, sizeof(ngx_canary_fleet_led_t));
        if (led == NULL) {
            return NGX_ERROR;
        }

        node->endpoints[i].led = led;

        led->lead = malloc(canary_lead_size());
        if (led->lead == NULL) {
            return NGX_ERROR;
        }
    }

    led->rollout = ngx_canary_record(shared)->rollout;

    if (begins || !canary_lead_is_of(led->lead, &led->rollout)) {
        canary_lead_begin(led->lead, &led->rollout, shared->evidence, time);
        ngx_canary_fleet_load(node, i);
        led->ntimes = 0;
    }

    led->ntold = 0;

    return NGX_OK;
}


/* the state that another leader left, if it is of these tests */

static void
ngx_canary_fleet_load(ngx_canary_fleet_node_t *node, ngx_uint_t i)
{
    int                      more;
    canary_parcel_part_t     part;
    const u_char            *at, *end;
    ngx_canary_fleet_led_t  *led;

    static ngx_str_t  name = ngx_string("the leader before");

    if (node->tests.len == 0) {
        return;
    }

    led = node->endpoints[i].led;
    at = node->tests.data;
    end = at + node->tests.len;

    while ((more = canary_parcel_next(&at, end, &part)) == 1) {
        if (ngx_canary_fleet_index(node, &part) == (ngx_int_t) i) {
            (void) canary_lead_load(led->lead, &led->rollout, part.bytes,
                                    part.len);
            break;
        }
    }

    ngx_canary_fleet_report(node, 1, &name, "evidence", more == -1);
}


uint32_t
ngx_canary_fleet_width(ngx_canary_fleet_node_t *node, uint64_t now)
{
    ngx_uint_t            i;
    canary_fleet_node_t  *other;

    for (i = 0; i < node->core.nnodes; i++) {
        other = &node->core.nodes[i];

        if (other->error > CANARY_FLEET_STEADY
            && canary_fleet_node_age(other, now, node->core.conf.timeout)
               == CANARY_FLEET_LIVE)
        {
            return 2;
        }
    }

    return 1;
}


static void
ngx_canary_fleet_add_node(ngx_canary_fleet_node_t *node, ngx_str_t *name,
    ngx_str_t *parcel, uint64_t now)
{
    int              more;
    uint64_t         key;
    ngx_int_t        rc;
    canary_parcel_part_t     part;
    canary_node_t    state;
    const u_char    *at, *end;

    key = canary_key_salt(name->data, name->len);
    state = ngx_canary_fleet_node_state(node, name, now);
    at = parcel->data;
    end = at + parcel->len;
    rc = NGX_OK;

    while ((more = canary_parcel_next(&at, end, &part)) == 1) {
        if (ngx_canary_fleet_add_part(node, name, state, &part) != NGX_OK) {
            rc = NGX_ERROR;
        }
    }

    ngx_canary_fleet_report(node, key, name, "evidence",
                            more != 0 || rc != NGX_OK);
}


/* of a rollout that is not led here it is not looked at */

static ngx_int_t
ngx_canary_fleet_add_part(ngx_canary_fleet_node_t *node, ngx_str_t *name,
    canary_node_t state, const canary_parcel_part_t *part)
{
    uint64_t                 key;
    ngx_int_t                i;
    canary_times_mark_t     *times;
    ngx_canary_fleet_led_t  *led;

    i = ngx_canary_fleet_index(node, part);
    led = (i == -1) ? NULL : node->endpoints[i].led;

    if (led == NULL) {
        return NGX_OK;
    }

    if (!canary_cohorts_decode(part->bytes, part->len,
                               &ngx_canary_fleet_cohorts))
    {
        return NGX_ERROR;
    }

    times = NULL;
    key = canary_key_salt(name->data, name->len);

    if (state != CANARY_NODE_GONE) {
        ngx_canary_fleet_note(led, name, &ngx_canary_fleet_cohorts);
    }

    if (canary_lead_needs_times(&led->rollout)) {
        times = ngx_canary_fleet_times(led, key);

        if (times == NULL) {
            return NGX_OK;
        }
    }

    canary_lead_add(led->lead, key, state, &ngx_canary_fleet_cohorts, times);

    return NGX_OK;
}


static canary_node_t
ngx_canary_fleet_node_state(ngx_canary_fleet_node_t *node, ngx_str_t *name,
    uint64_t now)
{
    ngx_uint_t            i;
    canary_fleet_node_t  *other;

    for (i = 0; i < node->core.nnodes; i++) {
        other = &node->core.nodes[i];

        if (ngx_strlen(other->name) != name->len
            || ngx_memcmp(other->name, name->data, name->len) != 0)
        {
            continue;
        }

        switch (canary_fleet_node_age(other, now, node->core.conf.timeout)) {

        case CANARY_FLEET_LIVE:
            return CANARY_NODE_LIVE;

        case CANARY_FLEET_SILENT:
            return CANARY_NODE_SILENT;

        default:
            return CANARY_NODE_GONE;
        }
    }

    return CANARY_NODE_GONE;
}


/* what is known of a node's times; NULL: no memory */

static canary_times_mark_t *
ngx_canary_fleet_times(ngx_canary_fleet_led_t *led, uint64_t key)
{
    ngx_uint_t                 i;
    ngx_canary_fleet_times_t  *times;

    for (i = 0; i < led->ntimes; i++) {
        if (led->times[i].key == key) {
            return led->times[i].marks;
        }
    }

    times = realloc(led->times,
                    (led->ntimes + 1) * sizeof(ngx_canary_fleet_times_t));
    if (times == NULL) {
        return NULL;
    }

    led->times = times;
    times = &times[led->ntimes++];

    ngx_memzero(times, sizeof(ngx_canary_fleet_times_t));
    times->key = key;

    return times->marks;
}


/* -1: it is not known here; parts come in about the order of endpoints */

ngx_int_t
ngx_canary_fleet_index(ngx_canary_fleet_node_t *node,
    const canary_parcel_part_t *part)
{
    char        *word;
    ngx_uint_t   n, i;

    for (n = 0; n < node->n; n++) {
        i = (node->part + n) % node->n;
        word = node->endpoints[i].word;

        if (ngx_strlen(word) == part->name_len
            && ngx_memcmp(word, part->name, part->name_len) == 0)
        {
            node->part = i + 1;
            return i;
        }
    }

    return -1;
}


/* once, until it is right again */

void
ngx_canary_fleet_report(ngx_canary_fleet_node_t *node, uint64_t key,
    ngx_str_t *name, const char *what, ngx_uint_t wrong)
{
    ngx_uint_t  i;

    for (i = 0; i < node->nwrong; i++) {
        if (node->wrong[i] == key) {
            break;
        }
    }

    if (i < node->nwrong) {
        if (!wrong) {
            node->wrong[i] = node->wrong[--node->nwrong];
        }

        return;
    }

    if (!wrong || node->nwrong == CANARY_FLEET_NODES) {
        return;
    }

    node->wrong[node->nwrong++] = key;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "canary: what \"%V\" of the fleet tells of its %s makes "
                  "no sense, and is not looked at", name, what);
}


void
ngx_canary_fleet_free_led(ngx_canary_fleet_node_t *node)
{
    ngx_uint_t  i;

    for (i = 0; i < node->n; i++) {
        ngx_canary_fleet_free_one(&node->endpoints[i]);
    }

    free(node->tests.data);
    ngx_str_null(&node->tests);
}


void
ngx_canary_fleet_free_one(ngx_canary_fleet_endpoint_t *endpoint)
{
    if (endpoint->led) {
        free(endpoint->led->lead);
        free(endpoint->led->times);
        free(endpoint->led->told);
        free(endpoint->led);
        endpoint->led = NULL;
    }
}
