
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* The state document: what is written is read again, anything else is not. */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_state_json.h"

#include "unit.h"


#define PERCENT  (CANARY_ONE / 100)


static char  error[CANARY_STATE_ERROR];


static canary_strategy_t
a_strategy(void)
{
    uint32_t           at;
    canary_strategy_t  strategy;

    static const uint32_t  steps[] = { 1 * PERCENT, 5 * PERCENT, CANARY_ONE };

    canary_strategy_init(&strategy);

    strategy.interval = 12345;
    strategy.bake = 678;
    strategy.on_violation = CANARY_HALT;
    strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;
    strategy.approval = CANARY_APPROVAL_STEP;

    assert_int_equal(canary_strategy_set_steps(&strategy, steps, 3, &at),
                     CANARY_STEPS_OK);

    strategy.nrules = 2;
    strategy.rules[0] = (canary_rule_t) {
        .kind = CANARY_RULE_ERROR_5XX_RATE, .min_requests = 7,
        .threshold = 123456789
    };
    strategy.rules[1] = (canary_rule_t) {
        .kind = CANARY_RULE_LATENCY_AVG_MAX, .min_requests = 50,
        .threshold = 250001
    };

    return strategy;
}


/* Two endpoints, the first in the middle of a rollout, with all there is. */

static canary_state_t *
a_state(void)
{
    unsigned                  i;
    canary_state_t           *state;
    canary_event_t           *event;
    canary_state_endpoint_t  *endpoint;

    state = canary_state_create(2);
    assert_non_null(state);

    state->writer = 0xfedcba9876543210ull;
    state->last_event = 77;
    state->configuration = 12;

    endpoint = &state->endpoints[0];
    assert_true(canary_state_set_name(endpoint, "some/path \"x\" \xc3\xa9",
                                      16));

    endpoint->rollout.generation = 17;
    endpoint->rollout.number = 4;
    endpoint->rollout.phase = CANARY_PROGRESSING;
    endpoint->rollout.weight = 5 * PERCENT;
    endpoint->rollout.step = 2;
    endpoint->rollout.strategy = a_strategy();
    endpoint->rollout.last_number = 3;
    endpoint->rollout.last_result = CANARY_ROLLED_BACK;
    endpoint->ended = 1790000000123ull;
    endpoint->last_verb = CANARY_VIOLATION;
    endpoint->spent_stable = 2;
    endpoint->spent_canary = 9;
    strcpy(endpoint->stable, "v1");
    strcpy(endpoint->canary, "v2");
    strcpy(endpoint->last_release, "v0");
    strcpy(endpoint->last_reason, "error_5xx_rate 0.21 > 0.1");

    assert_true(canary_state_reserve(endpoint, CANARY_RELEASES,
                                     CANARY_EVENTS));

    endpoint->nreleases = 2;
    strcpy(endpoint->releases[0].name, "v1");
    strcpy(endpoint->releases[1].name, "\xff\xfe");   /* no UTF-8 */

    for (i = 0; i < 5; i++) {
        endpoint->releases[0].totals.responses[i] = 100 + i;
    }

    endpoint->releases[0].totals.failed = 6;
    endpoint->releases[0].totals.timeouts = 7;
    endpoint->releases[0].totals.cut = 8;
    endpoint->releases[0].totals.cut_timeouts = 11;
    endpoint->releases[0].totals.aborted = 9;
    endpoint->releases[0].totals.fallbacks = 10;
    endpoint->releases[0].totals.cancelled = 12;
    endpoint->releases[0].totals.abandoned = 13;
    endpoint->releases[0].totals.no_live = 14;
    endpoint->releases[0].totals.timed = 1ull << 53;
    endpoint->releases[0].totals.other_time = CANARY_STATE_SUM_MAX;

    endpoint->nevents = 2;
    event = &endpoint->events[0];
    event->id = 5;
    event->verb = CANARY_START;
    event->to_phase = CANARY_PROGRESSING;
    event->to_weight = PERCENT;
    strcpy((char *) event->actor.name, "ci");
    strcpy((char *) event->actor.address, "127.0.0.1");
    strcpy((char *) event->reason, "rollout of v2 started");

    event = &endpoint->events[1];
    event->id = 77;
    event->generation = 17;
    event->time = 1790000001000ull;
    event->rollout = 4;
    event->verb = CANARY_TICK;
    event->from_phase = CANARY_PROGRESSING;
    event->from_weight = PERCENT;
    event->to_phase = CANARY_PROGRESSING;
    event->to_weight = 5 * PERCENT;
    event->attempts = 7800000000ull;    /* 90 days, 1,000 each second */
    event->nfigures = 2;
    event->figures[0].rule = endpoint->rollout.strategy.rules[0];
    event->figures[1].rule = endpoint->rollout.strategy.rules[1];
    event->figures[0].judgement.verdict = CANARY_PASSING;
    event->figures[0].judgement.value = 1.0 / 3;
    event->figures[0].judgement.attempts = 57;
    event->figures[1].judgement.value = NAN;
    event->figures[1].judgement.needed = 12;
    event->outage.ms = 500;
    event->outage.attempts = 33;
    event->outage.value = 0.5;
    strcpy((char *) event->actor.name, "controller");
    strcpy((char *) event->release, "v2");

    endpoint->rollout.uid = 77;
    endpoint->rollout.tests = 3;
    endpoint->rollout.trial = 2;
    endpoint->rollout.members = 5;
    endpoint->rollout.joined = 9;

    endpoint = &state->endpoints[1];
    assert_true(canary_state_set_name(endpoint, "idle", 4));
    canary_rollout_init(&endpoint->rollout, CANARY_NO_RELEASE);
    endpoint->rollout.generation = 1;
    strcpy(endpoint->stable, "a");

    return state;
}


