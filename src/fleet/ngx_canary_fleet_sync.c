
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"

#include "canary_fleet.h"
#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_look.h"
#include "ngx_canary_record.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_configured.h"
#include "ngx_canary_member.h"
#include "ngx_canary_pending.h"

#include "ngx_canary_fleet.h"


/*
 * What has happened in the zone is told to core, and what core says is put
 * into the zone.  All exposing changes of a fleet are made by the helper when
 * the fleet has them, so one that it does not know has stopped something.
 */


#define NGX_CANARY_FLEET_OLD      600000   /* ms without a word of the fleet,
                                              after which nobody starts with
                                              what the file says */
#define NGX_CANARY_FLEET_CONTACT  60000    /* ms: the file knows the time of the
                                              last one as well as that */
#define NGX_CANARY_FLEET_LONELY   1000     /* ms until isolation is warned of */


static ngx_int_t ngx_canary_fleet_add(ngx_canary_fleet_node_t *node,
    ngx_canary_shared_t *shared, char *word);
static ngx_int_t ngx_canary_fleet_meet_other(ngx_canary_fleet_node_t *node,
    ngx_canary_other_t *other);
static ngx_int_t ngx_canary_fleet_grow(ngx_canary_fleet_node_t *node);
static void ngx_canary_fleet_look_at(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, uint64_t now);
static void ngx_canary_fleet_look_for_canary(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, uint64_t now);
static void ngx_canary_fleet_settle(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, uint64_t now);
static void ngx_canary_fleet_propose(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, uint64_t now);
static void ngx_canary_fleet_concluded(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, const canary_fleet_todo_t *todo, uint64_t now);
static void ngx_canary_fleet_number_event(ngx_canary_shared_t *shared,
    uint64_t version);
static void ngx_canary_fleet_waits(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now);
static void ngx_canary_fleet_keep(ngx_canary_fleet_node_t *node, uint64_t now);
static ngx_uint_t ngx_canary_fleet_serves_stable(
    ngx_canary_fleet_node_t *node);
static void ngx_canary_fleet_say(ngx_canary_fleet_node_t *node,
    ngx_uint_t before, uint64_t now);


/* the endpoints of this configuration */

ngx_int_t
ngx_canary_fleet_meet(ngx_canary_fleet_node_t *node)
{
    char                   *word;
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_canary_other_t     *other, *next;
    ngx_canary_shared_t    *shared;
    ngx_canary_endpoint_t **endpoints;

    endpoints = node->cmcf->endpoints.elts;
    rc = NGX_OK;

    ngx_canary_lock(node->cmcf->zone);

    for (i = 0; i < node->cmcf->endpoints.nelts && rc == NGX_OK; i++) {
        shared = endpoints[i]->shared;

        word = malloc(CANARY_FLEET_WORD(shared->len));

        if (word == NULL) {
            rc = NGX_ERROR;
            break;
        }

        (void) canary_fleet_escape((char *) shared->name, shared->len, word);

        rc = ngx_canary_fleet_add(node, shared, word);
    }

    other = node->cmcf->zone->fleet->others;

    for ( /* void */ ; other && rc == NGX_OK; other = next) {
        next = other->next;
        rc = ngx_canary_fleet_meet_other(node, other);
    }

    ngx_canary_unlock(node->cmcf->zone);

    return rc;
}


/* one that is configured only elsewhere, as the state file has it */

