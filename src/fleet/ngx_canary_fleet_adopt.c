
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"

#include "canary_fleet.h"
#include "canary_rollout.h"
#include "canary_state_json.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_look.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_effect.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_adopt.h"
#include "ngx_canary_collect.h"


/*
 * Records, as nodes tell them: the first line of canary_fleet_record.h, and a
 * state file of one endpoint, with its last events.  Times of the rollout are
 * those of the fleet's clock there.
 */


typedef struct {
    ngx_canary_fleet_node_t      *node;
    ngx_uint_t                    i;
    const canary_fleet_record_t  *head;
    canary_state_endpoint_t      *from;
    ngx_canary_record_t           next;
    uint64_t                      version;   /* of the change; 0: not known */
    uint64_t                      now;
} ngx_canary_fleet_taking_t;


static ngx_int_t ngx_canary_fleet_collect(ngx_canary_fleet_node_t *node,
    ngx_canary_shared_t *shared, ngx_uint_t pending, canary_state_t *state);
static void ngx_canary_fleet_events(ngx_canary_shared_t *shared,
    ngx_uint_t pending, canary_state_t *state);
static canary_state_t *ngx_canary_fleet_parse(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, const char *text, size_t len);
static void ngx_canary_fleet_behead(canary_rollout_t *rollout,
    const canary_fleet_record_t *head);
static void ngx_canary_fleet_take_other(ngx_canary_fleet_node_t *node,
    const canary_fleet_offer_t *offer, const char *text, size_t len);
static void ngx_canary_fleet_file_other(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, const canary_fleet_record_t *head);
static void ngx_canary_fleet_apply(ngx_canary_fleet_node_t *node,
    const canary_fleet_offer_t *offer, const char *text, size_t len,
    uint64_t now);
static void ngx_canary_fleet_adopt(ngx_canary_fleet_taking_t *taking,
    ngx_uint_t raises);
static ngx_int_t ngx_canary_fleet_make(ngx_canary_fleet_taking_t *taking);
static canary_event_t *ngx_canary_fleet_take_events(
    ngx_canary_fleet_taking_t *taking);
static void ngx_canary_fleet_give_up_pending(
    ngx_canary_fleet_taking_t *taking);
static void ngx_canary_fleet_end_other(ngx_canary_fleet_taking_t *taking);


char *
ngx_canary_fleet_write(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const canary_fleet_record_t *head, ngx_uint_t pending, size_t *len)
{
    char                         *text, *body;
    size_t                        line, size;
    canary_state_t               *state;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];

    if (endpoint->shared && !endpoint->applies) {
        state = canary_state_create(1);

        if (state && ngx_canary_fleet_collect(node, endpoint->shared, pending,
                                              state)
                     != NGX_OK)
        {
            canary_state_destroy(state);
            state = NULL;
        }

    } else {
        state = ngx_canary_fleet_parse(node, i, endpoint->text, endpoint->len);
    }

    if (state == NULL) {
        return NULL;
    }

    ngx_canary_fleet_behead(&state->endpoints[0].rollout, head);

    body = canary_state_json_write(state, &size);

    canary_state_destroy(state);

    text = body ? malloc(CANARY_FLEET_LINE_SIZE + size) : NULL;

    if (text) {
        line = canary_fleet_record_print(head, text);
        ngx_memcpy(text + line, body, size);
        *len = line + size;
    }

    free(body);

    return text;
}


static ngx_int_t
ngx_canary_fleet_collect(ngx_canary_fleet_node_t *node,
    ngx_canary_shared_t *shared, ngx_uint_t pending, canary_state_t *state)
{
    ngx_int_t                 rc;
    canary_rollout_t         *rollout;
    ngx_canary_zone_t        *zone;
    canary_state_endpoint_t  *to;

    zone = shared->zone;
    to = &state->endpoints[0];
    rc = NGX_ERROR;

    ngx_canary_lock(zone);

    pending = pending && shared->pending.sequence;

    if (canary_state_set_name(to, (char *) shared->name, shared->len)
        && canary_state_reserve(to, 0, NGX_CANARY_FLEET_EVENTS + 1))
    {
        state->writer = zone->writer;

        ngx_canary_collect_record(shared, pending
                                          ? &shared->history->pending.record
                                          : ngx_canary_record(shared), to);

        ngx_canary_fleet_events(shared, pending, state);
        rc = NGX_OK;
    }

    ngx_canary_unlock(zone);

    rollout = &to->rollout;

    rollout->since = (rollout->phase == CANARY_IDLE) ? 0
                     : canary_fleet_time(&node->core.kept.clock,
                                         rollout->since);

    /* whoever reads it takes it for one of a fleet */

    if (rollout->uid == 0) {
        rollout->tests = 0;
        rollout->trial = 0;
    }

    return rc;
}


