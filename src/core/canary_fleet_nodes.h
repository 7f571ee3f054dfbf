
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_NODES_H
#define CANARY_FLEET_NODES_H


#include <stddef.h>
#include <stdint.h>

#include "canary_event.h"
#include "canary_fleet_record.h"


/*
 * The nodes of a fleet as a leader sees them.  What a node says of itself is
 * written with its tick, and lies in Redis as
 *
 *     INCARNATION LAST VERSION LIVED PRESENCE
 *
 * of which the first four are the script's.  PRESENCE is the node's:
 *
 *     ADDRESS CLOCK-ERROR ...
 *     ENDPOINT release v3
 *     - version
 *
 * a line with its address as others see it (a word), what its clock may be off
 * by in ms, and whatever else the writer needs; then a line for each thing
 * that it lacks (ENDPOINT is a word too; canary_fleet_lack_print()).
 */


#define CANARY_FLEET_NODES   256       /* of a fleet */
#define CANARY_FLEET_GONE    10000     /* ms of silence until a node is gone */

#define CANARY_FLEET_ENDPOINT_SIZE  4096   /* of a name, with the zero */

#define CANARY_FLEET_LACK_SIZE                                                \
    (CANARY_FLEET_WORD(CANARY_FLEET_ENDPOINT_SIZE)                            \
     + CANARY_FLEET_WORD(CANARY_NAME_SIZE) + 16)


typedef enum {
    CANARY_FLEET_LIVE = 0,   /* seen within the timeout */
    CANARY_FLEET_SILENT,
    CANARY_FLEET_NODE_GONE
} canary_fleet_age_t;


typedef enum {
    CANARY_FLEET_LACKS_ENDPOINT = 0,   /* has no endpoint shop */
    CANARY_FLEET_LACKS_RELEASE,        /* has no release v3 */
    CANARY_FLEET_LACKS_MATCH,          /* has no match redirects */
    CANARY_FLEET_LACKS_SERVER,         /* : no live server in v2 */
    CANARY_FLEET_LACKS_VERSION         /* cannot read the fleet's records */
} canary_fleet_lack_t;


/* Plain data, but "lacks", which lies in the text that was parsed. */

typedef struct {
    char         name[CANARY_NAME_SIZE];
    char         address[CANARY_NAME_SIZE];
    uint32_t     incarnation;
    uint32_t     error;                /* of its clock, ms */
    uint64_t     last;                 /* when it was seen: ms of Redis */
    uint64_t     version;              /* that its file has */
    size_t       lacks_len;
    const char  *lacks;                /* lines, each with its "\n" */
} canary_fleet_node_t;


typedef struct {
    char         name[CANARY_NAME_SIZE];
    uint64_t     number;               /* it joined as the so-and-so-manieth,
                                          from 1 */
} canary_fleet_member_t;


/* Letters, digits, ".", "_", "-"; 1..63 of them: fleets and nodes. */

int canary_fleet_name_valid(const char *name, size_t len);

/* A node of the hash "live"; 0: not one. */

int canary_fleet_node_parse(const char *name, size_t name_len,
    const char *text, size_t len, canary_fleet_node_t *node);

/* The members as a script gives them: NAME NUMBER ...; how many; -1: not so. */

int canary_fleet_members_parse(const char *text, size_t len,
    canary_fleet_member_t members[CANARY_FLEET_NODES]);

canary_fleet_age_t canary_fleet_node_age(const canary_fleet_node_t *node,
    uint64_t now, uint64_t timeout);

/*
 * A line of PRESENCE, with its "\n" and a zero: this node lacks "what" of an
 * endpoint (NULL with CANARY_FLEET_LACKS_ENDPOINT; both with
 * CANARY_FLEET_LACKS_VERSION).  The length without the zero.
 */

size_t canary_fleet_lack_print(canary_fleet_lack_t lack, const char *endpoint,
    const char *what, char line[CANARY_FLEET_LACK_SIZE]);

/*
 * The lines of what a node lacks, one by one, without "\n": *at is node->lacks
 * at first.  NULL: there are no more.
 */

const char *canary_fleet_next_lack(const canary_fleet_node_t *node,
    const char **at, size_t *len);

/*
 * Whether there are live nodes, and each says that it lacks this line, or the
 * endpoint that it is about.
 */

int canary_fleet_nobody_has(const canary_fleet_node_t *nodes, unsigned n,
    uint64_t now, uint64_t timeout, const char *line);


#endif /* CANARY_FLEET_NODES_H */