static char *
written(const canary_state_t *state, size_t *len)
{
    char  *text;

    text = canary_state_json_write(state, len);
    assert_non_null(text);
    assert_int_equal(strlen(text), *len);

    return text;
}


static void
refused(const char *text, size_t len, const char *why)
{
    canary_state_t  *state;

    state = canary_state_json_read(text, len, error);

    if (state) {
        canary_state_destroy(state);
        fail_msg("accepted, though: %s", why);
    }

    if (strstr(error, why) == NULL) {
        fail_msg("\"%s\" does not say: %s", error, why);
    }
}


/*
 * The document of a state with one part of its text replaced by another, to be
 * freed with free().
 */

static char *
changed_document(const char *part, const char *other, size_t *len)
{
    char            *text, *value, *at, *sealed, changed[8192];
    canary_state_t  *state;

    state = a_state();
    text = written(state, len);

    value = strstr(text, "\"state\":") + 8;
    text[*len - 2] = '\0';

    at = strstr(value, part);

    if (at == NULL) {
        fail_msg("there is no %s in %s", part, value);
    }

    assert_true((size_t) snprintf(changed, sizeof(changed), "%.*s%s%s",
                                  (int) (at - value), value, other,
                                  at + strlen(part))
                < sizeof(changed));

    sealed = canary_state_json_seal(changed, strlen(changed), len);
    assert_non_null(sealed);

    free(text);
    canary_state_destroy(state);

    return sealed;
}


static void
refused_with(const char *part, const char *other, const char *why)
{
    char    *sealed;
    size_t   len;

    sealed = changed_document(part, other, &len);
    refused(sealed, len, why);
    free(sealed);
}


static void
what_came_later_reads_as_nothing_where_it_is_not(void **unused)
{
    char             *sealed;
    size_t            len;
    canary_state_t   *state;
    canary_totals_t  *totals;

    (void) unused;

    sealed = changed_document(",\"cancelled\":12,\"abandoned\":13"
                              ",\"no_live\":14",
                              "", &len);
    state = canary_state_json_read(sealed, len, error);

    if (state == NULL) {
        fail_msg("%s: %s", error, sealed);
    }

    totals = &state->endpoints[0].releases[0].totals;
    assert_int_equal(totals->aborted, 9);
    assert_int_equal(totals->cancelled, 0);
    assert_int_equal(totals->abandoned, 0);
    assert_int_equal(totals->no_live, 0);

    canary_state_destroy(state);
    free(sealed);

    sealed = changed_document(",\"release\":\"v2\"}]", "}]", &len);
    state = canary_state_json_read(sealed, len, error);

    if (state == NULL) {
        fail_msg("%s: %s", error, sealed);
    }

    assert_string_equal((char *) state->endpoints[0].events[1].release, "");

    canary_state_destroy(state);
    free(sealed);

    sealed = changed_document(",\"members\":5,\"joined\":9", "", &len);
    state = canary_state_json_read(sealed, len, error);

    if (state == NULL) {
        fail_msg("%s: %s", error, sealed);
    }

    assert_int_equal(state->endpoints[0].rollout.uid, 77);
    assert_int_equal(state->endpoints[0].rollout.members, 0);
    assert_int_equal(state->endpoints[0].rollout.joined, 0);

    canary_state_destroy(state);
    free(sealed);

    refused_with(",\"aborted\":9", "", "\"aborted\" is missing");
}


/* a fleet has records of endpoints that are not configured here */

