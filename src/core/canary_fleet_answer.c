
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_fleet_internal.h"


/* A node of a fleet: what follows from an answer. */


#define CANARY_FLEET_JUMP  200     /* ms of Redis' clock at once */


static void canary_fleet_keep_out(canary_fleet_t *fleet, uint64_t now);
static void canary_fleet_at(canary_fleet_t *fleet, uint64_t sent,
    uint64_t received, uint64_t server, uint64_t age, int same);
static void canary_fleet_join_members(canary_fleet_t *fleet,
    const canary_fleet_join_t *join);
static void canary_fleet_join_records(canary_fleet_t *fleet,
    canary_fleet_join_t *join, uint64_t before, uint64_t now);
static void canary_fleet_not_met(canary_fleet_endpoint_t *endpoint,
    const canary_fleet_join_t *join, uint64_t before);
static void canary_fleet_tick_lease(canary_fleet_t *fleet,
    const canary_fleet_ticked_t *tick);
static void canary_fleet_tick_nodes(canary_fleet_t *fleet,
    const canary_fleet_ticked_t *tick);
static void canary_fleet_committed(canary_fleet_endpoint_t *endpoint,
    unsigned flight, canary_fleet_committed_t *commit);
static void canary_fleet_not_committed(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, const char *reason);
static void canary_fleet_learn(canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *record, uint64_t version, uint64_t before);
static void canary_fleet_judge(canary_fleet_t *fleet,
    canary_fleet_offer_t *offer, int foreign, uint64_t now);
static void canary_fleet_yield(canary_fleet_t *fleet,
    canary_fleet_offer_t *offer, int foreign, uint64_t now);
static void canary_fleet_apply(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, canary_fleet_offer_t *offer);


void
canary_fleet_join_answer(canary_fleet_t *fleet, canary_fleet_join_t *join,
    uint64_t now)
{
    int                   same;
    uint64_t              before;
    canary_fleet_kept_t  *kept;

    canary_fleet_landed(fleet, now);

    fleet->joining = 0;
    kept = &fleet->kept;

    if (join->reply != CANARY_FLEET_OK) {
        canary_fleet_keep_out(fleet, now);
        return;
    }

    if (join->nseeds == 0) {

        /* data that no node has made */

        canary_fleet_leave(fleet);
        canary_fleet_join_at(fleet, now + CANARY_FLEET_RETRY);
        return;
    }

    /* versions of other data say nothing of what the file has of these */

    same = !join->foreign && kept->nseeds > 0
           && strcmp(kept->seeds[kept->nseeds - 1],
                     join->seeds[join->nseeds - 1])
              == 0;

    before = same ? canary_fleet_filed_version(fleet) : 0;

    canary_fleet_at(fleet, join->sent, join->received, join->now, join->age,
                    same);

    kept->nseeds = join->nseeds;
    memcpy(kept->seeds, join->seeds, sizeof(kept->seeds));
    kept->version = join->version;

    canary_fleet_join_members(fleet, join);

    fleet->again = 0;
    fleet->joined = 1;
    fleet->failures = 0;
    fleet->quorum = 0;
    fleet->tick_at = 0;

    canary_fleet_join_records(fleet, join, before, now);

    if (!canary_fleet_reached(fleet)) {
        fleet->state = CANARY_FLEET_FOLLOWER;
    }
}


/* another node has the name: it may be gone at any time */

static void
canary_fleet_keep_out(canary_fleet_t *fleet, uint64_t now)
{
    canary_fleet_leave(fleet);
    canary_fleet_join_at(fleet, now + CANARY_FLEET_RETRY);

    fleet->state = CANARY_FLEET_KEPT_OUT;
    fleet->leader[0] = '\0';
}


/*
 * Where Redis' clock was in the middle of the round trip.  When that clock has
 * jumped, or it is another's, the age of the data by it means nothing: then
 * they count as young.  Nor do they get older but by the node's own clock.
 */

