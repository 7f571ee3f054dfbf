
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVENTS_H
#define CANARY_EVENTS_H


#include <stddef.h>
#include <stdint.h>

#include "canary_event.h"
#include "canary_events_file.h"
#include "canary_state.h"


/*
 * What the file of events has.  A line is an event as GET .../events shows it,
 * and what restores it exactly:
 *
 *   {"id":..,"endpoint":..,...,"state":{"endpoint":..,"event":{...}}}
 *
 * with the event as the state document has them; or it says that an event of
 * a line before is none, since its change was never made:
 *
 *   {"void":id}
 *
 * Of lines with the same number and endpoint the last one counts.  A line
 * without its end, at the end of a file, is none.
 */


/* Where an event is, and what it is known by. */

typedef struct {
    uint64_t         id;
    uint64_t         generation;
    uint64_t         time;
    uint32_t         verb;
    uint32_t         size;           /* bytes of the line, */
    uint64_t         offset;         /* in the file, */
    unsigned         old;            /* that was renamed */
    uint64_t         line;           /* its place among all lines */
    char            *name;           /* of the endpoint, allocated; NULL: the
                                        event is none */
} canary_events_entry_t;


typedef struct {
    int                     fd;      /* -1: there is none */
    canary_state_file_id_t  id;
    uint64_t                read;    /* bytes, so far */
} canary_events_of_file_t;


/* An index of all events of both files; what is read-only for others. */

typedef struct {
    unsigned                 n;
    canary_events_entry_t   *entries;     /* by endpoint and number */
    uint64_t                 last;        /* the highest number of all lines */
    unsigned                 bad;         /* lines that could not be read, by
                                             the last canary_events_read() */

    unsigned                 room;        /* for entries */
    uint64_t                 lines;
    canary_events_of_file_t  files[2];    /* the present one, the old one */
} canary_events_t;


/* NULL: no memory. */

canary_events_t *canary_events_create(void);
void canary_events_destroy(canary_events_t *events);

/*
 * Reads what the files have, or have more than at the last time.  Of a file
 * that is larger than one of ours the end is read.  Returns 0, or -1: then
 * nothing is known.
 */

int canary_events_read(canary_events_t *events, const char *dir,
    canary_state_file_error_t *error);

/* Those of an endpoint, oldest first; n of them. */

const canary_events_entry_t *canary_events_find(const canary_events_t *events,
    const char *name, unsigned *n);

/*
 * Whether an event is newer than a state file that says that of its endpoint
 * (NULL: it has none of that name).
 */

int canary_events_is_newer(const canary_events_entry_t *entry,
    uint64_t last_event, const canary_state_endpoint_t *endpoint);

/* The last one that is not newer; NULL: there is none. */

const canary_events_entry_t *canary_events_last(const canary_events_t *events,
    uint64_t last_event, const canary_state_endpoint_t *endpoint);

/* Reads an event; 0: it cannot be read any more. */

int canary_events_get(const canary_events_t *events,
    const canary_events_entry_t *entry, canary_event_t *event);

/*
 * Adds the last events that are not newer to those that an endpoint has, and
 * notes in "appended" the last one that the file has.  0: no memory.
 */

int canary_events_load(const canary_events_t *events, uint64_t last_event,
    canary_state_endpoint_t *endpoint);


/* canary_events_line.c */

/* Lines for voids and events of all endpoints, by number, and their length, 0:
   there are none; to be freed with free().  NULL: no memory. */

char *canary_events_text(const canary_state_t *state, size_t *len);

/*
 * Reads a line of len bytes, text[len] being zero: the name of the endpoint,
 * allocated, and the event; or NULL and the number of one that is void, in
 * event->id.  0: it is no such line.
 */

int canary_events_line(const char *text, size_t len, char **name,
    canary_event_t *event);


#endif /* CANARY_EVENTS_H */