static void
records_of_others_are_read_again(void **unused)
{
    char                        *text;
    size_t                       len;
    canary_state_t              *state;
    const canary_state_other_t  *other;

    static const char  record[] = "7 4d 1 idle 0 - promoted\n{\"a\":\"\xc3\xa9\"}";

    (void) unused;

    state = a_state();
    strcpy(state->fleet.name, "shop");

    text = written(state, &len);
    assert_null(strstr(text, "others"));
    free(text);

    assert_true(canary_state_add_other(&state->fleet, "my%20shop", 9, record,
                                       sizeof(record) - 1));
    assert_true(canary_state_add_other(&state->fleet, "x", 1, "y", 1));

    text = written(state, &len);
    canary_state_destroy(state);

    state = canary_state_json_read(text, len, error);

    if (state == NULL) {
        fail_msg("%s: %s", error, text);
    }

    for (other = state->fleet.others; other; other = other->next) {
        if (strcmp(other->word, "x") == 0) {
            assert_string_equal(other->record, "y");

        } else {
            assert_string_equal(other->word, "my%20shop");
            assert_string_equal(other->record, record);
        }
    }

    assert_non_null(state->fleet.others);
    assert_non_null(state->fleet.others->next);
    assert_null(state->fleet.others->next->next);

    canary_state_destroy(state);
    free(text);
}


static void
a_later_version_is_known_as_one(void **unused)
{
    char            *text;
    size_t           len;
    canary_state_t  *state;

    (void) unused;

    state = a_state();
    text = written(state, &len);

    assert_false(canary_state_json_newer(text, len));
    assert_false(canary_state_json_newer("", 0));
    assert_false(canary_state_json_newer("{\"version\":0,", 13));
    assert_false(canary_state_json_newer("{\"version\":", 11));
    assert_true(canary_state_json_newer("{\"version\":2,", 13));
    assert_true(canary_state_json_newer("{\"version\":12345678,", 20));

    canary_state_destroy(state);
    free(text);
}


static void
what_is_written_is_read_again(void **unused)
{
    char                     *text, *again;
    size_t                    len, size;
    unsigned                  i;
    canary_state_t           *state, *copy;
    canary_event_t           *event;
    canary_state_endpoint_t  *endpoint;

    (void) unused;

    state = a_state();
    text = written(state, &len);

    copy = canary_state_json_read(text, len, error);

    if (copy == NULL) {
        fail_msg("%s: %s", error, text);
    }

    assert_true(copy->writer == state->writer);
    assert_int_equal(copy->last_event, 77);
    assert_int_equal(copy->configuration, 12);
    assert_int_equal(copy->nendpoints, 2);

    endpoint = &copy->endpoints[0];
    assert_string_equal(endpoint->name, state->endpoints[0].name);
    assert_string_equal(endpoint->stable, "v1");
    assert_string_equal(endpoint->canary, "v2");
    assert_int_equal(endpoint->rollout.generation, 17);
    assert_int_equal(endpoint->rollout.number, 4);
    assert_int_equal(endpoint->rollout.phase, CANARY_PROGRESSING);
    assert_int_equal(endpoint->rollout.weight, 5 * PERCENT);
    assert_int_equal(endpoint->rollout.step, 2);
    assert_memory_equal(&endpoint->rollout.strategy,
                        &state->endpoints[0].rollout.strategy,
                        sizeof(canary_strategy_t));
    assert_int_equal(endpoint->rollout.last_number, 3);
    assert_int_equal(endpoint->rollout.last_result, CANARY_ROLLED_BACK);
    assert_string_equal(endpoint->last_release, "v0");
    assert_string_equal(endpoint->last_reason,
                        state->endpoints[0].last_reason);
    assert_int_equal(endpoint->ended, 1790000000123ull);
    assert_int_equal(endpoint->last_verb, CANARY_VIOLATION);
    assert_int_equal(endpoint->spent_stable, 2);
    assert_int_equal(endpoint->spent_canary, 9);

    assert_int_equal(endpoint->nreleases, 2);
    assert_memory_equal(endpoint->releases, state->endpoints[0].releases,
                        2 * sizeof(canary_state_release_t));

    assert_int_equal(endpoint->nevents, 2);
    assert_memory_equal(&endpoint->events[0], &state->endpoints[0].events[0],
                        sizeof(canary_event_t));

    event = &endpoint->events[1];
    assert_int_equal(event->attempts, 7800000000ull);
    assert_int_equal(event->nfigures, 2);
    assert_true(event->figures[0].judgement.value == 1.0 / 3);
    assert_true(isnan(event->figures[1].judgement.value));
    assert_int_equal(event->figures[1].judgement.needed, 12);
    assert_int_equal(event->outage.ms, 500);
    assert_int_equal(event->outage.attempts, 33);
    assert_true(event->outage.value == 0.5);
    assert_string_equal((char *) event->release, "v2");

    for (i = 0; i < 2; i++) {
        assert_memory_equal(&event->figures[i].rule,
                            &endpoint->rollout.strategy.rules[i],
                            sizeof(canary_rule_t));
    }

    assert_int_equal(copy->endpoints[1].rollout.phase, CANARY_IDLE);
    assert_string_equal(copy->endpoints[1].stable, "a");
    assert_string_equal(copy->endpoints[1].canary, "");
    assert_int_equal(copy->endpoints[1].nevents, 0);

    again = written(copy, &size);
    assert_string_equal(again, text);

    free(again);
    free(text);
    canary_state_destroy(copy);
    canary_state_destroy(state);
}