static void
canary_fleet_at(canary_fleet_t *fleet, uint64_t sent, uint64_t received,
    uint64_t server, uint64_t age, int same)
{
    int64_t   ahead;
    uint64_t  middle, born, moved;

    middle = sent + (received - sent) / 2;
    born = (middle > age) ? middle - age : 0;
    ahead = (int64_t) (server - middle);

    /* by any number, since anything may have been answered */

    moved = (uint64_t) ahead - (uint64_t) fleet->kept.clock.server
            + CANARY_FLEET_JUMP;

    if (fleet->kept.clock.server != 0 && moved > 2 * CANARY_FLEET_JUMP) {
        born = middle;
    }

    fleet->kept.clock.server = ahead;

    if (!same || born > fleet->kept.clock.born) {
        fleet->kept.clock.born = born;
    }
}


static void
canary_fleet_join_members(canary_fleet_t *fleet,
    const canary_fleet_join_t *join)
{
    fleet->kept.nmembers = join->nmembers;

    if (join->nmembers > 0) {
        memcpy(fleet->kept.members, join->members,
               join->nmembers * sizeof(canary_fleet_member_t));
    }

    fleet->changed++;
}


static void
canary_fleet_join_records(canary_fleet_t *fleet, canary_fleet_join_t *join,
    uint64_t before, uint64_t now)
{
    unsigned                  i;
    canary_fleet_offer_t     *offer;
    canary_fleet_endpoint_t  *endpoint;

    for (i = 0; i < fleet->nendpoints; i++) {
        fleet->endpoints[i].met = 0;
    }

    for (i = 0; i < join->noffers; i++) {
        offer = &join->offers[i];
        endpoint = &fleet->endpoints[offer->endpoint];
        endpoint->met = 1;

        canary_fleet_learn(endpoint, &offer->record, join->version, before);
        canary_fleet_judge(fleet, offer, join->foreign, now);
    }

    for (i = 0; i < fleet->nendpoints; i++) {
        if (!fleet->endpoints[i].met) {
            canary_fleet_not_met(&fleet->endpoints[i], join, before);
        }
    }
}


/* an endpoint that the fleet does not know */

static void
canary_fleet_not_met(canary_fleet_endpoint_t *endpoint,
    const canary_fleet_join_t *join, uint64_t before)
{
    canary_fleet_record_t  none;

    memset(&none, 0, sizeof(canary_fleet_record_t));

    canary_fleet_learn(endpoint, &none, join->version, before);

    if (join->foreign && endpoint->ours.phase != CANARY_IDLE) {
        endpoint->ends = CANARY_FLEET_TO_END;
        endpoint->untold = 0;
        return;
    }

    endpoint->untold = endpoint->ours.generation > 0;
}


void
canary_fleet_tick_answer(canary_fleet_t *fleet, canary_fleet_ticked_t *tick,
    uint64_t now)
{
    unsigned               i;
    canary_fleet_offer_t  *offer;

    canary_fleet_landed(fleet, now);

    fleet->ticking = 0;

    switch (tick->reply) {

    case CANARY_FLEET_OK:
        break;

    case CANARY_FLEET_DUP:
        canary_fleet_keep_out(fleet, now);
        return;

    default: /* CANARY_FLEET_EMPTY, CANARY_FLEET_LOST */
        canary_fleet_leave(fleet);

        if (fleet->state == CANARY_FLEET_LEADER) {
            fleet->state = CANARY_FLEET_FOLLOWER;
        }

        return;
    }

    canary_fleet_at(fleet, tick->sent, tick->received, tick->now, tick->age,
                    1);

    fleet->rtt = (uint32_t) (tick->received - tick->sent);

    if (tick->shifted) {
        canary_fleet_clock_sample(&fleet->kept.clock, tick->sent,
                                  tick->received,
                                  tick->now + (uint64_t) tick->shift);
    }

    canary_fleet_tick_lease(fleet, tick);
    canary_fleet_tick_nodes(fleet, tick);

    for (i = 0; i < tick->noffers; i++) {
        offer = &tick->offers[i];

        canary_fleet_learn(&fleet->endpoints[offer->endpoint], &offer->record,
                           offer->version, offer->version - 1);
        canary_fleet_judge(fleet, offer, 0, now);
    }

    if (tick->upto > fleet->kept.version) {
        fleet->kept.version = tick->upto;
    }

    if (tick->upto < tick->version) {
        fleet->tick_at = 0;
    }
}


