
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_JSON_H
#define CANARY_STATE_JSON_H


#include <stddef.h>

#include "canary_state.h"


/*
 * What survives a restart, as a document of one line:
 *
 *   {"version":1,"sha256":"HEX","state":{...}}
 *
 * The checksum is that of the very bytes of the value of "state", so it is
 * verified before anything of it is parsed.  Releases go by their names,
 * times are milliseconds since 1970.  A member that came later may be missing
 * (see canary_state_field.h), and one that the reader does not know is refused;
 * so whoever changes what a member means gives the document a new version.
 *
 * Events are in a file of their own, see canary_events.h.  Earlier versions of
 * the module have them here, so what reads the document goes on taking them.
 *
 * A text that is no UTF-8 is {"hex":"..."}, and a number above 2^53 a text of
 * digits, since readers of JSON have doubles for numbers.
 *
 * Numbers that go on rising end at 2^53 here: what has counted further is
 * written as that, and a document that has more is refused.  So whatever is
 * read can be gone on from, and whatever is written can be read.
 */


#define CANARY_STATE_VERSION        1
#define CANARY_STATE_SIZE_MAX       (1u << 30)    /* bytes of a document */
#define CANARY_STATE_DEPTH_MAX      16            /* of brackets */

#define CANARY_STATE_ERROR          600           /* bytes, with a zero */


/*
 * The document, to be freed with free(); NULL: no memory.  One that is larger
 * than a document may be is not to be written to a file.
 */

char *canary_state_json_write(const canary_state_t *state, size_t *len);

/*
 * Reads a whole document; text[len] must be zero.  All of it is right, or
 * NULL is returned and a line tells what is wrong, zero-terminated.
 */

canary_state_t *canary_state_json_read(const char *text, size_t len,
    char error[CANARY_STATE_ERROR]);

/* Whether it is a document of a later version; text[len] must be zero. */

int canary_state_json_newer(const char *text, size_t len);


/*
 * The document of a value of "state", which may be any text; to be freed with
 * free().  NULL: no memory.
 */

char *canary_state_json_seal(const char *value, size_t size, size_t *len);


#endif /* CANARY_STATE_JSON_H */
