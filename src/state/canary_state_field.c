
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_kept.h"
#include "canary_rule.h"
#include "canary_state.h"
#include "canary_state_field.h"
#include "canary_text.h"


#define CANARY_STATE_FIELDS_MAX  32


static int canary_state_some_members(const cJSON *object,
    const canary_json_at_t *at, const char *const *names, unsigned n,
    unsigned later, const cJSON **values, canary_json_errors_t *errors);
static uint64_t canary_state_number(const cJSON *value,
    const canary_json_at_t *at, uint64_t max, canary_json_errors_t *errors);
static int canary_state_digits(const char *text, uint64_t *number);
static void canary_state_hex(const cJSON *value, const canary_json_at_t *at,
    char *text, size_t size, canary_json_errors_t *errors);
static int canary_state_nibble(char ch);


int
canary_state_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, const cJSON **values,
    canary_json_errors_t *errors)
{
    return canary_state_some_members(object, at, names, n, 0, values, errors);
}


static int
canary_state_some_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, unsigned later,
    const cJSON **values, canary_json_errors_t *errors)
{
    unsigned  i, before;

    before = errors->total;

    if (!canary_json_members(object, at, names, n, values, errors)) {
        return 0;
    }

    for (i = 0; i < n - later; i++) {
        if (values[i] == NULL) {
            canary_json_error(errors, at, "\"%s\" is missing", names[i]);
        }
    }

    return errors->total == before;
}


void
canary_state_read_fields(const cJSON *object, const canary_json_at_t *at,
    const canary_state_object_t *what, void *of, canary_json_errors_t *errors)
{
    unsigned                     i;
    const char                  *names[CANARY_STATE_FIELDS_MAX];
    const cJSON                 *values[CANARY_STATE_FIELDS_MAX];
    canary_json_at_t             here = { at, NULL, 0 };
    const canary_state_field_t  *field;

    for (i = 0; i < what->n; i++) {
        names[i] = what->fields[i].name;
    }

    if (!canary_state_some_members(object, at, names, what->n, what->later,
                                   values, errors))
    {
        return;
    }

    for (i = 0; i < what->n; i++) {
        if (values[i] == NULL) {
            continue;
        }

        field = &what->fields[i];
        here.key = field->name;

        field->kind->read(values[i], &here, field, (char *) of + field->offset,
                          errors);
    }
}


void
canary_state_write_fields(cJSON *object, const canary_state_object_t *what,
    const void *of, int *failed)
{
    unsigned                     i;
    const canary_state_field_t  *field;

    for (i = 0; i < what->n; i++) {
        field = &what->fields[i];

        field->kind->write(object, field, (const char *) of + field->offset,
                           failed);
    }
}


/* Numbers: one above 2^53 is a text of digits. */

static void
canary_state_read_long(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    *(uint64_t *) of = canary_state_number(value, at, field->max, errors);
}


static void
canary_state_read_int(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    *(uint32_t *) of = (uint32_t) canary_state_number(value, at, field->max,
                                                      errors);
}


static uint64_t
canary_state_number(const cJSON *value, const canary_json_at_t *at,
    uint64_t max, canary_json_errors_t *errors)
{
    char                 words[80];
    uint64_t             number;
    canary_json_range_t  range = { words, 1, 0, 0, 1, 0 };

    number = 0;
    range.max = (max < CANARY_STATE_NUMBER_MAX) ? max
                                                : CANARY_STATE_NUMBER_MAX;

    (void) snprintf(words, sizeof(words), "a whole number from 0 to %" PRIu64
                    "%s", max, cJSON_IsString(value)
                               ? ", as text only if it is above 2^53" : "");

    if (cJSON_IsString(value)) {

        if (!canary_state_digits(value->valuestring, &number)
            || number <= CANARY_STATE_NUMBER_MAX || number > max)
        {
            canary_json_wrong(errors, at, value, words);
        }

        return number;
    }

    (void) canary_json_number(value, at, &range, &number, errors);

    return number;
}


static int
canary_state_digits(const char *text, uint64_t *number)
{
    uint64_t  digit;

    *number = 0;

    if (*text == '\0') {
        return 0;
    }

    for ( /* void */ ; *text; text++) {

        if (*text < '0' || *text > '9') {
            return 0;
        }

        digit = (uint64_t) (*text - '0');

        if (*number > (UINT64_MAX - digit) / 10) {
            return 0;
        }

        *number = 10 * *number + digit;
    }

    return 1;
}