static void
canary_fleet_tick_lease(canary_fleet_t *fleet,
    const canary_fleet_ticked_t *tick)
{
    fleet->state = tick->leads ? CANARY_FLEET_LEADER : CANARY_FLEET_FOLLOWER;
    fleet->since = tick->since;

    memcpy(fleet->leader, tick->leader, CANARY_NAME_SIZE);

    if (tick->term > fleet->kept.term) {
        fleet->kept.term = tick->term;
        fleet->changed++;
    }
}


static void
canary_fleet_tick_nodes(canary_fleet_t *fleet,
    const canary_fleet_ticked_t *tick)
{
    unsigned  i;
    uint64_t  quorum, versions[CANARY_FLEET_NODES];

    if (tick->members) {
        fleet->kept.nmembers = tick->nmembers;
        memcpy(fleet->kept.members, tick->members,
               tick->nmembers * sizeof(canary_fleet_member_t));
        fleet->changed++;
    }

    quorum = tick->quorum;

    if (tick->nodes) {
        fleet->nnodes = tick->nnodes;
        fleet->nodes = tick->nodes;
    }

    if (tick->nodes && tick->leads) {
        for (i = 0; i < tick->nnodes; i++) {
            versions[i] = tick->nodes[i].version;
        }

        quorum = canary_fleet_quorum(versions, tick->nnodes,
                                     fleet->kept.nmembers);
    }

    /* a file does not forget, while the data are these */

    if (quorum > fleet->quorum) {
        fleet->quorum = quorum;
    }
}


void
canary_fleet_commit_answer(canary_fleet_t *fleet, unsigned endpoint,
    canary_fleet_committed_t *commit, uint64_t now)
{
    unsigned                  flight;
    canary_fleet_endpoint_t  *ep;

    canary_fleet_landed(fleet, now);

    ep = &fleet->endpoints[endpoint];
    flight = ep->flight;
    ep->flight = CANARY_FLEET_NO_FLIGHT;

    commit->offer.endpoint = endpoint;
    commit->offer.what = CANARY_FLEET_SAME;
    commit->offer.dropped = 0;

    switch (commit->reply) {

    case CANARY_FLEET_OK:
        canary_fleet_committed(ep, flight, commit);
        return;

    case CANARY_FLEET_CONFLICTS:

        if (ep->proposal == CANARY_FLEET_PROPOSAL_SENT) {
            canary_fleet_conclude(ep, CANARY_FLEET_CONFLICT);
        }

        canary_fleet_learn(ep, &commit->offer.record, ep->version,
                           ep->before);
        canary_fleet_judge(fleet, &commit->offer, 0, now);
        return;

    case CANARY_FLEET_WAITS:
        canary_fleet_not_committed(fleet, ep, commit->reason);
        return;

    default: /* CANARY_FLEET_EMPTY, CANARY_FLEET_LOST */
        canary_fleet_not_committed(fleet, ep, "nodes gather");
        canary_fleet_leave(fleet);
    }
}


static void
canary_fleet_committed(canary_fleet_endpoint_t *endpoint, unsigned flight,
    canary_fleet_committed_t *commit)
{
    int                    stopped;
    canary_fleet_offer_t  *offer;

    offer = &commit->offer;
    stopped = !canary_fleet_record_same(&endpoint->ours, &endpoint->sent_of);

    canary_fleet_learn(endpoint, &endpoint->sent, commit->version,
                       commit->version - 1);

    if (flight == CANARY_FLEET_COMMIT_SENT) {

        /* what came meanwhile is told next, or gives way */

        canary_fleet_conclude(endpoint, stopped ? CANARY_FLEET_OVERTAKEN
                                                : CANARY_FLEET_DONE);
        endpoint->apply = 0;
        return;
    }

    if (stopped) {
        return;
    }

    endpoint->untold = 0;
    endpoint->stopped = 0;

    if (!canary_fleet_record_same(&endpoint->ours, &endpoint->sent)) {
        offer->record = endpoint->sent;
        offer->what = CANARY_FLEET_RENAME;
    }
}


static void
canary_fleet_not_committed(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, const char *reason)
{
    if (endpoint->proposal == CANARY_FLEET_PROPOSAL_SENT) {
        canary_fleet_conclude(endpoint, CANARY_FLEET_WAIT);
        fleet->reason[0] = '\0';
        strncat(fleet->reason, reason, sizeof(fleet->reason) - 1);
    }
}