/* One of before there was any. */

static void
without_an_approval_it_is_off(void **unused)
{
    char            *sealed;
    size_t           len;
    canary_state_t  *state;

    (void) unused;

    sealed = changed_document("\"approval\":\"step\",", "", &len);
    state = canary_state_json_read(sealed, len, error);

    if (state == NULL) {
        fail_msg("%s", error);
    }

    assert_int_equal(state->endpoints[0].rollout.strategy.approval,
                     CANARY_APPROVAL_OFF);

    canary_state_destroy(state);
    free(sealed);
}


static void
as_many_events_and_releases_as_there_may_be(void **unused)
{
    char                     *text;
    size_t                    len;
    unsigned                  i;
    canary_state_t           *state, *copy;
    canary_state_endpoint_t  *endpoint;

    (void) unused;

    state = a_state();
    endpoint = &state->endpoints[0];

    for (i = 0; i < CANARY_EVENTS; i++) {
        endpoint->events[i] = endpoint->events[1];
        endpoint->events[i].id = 10 + i;
    }

    for (i = 0; i < CANARY_RELEASES; i++) {
        (void) snprintf(endpoint->releases[i].name, CANARY_NAME_SIZE,
                        "r%u", i);
    }

    endpoint->nevents = CANARY_EVENTS;
    endpoint->nreleases = CANARY_RELEASES;

    text = written(state, &len);
    copy = canary_state_json_read(text, len, error);

    assert_non_null(copy);
    assert_int_equal(copy->endpoints[0].nevents, CANARY_EVENTS);
    assert_int_equal(copy->endpoints[0].events[63].id, 73);
    assert_int_equal(copy->endpoints[0].nreleases,
                     CANARY_RELEASES);

    free(text);
    canary_state_destroy(copy);
    canary_state_destroy(state);
}


static void
any_part_of_it_is_not_enough(void **unused)
{
    char            *text, *part;
    size_t           len, n;
    canary_state_t  *state;

    (void) unused;

    state = a_state();
    text = written(state, &len);

    refused("", 0, "it is empty");

    for (n = 1; n < len; n++) {
        part = malloc(n + 1);
        assert_non_null(part);
        memcpy(part, text, n);
        part[n] = '\0';
        refused(part, n, "it");
        free(part);
    }

    free(text);
    canary_state_destroy(state);
}


static void
a_flipped_bit_anywhere_is_found(void **unused)
{
    char            *text;
    size_t           len, i;
    unsigned         bit;
    canary_state_t  *state;

    (void) unused;

    state = a_state();
    text = written(state, &len);

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            text[i] = (char) (text[i] ^ 1 << bit);
            refused(text, len, "it");
            text[i] = (char) (text[i] ^ 1 << bit);
        }
    }

    free(text);
    canary_state_destroy(state);
}


static void
another_version_is_refused(void **unused)
{
    (void) unused;

    refused("{\"version\":2,\"anything\":1}\n", 27,
            "it is of version 2, this module reads version 1");
    refused("{\"version\":01}\n", 15, "checksum is not where");
    refused("{\"version\":99999999999999999999999}\n", 37,
            "it is of version 99999999999999999999,");
    refused("{\"version\":,}\n", 14, "it is of version , this");
    refused("#!/bin/sh\n", 10, "it does not begin as a state file does");
}


static void
deep_nesting_is_refused_before_it_is_parsed(void **unused)
{
    char    *deep, *sealed;
    size_t   len;

    (void) unused;

    deep = malloc(1000000);
    assert_non_null(deep);
    memset(deep, '[', 1000000);

    sealed = canary_state_json_seal(deep, 1000000, &len);
    assert_non_null(sealed);
    refused(sealed, len, "its brackets are nested deeper than 16");

    free(sealed);
    free(deep);
}


static void
what_is_no_json_is_refused(void **unused)
{
    char      *sealed;
    size_t     len, i;

    static const char *const  values[] = {
        "", "{", "nil", "{}x", "[1,2]", "null", "1e999", "\"\\u0000\"",
        "\xef\xbb\xbf{}", "{\"writer\":01}", "{\"writer\":\"\\uQQQQ\"}",
        "{\"writer\":1,\"writer\":1}",
        "{\"writer\":1}", "\xff"
    };

    (void) unused;

    for (i = 0; i < UNIT_LENGTH(values); i++) {
        sealed = canary_state_json_seal(values[i], strlen(values[i]), &len);
        assert_non_null(sealed);
        refused(sealed, len, "");
        assert_true(error[0] != '\0');
        free(sealed);
    }
}


