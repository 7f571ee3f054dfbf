
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_fleet_clock.h"


/* The fleet's clock at a node, and when on it the node calls. */


#define CANARY_FLEET_CLOCK_MOVE    5      /* ms at most by a sample */
#define CANARY_FLEET_CLOCK_FORGET  64     /* samples refused until a round trip
                                             that is 1 ms longer will do */
#define CANARY_FLEET_PHASE_FIRST   2      /* ms after the beat */
#define CANARY_FLEET_PHASES        20
#define CANARY_FLEET_PHASE_LEADER  30
#define CANARY_FLEET_BACKOFF       50     /* ms */
#define CANARY_FLEET_BACKOFF_MAX   500


static uint32_t canary_fleet_hash(const char *name);


uint64_t
canary_fleet_time(const canary_fleet_clock_t *clock, uint64_t now)
{
    return clock->known ? now + (uint64_t) clock->offset : 0;
}


void
canary_fleet_clock_sample(canary_fleet_clock_t *clock, uint64_t sent,
    uint64_t received, uint64_t time)
{
    int64_t   offset, move;
    uint32_t  rtt;

    rtt = (received - sent < UINT32_MAX) ? (uint32_t) (received - sent)
                                         : UINT32_MAX;
    offset = (int64_t) (time - (sent + (received - sent) / 2));

    if (!clock->known) {
        clock->known = 1;
        clock->offset = offset;
        clock->best = rtt;
        clock->refused = 0;
        clock->fresh = 0;
        return;
    }

    /* round trips are rounded to ms: one more is always as good */

    if (clock->fresh) {
        clock->fresh = 0;
        clock->best = rtt;

    } else if (rtt > clock->best + clock->best / 2 + 1) {

        if (++clock->refused >= CANARY_FLEET_CLOCK_FORGET) {
            clock->refused = 0;
            clock->best++;
        }

        return;
    }

    clock->refused = 0;

    if (rtt < clock->best) {
        clock->best = rtt;
    }

    /* modulo 2^64: anything may have been answered */

    move = (int64_t) ((uint64_t) offset - (uint64_t) clock->offset);

    if (move > CANARY_FLEET_CLOCK_MOVE) {
        move = CANARY_FLEET_CLOCK_MOVE;

    } else if (move < -CANARY_FLEET_CLOCK_MOVE) {
        move = -CANARY_FLEET_CLOCK_MOVE;
    }

    clock->offset = (int64_t) ((uint64_t) clock->offset + (uint64_t) move);
}


void
canary_fleet_clock_reconnect(canary_fleet_clock_t *clock)
{
    clock->fresh = 1;
    clock->refused = 0;
}


uint32_t
canary_fleet_clock_error(const canary_fleet_clock_t *clock)
{
    return clock->best / 2 + 1;
}


/* FNV-1a: names that differ in a digit have to be apart */

static uint32_t
canary_fleet_hash(const char *name)
{
    uint32_t  hash;

    hash = 2166136261u;

    while (*name) {
        hash = (hash ^ (unsigned char) *name++) * 16777619u;
    }

    return hash ^ hash >> 16;
}


uint32_t
canary_fleet_phase(const char *name, int leader)
{
    return leader ? CANARY_FLEET_PHASE_LEADER
                  : CANARY_FLEET_PHASE_FIRST
                    + canary_fleet_hash(name) % CANARY_FLEET_PHASES;
}


uint64_t
canary_fleet_beat(uint64_t time, uint32_t beat, uint32_t phase)
{
    uint64_t  next;

    next = time - time % beat + phase;

    return (next > time) ? next : next + beat;
}


uint32_t
canary_fleet_backoff(uint32_t failures, uint32_t random)
{
    uint32_t  backoff;

    backoff = CANARY_FLEET_BACKOFF;

    while (failures-- > 1 && backoff < CANARY_FLEET_BACKOFF_MAX) {
        backoff *= 2;
    }

    if (backoff > CANARY_FLEET_BACKOFF_MAX) {
        backoff = CANARY_FLEET_BACKOFF_MAX;
    }

    return backoff / 2 + random % (backoff / 2 + 1);
}
