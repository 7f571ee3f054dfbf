
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JSON_H
#define CANARY_JSON_H


#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>


/*
 * JSON as it is read from people and programs: what is not understood is an
 * error that names its place by a JSON pointer (RFC 6901), never ignored.
 * Reading collects errors and goes on, so that one answer tells all of them.
 */


#define CANARY_JSON_ERRORS_MAX   16
#define CANARY_JSON_POINTER_MAX  160
#define CANARY_JSON_DETAIL_MAX   384


/* A place in a document; NULL is the document itself. */

typedef struct canary_json_at_s  canary_json_at_t;

struct canary_json_at_s {
    const canary_json_at_t  *parent;
    const char              *key;      /* NULL: an element of an array */
    unsigned                 index;    /* of the element */
};


/* Both zero-terminated valid UTF-8. */

typedef struct {
    char  pointer[CANARY_JSON_POINTER_MAX];
    char  detail[CANARY_JSON_DETAIL_MAX];
} canary_json_error_t;


typedef struct {
    unsigned             n;            /* kept: the first of all */
    unsigned             total;
    canary_json_error_t  list[CANARY_JSON_ERRORS_MAX];
} canary_json_errors_t;


/* What a number may be, and how it is kept: number * scale, rounded. */

typedef struct {
    const char  *range;                /* in words */
    double       scale;
    uint64_t     min;                  /* of the scaled number; < 2^53 */
    uint64_t     max;
    unsigned     whole:1;              /* has to be a whole number */
    unsigned     text:1;               /* a text of a number will do */
} canary_json_range_t;


/*
 * Parses a whole document, strictly (canary_json_check.h); text[len] must be
 * zero.  NULL: an error was added.  All strings of the result are valid UTF-8
 * without U+0000, and no object has a name twice; a number that no double
 * holds is infinite.  To be freed with cJSON_Delete().
 */

cJSON *canary_json_parse(const char *text, size_t len,
    canary_json_errors_t *errors);

/*
 * The same, of at most so many values, each of which takes some 100 bytes of
 * memory beside the text; how many more there might have been is left.
 */

cJSON *canary_json_parse_most(const char *text, size_t len, size_t *values,
    canary_json_errors_t *errors);

void canary_json_error(canary_json_errors_t *errors,
    const canary_json_at_t *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "has to be WANTED, not VALUE" */

void canary_json_wrong(canary_json_errors_t *errors,
    const canary_json_at_t *at, const cJSON *value, const char *wanted);

/*
 * The values of an object's members by their names, in the order of names
 * (at most 32); NULL for those that are absent.  Other members are errors.
 * Returns 0 if it is no object.
 */

int canary_json_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, const cJSON **values,
    canary_json_errors_t *errors);

/* Returns 0, with an error added, if the value is not what it has to be. */

int canary_json_number(const cJSON *value, const canary_json_at_t *at,
    const canary_json_range_t *range, uint64_t *result,
    canary_json_errors_t *errors);

/* Index of the text in a list of n, or -1 with an error added. */

int canary_json_choice(const cJSON *value, const canary_json_at_t *at,
    const char *const *names, unsigned n, canary_json_errors_t *errors);

/*
 * A text of 0 to max bytes without control characters, as it may be shown
 * in a terminal or written to a log; NULL with an error added.
 */

const char *canary_json_line(const cJSON *value, const canary_json_at_t *at,
    size_t max, canary_json_errors_t *errors);

/* For errors: a text in quotes, cut if it is long; names with commas. */

const char *canary_json_quote(const char *text, char *buf, size_t size);
const char *canary_json_list(const char *const *names, unsigned n, char *buf,
    size_t size);


/*
 * Writing.  Each adds an item to an object under a constant name, or with
 * name NULL to an array; a NULL parent or no memory sets *failed and adds
 * nothing, so that it is enough to look at it once at the end.
 */

cJSON *canary_json_add(cJSON *parent, const char *name, cJSON *item,
    int *failed);

cJSON *canary_json_add_object(cJSON *parent, const char *name, int *failed);
cJSON *canary_json_add_array(cJSON *parent, const char *name, int *failed);
void canary_json_add_null(cJSON *parent, const char *name, int *failed);
void canary_json_add_text(cJSON *parent, const char *name, const char *text,
    int *failed);

/* value / 10^decimals, exactly, as a plain decimal: 0.2, 10, 0.00001. */

void canary_json_add_number(cJSON *parent, const char *name, uint64_t value,
    unsigned decimals, int *failed);


#endif /* CANARY_JSON_H */