static void
every_value_is_checked(void **unused)
{
    (void) unused;

    refused_with("\"last_event\":77", "\"last_event\":76",
                 "/endpoints/0/events has an event with a number above");
    refused_with("\"last_event\":77", "\"last_event\":-1",
                 "/last_event has to be a whole number");
    refused_with("\"endpoints\":[", "\"endpoints\":[1,",
                 "/endpoints/0 has to be an object");
    refused_with("\"generation\":17", "\"generation\":17.5", "/generation");
    refused_with("\"generation\":17", "\"generation\":0",
                 "has a rollout without a generation");
    refused_with("\"generation\":17", "\"generation\":1e300", "/generation");
    refused_with("\"generation\":17", "\"generation\":\"17\"",
                 "as text only if it is above 2^53");
    refused_with("\"generation\":17,", "", "\"generation\" is missing");
    refused_with("\"generation\":17", "\"generation\":17,\"generation\":17",
                 "is here twice");
    refused_with("\"generation\":17", "\"generation\":17,\"later\":1",
                 "/endpoints/0/later \"later\" is not known here");
    refused_with("\"rollout\":4", "\"rollout\":4294967296", "/rollout");
    refused_with("\"phase\":\"progressing\"", "\"phase\":\"running\"",
                 "/endpoints/0/phase has to be one of: idle, progressing");
    refused_with("\"phase\":\"progressing\"", "\"phase\":\"baking\"",
                 "a phase that does not go with its weight");
    refused_with("\"phase\":\"progressing\"", "\"phase\":\"idle\"",
                 "is idle, but has a canary");
    refused_with("\"phase\":\"idle\",\"stable\"",
                 "\"phase\":\"paused\",\"stable\"",
                 "/endpoints/1 has a rollout without");
    refused_with("\"stable\":\"v1\"", "\"stable\":\"v2\"",
                 "has a rollout, but not two releases");
    refused_with("\"stable\":\"a\"", "\"stable\":\"\"",
                 "/endpoints/1 has no stable release");
    refused_with("\"stable\":\"v1\"", "\"stable\":{\"hex\":\"0\"}",
                 "/endpoints/0/stable has to be at most 63 bytes in hexadec");
    refused_with("\"stable\":\"v1\"", "\"stable\":{\"hex\":\"6100\"}",
                 "in hexadecimal digits");
    refused_with("\"stable\":\"v1\"", "\"stable\":\"v\\u001b1\"",
                 "/endpoints/0/stable has a control character");
    refused_with("\"stable\":\"v1\"", "\"stable\":{\"hex\":\"760a31\"}",
                 "/endpoints/0/stable has a control character");
    refused_with("\"stable\":\"v1\"", "\"stable\":\"..\"",
                 "/endpoints/0/stable is \".\" or \"..\"");
    refused_with("\"name\":\"", "\"name\":\"../",
                 "/endpoints/0/name is \".\" or \"..\"");
    refused_with("\"name\":\"", "\"name\":\"\\u0085",
                 "/endpoints/0/name has a control character");
    refused_with("\"stable\":\"v1\"", "\"stable\":null",
                 "/endpoints/0/stable has to be a text");
    refused_with("\"weight\":0.05", "\"weight\":1.000001",
                 "/endpoints/0/weight has to be a ratio from 0 to 1");
    refused_with("\"weight\":0.05", "\"weight\":0", "weight 0 or a step");
    refused_with("\"step\":2", "\"step\":4", "weight 0 or a step");
    refused_with("\"progress_interval_seconds\":12.345",
                 "\"progress_interval_seconds\":0",
                 "/endpoints/0/strategy/canary_strategy/progress_interval_");
    refused_with("\"spent\":{", "\"spent\":{\"more\":1,", "/spent/more");
    refused_with("\"result\":\"rolled_back\"", "\"result\":\"lost\"",
                 "/last_rollout/result has to be one of");
    refused_with("\"name\":\"v1\"",
                 "\"name\":\"v0123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789\"",
                 "/releases/0/name has to be at most 63 bytes long");
    refused_with("\"name\":{\"hex\":\"fffe\"}", "\"name\":\"v1\"",
                 "/releases/1 another release has this name");
    refused_with("\"name\":\"idle\"",
                 "\"name\":\"some/path \\\"x\\\" \xc3\xa9\"",
                 "/endpoints/1/name another endpoint has this name");
    refused_with("\"name\":\"idle\"", "\"name\":\"\"",
                 "/endpoints/1/name is empty");
    refused_with("\"time_us\":\"9223372036854775808\"",
                 "\"time_us\":\"18446744073709551616\"", "/time_us");
    refused_with("\"id\":77", "\"id\":5",
                 "/events/1/id has to be above that of the event before");
    refused_with("\"verb\":\"step\"", "\"verb\":\"leap\"", "/events/1/verb");
    refused_with("\"events\":[]", "\"events\":{}",
                 "/endpoints/1/events has to be a list of at most 64");
    refused_with("\"releases\":[]", "\"releases\":[1,1,1,1,1,1,1,1,1,1,1,"
                 "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                 "1,1,1,1,1,1,1,1,1]",
                 "/endpoints/1/releases has to be a list of at most 48");
    refused_with("\"verdict\":\"passing\"", "\"verdict\":\"fine\"",
                 "/judgements/0/verdict");
    refused_with("\"judgements\":[{", "\"judgements\":[{},{",
                 "as many elements as \"rules\"");
    refused_with("\"value\":null", "\"value\":\"1\"",
                 "/judgements/1/value has to be a number or null");
    refused_with("\"stable\":null", "\"stable\":1", "/events/0/stable");
    refused_with("\"ms\":500", "\"ms\":-1", "/events/1/stable/ms");
    refused_with("\"value\":0.5", "\"value\":null",
                 "/events/1/stable/value has to be a number from 0 to 2^53");
}


