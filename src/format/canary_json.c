
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_json.h"
#include "canary_json_check.h"
#include "canary_text.h"


#define CANARY_JSON_SHOWN  48    /* bytes of a value in an error */


static void canary_json_check_names(const cJSON *value,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static void canary_json_check_members(const cJSON *object,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static int canary_json_compare(const void *one, const void *two);
static void canary_json_twice(canary_json_errors_t *errors,
    const canary_json_at_t *at);
static size_t canary_json_pointer(const canary_json_at_t *at, char *buf,
    size_t size);
static size_t canary_json_key(const char *key, char *buf, size_t size);
static int canary_json_find(const char *name, const char *const *names,
    unsigned n);
static void canary_json_unknown(canary_json_errors_t *errors,
    const canary_json_at_t *at, const char *key, const char *const *names,
    unsigned n);
static const char *canary_json_show(const cJSON *value, char *buf,
    size_t size);
static int canary_json_value(const cJSON *value,
    const canary_json_range_t *range, double *number);


cJSON *
canary_json_parse(const char *text, size_t len, canary_json_errors_t *errors)
{
    size_t  values;

    values = SIZE_MAX;

    return canary_json_parse_most(text, len, &values, errors);
}


cJSON *
canary_json_parse_most(const char *text, size_t len, size_t *values,
    canary_json_errors_t *errors)
{
    char      reason[CANARY_JSON_REASON_MAX];
    cJSON    *json;
    unsigned  before;

    if (!canary_json_check(text, len, values, reason)) {
        canary_json_error(errors, NULL, "%s", reason);
        return NULL;
    }

    /* with the zero at the end: cJSON looks one byte too far without */

    json = cJSON_ParseWithLengthOpts(text, len + 1, NULL, 1);

    if (json == NULL) {
        canary_json_error(errors, NULL, "there is no memory for it");
        return NULL;
    }

    before = errors->total;
    canary_json_check_names(json, NULL, errors);

    if (errors->total != before) {
        cJSON_Delete(json);
        return NULL;
    }

    return json;
}


/* As deep as canary_json_check() has allowed. */

static void
canary_json_check_names(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    const cJSON       *child;
    canary_json_at_t   here = { at, NULL, 0 };

    if (cJSON_IsObject(value)) {
        canary_json_check_members(value, at, errors);
    }

    cJSON_ArrayForEach(child, value) {
        here.key = child->string;
        canary_json_check_names(child, &here, errors);
        here.index++;
    }
}


/* Sorted, those that come twice are neighbours. */

static void
canary_json_check_members(const cJSON *object, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    size_t             i, n;
    const char       **names;
    const cJSON       *member;
    canary_json_at_t   here = { at, NULL, 0 };

    n = (size_t) cJSON_GetArraySize(object);

    if (n < 2) {
        return;
    }

    names = malloc(n * sizeof(const char *));

    if (names == NULL) {
        canary_json_error(errors, at, "there is no memory for it");
        return;
    }

    i = 0;

    cJSON_ArrayForEach(member, object) {
        names[i++] = member->string;
    }

    qsort(names, n, sizeof(const char *), canary_json_compare);

    for (i = 1; i < n; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            here.key = names[i];
            canary_json_twice(errors, &here);
        }
    }

    free(names);
}


static int
canary_json_compare(const void *one, const void *two)
{
    return strcmp(*(const char *const *) one, *(const char *const *) two);
}


static void
canary_json_twice(canary_json_errors_t *errors, const canary_json_at_t *at)
{
    char  shown[CANARY_JSON_SHOWN + 8];

    canary_json_error(errors, at, "%s is here twice",
                      canary_json_quote(at->key, shown, sizeof(shown)));
}


void
canary_json_error(canary_json_errors_t *errors, const canary_json_at_t *at,
    const char *format, ...)
{
    int                   n;
    va_list               args;
    canary_json_error_t  *error;

    errors->total++;

    if (errors->n == CANARY_JSON_ERRORS_MAX) {
        return;
    }

    error = &errors->list[errors->n++];

    error->pointer[canary_json_pointer(at, error->pointer,
                                       sizeof(error->pointer) - 1)] = '\0';

    va_start(args, format);
    n = vsnprintf(error->detail, sizeof(error->detail), format, args);
    va_end(args);

    if (n < 0) {
        error->detail[0] = '\0';
    }

    error->detail[canary_utf8_prefix(error->detail, strlen(error->detail))]
        = '\0';
}


/* A pointer that is too long ends at the parent of what it points to. */

static size_t
canary_json_pointer(const canary_json_at_t *at, char *buf, size_t size)
{
    int     n;
    size_t  len, added;

    if (at == NULL) {
        return 0;
    }

    len = canary_json_pointer(at->parent, buf, size);

    if (at->key) {
        added = canary_json_key(at->key, buf + len, size - len);

    } else {
        n = snprintf(buf + len, size - len, "/%u", at->index);
        added = (n > 0 && (size_t) n < size - len) ? (size_t) n : 0;
    }

    return len + added;
}


static size_t
canary_json_key(const char *key, char *buf, size_t size)
{
    size_t  len;

    if (size < 3) {
        return 0;
    }

    buf[0] = '/';

    for (len = 1; *key; key++) {

        if (len + 2 > size) {
            return 0;
        }

        if (*key == '~' || *key == '/') {
            buf[len++] = '~';
            buf[len++] = (*key == '~') ? '0' : '1';

        } else {
            buf[len++] = *key;
        }
    }

    return len;
}


int
canary_json_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, const cJSON **values,
    canary_json_errors_t *errors)
{
    int               i;
    const cJSON      *member;
    canary_json_at_t  here;

    memset(values, 0, n * sizeof(const cJSON *));

    if (!cJSON_IsObject(object)) {
        canary_json_wrong(errors, at, object, "an object");
        return 0;
    }

    cJSON_ArrayForEach(member, object) {

        here.parent = at;
        here.key = member->string;
        here.index = 0;

        i = canary_json_find(member->string, names, n);

        if (i == -1) {
            canary_json_unknown(errors, &here, member->string, names, n);

        } else {
            values[i] = member;
        }
    }

    return 1;
}


