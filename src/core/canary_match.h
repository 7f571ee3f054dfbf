
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_MATCH_H
#define CANARY_MATCH_H


#include <stddef.h>


/*
 * Classes of answers of one's own, as "canary_match" names them.  A rule has
 * the place of a name in a table: those of a strategy, which keeps its names,
 * and those of a configuration are told apart by that.
 */


#define CANARY_MATCHES_MAX  4
#define CANARY_MATCH_SIZE   32    /* bytes of a name; ends with a zero */


/* The first ones are in use; all that is not is zero. */

typedef struct {
    char  names[CANARY_MATCHES_MAX][CANARY_MATCH_SIZE];
} canary_matches_t;


/* What is wrong with a name, a phrase that follows it; NULL: nothing. */

const char *canary_match_bad_name(const char *name, size_t len);

/* The place of a name, from 1 on; 0 if it has none. */

unsigned canary_match_find(const canary_matches_t *matches, const char *name,
    size_t len);

/* The same, with a place made for a good name; 0: all are in use. */

unsigned canary_match_add(canary_matches_t *matches, const char *name,
    size_t len);

/* The names that the others do not have, a bit 1 << place - 1 each. */

unsigned canary_match_missing(const canary_matches_t *matches,
    const canary_matches_t *others);


#endif /* CANARY_MATCH_H */