static void
ngx_canary_fleet_events(ngx_canary_shared_t *shared, ngx_uint_t pending,
    canary_state_t *state)
{
    uint64_t                  n, k;
    canary_event_t           *event;
    canary_state_endpoint_t  *to;

    if (shared->history == NULL) {
        return;
    }

    to = &state->endpoints[0];
    n = ngx_canary_record(shared)->events;

    for (k = (n > NGX_CANARY_FLEET_EVENTS) ? n - NGX_CANARY_FLEET_EVENTS : 0;
         k < n;
         k++)
    {
        event = ngx_canary_event_at(shared, k);

        if (event->id > state->last_event) {
            to->events[to->nevents++] = *event;
            state->last_event = event->id;
        }
    }

    /* who adopts it gives it a number */

    if (pending) {
        event = &to->events[to->nevents++];

        *event = shared->history->pending.event;
        event->id = ++state->last_event;
    }
}


/* NULL: it is none that this version can read, which is logged */

static canary_state_t *
ngx_canary_fleet_parse(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const char *text, size_t len)
{
    char             why[CANARY_STATE_ERROR], word[3 * 4096 + 1], *copy;
    canary_state_t  *state;

    ngx_memcpy(why, "too large", sizeof("too large"));

    state = NULL;
    copy = (text && len < NGX_CANARY_FLEET_RECORD) ? malloc(len + 1) : NULL;

    if (copy) {
        ngx_memcpy(copy, text, len);
        copy[len] = '\0';

        state = canary_state_json_read(copy, len, why);
        free(copy);
    }

    if (state && state->nendpoints == 1) {
        (void) canary_fleet_escape(state->endpoints[0].name,
                                   ngx_strlen(state->endpoints[0].name), word);

        if (ngx_strcmp(word, node->endpoints[i].word) == 0) {
            node->endpoints[i].newer = 0;
            return state;
        }
    }

    if (state) {
        canary_state_destroy(state);
        ngx_memcpy(why, "of another endpoint", sizeof("of another endpoint"));
    }

    if (text) {
        node->endpoints[i].newer = (ngx_uint_t) canary_state_json_newer(text,
                                                                        len);
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "canary: the record of \"%s\" in the fleet cannot be read: "
                  "%s", node->endpoints[i].word, why);

    return NULL;
}


static void
ngx_canary_fleet_behead(canary_rollout_t *rollout,
    const canary_fleet_record_t *head)
{
    rollout->generation = head->generation;
    rollout->uid = head->uid;

    if (rollout->phase == CANARY_IDLE || head->phase == CANARY_IDLE
        || (rollout->phase == head->phase && rollout->weight == head->weight))
    {
        return;
    }

    rollout->phase = head->phase;
    rollout->weight = head->weight;
    rollout->step = canary_strategy_step_at(&rollout->strategy, head->weight);
}


ngx_int_t
ngx_canary_fleet_keep_text(ngx_canary_fleet_endpoint_t *endpoint,
    const char *text, size_t len)
{
    char  *copy;

    copy = malloc(len + 1);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, text, len);
    copy[len] = '\0';

    free(endpoint->text);

    endpoint->text = copy;
    endpoint->len = len;

    return NGX_OK;
}


void
ngx_canary_fleet_take(ngx_canary_fleet_node_t *node,
    const canary_fleet_offer_t *offer, const char *text, size_t len,
    uint64_t now)
{
    canary_state_t               *state;
    ngx_canary_zone_t            *zone;
    ngx_canary_fleet_taking_t     taking;
    ngx_canary_fleet_endpoint_t  *endpoint;

    zone = node->cmcf->zone;
    endpoint = &node->endpoints[offer->endpoint];

    switch (offer->what) {

    case CANARY_FLEET_ADOPT:
    case CANARY_FLEET_RAISE:
        break;

    case CANARY_FLEET_APPLY:
        ngx_canary_fleet_apply(node, offer, text, len, now);
        return;

    case CANARY_FLEET_RENAME:
        ngx_canary_fleet_rename(node, offer->endpoint, &offer->record);
        return;

    default:
        return;
    }

    if (endpoint->shared == NULL) {
        ngx_canary_fleet_take_other(node, offer, text, len);
        return;
    }

    /* it is on its way already */

    if (endpoint->filing
        && canary_fleet_record_same(&endpoint->coming, &offer->record))
    {
        return;
    }

    state = ngx_canary_fleet_parse(node, offer->endpoint, text, len);
    if (state == NULL) {
        canary_fleet_not_filed(&node->core, offer->endpoint, now);
        return;
    }

    taking.node = node;
    taking.i = offer->endpoint;
    taking.head = &offer->record;
    taking.from = &state->endpoints[0];
    taking.version = offer->version;
    taking.now = now;

    ngx_canary_lock(zone);

    if (!zone->superseded && zone->serial == node->cmcf->serial) {
        ngx_canary_fleet_adopt(&taking, offer->what == CANARY_FLEET_RAISE);
    }

    ngx_canary_unlock(zone);

    canary_state_destroy(state);
}


