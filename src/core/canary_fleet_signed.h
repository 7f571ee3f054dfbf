
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_SIGNED_H
#define CANARY_FLEET_SIGNED_H


#include <stddef.h>
#include <stdint.h>

#include "canary_event.h"
#include "canary_fleet_record.h"


/*
 * What a node knows for itself where the fleet has a key, since it trusts no
 * answer of Redis then, only what nodes have signed: who is there and who is a
 * member, and which records are in whose files.
 *
 * What is signed has a date: ms since 1970 when the writer's nginx started,
 * and from then on by its monotonic clock.  So it never falls, and is as old
 * as it lags behind the newest that was seen: what is played back is old.
 */


#define CANARY_FLEET_STRANGER   60000    /* ms that clocks of nodes may be off
                                            by, for a node to be believed that
                                            nothing is known of yet */
#define CANARY_FLEET_NEW        30000    /* ms of life, until a member is kept
                                            when it is gone */
#define CANARY_FLEET_DROPPED    600000   /* ms of silence, until any member is
                                            dropped */
#define CANARY_FLEET_HOT        30000    /* ms that a record is told of after a
                                            change, or a question */
#define CANARY_FLEET_FORGOT     900000   /* ms that it is told who was
                                            forgotten */
#define CANARY_FLEET_FORGETS    8        /* of them */

#define CANARY_FLEET_HASH       16       /* hex digits of a record */


/* What is known of a node's clock and life. */

typedef struct {
    char      name[CANARY_NAME_SIZE];
    uint32_t  incarnation;
    uint64_t  serial;        /* the newest date */
    int64_t   ahead;         /* its clock - this node's, by what came fastest */
    uint64_t  slack;         /* up to when it has been allowed to drift */
    uint64_t  heard;         /* when that was */
    uint64_t  began;         /* when it was seen first; both by this node's
                                clock */
    int       is_new;        /* it has become a member since */
} canary_fleet_known_t;


typedef struct {
    char      name[CANARY_NAME_SIZE];
    uint64_t  serial;        /* what it has said until then */
    uint64_t  till;          /* ms of this node */
} canary_fleet_forgot_t;


/* What stands for a record of an endpoint, whose name is hashed. */

uint64_t canary_fleet_record_hash(uint64_t endpoint, uint64_t generation,
    uint32_t uid);

/* Hex digits and back; 0: they are none. */

void canary_fleet_hash_print(uint64_t hash, char text[CANARY_FLEET_HASH]);
int canary_fleet_hash_parse(const char text[CANARY_FLEET_HASH],
    uint64_t *hash);


#endif /* CANARY_FLEET_SIGNED_H */