static void
canary_state_write_long(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    char      digits[24];
    uint64_t  value;

    value = *(const uint64_t *) of;

    if (value > field->max) {
        value = field->max;
    }

    if (value <= CANARY_STATE_NUMBER_MAX) {
        canary_json_add_number(object, field->name, value, 0, failed);
        return;
    }

    (void) snprintf(digits, sizeof(digits), "%" PRIu64, value);

    canary_json_add_text(object, field->name, digits, failed);
}


static void
canary_state_write_int(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    canary_json_add_number(object, field->name, *(const uint32_t *) of, 0,
                           failed);
}


const canary_state_kind_t  canary_state_long = {
    canary_state_read_long, canary_state_write_long
};

const canary_state_kind_t  canary_state_int = {
    canary_state_read_int, canary_state_write_int
};


static void
canary_state_read_ratio(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    uint64_t  weight;

    static const canary_json_range_t  range = {
        "a ratio from 0 to 1", CANARY_ONE, 0, CANARY_ONE, 0, 0
    };

    (void) field;

    weight = 0;

    (void) canary_json_number(value, at, &range, &weight, errors);

    *(uint32_t *) of = (uint32_t) weight;
}


static void
canary_state_write_ratio(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    canary_json_add_number(object, field->name, *(const uint32_t *) of,
                           CANARY_WEIGHT_DECIMALS, failed);
}


const canary_state_kind_t  canary_state_ratio = {
    canary_state_read_ratio, canary_state_write_ratio
};


static void
canary_state_read_double(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    double  number;

    number = cJSON_IsNumber(value) ? value->valuedouble : NAN;

    *(double *) of = isfinite(number) ? number : NAN;

    if (field->max) {
        if (!(number >= 0 && number <= (double) field->max)) {
            canary_json_wrong(errors, at, value, "a number from 0 to 2^53");
        }

    } else if (!isfinite(number) && !cJSON_IsNull(value)) {
        canary_json_wrong(errors, at, value, "a number or null");
    }
}


/* cJSON writes as many digits as give the same double again */

static void
canary_state_write_double(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    double  value;

    value = *(const double *) of;

    if (field->max && !(value <= (double) field->max)) {
        value = isnan(value) ? 0 : (double) field->max;
    }

    if (field->max && value < 0) {
        value = 0;
    }

    canary_json_add(object, field->name,
                    isfinite(value) ? cJSON_CreateNumber(value)
                                    : cJSON_CreateNull(), failed);
}


const canary_state_kind_t  canary_state_double = {
    canary_state_read_double, canary_state_write_double
};


/* Texts: one that is no UTF-8 is written in digits. */

static void
canary_state_read_text(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    size_t       len;
    const char  *from;

    *(char *) of = '\0';

    if (cJSON_IsObject(value)) {
        canary_state_hex(value, at, of, field->max, errors);
        return;
    }

    if (!cJSON_IsString(value)) {
        canary_json_wrong(errors, at, value, "a text");
        return;
    }

    from = value->valuestring;
    len = strlen(from);

    if (len >= field->max) {
        canary_json_error(errors, at, "has to be at most %zu bytes long, "
                          "not %zu", (size_t) field->max - 1, len);
        return;
    }

    memcpy(of, from, len + 1);
}


static void
canary_state_hex(const cJSON *value, const canary_json_at_t *at, char *text,
    size_t size, canary_json_errors_t *errors)
{
    int          high, low;
    size_t       len, i;
    const char  *hex;

    /* it has that, and nothing else */

    hex = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(value, "hex"));
    hex = (hex && cJSON_GetArraySize(value) == 1) ? hex : "-";
    len = strlen(hex);

    for (i = 0; i < len && i / 2 < size - 1; i += 2) {
        high = canary_state_nibble(hex[i]);
        low = canary_state_nibble(hex[i + 1]);

        if (high == -1 || low == -1 || (high == 0 && low == 0)) {
            break;
        }

        text[i / 2] = (char) (high << 4 | low);
    }

    text[i / 2] = '\0';

    if (i != len) {
        text[0] = '\0';
        canary_json_error(errors, at, "has to be at most %zu bytes in "
                          "hexadecimal digits", size - 1);
    }
}