/*
 * The fleet has a record since this version, or an earlier one; up to "before"
 * the file has all of this endpoint, if it has what the fleet had until now.
 */

static void
canary_fleet_learn(canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *record, uint64_t version, uint64_t before)
{
    if (canary_fleet_in_file(endpoint) || endpoint->before > before) {
        endpoint->before = before;
    }

    endpoint->theirs = *record;
    endpoint->version = version;
    endpoint->known = 1;
}


/* what follows from the record that the fleet has, which has been learnt */

static void
canary_fleet_judge(canary_fleet_t *fleet, canary_fleet_offer_t *offer,
    int foreign, uint64_t now)
{
    canary_fleet_endpoint_t  *endpoint;

    endpoint = &fleet->endpoints[offer->endpoint];
    offer->dropped = 0;

    if (canary_fleet_record_same(&endpoint->ours, &offer->record)) {
        endpoint->untold = 0;
        endpoint->stopped = 0;
        endpoint->apply = 0;
        offer->what = CANARY_FLEET_SAME;
        return;
    }

    if (!foreign && canary_fleet_ours_stands(endpoint, &offer->record)) {
        endpoint->untold = 1;
        endpoint->apply = 0;
        offer->what = CANARY_FLEET_OURS;
        return;
    }

    canary_fleet_yield(fleet, offer, foreign, now);
}


/* the fleet's stands */

static void
canary_fleet_yield(canary_fleet_t *fleet, canary_fleet_offer_t *offer,
    int foreign, uint64_t now)
{
    int                       stop;
    uint64_t                  old;
    canary_fleet_record_t     none, *ours;
    canary_fleet_endpoint_t  *endpoint;

    endpoint = &fleet->endpoints[offer->endpoint];
    ours = &endpoint->ours;
    stop = (endpoint->untold && endpoint->stopped) || endpoint->apply;

    endpoint->untold = 0;
    endpoint->stopped = 0;
    endpoint->apply = 0;

    if (endpoint->proposal == CANARY_FLEET_PROPOSED) {
        canary_fleet_conclude(endpoint, CANARY_FLEET_CONFLICT);
    }

    if (stop && !foreign && ours->number == offer->record.number
        && canary_fleet_goes_on(&offer->record))
    {
        canary_fleet_apply(fleet, endpoint, offer);
        return;
    }

    offer->dropped = stop;

    /* numbers of another fleet's rollouts are no numbers of this one's */

    memset(&none, 0, sizeof(canary_fleet_record_t));

    if (!canary_fleet_record_raises(foreign ? &none : ours, &offer->record)) {
        offer->what = CANARY_FLEET_ADOPT;
        return;
    }

    old = fleet->kept.clock.born + CANARY_FLEET_YOUNG;

    if (now < old) {
        offer->what = CANARY_FLEET_LATER;
        canary_fleet_join_at(fleet, old + 1);
        return;
    }

    offer->what = CANARY_FLEET_RAISE;
}


int
canary_fleet_ours_stands(const canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *theirs)
{
    const canary_fleet_record_t  *ours;

    ours = &endpoint->ours;

    /* what was done to the rollout before it was stopped here remains done */

    if (((endpoint->untold && endpoint->stopped) || endpoint->apply)
        && ours->phase != CANARY_IDLE && ours->number == theirs->number
        && canary_fleet_goes_on(theirs)
        && canary_fleet_record_order(theirs, &endpoint->root) > 0)
    {
        return 0;
    }

    return canary_fleet_record_order(ours, theirs) > 0;
}


int
canary_fleet_goes_on(const canary_fleet_record_t *record)
{
    return record->phase == CANARY_PROGRESSING
           || record->phase == CANARY_BAKING;
}


/* what this node has paused or halted goes on in the fleet */

static void
canary_fleet_apply(canary_fleet_t *fleet, canary_fleet_endpoint_t *endpoint,
    canary_fleet_offer_t *offer)
{
    endpoint->apply = 1;

    offer->what = CANARY_FLEET_APPLY;
    offer->record.generation++;
    offer->record.uid = canary_fleet_uid(fleet);
    offer->record.phase = endpoint->ours.phase;

    if (endpoint->ours.weight < offer->record.weight) {
        offer->record.weight = endpoint->ours.weight;
    }
}
