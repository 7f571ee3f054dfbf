
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "canary_json.h"
#include "canary_replay_line.h"
#include "canary_replay_time.h"
#include "canary_split.h"
#include "canary_text.h"


typedef enum {
    FIELD_TIME = 0,
    FIELD_ENDPOINT,
    FIELD_RELEASE,
    FIELD_REASON,
    FIELD_WEIGHT,
    FIELD_STATUS,
    FIELD_HEADER_TIME,
    FIELD_DURATION,
    FIELD_REQUEST_TIME,
    FIELD_ABANDONED,
    FIELD_NAMES,
    FIELD_MATCH = FIELD_NAMES,     /* the first of them */
    FIELDS = FIELD_MATCH + CANARY_MATCHES_MAX
} canary_replay_field_t;


/* Their texts; NULL: absent. */

typedef struct {
    const canary_matches_t  *matches;
    char                    *values[FIELDS];
    char                     numbers[FIELDS][32];
} canary_replay_fields_t;


static const char *canary_replay_read_log(char *text,
    canary_replay_fields_t *fields);
static char *canary_replay_take_value(char **text);
static int canary_replay_field(const canary_replay_fields_t *fields,
    const char *name);
static const char *canary_replay_read_json(const cJSON *object,
    canary_replay_fields_t *fields);
static const char *canary_replay_interpret(canary_replay_fields_t *fields,
    canary_replay_line_t *line);
static const char *canary_replay_read_names(canary_replay_fields_t *fields,
    canary_replay_line_t *line);
static const char *canary_replay_read_attempts(
    canary_replay_fields_t *fields, canary_replay_line_t *line);
static const char *canary_replay_read_last(canary_replay_fields_t *fields,
    canary_replay_attempt_t *attempt);
static const char *canary_replay_read_attempt(char *status, char *header,
    char *duration, canary_replay_attempt_t *attempt);
static int canary_replay_read_status(const char *text, int has_header,
    canary_replay_attempt_t *attempt);
static unsigned canary_replay_split(char *list, char **items);
static int canary_replay_nothing(const char *text);


static const char *const  canary_replay_names[FIELD_NAMES] = {
    "time", "endpoint", "release", "reason", "weight", "status",
    "header_time", "duration", "request_time", "abandoned"
};


const char *
canary_replay_line_read(char *text, size_t len, canary_replay_format_t format,
    const canary_matches_t *matches, canary_replay_line_t *line)
{
    cJSON                   *json;
    const char              *error;
    canary_json_errors_t     errors;
    canary_replay_fields_t   fields;

    memset(&fields, 0, sizeof(canary_replay_fields_t));
    fields.matches = matches;

    if (strlen(text) != len) {
        return "has a zero byte in it";
    }

    if (format == CANARY_REPLAY_AUTO) {
        format = (text[strspn(text, " \t")] == '{') ? CANARY_REPLAY_JSON
                                                    : CANARY_REPLAY_LOG;
    }

    if (format == CANARY_REPLAY_LOG) {
        error = canary_replay_read_log(text, &fields);

        return error ? error : canary_replay_interpret(&fields, line);
    }

    memset(&errors, 0, sizeof(canary_json_errors_t));

    json = canary_json_parse(text, len, &errors);

    if (json == NULL) {
        return errors.list[0].pointer[0] ? "has a field twice" : "is no JSON";
    }

    error = canary_replay_read_json(json, &fields);

    if (error == NULL) {
        error = canary_replay_interpret(&fields, line);
    }

    cJSON_Delete(json);

    return error;
}


static const char *
canary_replay_read_log(char *text, canary_replay_fields_t *fields)
{
    int   field;
    char *name, *value;

    for ( ;; ) {
        text += strspn(text, " \t");

        if (*text == '\0') {
            return NULL;
        }

        name = text;
        text += strcspn(text, "= \t\"");

        if (*text != '=' || text == name) {
            return "has to be a list of name=value, with quotes around a "
                   "value that has spaces";
        }

        *text++ = '\0';

        value = canary_replay_take_value(&text);

        if (value == NULL) {
            return "has a quote that is not closed, or something right "
                   "after one that is";
        }

        field = canary_replay_field(fields, name);

        if (field == -1) {
            continue;
        }

        if (fields->values[field]) {
            return "has a field twice";
        }

        fields->values[field] = value;
    }
}


static char *
canary_replay_take_value(char **text)
{
    char  *value, *end;

    value = *text;

    if (*value != '"') {
        end = value + strcspn(value, " \t");

    } else {
        value++;
        end = strchr(value, '"');

        if (end == NULL) {
            return NULL;
        }

        *end++ = '\0';
    }

    if (*end != '\0' && *end != ' ' && *end != '\t') {
        return NULL;
    }

    *text = end;

    if (*end) {
        *end = '\0';
        *text = end + 1;
    }

    return value;
}


