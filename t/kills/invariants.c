
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "common.h"
#include "invariants.h"

#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_evidence_places.h"
#include "canary_judge_layout.h"
#include "canary_kept.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_events.h"
#include "canary_state_file.h"
#include "canary_state_json.h"

#include "ngx_canary_memory.h"
#include "ngx_canary_shared.h"


/* What is true at any time at which everybody has looked. */


#define KILLS_REGIONS  8192
#define KILLS_LONG     100000    /* a list that is longer has no end */


/* Memory that something in the zone leads to. */

typedef struct {
    uintptr_t     from;
    uintptr_t     to;
    const char   *what;
} kills_region_t;


static void kills_add(const void *from, size_t size, const char *what);
static void kills_add_endpoint(ngx_canary_shared_t *shared);
static void kills_add_evidence(canary_evidence_t *evidence);
static void kills_add_free(ngx_slab_pool_t *shpool);
static int kills_compare(const void *one, const void *two);
static ngx_uint_t kills_is_listed(ngx_canary_zone_t *zone,
    ngx_canary_shared_t *shared);
static canary_state_t *kills_read_file(void);
static void kills_check_endpoint_events(ngx_canary_shared_t *shared,
    const canary_events_t *events, const char *name);
static void kills_check_endpoint_file(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *file);
static void kills_check_ring(ngx_canary_shared_t *shared);


static kills_region_t  kills_regions[KILLS_REGIONS];
static ngx_uint_t      kills_nregions;
static uint64_t        kills_ids[KILLS_REGIONS];
static ngx_uint_t      kills_nids;


void
kills_check_words(void)
{
    canary_route_t        route;
    canary_rollout_t     *rollout;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = kills_conf()->zone;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        rollout = &ngx_canary_record(shared)->rollout;
        route = canary_rollout_route(rollout);

        if (rollout->generation
            && shared->route != canary_route_encode(&route))
        {
            kills_fail("\"%.*s\" is %s, but requests are not routed by that",
                       (int) shared->len, shared->name,
                       canary_phase_name(rollout->phase));
        }
    }
}


void
kills_check_memory(void)
{
    ngx_uint_t            i, n;
    canary_rollout_t     *rollout;
    canary_evidence_t    *evidence;
    ngx_canary_zone_t    *zone;
    ngx_canary_meter_t   *meter;
    ngx_canary_shared_t  *shared;

    zone = kills_conf()->zone;
    kills_nregions = 0;

    kills_add(zone, sizeof(ngx_canary_zone_t), "the zone");

    for (shared = zone->endpoints, n = 0; shared; shared = shared->next, n++) {
        kills_add_endpoint(shared);

        rollout = &ngx_canary_record(shared)->rollout;

        if ((rollout->phase != CANARY_IDLE) != (shared->evidence != NULL)) {
            kills_fail("\"%.*s\" is %s, with%s evidence",
                       (int) shared->len, shared->name,
                       canary_phase_name(rollout->phase),
                       shared->evidence ? "" : "out");
        }

        if (shared->basing
            || (shared->evidence && canary_judge(shared->evidence)->busy))
        {
            kills_fail("\"%.*s\" has a mark of one that died",
                       (int) shared->len, shared->name);
        }

        if (rollout->phase != CANARY_IDLE && !kills_is_listed(zone, shared)) {
            kills_fail("\"%.*s\" has a rollout, and is in no list",
                       (int) shared->len, shared->name);
        }
    }

    for (evidence = zone->spare, n = 0; evidence; evidence = evidence->next) {
        kills_add_evidence(evidence);

        if (++n > KILLS_LONG) {
            kills_fail("the list of spare evidence has no end");
        }
    }

    for (meter = zone->spare_meters, n = 0; meter; meter = meter->next) {
        kills_add(meter, sizeof(ngx_canary_meter_t), "a spare meter");

        if (++n > KILLS_LONG) {
            kills_fail("the list of spare meters has no end");
        }
    }

    kills_add_free(kills_conf()->zone->pool);

    ngx_qsort(kills_regions, kills_nregions, sizeof(kills_region_t),
              kills_compare);

    for (i = 1; i < kills_nregions; i++) {
        if (kills_regions[i].from < kills_regions[i - 1].to) {
            kills_fail("memory is used twice: %s, and %s",
                       kills_regions[i - 1].what, kills_regions[i].what);
        }
    }
}


