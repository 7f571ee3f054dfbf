
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "canary_state_read.h"


static int canary_state_digits(const char *text, uint64_t *number);
static void canary_state_hex(const cJSON *value, const canary_json_at_t *at,
    char *text, size_t size, canary_json_errors_t *errors);
static int canary_state_nibble(char ch);


static const char *const  canary_phases[] = {
    "idle", "progressing", "paused", "halted", "baking"
};


int
canary_state_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, const cJSON **values,
    canary_json_errors_t *errors)
{
    return canary_state_some_members(object, at, names, n, n, values, errors);
}


int
canary_state_some_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned always, unsigned n,
    const cJSON **values, canary_json_errors_t *errors)
{
    unsigned  i, before;

    before = errors->total;

    if (!canary_json_members(object, at, names, n, values, errors)) {
        return 0;
    }

    for (i = 0; i < always; i++) {
        if (values[i] == NULL) {
            canary_json_error(errors, at, "\"%s\" is missing", names[i]);
        }
    }

    return errors->total == before;
}


uint64_t
canary_state_count(const cJSON *value, const canary_json_at_t *at,
    const char *name, uint64_t max, canary_json_errors_t *errors)
{
    char                 words[80];
    uint64_t             number;
    canary_json_at_t     here = { at, name, 0 };
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
            canary_json_wrong(errors, &here, value, words);
        }

        return number;
    }

    (void) canary_json_number(value, &here, &range, &number, errors);

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


double
canary_state_double(const cJSON *value, const canary_json_at_t *at,
    const char *name, canary_json_errors_t *errors)
{
    canary_json_at_t  here = { at, name, 0 };

    if (cJSON_IsNumber(value) && isfinite(value->valuedouble)) {
        return value->valuedouble;
    }

    if (!cJSON_IsNull(value)) {
        canary_json_wrong(errors, &here, value, "a number or null");
    }

    return NAN;
}


uint32_t
canary_state_weight(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    uint64_t          weight;
    canary_json_at_t  here = { at, "weight", 0 };

    static const canary_json_range_t  range = {
        "a ratio from 0 to 1", CANARY_ONE, 0, CANARY_ONE, 0, 0
    };

    weight = 0;

    (void) canary_json_number(value, &here, &range, &weight, errors);

    return (uint32_t) weight;
}


uint32_t
canary_state_phase(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    int               phase;
    canary_json_at_t  here = { at, "phase", 0 };

    phase = canary_json_choice(value, &here, canary_phases, 5, errors);

    return (phase == -1) ? CANARY_IDLE : (uint32_t) phase;
}


void
canary_state_text(const cJSON *value, const canary_json_at_t *at,
    const char *name, char *text, size_t size, canary_json_errors_t *errors)
{
    size_t            len;
    const char       *from;
    canary_json_at_t  here = { at, name, 0 };

    text[0] = '\0';

    if (cJSON_IsObject(value)) {
        canary_state_hex(value, &here, text, size, errors);
        return;
    }

    if (!cJSON_IsString(value)) {
        canary_json_wrong(errors, &here, value, "a text");
        return;
    }

    from = value->valuestring;
    len = strlen(from);

    if (len >= size) {
        canary_json_error(errors, &here, "has to be at most %zu bytes long, "
                          "not %zu", size - 1, len);
        return;
    }

    memcpy(text, from, len + 1);
}


static void
canary_state_hex(const cJSON *value, const canary_json_at_t *at, char *text,
    size_t size, canary_json_errors_t *errors)
{
    int           high, low;
    size_t        len, i;
    const char   *hex;
    const cJSON  *values[1];

    static const char *const  names[] = { "hex" };

    if (!canary_state_members(value, at, names, 1, values, errors)) {
        return;
    }

    hex = cJSON_IsString(values[0]) ? values[0]->valuestring : "-";
    len = strlen(hex);

    for (i = 0; i < len && i / 2 < size - 1; i += 2) {
        high = canary_state_nibble(hex[i]);
        low = canary_state_nibble(hex[i + 1]);

        if (high == -1 || low == -1 || (high == 0 && low == 0)) {
            break;
        }

        text[i / 2] = (char) (high << 4 | low);
    }

    if (i != len) {
        text[0] = '\0';
        canary_json_error(errors, at, "has to be at most %zu bytes in "
                          "hexadecimal digits", size - 1);
        return;
    }

    text[i / 2] = '\0';
}


static int
canary_state_nibble(char ch)
{
    return (ch >= '0' && ch <= '9') ? ch - '0'
           : (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}
