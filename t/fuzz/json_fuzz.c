
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Any text: what is taken for JSON, cJSON reads to its end, with as many
 * values as were counted; and what it then writes is JSON that says the same.
 */


#include <math.h>

#include "canary_json.h"
#include "canary_json_check.h"

#include "fuzz.h"


static size_t fuzz_count(const cJSON *value);
static int fuzz_is_finite(const cJSON *value);
static void fuzz_again(const cJSON *json);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char        *text, reason[CANARY_JSON_REASON_MAX];
    cJSON       *json;
    size_t       values;
    const char  *end;

    text = fuzz_text(data, size);
    values = size + 1;

    if (!canary_json_check(text, size, &values, reason)) {
        fuzz_assert(strlen(reason) > 0
                    && strlen(reason) < CANARY_JSON_REASON_MAX);
        free(text);
        return 0;
    }

    json = cJSON_ParseWithLengthOpts(text, size + 1, &end, 1);

    fuzz_assert(json != NULL);
    fuzz_assert(end == text + size);
    fuzz_assert(fuzz_count(json) == size + 1 - values);

    if (fuzz_is_finite(json)) {
        fuzz_again(json);
    }

    cJSON_Delete(json);
    free(text);

    return 0;
}


static size_t
fuzz_count(const cJSON *value)
{
    size_t        n;
    const cJSON  *child;

    n = 1;

    cJSON_ArrayForEach(child, value) {
        n += fuzz_count(child);
    }

    return n;
}


/* cJSON writes other numbers as null */

static int
fuzz_is_finite(const cJSON *value)
{
    const cJSON  *child;

    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble)) {
        return 0;
    }

    cJSON_ArrayForEach(child, value) {
        if (!fuzz_is_finite(child)) {
            return 0;
        }
    }

    return 1;
}


static void
fuzz_again(const cJSON *json)
{
    char    *text, *written, reason[CANARY_JSON_REASON_MAX];
    cJSON   *again;
    size_t   values;

    text = cJSON_PrintUnformatted(json);
    fuzz_assert(text != NULL);

    values = SIZE_MAX;
    fuzz_assert(canary_json_check(text, strlen(text), &values, reason));

    again = cJSON_Parse(text);
    fuzz_assert(again != NULL);

    written = cJSON_PrintUnformatted(again);
    fuzz_assert(written != NULL && strcmp(written, text) == 0);

    cJSON_free(written);
    cJSON_Delete(again);
    cJSON_free(text);
}