static ngx_uint_t
kills_is_listed(ngx_canary_zone_t *zone,
    ngx_canary_shared_t *shared)
{
    ngx_uint_t            n;
    ngx_canary_shared_t  *listed;

    for (listed = zone->active, n = 0; listed; listed = listed->next_active) {
        if (listed == shared) {
            return 1;
        }

        if (++n > KILLS_LONG) {
            kills_fail("the list of rollouts has no end");
        }
    }

    return 0;
}


static void
kills_add(const void *from, size_t size, const char *what)
{
    kills_region_t  *region;

    if (from == NULL) {
        return;
    }

    if (kills_nregions == KILLS_REGIONS) {
        kills_fail("lists have no end, that of %s is one", what);
    }

    region = &kills_regions[kills_nregions++];

    region->from = (uintptr_t) from;
    region->to = (uintptr_t) from + size;
    region->what = what;
}


static void
kills_add_endpoint(ngx_canary_shared_t *shared)
{
    ngx_uint_t                    i, k;
    ngx_canary_release_shared_t  *release;

    kills_add(shared, sizeof(ngx_canary_shared_t) + shared->len,
              "an endpoint");
    kills_add(shared->phases, shared->nphases * NGX_CANARY_LINE,
              "phases");
    kills_add(shared->history, sizeof(ngx_canary_history_t),
              "a history");
    kills_add(shared->failures, sizeof(ngx_canary_failures_t),
              "failures");

    for (i = 0; i < CANARY_RELEASES; i++) {
        release = shared->releases[i];

        if (release == NULL) {
            continue;
        }

        kills_add(release, sizeof(ngx_canary_release_shared_t)
                           + shared->nphases * sizeof(void *), "a release");
        kills_add(release->base, sizeof(ngx_canary_meter_t), "a base");
        kills_add(release->past, sizeof(ngx_canary_past_t), "a past");

        for (k = 0; k < shared->nphases; k++) {
            kills_add(release->meters[k], sizeof(ngx_canary_meter_t),
                      "a meter");
        }
    }

    if (shared->evidence) {
        kills_add_evidence(shared->evidence);
    }
}


static void
kills_add_evidence(canary_evidence_t *evidence)
{
    ngx_uint_t      n;
    canary_slot_t  *slot;

    kills_add(evidence, canary_evidence_size(evidence->nslots), "evidence");
    kills_add(evidence->books, NGX_CANARY_BOOKS, "books");

    for (slot = evidence->all, n = 0; slot; slot = slot->next) {
        kills_add(slot, sizeof(canary_slot_t), "a slot");

        if (++n > KILLS_LONG) {
            kills_fail("the list of slots has no end");
        }
    }
}


static void
kills_add_free(ngx_slab_pool_t *shpool)
{
    ngx_uint_t        n;
    ngx_slab_page_t  *page;

    n = 0;

    for (page = shpool->free.next; page != &shpool->free; page = page->next) {
        kills_add(shpool->start + (page - shpool->pages) * ngx_pagesize,
                  page->slab * ngx_pagesize, "free pages");

        if (++n > KILLS_LONG) {
            kills_fail("the list of free pages has no end");
        }
    }
}


static int
kills_compare(const void *one, const void *two)
{
    const kills_region_t  *a, *b;

    a = one;
    b = two;

    return (a->from > b->from) - (a->from < b->from);
}


/* unique in all endpoints, rising in each */

void
kills_check_events(void)
{
    ngx_uint_t            i, k;
    ngx_canary_shared_t  *shared;

    kills_nids = 0;

    for (shared = kills_conf()->zone->endpoints; shared; shared = shared->next) {
        kills_check_ring(shared);
    }

    for (i = 0; i < kills_nids; i++) {
        for (k = 0; k < i; k++) {
            if (kills_ids[k] == kills_ids[i]) {
                kills_fail("two events are number %llu",
                           (unsigned long long) kills_ids[i]);
            }
        }
    }
}