/* one that is configured elsewhere is only kept */

static void
ngx_canary_fleet_take_other(ngx_canary_fleet_node_t *node,
    const canary_fleet_offer_t *offer, const char *text, size_t len)
{
    if (ngx_canary_fleet_keep_text(&node->endpoints[offer->endpoint], text,
                                   len)
        == NGX_OK)
    {
        canary_fleet_effective(&node->core, offer->endpoint, &offer->record);
        ngx_canary_fleet_file_other(node, offer->endpoint, &offer->record);
    }
}


/*
 * For the state file, which has to be read again: so what this version cannot
 * read is only kept in memory.
 */

static void
ngx_canary_fleet_file_other(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const canary_fleet_record_t *head)
{
    ngx_int_t                     rc;
    ngx_str_t                     word, record;
    canary_state_t               *state;
    ngx_canary_zone_t            *zone;
    ngx_canary_fleet_endpoint_t  *endpoint;

    zone = node->cmcf->zone;
    endpoint = &node->endpoints[i];
    rc = NGX_ERROR;

    state = ngx_canary_fleet_parse(node, i, endpoint->text, endpoint->len);
    record.data = state ? malloc(CANARY_FLEET_LINE_SIZE + endpoint->len)
                        : NULL;
    canary_state_destroy(state);

    if (record.data) {
        word.data = (u_char *) endpoint->word;
        word.len = ngx_strlen(endpoint->word);

        record.len = canary_fleet_record_print(head, (char *) record.data);
        ngx_memcpy(record.data + record.len, endpoint->text, endpoint->len);
        record.len += endpoint->len;

        ngx_canary_lock(zone);

        rc = ngx_canary_keep_other(zone, &word, &record);
        endpoint->kept = ngx_canary_next_sequence(zone);

        ngx_canary_unlock(zone);

        free(record.data);
    }

    if (rc != NGX_OK) {
        endpoint->kept = 0;
        canary_fleet_filed(&node->core, (unsigned) i, head);
    }
}


/* a stop of this node, done to the record that the fleet has */

static void
ngx_canary_fleet_apply(ngx_canary_fleet_node_t *node,
    const canary_fleet_offer_t *offer, const char *text, size_t len,
    uint64_t now)
{
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[offer->endpoint];

    if (ngx_canary_fleet_keep_text(endpoint, text, len) == NGX_OK
        && canary_fleet_propose(&node->core, offer->endpoint, &offer->record,
                                CANARY_FLEET_ANY, now))
    {
        endpoint->applies = 1;
    }
}


/* under the lock */

static void
ngx_canary_fleet_adopt(ngx_canary_fleet_taking_t *taking, ngx_uint_t raises)
{
    unsigned                      i;
    ngx_log_t                    *log;
    canary_event_t               *event;
    ngx_canary_shared_t          *shared;
    ngx_canary_fleet_node_t      *node;
    ngx_canary_fleet_endpoint_t  *endpoint;

    log = ngx_cycle->log;
    node = taking->node;
    i = (unsigned) taking->i;
    endpoint = &node->endpoints[i];
    shared = endpoint->shared;

    ngx_canary_fleet_give_up_pending(taking);
    ngx_canary_fleet_end_other(taking);

    if (ngx_canary_fleet_make(taking) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%s\" cannot follow the fleet: the "
                      "canary_zone is too small for its rollout",
                      taking->from->name);
        canary_fleet_not_filed(&node->core, i, taking->now);
        return;
    }

    event = ngx_canary_fleet_take_events(taking);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%s\" adopted generation %uL of the fleet: %s, "
                  "weight %uD of a million", taking->from->name,
                  taking->head->generation,
                  canary_phase_name(taking->next.rollout.phase),
                  taking->next.rollout.weight);

    if (raises) {
        ngx_canary_defer(shared, &taking->next, event, taking->now);
        ngx_canary_agree(shared);

        endpoint->filing = shared->pending.sequence;
        endpoint->coming = *taking->head;
        return;
    }

    shared->sequence = ngx_canary_next_sequence(shared->zone);
    shared->changed = shared->zone->changed;

    ngx_canary_take_effect(shared, &taking->next, event, taking->now, log);

    canary_fleet_effective(&node->core, i, taking->head);
}


/* what was asked for here has lost the race, or will be told that it has */

static void
ngx_canary_fleet_give_up_pending(ngx_canary_fleet_taking_t *taking)
{
    ngx_canary_shared_t          *shared;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &taking->node->endpoints[taking->i];
    shared = endpoint->shared;

    endpoint->filing = 0;

    if (shared->pending.sequence) {
        ngx_canary_conclude(shared, NGX_CANARY_OUTRUN, taking->now,
                            ngx_cycle->log);
    }
}