static int
canary_state_nibble(char ch)
{
    return (ch >= '0' && ch <= '9') ? ch - '0'
           : (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


static void
canary_state_write_text(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    char         hex[2 * CANARY_STATE_ENDPOINT_NAME + 1];
    size_t       len, i;
    const char  *text;

    text = of;
    len = strlen(text);

    if (canary_utf8_prefix(text, len) == len) {
        canary_json_add_text(object, field->name, text, failed);
        return;
    }

    for (i = 0; i < len && i < CANARY_STATE_ENDPOINT_NAME; i++) {
        (void) snprintf(&hex[2 * i], 3, "%02x", (unsigned char) text[i]);
    }

    object = canary_json_add_object(object, field->name, failed);
    canary_json_add_text(object, "hex", hex, failed);
}


static void
canary_state_read_name(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    const char  *bad, *text;

    canary_state_read_text(value, at, field, of, errors);

    text = of;
    bad = text[0] ? canary_text_bad_name(text, strlen(text)) : NULL;

    if (bad) {
        canary_json_error(errors, at, "%s", bad);
    }
}


const canary_state_kind_t  canary_state_text = {
    canary_state_read_text, canary_state_write_text
};

const canary_state_kind_t  canary_state_name = {
    canary_state_read_name, canary_state_write_text
};


static void
canary_state_read_choice(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    int  i;

    i = canary_json_choice(value, at, field->more, (unsigned) field->max,
                           errors);

    *(uint32_t *) of = (i == -1) ? 0 : (uint32_t) i;
}


static void
canary_state_write_choice(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    const char *const  *names;

    names = field->more;

    canary_json_add_text(object, field->name, names[*(const uint32_t *) of],
                         failed);
}


const canary_state_kind_t  canary_state_choice = {
    canary_state_read_choice, canary_state_write_choice
};


static void
canary_state_read_part(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    const canary_state_object_t  *what;

    what = field->more;

    if (what->is == NULL || !cJSON_IsNull(value)) {
        canary_state_read_fields(value, at, what, of, errors);
    }
}


static void
canary_state_write_part(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    const canary_state_object_t  *what;

    what = field->more;

    if (what->is && !what->is(of)) {
        canary_json_add_null(object, field->name, failed);
        return;
    }

    canary_state_write_fields(canary_json_add_object(object, field->name,
                                                     failed),
                              what, of, failed);
}


const canary_state_kind_t  canary_state_part = {
    canary_state_read_part, canary_state_write_part
};


static void
canary_state_write_option(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    const canary_state_object_t  *what;

    what = field->more;

    if (what->is(of)) {
        canary_state_write_part(object, field, of, failed);
    }
}


const canary_state_kind_t  canary_state_option = {
    canary_state_read_part, canary_state_write_option
};


/* it ends at the first that is wrong: what follows may need it */

static void
canary_state_read_list(const cJSON *value, const canary_json_at_t *at,
    const canary_state_field_t *field, void *of, canary_json_errors_t *errors)
{
    int                         n;
    char                       *list;
    const cJSON                *object;
    canary_json_at_t            here = { at, NULL, 0 };
    const canary_state_list_t  *what;

    what = field->more;
    n = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : -1;

    if (n < 0 || (what->max && n > what->max)) {
        canary_json_error(errors, at, "has to be a list of at most %d %s",
                          what->max ? what->max : INT_MAX, field->name);
        return;
    }

    list = calloc(n ? (size_t) n : 1, what->size);

    if (list == NULL) {
        canary_json_error(errors, at, "there is no memory for it");
        return;
    }

    *(void **) ((char *) of + what->list) = list;
    *(unsigned *) ((char *) of + what->n) = (unsigned) n;

    cJSON_ArrayForEach(object, value) {
        canary_state_read_fields(object, &here, what->object,
                                 list + here.index * what->size, errors);

        if (errors->total) {
            return;
        }

        here.index++;
    }
}


static void
canary_state_write_list(cJSON *object, const canary_state_field_t *field,
    const void *of, int *failed)
{
    cJSON                      *part;
    unsigned                    i, n;
    const char                 *list;
    const canary_state_list_t  *what;

    what = field->more;
    list = *(const char *const *) ((const char *) of + what->list);
    n = *(const unsigned *) ((const char *) of + what->n);

    part = canary_json_add_array(object, field->name, failed);

    for (i = 0; i < n; i++) {
        canary_state_write_fields(canary_json_add_object(part, NULL, failed),
                                  what->object, list + i * what->size, failed);
    }
}


const canary_state_kind_t  canary_state_list = {
    canary_state_read_list, canary_state_write_list
};