static ngx_int_t
ngx_canary_fleet_meet_other(ngx_canary_fleet_node_t *node,
    ngx_canary_other_t *other)
{
    char                   *word, *text;
    size_t                  line;
    ngx_str_t               name;
    ngx_uint_t              i;
    canary_fleet_record_t   record;

    name.data = other->text;
    name.len = other->word_len;
    text = (char *) other->text + other->word_len;

    line = canary_fleet_record_parse(text, other->len, &record);

    for (i = 0; i < node->n; i++) {
        if (ngx_strlen(node->endpoints[i].word) == name.len
            && ngx_memcmp(node->endpoints[i].word, name.data, name.len) == 0)
        {
            break;
        }
    }

    /* here it is now, and the fleet tells it */

    if (i < node->n || line == 0) {
        ngx_canary_forget_other(node->cmcf->zone, &name);
        return NGX_OK;
    }

    word = malloc(name.len + 1);
    if (word == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) word, name.data, name.len + 1);

    if (ngx_canary_fleet_add(node, NULL, word) != NGX_OK
        || ngx_canary_fleet_keep_text(&node->endpoints[i], text + line,
                                      other->len - line)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    canary_fleet_endpoint_init(&node->states[i], &record, 0);
    node->endpoints[i].kept = node->cmcf->zone->sequence;

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_add(ngx_canary_fleet_node_t *node,
    ngx_canary_shared_t *shared, char *word)
{
    canary_fleet_record_t         record;
    ngx_canary_fleet_endpoint_t  *endpoint;

    if (node->n == node->room && ngx_canary_fleet_grow(node) != NGX_OK) {
        free(word);
        return NGX_ERROR;
    }

    endpoint = &node->endpoints[node->n];

    ngx_memzero(endpoint, sizeof(ngx_canary_fleet_endpoint_t));
    ngx_memzero(&record, sizeof(canary_fleet_record_t));

    endpoint->shared = shared;
    endpoint->word = word;

    if (shared) {
        ngx_canary_fleet_record(shared, &ngx_canary_record(shared)->rollout,
                                &record);
    }

    canary_fleet_endpoint_init(&node->states[node->n], &record, 0);
    node->n++;

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_grow(ngx_canary_fleet_node_t *node)
{
    void        *states, *endpoints;
    ngx_uint_t   room;

    room = node->room ? 2 * node->room : 16;

    states = realloc(node->states, room * sizeof(canary_fleet_endpoint_t));
    if (states == NULL) {
        return NGX_ERROR;
    }

    node->states = states;

    endpoints = realloc(node->endpoints,
                        room * sizeof(ngx_canary_fleet_endpoint_t));
    if (endpoints == NULL) {
        return NGX_ERROR;
    }

    node->endpoints = endpoints;
    node->room = room;

    return NGX_OK;
}


ngx_int_t
ngx_canary_fleet_find(ngx_canary_fleet_node_t *node, const char *word,
    size_t len)
{
    char        *copy;
    ngx_uint_t   i;

    for (i = 0; i < node->n; i++) {
        if (ngx_strlen(node->endpoints[i].word) == len
            && ngx_memcmp(node->endpoints[i].word, word, len) == 0)
        {
            return i;
        }
    }

    if (len == 0 || len >= CANARY_FLEET_WORD(CANARY_STATE_ENDPOINT_NAME)) {
        return -1;
    }

    copy = malloc(len + 1);
    if (copy == NULL) {
        return -1;
    }

    ngx_memcpy(copy, word, len);
    copy[len] = '\0';

    if (ngx_canary_fleet_add(node, NULL, copy) != NGX_OK) {
        return -1;
    }

    canary_fleet_endpoints(&node->core, node->states, (unsigned) node->n);

    return node->n - 1;
}


void
ngx_canary_fleet_record(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout, canary_fleet_record_t *record)
{
    ngx_canary_release_shared_t  *canary;

    ngx_memzero(record, sizeof(canary_fleet_record_t));

    record->generation = rollout->generation;
    record->uid = rollout->uid;
    record->number = rollout->number;
    record->phase = rollout->phase;
    record->weight = rollout->weight;

    if (rollout->number && rollout->number == rollout->last_number) {
        record->result = rollout->last_result;
    }

    if (rollout->canary < CANARY_RELEASES) {
        canary = shared->releases[rollout->canary];
        ngx_memcpy(record->canary, canary->name,
                   ngx_min(canary->len, CANARY_NAME_SIZE - 1));
    }
}


void
ngx_canary_fleet_look(ngx_canary_fleet_node_t *node, uint64_t now)
{
    ngx_uint_t          i;
    ngx_canary_zone_t  *zone;

    zone = node->cmcf->zone;

    ngx_canary_lock(zone);

    for (i = 0; i < node->n; i++) {
        if (node->endpoints[i].shared) {
            ngx_canary_fleet_look_at(node, i, now);

        } else if (node->endpoints[i].kept
                   && node->endpoints[i].kept <= zone->durable)
        {
            node->endpoints[i].kept = 0;
            canary_fleet_filed(&node->core, (unsigned) i,
                               &node->states[i].ours);
        }
    }

    canary_fleet_set(&node->core, !zone->failing && !zone->foreign,
                     zone->active != NULL);

    ngx_canary_unlock(zone);
}


static void
ngx_canary_fleet_look_at(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now)
{
    ngx_canary_zone_t            *zone;
    ngx_canary_shared_t          *shared;
    canary_fleet_record_t         record;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    shared = endpoint->shared;
    zone = shared->zone;

    ngx_canary_mend(shared, now);

    if (endpoint->filing) {
        ngx_canary_fleet_settle(node, i, now);
    }

    ngx_canary_fleet_look_for_canary(node, i, now);

    ngx_canary_fleet_record(shared, &ngx_canary_record(shared)->rollout,
                            &record);

    if (!canary_fleet_record_same(&record, &node->states[i].ours)) {
        canary_fleet_stopped(&node->core, (unsigned) i, &record);
    }

    if (shared->sequence <= zone->durable
        && !canary_fleet_record_same(&record, &endpoint->filed))
    {
        canary_fleet_filed(&node->core, (unsigned) i, &record);
        endpoint->filed = record;
    }

    if (shared->pending.sequence && shared->pending.ready == 0) {
        ngx_canary_fleet_propose(node, i, now);
    }
}


/* the leader ends a rollout whose canary no live node has in its nginx.conf */

static void
ngx_canary_fleet_look_for_canary(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now)
{
    char                    name[CANARY_STATE_ENDPOINT_NAME];
    char                    line[CANARY_FLEET_LACK_SIZE];
    u_char                  reason[CANARY_REASON_SIZE];
    uint64_t                redis;
    const char             *word;
    canary_rollout_t       *rollout;
    ngx_canary_shared_t    *shared;
    canary_fleet_record_t  *record;

    record = &node->states[i].ours;
    word = node->endpoints[i].word;
    shared = node->endpoints[i].shared;
    rollout = &ngx_canary_record(shared)->rollout;
    redis = now + (uint64_t) node->core.kept.clock.server;

    if (node->core.state != CANARY_FLEET_LEADER || node->core.nodes == NULL
        || redis < node->core.since + CANARY_FLEET_YOUNG
        || rollout->phase == CANARY_IDLE || record->canary[0] == '\0'
        || canary_fleet_unescape(word, ngx_strlen(word), name, sizeof(name))
           == 0)
    {
        return;
    }

    (void) canary_fleet_lack_print(CANARY_FLEET_LACKS_RELEASE, name,
                                   record->canary, line);

    if (!canary_fleet_nobody_has(node->core.nodes, node->core.nnodes, redis,
                                 node->core.conf.timeout, line))
    {
        return;
    }

    (void) ngx_snprintf(reason, sizeof(reason),
                        "no node of the fleet has release %s%Z",
                        record->canary);

    ngx_canary_release_gone(node->cmcf, shared, rollout->stable,
                            (char *) reason, ngx_cycle->log);
}


/* what was to be in the file is, or will not be */

static void
ngx_canary_fleet_settle(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now)
{
    ngx_canary_fate_e             fate;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    fate = ngx_canary_fate(endpoint->shared, endpoint->filing);

    switch (fate) {

    case NGX_CANARY_IS_PENDING:
        return;

    case NGX_CANARY_APPLIED:
        canary_fleet_effective(&node->core, (unsigned) i, &endpoint->coming);
        break;

    default:
        canary_fleet_not_filed(&node->core, (unsigned) i, now);
        break;
    }

    endpoint->filing = 0;
}


static void
ngx_canary_fleet_propose(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now)
{
    canary_fleet_mode_t           mode;
    ngx_canary_after_t           *after;
    ngx_canary_shared_t          *shared;
    canary_fleet_record_t         record;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    shared = endpoint->shared;

    if (shared->pending.asked) {

        /* by a helper that is gone, so nobody knows what came of it */

        if (endpoint->asked != shared->pending.sequence) {
            ngx_canary_conclude(shared, NGX_CANARY_UNKNOWN, now,
                                ngx_cycle->log);
        }

        return;
    }

    if (!canary_fleet_reached(&node->core)) {
        ngx_canary_conclude(shared, NGX_CANARY_UNREACHED, now, ngx_cycle->log);
        return;
    }

    after = &shared->history->pending;
    mode = (after->event.verb == CANARY_TICK) ? CANARY_FLEET_STEP
                                              : CANARY_FLEET_EXPOSE;

    ngx_canary_fleet_record(shared, &after->record.rollout, &record);

    if (canary_fleet_propose(&node->core, (unsigned) i, &record, mode, now)) {
        shared->pending.asked = 1;
        endpoint->asked = shared->pending.sequence;

    } else if (mode == CANARY_FLEET_STEP) {
        ngx_canary_conclude(shared, NGX_CANARY_WAITS, now, ngx_cycle->log);
    }
}


void
ngx_canary_fleet_conclude(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo, uint64_t now)
{
    ngx_uint_t                    i;
    canary_fleet_offer_t          offer;
    ngx_canary_zone_t            *zone;
    ngx_canary_fleet_endpoint_t  *endpoint;

    i = todo->endpoint;
    endpoint = &node->endpoints[i];
    zone = node->cmcf->zone;

    if (endpoint->applies) {
        endpoint->applies = 0;

        if (todo->result == CANARY_FLEET_DONE) {
            ngx_memzero(&offer, sizeof(canary_fleet_offer_t));
            offer.endpoint = (unsigned) i;
            offer.record = todo->record;
            offer.what = CANARY_FLEET_ADOPT;

            ngx_canary_fleet_take(node, &offer, endpoint->text, endpoint->len,
                                  now);
        }

        return;
    }

    ngx_canary_lock(zone);

    ngx_canary_fleet_concluded(node, i, todo, now);

    endpoint->asked = 0;

    ngx_canary_unlock(zone);
}


static void
ngx_canary_fleet_concluded(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const canary_fleet_todo_t *todo, uint64_t now)
{
    ngx_canary_fate_e             fate;
    ngx_canary_shared_t          *shared;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    shared = endpoint->shared;

    if (shared == NULL || shared->pending.sequence == 0
        || shared->pending.sequence != endpoint->asked)
    {
        /* it was given up here meanwhile: it comes as a change of others */

        if (todo->result == CANARY_FLEET_DONE) {
            canary_fleet_not_filed(&node->core, (unsigned) i, now);
        }

        return;
    }

    switch (todo->result) {

    case CANARY_FLEET_DONE:
        ngx_canary_fleet_number_event(shared, node->states[i].version);
        ngx_canary_agree(shared);
        endpoint->filing = endpoint->asked;
        endpoint->coming = todo->record;
        return;

    case CANARY_FLEET_CONFLICT:
        fate = NGX_CANARY_OUTRUN;
        break;

    case CANARY_FLEET_WAIT:
        (void) ngx_cpystrn(shared->zone->fleet->reason,
                           (u_char *) todo->reason, CANARY_REASON_SIZE);

        if (todo->mode == CANARY_FLEET_STEP) {
            endpoint->waited = now;
            (void) ngx_cpystrn(endpoint->waits, (u_char *) todo->reason,
                               CANARY_REASON_SIZE);
        }

        fate = NGX_CANARY_WAITS;
        break;

    case CANARY_FLEET_UNREACHED:
        fate = NGX_CANARY_UNREACHED;
        break;

    case CANARY_FLEET_UNKNOWN:
        fate = NGX_CANARY_UNKNOWN;
        break;

    default: /* CANARY_FLEET_OVERTAKEN */
        fate = NGX_CANARY_CANCELLED;
        break;
    }

    ngx_canary_conclude(shared, fate, now, ngx_cycle->log);
}


/* that of the fleet's change, unless events of this node have it already */

static void
ngx_canary_fleet_number_event(ngx_canary_shared_t *shared, uint64_t version)
{
    canary_event_t     *event;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;
    event = &shared->history->pending.event;

    if (version > zone->last_event) {
        zone->last_event = version - 1;
    }

    event->id = ngx_canary_next_event_id(zone);
}


/* a rollout of no fleet, or of another one, in a fleet that has its own */

void
ngx_canary_fleet_end(ngx_canary_fleet_node_t *node, ngx_uint_t i, uint64_t now)
{
    canary_rollout_t      *rollout;
    ngx_canary_shared_t   *shared;
    canary_fleet_record_t  record;

    shared = node->endpoints[i].shared;

    if (shared == NULL) {
        return;
    }

    ngx_canary_lock(node->cmcf->zone);

    rollout = &ngx_canary_record(shared)->rollout;

    if (rollout->phase != CANARY_IDLE) {
        ngx_canary_release_gone(node->cmcf, shared, rollout->stable,
                                "its rollout is not one of the fleet",
                                ngx_cycle->log);
    }

    ngx_canary_fleet_record(shared, &ngx_canary_record(shared)->rollout,
                            &record);

    canary_fleet_stopped(&node->core, (unsigned) i, &record);

    ngx_canary_unlock(node->cmcf->zone);
}


/* what core has become, for all processes and for the file */

void
ngx_canary_fleet_show(ngx_canary_fleet_node_t *node, uint64_t now)
{
    ngx_uint_t            i, before;
    ngx_canary_zone_t    *zone;
    ngx_canary_fleet_t   *fleet;
    canary_fleet_told_t   told;
    ngx_canary_shared_t  *shared;

    zone = node->cmcf->zone;
    fleet = zone->fleet;
    before = fleet->state;

    ngx_canary_lock(zone);

    ngx_canary_fleet_keep(node, now);

    canary_fleet_raises(&node->core, &fleet->raises_from,
                        &fleet->raises_until);

    for (i = 0; i < node->n; i++) {
        shared = node->endpoints[i].shared;

        if (shared == NULL) {
            continue;
        }

        told = canary_fleet_told(&node->core, (unsigned) i);

        if (shared->unmet && told != CANARY_FLEET_NOT_TOLD) {
            shared->unmet = 0;
            ngx_canary_repair(shared);
        }

        if (told == CANARY_FLEET_DURABLE) {
            __atomic_store_n(&shared->agreed, shared->sequence,
                             __ATOMIC_RELEASE);
        }

        ngx_canary_fleet_waits(node, i, now);
    }

    fleet->met |= canary_fleet_reached(&node->core);

    ngx_canary_fleet_set_state(zone, node->core.state,
                               ngx_canary_fleet_serves_stable(node));

    ngx_canary_fleet_show_view(node, now);

    ngx_canary_unlock(zone);

    ngx_canary_fleet_say(node, before, now);
}


void
ngx_canary_fleet_set_state(ngx_canary_zone_t *zone, ngx_uint_t state,
    ngx_uint_t stable)
{
    ngx_uint_t            changes;
    ngx_canary_shared_t  *shared;

    changes = (zone->fleet->stable != stable);

    zone->fleet->state = state;
    zone->fleet->stable = stable;

    if (!changes) {
        return;
    }

    for (shared = zone->endpoints; shared; shared = shared->next) {
        ngx_canary_repair(shared);
    }
}


static void
ngx_canary_fleet_waits(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    uint64_t now)
{
    char                   name[CANARY_STATE_ENDPOINT_NAME];
    size_t                 len;
    const char            *word;
    ngx_canary_shared_t   *shared;
    canary_fleet_record_t *record;

    shared = node->endpoints[i].shared;
    record = &node->states[i].ours;
    word = node->endpoints[i].word;

    if (shared->history == NULL) {
        return;
    }

    if (record->phase == CANARY_IDLE) {
        shared->history->waits[0] = '\0';
        return;
    }

    (void) canary_fleet_unescape(word, ngx_strlen(word), name, sizeof(name));

    len = canary_fleet_waits(&node->core, (unsigned) i, name, now,
                             (char *) shared->history->waits,
                             CANARY_REASON_SIZE);

    if (len == 0) {
        shared->history->waits[0] = '\0';
    }
}


static void
ngx_canary_fleet_keep(ngx_canary_fleet_node_t *node, uint64_t now)
{
    ngx_time_t          *time;
    ngx_uint_t           changes;
    ngx_canary_zone_t   *zone;
    ngx_canary_fleet_t  *fleet;

    zone = node->cmcf->zone;
    fleet = zone->fleet;

    changes = (node->changed != node->core.changed);

    if (changes) {
        fleet->kept = node->core.kept;
        node->changed = node->core.changed;
        (void) ngx_canary_next_sequence(zone);
    }

    if (fleet->number == 0 || changes) {
        ngx_canary_set_number(fleet);
    }

    fleet->kept.version = canary_fleet_filed_version(&node->core);
    fleet->kept.clock = node->core.kept.clock;

    if (!canary_fleet_reached(&node->core)) {
        return;
    }

    time = ngx_timeofday();
    fleet->contact = (uint64_t) time->sec * 1000 + time->msec
                     - (now - node->core.last);

    if (fleet->contact - node->contact > NGX_CANARY_FLEET_CONTACT) {
        node->contact = fleet->contact;
        (void) ngx_canary_next_sequence(zone);
    }
}


/*
 * Until the fleet has said what an endpoint is; and if it does not, what the
 * file says will do, unless that is old.
 */

static ngx_uint_t
ngx_canary_fleet_serves_stable(ngx_canary_fleet_node_t *node)
{
    uint64_t             wall;
    ngx_time_t          *time;
    ngx_canary_fleet_t  *fleet;

    fleet = node->cmcf->zone->fleet;

    switch (node->core.state) {

    case CANARY_FLEET_JOINING:
    case CANARY_FLEET_KEPT_OUT:
        return 1;

    case CANARY_FLEET_ISOLATED:

        if (fleet->met || !fleet->stable) {
            return 0;
        }

        time = ngx_timeofday();
        wall = (uint64_t) time->sec * 1000 + time->msec;

        return wall > fleet->contact + NGX_CANARY_FLEET_OLD;

    default:
        return 0;
    }
}


static void
ngx_canary_fleet_say(ngx_canary_fleet_node_t *node, ngx_uint_t before,
    uint64_t now)
{
    ngx_uint_t   state;
    ngx_str_t   *name;
    const ngx_canary_redis_status_t  *redis;

    state = node->core.state;
    name = &node->conf->name;
    redis = ngx_canary_redis_status(node->redis);

    if (state == CANARY_FLEET_ISOLATED && node->lonely
        && now - node->lonely >= NGX_CANARY_FLEET_LONELY)
    {
        node->lonely = 0;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "canary: fleet \"%V\" cannot be reached: %V: until it "
                      "can, this node takes no steps and accepts no changes "
                      "but those that stop a rollout", name, &redis->error);
    }

    if (state == before) {
        return;
    }

    node->lonely = (state == CANARY_FLEET_ISOLATED) ? now : 0;

    switch (state) {

    case CANARY_FLEET_FOLLOWER:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      (before == CANARY_FLEET_LEADER)
                      ? "canary: fleet \"%V\": \"%V\" does not lead any more"
                      : "canary: fleet \"%V\": \"%V\" joined",
                      name, &node->conf->node);
        break;

    case CANARY_FLEET_LEADER:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "canary: fleet \"%V\": \"%V\" leads", name,
                      &node->conf->node);
        break;

    case CANARY_FLEET_ISOLATED:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "canary: fleet \"%V\": \"%V\" is isolated", name,
                      &node->conf->node);
        break;

    default: /* CANARY_FLEET_KEPT_OUT: said with the other's address */
        break;
    }
}