static int
canary_replay_field(const canary_replay_fields_t *fields, const char *name)
{
    int       i;
    unsigned  place;

    for (i = 0; i < FIELD_NAMES; i++) {
        if (strcmp(name, canary_replay_names[i]) == 0) {
            return i;
        }
    }

    if (strncmp(name, "match_", 6) != 0) {
        return -1;
    }

    place = canary_match_find(fields->matches, name + 6, strlen(name + 6));

    return place ? FIELD_MATCH + (int) place - 1 : -1;
}


static const char *
canary_replay_read_json(const cJSON *object, canary_replay_fields_t *fields)
{
    int           field;
    const cJSON  *member;

    if (!cJSON_IsObject(object)) {
        return "has to be an object";
    }

    cJSON_ArrayForEach(member, object) {
        field = canary_replay_field(fields, member->string);

        if (field == -1 || cJSON_IsNull(member)) {
            continue;
        }

        if (cJSON_IsString(member)) {
            fields->values[field] = member->valuestring;

        } else if (cJSON_IsNumber(member)) {
            fields->values[field] = fields->numbers[field];
            snprintf(fields->numbers[field], sizeof(fields->numbers[field]),
                     "%.15g", member->valuedouble);

        } else {
            return "has a field that is neither a text nor a number";
        }
    }

    return NULL;
}


static const char *
canary_replay_interpret(canary_replay_fields_t *fields,
    canary_replay_line_t *line)
{
    double       weight;
    const char  *error, *text;

    memset(line, 0, sizeof(canary_replay_line_t));

    error = canary_replay_read_names(fields, line);

    if (error) {
        return error;
    }

    text = fields->values[FIELD_TIME];

    if (text == NULL || !canary_replay_time(text, &line->time)) {
        return "needs a time: seconds since 1970, or RFC 3339";
    }

    text = fields->values[FIELD_REQUEST_TIME];
    line->request_time = CANARY_REPLAY_UNKNOWN;

    if (!canary_replay_nothing(text)
        && !canary_replay_seconds(text, CANARY_REPLAY_DURATION_MAX,
                                  &line->request_time))
    {
        return "has a request_time that is no number of seconds up to a day";
    }

    text = fields->values[FIELD_WEIGHT];
    line->weight = CANARY_REPLAY_NO_WEIGHT;

    if (!canary_replay_nothing(text)) {

        if (!canary_text_decimal(text, &weight)
            || !(weight >= 0 && weight <= 1))
        {
            return "has a weight that is no ratio from 0 to 1";
        }

        line->weight = (uint32_t) (weight * CANARY_ONE + 0.5);
    }

    return canary_replay_read_attempts(fields, line);
}


static const char *
canary_replay_read_names(canary_replay_fields_t *fields,
    canary_replay_line_t *line)
{
    int          i;
    const char  *text;

    static const char *const  reasons[CANARY_REPLAY_REASONS] = {
        "weight", "key", "force", "fallback", "only"
    };

    text = fields->values[FIELD_ENDPOINT];

    if (text && strlen(text) >= CANARY_REPLAY_NAME_MAX) {
        return "has an endpoint whose name is too long";
    }

    strcpy(line->endpoint, canary_replay_nothing(text) ? "" : text);

    text = fields->values[FIELD_RELEASE];

    if (text && strlen(text) >= CANARY_REPLAY_NAME_MAX) {
        return "has a release whose name is too long";
    }

    if (text == NULL) {
        return "needs a release";
    }

    strcpy(line->release, canary_replay_nothing(text) ? "" : text);

    text = fields->values[FIELD_REASON];

    if (canary_replay_nothing(text)) {
        return NULL;
    }

    for (i = 0; i < CANARY_REPLAY_REASONS; i++) {
        if (strcmp(text, reasons[i]) == 0) {
            line->reason = (canary_replay_reason_t) i;
            return NULL;
        }
    }

    return "has a reason that is none of weight, key, force, fallback and "
           "only";
}


static const char *
canary_replay_read_attempts(canary_replay_fields_t *fields,
    canary_replay_line_t *line)
{
    char        *status[CANARY_REPLAY_ATTEMPTS_MAX + 1];
    char        *header[CANARY_REPLAY_ATTEMPTS_MAX + 1];
    char        *duration[CANARY_REPLAY_ATTEMPTS_MAX + 1];
    unsigned     i, n;
    const char  *error;

    if (fields->values[FIELD_STATUS] == NULL
        || fields->values[FIELD_DURATION] == NULL)
    {
        return "needs a status and a duration";
    }

    if (line->release[0] == '\0'
        || (canary_replay_nothing(fields->values[FIELD_STATUS])
            && canary_replay_nothing(fields->values[FIELD_DURATION])))
    {
        return NULL;
    }

    n = canary_replay_split(fields->values[FIELD_STATUS], status);

    if (n > CANARY_REPLAY_ATTEMPTS_MAX) {
        return "has more than 32 attempts";
    }

    if (canary_replay_split(fields->values[FIELD_DURATION], duration) != n
        || (fields->values[FIELD_HEADER_TIME]
            && canary_replay_split(fields->values[FIELD_HEADER_TIME], header)
               != n))
    {
        return "has lists of attempts that differ in length";
    }

    for (i = 0; i < n; i++) {
        error = canary_replay_read_attempt(status[i],
                                           fields->values[FIELD_HEADER_TIME]
                                           ? header[i] : NULL,
                                           duration[i], &line->attempts[i]);
        if (error) {
            return error;
        }
    }

    line->n = n;

    return canary_replay_read_last(fields, &line->attempts[n - 1]);
}


