
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVENTS_FILE_H
#define CANARY_EVENTS_FILE_H


#include <stddef.h>

#include "canary_state_file.h"


/*
 * The file of events, by system calls alone, as the state file:
 *
 *   DIR/events.jsonl     lines; only ever appended to
 *   DIR/events.jsonl.1   the one before, since that one had become too large
 */


#define CANARY_EVENTS_FILE      "events.jsonl"
#define CANARY_EVENTS_OLD       "events.jsonl.1"
#define CANARY_EVENTS_SIZE_MAX  (16u << 20)     /* bytes; then it is renamed */
#define CANARY_EVENTS_LINE_MAX  (64u << 10)     /* bytes of a line */


/*
 * Appends len bytes of whole lines; they are on the disk when this returns 0.
 * Whatever is at the path then is what is appended to: it may be renamed or
 * removed at any time, but has to be a file.  After -1 lines may be there, or
 * parts of them, so the same may be appended again.
 */

int canary_events_append(const char *dir, const char *text, size_t len,
    canary_state_file_error_t *error);

/* Gives the files to the user who is to write, as the lock. */

void canary_events_hand_over(const char *dir, uid_t user);

/*
 * Opens one of the files to read it.  Returns a descriptor, with what it is
 * in *id; -1 with errno; with ENOENT there is none.
 */

int canary_events_open(const char *dir, const char *name,
    canary_state_file_id_t *id);


#endif /* CANARY_EVENTS_FILE_H */