/* a number at its end, and one beyond it */

static void
what_cannot_be_gone_on_from_is_refused(void **unused)
{
    unsigned  i, k;
    char      other[80], why[120];

    static const struct {
        const char  *part;
        const char  *name;
        const char  *place;
        const char  *last;
    } numbers[] = {
        { "\"last_event\":77", "last_event", "/last_event",
          "9007199254740992" },
        { "\"generation\":17", "generation", "/endpoints/0/generation",
          "9007199254740992" },
        { "\"rollout\":4", "rollout", "/endpoints/0/rollout",
          "4294967295" },
        { "\"canary\":9", "canary", "/endpoints/0/spent/canary",
          "9007199254740992" },
        { "\"id\":3", "id", "/endpoints/0/last_rollout/id", "4294967295" },
        { "\"ended\":1790000000123", "ended",
          "/endpoints/0/last_rollout/ended", "253402300799999" },
        { "\"2xx\":101", "2xx", "/endpoints/0/releases/0/2xx",
          "9007199254740992" },
        { "\"fallbacks\":10", "fallbacks",
          "/endpoints/0/releases/0/fallbacks", "9007199254740992" },
        { "\"time_us\":\"9223372036854775808\"", "time_us",
          "/endpoints/0/releases/0/time_us", "9223372036854775808" },
        { "\"id\":77", "id", "/endpoints/0/events/1/id",
          "9007199254740992" },
        { "\"time\":1790000001000", "time", "/endpoints/0/events/1/time",
          "253402300799999" },
        { "\"needed\":12", "needed",
          "/endpoints/0/events/1/judgements/1/needed", "9007199254740992" },
    };

    static const char *const  beyond[] = {
        "1e300", "\"9223372036854775809\"", "18446744073709551615",
        "\"18446744073709551615\"", "-1", "0.5"
    };

    (void) unused;

    for (i = 0; i < UNIT_LENGTH(numbers); i++) {
        (void) snprintf(why, sizeof(why), "%s has to be a whole number from "
                        "0 to %s", numbers[i].place, numbers[i].last);

        for (k = 0; k < UNIT_LENGTH(beyond); k++) {
            (void) snprintf(other, sizeof(other), "\"%s\":%s",
                            numbers[i].name, beyond[k]);
            refused_with(numbers[i].part, other, why);
        }
    }
}


/* Whatever nginx has in its memory, its next start can read. */

static uint64_t
extreme(uint64_t *seed)
{
    unsigned  bits;
    uint64_t  number;

    bits = unit_below(seed, 65);
    number = (uint64_t) unit_random(seed) << 32 | unit_random(seed);

    if (unit_one_in(seed, 2)) {
        number = UINT64_MAX;
    }

    return bits ? number >> (64 - bits) : 0;
}


static double
extreme_double(uint64_t *seed)
{
    double  number;

    static const double  ends[] = { NAN, INFINITY, -INFINITY, 0, -0.0, 1e308,
                                    1e-308, 9007199254740993.0, 0.1 };

    if (unit_one_in(seed, 2)) {
        return ends[unit_below(seed, UNIT_LENGTH(ends))];
    }

    number = (double) extreme(seed) / 1e9;

    return unit_one_in(seed, 4) ? -number : number;
}


static void
extreme_text(uint64_t *seed, char *text, size_t size)
{
    size_t  i, len;

    len = unit_one_in(seed, 4) ? size - 1 : unit_below(seed, 8);

    for (i = 0; i < len; i++) {
        text[i] = (char) (1 + unit_below(seed, unit_one_in(seed, 2) ? 255
                                                                    : 126));
    }

    text[len] = '\0';
}


/* of an endpoint or a release: no control characters, and no dot segments */

static void
extreme_name(uint64_t *seed, char *name, size_t size)
{
    size_t         i;
    unsigned char  c;

    extreme_text(seed, name, size);

    for (i = 0; name[i]; i++) {
        c = (unsigned char) name[i];

        if ((c & 0x7f) <= ' ' || c == 0x7f || c == '.' || c == '/'
            || c == 0xc2 || c == 0xe2)
        {
            name[i] = 'x';
        }
    }
}