static void
kills_check_ring(ngx_canary_shared_t *shared)
{
    uint64_t         n, last, events;
    canary_event_t  *event;

    last = 0;
    events = ngx_canary_record(shared)->events;
    n = (events > CANARY_EVENTS) ? events - CANARY_EVENTS
                                          : 0;

    for ( /* void */ ; shared->history && n < events; n++) {
        event = ngx_canary_event_at(shared, n);

        if (event->id <= last || event->id > kills_conf()->zone->last_event) {
            kills_fail("event %llu of \"%.*s\" follows %llu, the last of all "
                       "is %llu", (unsigned long long) event->id,
                       (int) shared->len, shared->name,
                       (unsigned long long) last,
                       (unsigned long long) kills_conf()->zone->last_event);
        }

        last = event->id;

        if (kills_nids < KILLS_REGIONS) {
            kills_ids[kills_nids++] = last;
        }
    }
}


void
kills_check_file(void)
{
    unsigned                   i;
    canary_state_t            *state;
    canary_events_t           *events;
    ngx_canary_shared_t       *shared;
    canary_state_file_error_t  error;

    state = kills_read_file();
    events = canary_events_create();

    if (canary_events_read(events, (char *) kills_conf()->state_path->name.data,
                           &error)
        != 0)
    {
        kills_fail("the events cannot be read: %s", error.call);
    }

    for (shared = kills_conf()->zone->endpoints; shared; shared = shared->next) {

        if (ngx_canary_record(shared)->rollout.generation == 0) {
            continue;
        }

        for (i = 0; i < state->nendpoints; i++) {
            if (ngx_strlen(state->endpoints[i].name) == shared->len
                && ngx_strncmp(state->endpoints[i].name, shared->name,
                               shared->len) == 0)
            {
                kills_check_endpoint_file(shared, &state->endpoints[i]);
                kills_check_endpoint_events(shared, events,
                                            state->endpoints[i].name);
                break;
            }
        }

        if (i == state->nendpoints) {
            kills_fail("\"%.*s\" is not in the state file",
                       (int) shared->len, shared->name);
        }
    }

    canary_events_destroy(events);
    canary_state_destroy(state);
}


/* the last ones, and no others */

static void
kills_check_endpoint_events(ngx_canary_shared_t *shared,
    const canary_events_t *events, const char *name)
{
    uint64_t                      n, first, number, id;
    unsigned                      nfile;
    const canary_events_entry_t  *file;

    number = shared->history ? ngx_canary_record(shared)->events : 0;
    first = (number > CANARY_EVENTS) ? number - CANARY_EVENTS : 0;
    file = canary_events_find(events, name, &nfile);

    for (n = number; n > first; n--) {
        id = ngx_canary_event_at(shared, n - 1)->id;

        if (number - n >= nfile || file[nfile - 1 - (number - n)].id != id) {
            kills_fail("event %llu of \"%s\" is %llu in the file",
                       (unsigned long long) id, name,
                       (unsigned long long) ((number - n >= nfile)
                                ? 0 : file[nfile - 1 - (number - n)].id));
        }
    }
}


static canary_state_t *
kills_read_file(void)
{
    char                      *text, why[CANARY_STATE_ERROR];
    size_t                     len;
    canary_state_t            *state;
    canary_state_file_id_t     id;
    canary_state_file_error_t  error;

    if (canary_state_file_read((char *) kills_conf()->state_path->name.data,
                               CANARY_STATE_SIZE_MAX, &text, &len, &id,
                               &error)
        != 1)
    {
        kills_fail("there is no state file");
    }

    state = canary_state_json_read(text, len, why);

    free(text);

    if (state == NULL) {
        kills_fail("the state file cannot be read: %s", why);
    }

    return state;
}


static void
kills_check_endpoint_file(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *file)
{
    canary_rollout_t             *rollout;
    ngx_canary_release_shared_t  *stable;

    rollout = &ngx_canary_record(shared)->rollout;
    stable = shared->releases[rollout->stable];

    if (file->rollout.phase != rollout->phase
        || file->rollout.generation != rollout->generation
        || file->rollout.number != rollout->number
        || file->rollout.weight != rollout->weight
        || ngx_strlen(file->stable) != stable->len
        || ngx_strncmp(file->stable, stable->name, stable->len) != 0)
    {
        kills_fail("\"%.*s\" is %s %u of %.*s at generation %llu, in the "
                   "file %s %u of %s at %llu", (int) shared->len,
                   shared->name, canary_phase_name(rollout->phase),
                   rollout->weight, (int) stable->len, stable->name,
                   (unsigned long long) rollout->generation,
                   canary_phase_name(file->rollout.phase),
                   file->rollout.weight, file->stable,
                   (unsigned long long) file->rollout.generation);
    }
}