/* the end of the rollout that there is was missed */

static void
ngx_canary_fleet_end_other(ngx_canary_fleet_taking_t *taking)
{
    canary_event_t        none;
    canary_rollout_t     *rollout;
    ngx_canary_record_t   idle;
    ngx_canary_shared_t  *shared;

    shared = taking->node->endpoints[taking->i].shared;
    rollout = &ngx_canary_record(shared)->rollout;

    if (rollout->phase == CANARY_IDLE
        || taking->from->rollout.phase == CANARY_IDLE
        || rollout->number == taking->from->rollout.number)
    {
        return;
    }

    idle = *ngx_canary_record(shared);

    idle.rollout.phase = CANARY_IDLE;
    idle.rollout.canary = CANARY_NO_RELEASE;
    idle.rollout.weight = 0;
    idle.rollout.step = 0;
    idle.rollout.tests++;
    idle.rollout.trial++;

    ngx_memzero(&none, sizeof(canary_event_t));

    ngx_canary_take_effect(shared, &idle, &none, taking->now, ngx_cycle->log);
}


static ngx_int_t
ngx_canary_fleet_make(ngx_canary_fleet_taking_t *taking)
{
    uint64_t                  since;
    canary_rollout_t         *rollout;
    ngx_canary_shared_t      *shared;
    canary_state_endpoint_t  *from;
    ngx_canary_main_conf_t   *cmcf;

    from = taking->from;
    cmcf = taking->node->cmcf;
    shared = taking->node->endpoints[taking->i].shared;
    rollout = &taking->next.rollout;

    ngx_canary_fleet_behead(&from->rollout, taking->head);

    if (ngx_canary_adopt_record(cmcf, shared, &taking->next, from,
                                taking->now)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rollout->last_number
        && rollout->last_number
           != ngx_canary_record(shared)->rollout.last_number)
    {
        taking->next.results[rollout->last_result - CANARY_PROMOTED]++;
    }

    if (from->rollout.tests) {
        rollout->elapsed = from->rollout.elapsed;
    }

    /* the fleet's time, on the clock of this machine */

    since = from->rollout.since;

    if (since && taking->node->core.kept.clock.known) {
        since -= (uint64_t) taking->node->core.kept.clock.offset;
        rollout->since = ngx_min(since, taking->now);
    }

    if (rollout->phase != CANARY_IDLE
        && ngx_canary_provide(shared, rollout) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_canary_provide_history(shared);
}


/*
 * Events that this node does not have yet, by their generations, with numbers
 * of the fleet; the last is that of the change itself.
 */

static canary_event_t *
ngx_canary_fleet_take_events(ngx_canary_fleet_taking_t *taking)
{
    uint64_t              generation;
    unsigned              k;
    canary_event_t       *event, *last;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    static canary_event_t  none;

    shared = taking->node->endpoints[taking->i].shared;
    zone = shared->zone;
    generation = ngx_canary_record(shared)->rollout.generation;
    last = &none;

    ngx_memzero(&none, sizeof(canary_event_t));

    if (taking->version > zone->last_event + 1) {
        zone->last_event = taking->version - 1;
    }

    for (k = 0; k < taking->from->nevents; k++) {
        event = &taking->from->events[k];

        if (event->generation <= generation
            && event->generation != taking->head->generation)
        {
            continue;
        }

        if (last->id) {
            *ngx_canary_event_at(shared, taking->next.events) = *last;
            taking->next.events++;
        }

        event->id = ngx_canary_next_event_id(zone);
        last = event;
    }

    return last;
}


void
ngx_canary_fleet_rename(ngx_canary_fleet_node_t *node, ngx_uint_t i,
    const canary_fleet_record_t *head)
{
    canary_event_t                none;
    ngx_canary_record_t           next;
    ngx_canary_shared_t          *shared;
    ngx_canary_fleet_endpoint_t  *endpoint;

    endpoint = &node->endpoints[i];
    shared = endpoint->shared;

    if (shared == NULL) {
        canary_fleet_effective(&node->core, (unsigned) i, head);
        ngx_canary_fleet_file_other(node, i, head);
        return;
    }

    ngx_memzero(&none, sizeof(canary_event_t));

    ngx_canary_lock(shared->zone);

    next = *ngx_canary_record(shared);

    ngx_canary_fleet_behead(&next.rollout, head);

    shared->sequence = ngx_canary_next_sequence(shared->zone);
    shared->changed = shared->zone->changed;

    ngx_canary_take_effect(shared, &next, &none, ngx_canary_milliseconds(),
                           ngx_cycle->log);

    canary_fleet_effective(&node->core, (unsigned) i, head);

    ngx_canary_unlock(shared->zone);
}