static int
canary_json_find(const char *name, const char *const *names, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (int) i;
        }
    }

    return -1;
}


static void
canary_json_unknown(canary_json_errors_t *errors, const canary_json_at_t *at,
    const char *key, const char *const *names, unsigned n)
{
    char  list[CANARY_JSON_DETAIL_MAX], shown[CANARY_JSON_SHOWN + 8];

    canary_json_error(errors, at, "%s is not known here; known: %s",
                      canary_json_quote(key, shown, sizeof(shown)),
                      canary_json_list(names, n, list, sizeof(list)));
}


const char *
canary_json_list(const char *const *names, unsigned n, char *buf, size_t size)
{
    int       added;
    size_t    len;
    unsigned  i;

    buf[0] = '\0';

    for (i = 0, len = 0; i < n && len < size; i++) {
        added = snprintf(buf + len, size - len, "%s%s", i ? ", " : "",
                         names[i]);
        len += (added > 0) ? (size_t) added : 0;
    }

    return buf;
}


void
canary_json_wrong(canary_json_errors_t *errors, const canary_json_at_t *at,
    const cJSON *value, const char *wanted)
{
    char  shown[CANARY_JSON_SHOWN + 8];

    canary_json_error(errors, at, "has to be %s, not %s", wanted,
                      canary_json_show(value, shown, sizeof(shown)));
}


static const char *
canary_json_show(const cJSON *value, char *buf, size_t size)
{
    if (cJSON_IsString(value)) {
        return canary_json_quote(value->valuestring, buf, size);
    }

    if (cJSON_IsNumber(value)) {

        if (!isfinite(value->valuedouble)) {
            return "a number as large as that";
        }

        /* cJSON knows how to print in any locale, and does not change it */

        if (cJSON_PrintPreallocated((cJSON *) (uintptr_t) value, buf,
                                    (int) size, 0))
        {
            return buf;
        }
    }

    return cJSON_IsObject(value) ? "an object"
           : cJSON_IsArray(value) ? "an array"
           : cJSON_IsNull(value) ? "null"
           : cJSON_IsTrue(value) ? "true"
           : cJSON_IsFalse(value) ? "false" : "a value";
}


/* A text in quotes, its end left out if it is long. */

const char *
canary_json_quote(const char *text, char *buf, size_t size)
{
    size_t  len, max;

    len = strlen(text);
    max = size - sizeof("\"...\"");

    if (len > max) {
        len = canary_utf8_prefix(text, max);
        (void) snprintf(buf, size, "\"%.*s...\"", (int) len, text);

    } else {
        (void) snprintf(buf, size, "\"%s\"", text);
    }

    return buf;
}


int
canary_json_number(const cJSON *value, const canary_json_at_t *at,
    const canary_json_range_t *range, uint64_t *result,
    canary_json_errors_t *errors)
{
    double  number, scaled;

    if (!canary_json_value(value, range, &number)
        || (range->whole && number != floor(number)))
    {
        canary_json_wrong(errors, at, value, range->range);
        return 0;
    }

    scaled = round(number * range->scale);

    /* the number too: what is just above the maximum rounds to it */

    if (!(number >= 0 && number <= (double) range->max / range->scale)
        || scaled < (double) range->min || scaled > (double) range->max)
    {
        canary_json_wrong(errors, at, value, range->range);
        return 0;
    }

    *result = (uint64_t) scaled;

    return 1;
}


static int
canary_json_value(const cJSON *value, const canary_json_range_t *range,
    double *number)
{
    if (cJSON_IsNumber(value)) {
        *number = value->valuedouble;
        return isfinite(*number);
    }

    return range->text && cJSON_IsString(value)
           && canary_text_decimal(value->valuestring, number);
}


int
canary_json_choice(const cJSON *value, const canary_json_at_t *at,
    const char *const *names, unsigned n, canary_json_errors_t *errors)
{
    int   i;
    char  wanted[CANARY_JSON_DETAIL_MAX], list[CANARY_JSON_DETAIL_MAX / 2];

    i = cJSON_IsString(value)
        ? canary_json_find(value->valuestring, names, n) : -1;

    if (i == -1) {
        (void) snprintf(wanted, sizeof(wanted), "one of: %s",
                        canary_json_list(names, n, list, sizeof(list)));
        canary_json_wrong(errors, at, value, wanted);
    }

    return i;
}


const char *
canary_json_line(const cJSON *value, const canary_json_at_t *at, size_t max,
    canary_json_errors_t *errors)
{
    size_t       len;
    const char  *text;

    if (!cJSON_IsString(value)) {
        canary_json_wrong(errors, at, value, "a text");
        return NULL;
    }

    text = value->valuestring;
    len = strlen(text);

    if (len > max) {
        canary_json_error(errors, at,
                          "has to be at most %zu bytes long, not %zu",
                          max, len);
        return NULL;
    }

    if (canary_utf8_controls(text, len)) {
        canary_json_error(errors, at, "has to be one line of text without "
                          "control characters");
        return NULL;
    }

    return text;
}