static void
extreme_event(uint64_t *seed, canary_event_t *event,
    const canary_strategy_t *strategy, uint64_t id)
{
    unsigned             i;
    canary_judgement_t  *judgement;

    event->id = id;
    event->generation = extreme(seed);
    event->time = extreme(seed);
    event->rollout = (uint32_t) extreme(seed);
    event->verb = unit_below(seed, CANARY_STATE_VERBS);
    event->from_phase = unit_below(seed, CANARY_PHASES);
    event->from_weight = unit_below(seed, CANARY_ONE + 1);
    event->to_phase = unit_below(seed, CANARY_PHASES);
    event->to_weight = unit_below(seed, CANARY_ONE + 1);
    event->attempts = (uint32_t) extreme(seed);
    event->outage.ms = unit_one_in(seed, 2) ? 0 : extreme(seed);
    event->outage.attempts = event->outage.ms ? extreme(seed) : 0;
    event->outage.value = event->outage.ms ? extreme_double(seed) : 0;

    extreme_text(seed, (char *) event->actor.name, CANARY_NAME_SIZE);
    extreme_text(seed, (char *) event->actor.address, CANARY_NAME_SIZE);
    extreme_text(seed, (char *) event->reason, CANARY_REASON_SIZE);

    event->nfigures = unit_below(seed, strategy->nrules + 1);

    event->matches = strategy->matches;

    for (i = 0; i < event->nfigures; i++) {
        event->figures[i].rule = strategy->rules[i];

        judgement = &event->figures[i].judgement;
        judgement->verdict = (canary_verdict_t) unit_below(seed, 3);
        judgement->value = extreme_double(seed);
        judgement->low = extreme_double(seed);
        judgement->high = extreme_double(seed);
        judgement->attempts = extreme(seed);
        judgement->needed = extreme(seed);
        judgement->bad = extreme(seed);
    }
}


static void
extreme_rule(uint64_t *seed, canary_rule_t *rule)
{
    static const uint64_t  last[] = {
        CANARY_RATIO_ONE, CANARY_LATENCY_MAX, CANARY_COUNT_MAX,
        CANARY_FACTOR_MAX
    };

    memset(rule, 0, sizeof(canary_rule_t));

    rule->kind = unit_below(seed, CANARY_RULE_KINDS);
    rule->min_requests = 1 + (uint32_t) (extreme(seed)
                                         % CANARY_MIN_REQUESTS_MAX);

    if (canary_rule_info[rule->kind].unit != CANARY_UNIT_COUNT) {

        if (unit_one_in(seed, 2)) {
            rule->confidence = CANARY_CONFIDENCE_MIN
                               + (uint32_t) (extreme(seed) % 499999999);
            rule->burst = 100 * unit_below(seed, 101);

        } else if (unit_one_in(seed, 2)) {
            rule->window = CANARY_WINDOW_MIN
                           + (uint32_t) (extreme(seed)
                                         % (CANARY_WINDOW_MAX
                                            - CANARY_WINDOW_MIN + 1));
        }

        rule->baseline = (rule->window == 0
                          && !canary_rule_is_quantile(rule)
                          && unit_one_in(seed, 2));
    }

    rule->threshold = 1 + extreme(seed) % last[canary_rule_unit(rule)];
}


/* their places are in the order in which rules name them */

static unsigned
extreme_match(uint64_t *seed, canary_strategy_t *strategy)
{
    const char  *name;

    static const char *const  names[CANARY_MATCHES_MAX] = {
        "a", "model-error_2.1", "1234567890123456789012345678901", "redirects"
    };

    name = names[unit_below(seed, CANARY_MATCHES_MAX)];

    return canary_match_add(&strategy->matches, name, strlen(name));
}


static void
extreme_strategy(uint64_t *seed, canary_strategy_t *strategy)
{
    uint32_t  i, weight, at;
    unsigned  given;

    canary_strategy_init(strategy);

    strategy->interval = 1 + extreme(seed) % CANARY_TIME_MAX;
    strategy->bake = extreme(seed) % (CANARY_TIME_MAX + 1);
    strategy->on_undecided = unit_below(seed, 2);
    strategy->on_violation = unit_below(seed, 2);
    strategy->approval = unit_below(seed, 3);

    weight = CANARY_LINEAR_STEP_MIN
             + unit_below(seed, CANARY_ONE - CANARY_LINEAR_STEP_MIN + 1);

    assert_int_equal(unit_one_in(seed, 2)
                     ? canary_strategy_set_steps(strategy, &weight, 1, &at)
                     : canary_strategy_set_schedule(strategy, &weight, 1,
                                                    &at),
                     CANARY_STEPS_OK);

    given = CANARY_GIVEN_MIN_REQUESTS | CANARY_GIVEN_CONFIDENCE;

    while (strategy->nrules < CANARY_FIGURES) {
        i = strategy->nrules;

        do {
            extreme_rule(seed, &strategy->rules[i]);
        } while (canary_rule_complete(&strategy->rules[i],
                   (strategy->rules[i].kind == CANARY_RULE_FAILED_REQUESTS_MAX)
                   ? 0 : given
                         | (strategy->rules[i].confidence
                            ? CANARY_GIVEN_BURST : 0)
                         | (strategy->rules[i].window
                            ? CANARY_GIVEN_WINDOW : 0)
                         | (strategy->rules[i].baseline
                            ? CANARY_GIVEN_BASELINE : 0)
                         | (strategy->rules[i].kind == CANARY_RULE_MATCH_RATE
                            ? CANARY_GIVEN_MATCH : 0)));

        if (strategy->rules[i].kind == CANARY_RULE_MATCH_RATE) {
            strategy->rules[i].match
                = (uint16_t) extreme_match(seed, strategy);
        }

        strategy->nrules++;
    }
}