/* what is told of a request, and is that of its last attempt */

static const char *
canary_replay_read_last(canary_replay_fields_t *fields,
    canary_replay_attempt_t *attempt)
{
    unsigned     i;
    const char  *text;

    for (i = 0; i < CANARY_MATCHES_MAX; i++) {
        text = fields->values[FIELD_MATCH + i];

        if (!canary_replay_nothing(text) && strcmp(text, "0") != 0) {
            attempt->matched |= 1u << i;
        }
    }

    text = fields->values[FIELD_ABANDONED];

    if (canary_replay_nothing(text)) {
        return NULL;
    }

    if ((text[0] != '0' && text[0] != '1') || text[1] != '\0') {
        return "has an abandoned that is neither 0 nor 1";
    }

    attempt->left = (text[0] == '1');

    return NULL;
}


/* Without a list of header times, headers have come with the end. */

static const char *
canary_replay_read_attempt(char *status, char *header, char *duration,
    canary_replay_attempt_t *attempt)
{
    int  has_header;

    attempt->duration = 0;

    if (!canary_replay_nothing(duration)
        && !canary_replay_seconds(duration, CANARY_REPLAY_DURATION_MAX,
                                  &attempt->duration))
    {
        return "has a duration that is no number of seconds up to a day";
    }

    attempt->header = attempt->duration;
    has_header = (header == NULL || !canary_replay_nothing(header));

    if (header && has_header
        && !canary_replay_seconds(header, CANARY_REPLAY_DURATION_MAX,
                                  &attempt->header))
    {
        return "has a header_time that is no number of seconds up to a day";
    }

    /* an attempt that is still under way has no duration */

    if (attempt->duration < attempt->header) {
        attempt->duration = attempt->header;
    }

    if (!canary_replay_read_status(status, has_header, attempt)) {
        return "has a status that is neither 100 to 599 nor failed, timeout "
               "or aborted";
    }

    return NULL;
}


/*
 * What nginx itself makes of an attempt without a header is 504 for a
 * timeout, 499 if the client left, and nothing or 500 for its own trouble.
 */

static int
canary_replay_read_status(const char *text, int has_header,
    canary_replay_attempt_t *attempt)
{
    unsigned  i;

    static const struct {
        const char               *name;
        canary_replay_outcome_t   outcome;
    } words[] = {
        { "failed", CANARY_REPLAY_FAILED },
        { "timeout", CANARY_REPLAY_TIMEOUT },
        { "aborted", CANARY_REPLAY_ABORTED },
        { "-", CANARY_REPLAY_ABORTED }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i].name) == 0) {
            attempt->outcome = words[i].outcome;
            return 1;
        }
    }

    if (!canary_replay_digits(&text, 3, 599, &attempt->status)
        || *text || attempt->status < 100)
    {
        return 0;
    }

    if (has_header) {
        attempt->outcome = CANARY_REPLAY_ANSWERED;
        return 1;
    }

    switch (attempt->status) {

    case 504:
        attempt->outcome = CANARY_REPLAY_TIMEOUT;
        break;

    case 499:
    case 500:
        attempt->outcome = CANARY_REPLAY_ABORTED;
        break;

    default:
        attempt->outcome = CANARY_REPLAY_FAILED;
        break;
    }

    return 1;
}


/*
 * Returns the number of items; one too many is the last that is looked at.
 * What follows an item without a comma or colon stays in it, to be refused.
 */

static unsigned
canary_replay_split(char *list, char **items)
{
    char      *end;
    unsigned   n;

    for (n = 0; n <= CANARY_REPLAY_ATTEMPTS_MAX; list++) {
        list += strspn(list, " ");
        end = list + strcspn(list, " ,:");

        items[n++] = list;

        list = end + strspn(end, " ");

        if (*list == '\0') {
            *end = '\0';
        }

        if (*list != ',' && *list != ':') {
            break;
        }

        *end = '\0';
    }

    return n;
}


static int
canary_replay_nothing(const char *text)
{
    return text == NULL || text[0] == '\0' || strcmp(text, "-") == 0;
}