static void
extreme_totals(uint64_t *seed, canary_totals_t *totals)
{
    uint64_t  *counter;
    unsigned   i;

    counter = (uint64_t *) totals;

    for (i = 0; i < CANARY_COUNTERS; i++) {
        counter[i] = extreme(seed);
    }

    /* in files it is with that of the rest */

    totals->time = 0;
}


static canary_state_t *
an_extreme_state(uint64_t *seed)
{
    uint32_t                  step;
    unsigned                  i;
    uint64_t                  id;
    canary_state_t           *state;
    canary_rollout_t         *rollout;
    canary_state_endpoint_t  *endpoint;

    state = canary_state_create(1);
    assert_non_null(state);

    endpoint = &state->endpoints[0];
    rollout = &endpoint->rollout;

    state->writer = extreme(seed);
    assert_true(canary_state_set_name(endpoint, "ep", 2));
    assert_true(canary_state_reserve(endpoint, 4, 4));

    canary_rollout_init(rollout, CANARY_NO_RELEASE);
    extreme_strategy(seed, &rollout->strategy);

    step = 1 + unit_below(seed, canary_strategy_steps(&rollout->strategy));

    rollout->generation = extreme(seed) | 1;
    rollout->number = (uint32_t) extreme(seed) | 1;
    rollout->step = step;
    rollout->weight = canary_strategy_weight(&rollout->strategy, step);
    rollout->phase = (rollout->weight == CANARY_ONE) ? CANARY_BAKING
                                                     : CANARY_PROGRESSING;
    rollout->last_number = (uint32_t) extreme(seed);
    rollout->last_result = 1 + unit_below(seed, 2);
    strcpy(endpoint->stable, "v1");
    strcpy(endpoint->canary, "v2");
    extreme_text(seed, endpoint->last_reason, sizeof(endpoint->last_reason));
    endpoint->ended = extreme(seed);
    endpoint->spent_stable = extreme(seed);
    endpoint->spent_canary = extreme(seed);

    for (i = 0, id = 0; i < 4; i++) {
        endpoint->releases[i].name[0] = (char) ('a' + i);
        extreme_name(seed, endpoint->releases[i].name + 1,
                     CANARY_NAME_SIZE - 1);
        extreme_totals(seed, &endpoint->releases[i].totals);

        id += 1 + extreme(seed) % (CANARY_STATE_NUMBER_MAX / 4);
        extreme_event(seed, &endpoint->events[i], &rollout->strategy, id);
    }

    endpoint->nreleases = 4;
    endpoint->nevents = 4;
    state->last_event = id;

    return state;
}


static void
whatever_is_written_can_be_read(void **unused)
{
    char            *text, *again;
    size_t           len, size;
    uint64_t         seed;
    unsigned         i;
    canary_state_t  *state, *copy;

    (void) unused;

    for (seed = 1, i = 0; i < 3000; i++) {
        state = an_extreme_state(&seed);
        text = written(state, &len);
        copy = canary_state_json_read(text, len, error);

        if (copy == NULL) {
            fail_msg("state %u: %s: %s", i, error, text);
        }

        assert_memory_equal(&copy->endpoints[0].rollout.strategy,
                            &state->endpoints[0].rollout.strategy,
                            sizeof(canary_strategy_t));

        again = written(copy, &size);
        assert_string_equal(again, text);

        free(again);
        free(text);
        canary_state_destroy(copy);
        canary_state_destroy(state);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_came_later_reads_as_nothing_where_it_is_not),
        cmocka_unit_test(records_of_others_are_read_again),
        cmocka_unit_test(a_later_version_is_known_as_one),
        cmocka_unit_test(without_an_approval_it_is_off),
        cmocka_unit_test(as_many_events_and_releases_as_there_may_be),
        cmocka_unit_test(any_part_of_it_is_not_enough),
        cmocka_unit_test(a_flipped_bit_anywhere_is_found),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(deep_nesting_is_refused_before_it_is_parsed),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(every_value_is_checked),
        cmocka_unit_test(what_cannot_be_gone_on_from_is_refused),
        cmocka_unit_test(whatever_is_written_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
