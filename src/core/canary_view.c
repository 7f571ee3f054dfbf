
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_bytes.h"
#include "canary_judge_layout.h"
#include "canary_lead_layout.h"
#include "canary_view.h"


#define CANARY_VIEW_VERSION   1

#define CANARY_VIEW_ATTEMPTS  (1ull << 60)
#define CANARY_VIEW_VALUE     1e18     /* of a rule; beyond nobody shows it */

/* what is known of a rule, beside its verdict */

#define CANARY_VIEW_HAS_VALUE 4
#define CANARY_VIEW_HAS_LOW   8
#define CANARY_VIEW_HAS_HIGH  16
#define CANARY_VIEW_BITS      31


static void canary_view_put_count(canary_writer_t *writer, uint64_t n);
static void canary_view_put_rule(canary_writer_t *writer,
    const canary_judgement_t *rule);
static void canary_view_take_rule(canary_reader_t *reader,
    canary_judgement_t *rule);
static void canary_view_put_text(canary_writer_t *writer, const char *text);
static void canary_view_take_text(canary_reader_t *reader, char *text,
    size_t size);
static void canary_view_read_node(canary_reader_t *reader,
    canary_view_node_t *node);


void
canary_view_take(canary_lead_t *lead, const canary_rollout_t *rollout,
    canary_view_t *view)
{
    const canary_pace_t  *pace;

    memset(view, 0, sizeof(canary_view_t));

    canary_lead_judge(lead, rollout, CANARY_DETAIL_ALL, &view->result);

    view->at = lead->now;
    view->number = rollout->number;
    view->trial = rollout->trial;
    view->step = rollout->tests;
    view->held = canary_lead_held(lead);
    view->stable_away = (lead->away[CANARY_SIDE_STABLE] != 0);

    pace = canary_lead_pace(lead);

    if (pace->n && pace->step == rollout->tests) {
        view->pace = *canary_pace_oldest(pace);
    }
}


/* what is folded there, and the cohorts that are not */

int
canary_view_take_node(const canary_cohorts_t *cohorts,
    const canary_rollout_t *rollout, canary_view_node_t *node)
{
    unsigned                     side;
    uint32_t                     i;
    const canary_cohort_view_t  *cohort;

    if (cohorts->number != rollout->number || cohorts->trial != rollout->trial
        || cohorts->step != rollout->tests)
    {
        return 0;
    }

    node->verdict = cohorts->verdict;
    node->bad = cohorts->rest[CANARY_SIDE_CANARY].counts.bad_5xx;

    for (side = 0; side < CANARY_SIDES; side++) {
        node->started[side] = cohorts->rest[side].counts.started;
    }

    for (i = 0; i < cohorts->n; i++) {
        cohort = &cohorts->cohorts[i];

        if (cohort->step != cohorts->step) {
            continue;
        }

        node->bad += cohort->sides[CANARY_SIDE_CANARY].bad_5xx;

        for (side = 0; side < CANARY_SIDES; side++) {
            node->started[side] += cohort->sides[side].started;
        }
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        node->started[side] -= (cohorts->rest[side].voided
                                < node->started[side])
                               ? cohorts->rest[side].voided
                               : node->started[side];
    }

    return 1;
}


size_t
canary_view_encode(const canary_view_t *view, const canary_view_node_t *nodes,
    uint8_t *bytes, size_t size)
{
    unsigned                side;
    uint32_t                i;
    canary_writer_t         writer = { bytes, bytes + size, 0 };
    const canary_result_t  *result;

    result = &view->result;

    canary_put(&writer, CANARY_VIEW_VERSION);
    canary_put(&writer, view->at);
    canary_put(&writer, view->number);
    canary_put(&writer, view->trial);
    canary_put(&writer, view->step);
    canary_put_signed(&writer, view->held);
    canary_put(&writer, view->stable_away != 0);
    canary_put(&writer, view->pace.ms);
    canary_view_put_count(&writer, view->pace.begun);

    canary_view_put_count(&writer, result->decided);
    canary_view_put_count(&writer, result->started);
    canary_view_put_count(&writer, result->stable_started);
    canary_view_put_count(&writer, result->overdue);
    canary_put(&writer, result->verdict);
    canary_put(&writer, result->n);

    for (i = 0; i < result->n; i++) {
        canary_view_put_rule(&writer, &result->rules[i]);
    }

    canary_view_put_text(&writer, view->waits);
    canary_put(&writer, view->nnodes);

    for (i = 0; i < view->nnodes; i++) {
        canary_view_put_text(&writer, nodes[i].name);
        canary_put(&writer, nodes[i].verdict);
        canary_view_put_count(&writer, nodes[i].bad);

        for (side = 0; side < CANARY_SIDES; side++) {
            canary_view_put_count(&writer, nodes[i].started[side]);
        }
    }

    return writer.full ? 0 : (size_t) (writer.next - bytes);
}


int
canary_view_decode(const uint8_t *bytes, size_t len, canary_view_t *view,
    canary_view_node_t nodes[CANARY_FLEET_NODES])
{
    uint32_t             i;
    canary_reader_t      reader = { bytes, bytes + len, 0 };
    canary_result_t     *result;
    canary_view_node_t   node;

    memset(view, 0, sizeof(canary_view_t));

    if (canary_take(&reader, UINT32_MAX) != CANARY_VIEW_VERSION) {
        return 0;
    }

    view->at = canary_take(&reader, UINT64_MAX);
    view->number = (uint32_t) canary_take(&reader, UINT32_MAX);
    view->trial = (uint32_t) canary_take(&reader, UINT32_MAX);
    view->step = (uint32_t) canary_take(&reader, UINT32_MAX);
    view->held = (int) canary_take_signed(&reader, CANARY_RULES_MAX - 1);
    view->stable_away = (int) canary_take(&reader, 1);
    view->pace.ms = canary_take(&reader, UINT64_MAX);
    view->pace.begun = canary_take(&reader, CANARY_VIEW_ATTEMPTS);

    result = &view->result;

    result->of_fleet = 1;
    result->decided = canary_take(&reader, CANARY_VIEW_ATTEMPTS);
    result->started = canary_take(&reader, CANARY_VIEW_ATTEMPTS);
    result->stable_started = canary_take(&reader, CANARY_VIEW_ATTEMPTS);
    result->overdue = canary_take(&reader, CANARY_VIEW_ATTEMPTS);
    result->verdict = (canary_verdict_t) canary_take(&reader, CANARY_FAILING);
    result->n = (uint32_t) canary_take(&reader, CANARY_RULES_MAX);

    for (i = 0; i < result->n; i++) {
        canary_view_take_rule(&reader, &result->rules[i]);
    }

    canary_view_take_text(&reader, view->waits, CANARY_REASON_SIZE);
    view->nnodes = (uint32_t) canary_take(&reader, CANARY_FLEET_NODES);

    for (i = 0; i < view->nnodes && !reader.wrong; i++) {
        canary_view_read_node(&reader, nodes ? &nodes[i] : &node);
    }

    return !reader.wrong && reader.next == reader.end && view->held >= -1
           && view->held < (int) result->n;
}


static void
canary_view_read_node(canary_reader_t *reader, canary_view_node_t *node)
{
    unsigned  side;

    canary_view_take_text(reader, node->name, CANARY_NAME_SIZE);

    if (!canary_fleet_name_valid(node->name, strlen(node->name))) {
        (void) canary_take_wrong(reader);
    }

    node->verdict = (uint32_t) canary_take(reader, CANARY_FAILING);
    node->bad = canary_take(reader, CANARY_VIEW_ATTEMPTS);

    for (side = 0; side < CANARY_SIDES; side++) {
        node->started[side] = canary_take(reader, CANARY_VIEW_ATTEMPTS);
    }
}


/* of numbers that nodes have told, and that may be anything */

static void
canary_view_put_count(canary_writer_t *writer, uint64_t n)
{
    canary_put(writer, (n < CANARY_VIEW_ATTEMPTS) ? n : CANARY_VIEW_ATTEMPTS);
}


static int
canary_view_is_known(double value)
{
    return fabs(value) <= CANARY_VIEW_VALUE;
}


static void
canary_view_put_rule(canary_writer_t *writer, const canary_judgement_t *rule)
{
    unsigned  bits;

    bits = (unsigned) rule->verdict
           | (canary_view_is_known(rule->value) ? CANARY_VIEW_HAS_VALUE : 0)
           | (canary_view_is_known(rule->low) ? CANARY_VIEW_HAS_LOW : 0)
           | (canary_view_is_known(rule->high) ? CANARY_VIEW_HAS_HIGH : 0);

    canary_put(writer, bits);
    canary_view_put_count(writer, rule->attempts);
    canary_view_put_count(writer, rule->needed);
    canary_view_put_count(writer, rule->bad);

    if (bits & CANARY_VIEW_HAS_VALUE) {
        canary_put_double(writer, rule->value);
    }

    if (bits & CANARY_VIEW_HAS_LOW) {
        canary_put_double(writer, rule->low);
    }

    if (bits & CANARY_VIEW_HAS_HIGH) {
        canary_put_double(writer, rule->high);
    }
}


static double
canary_view_take_value(canary_reader_t *reader, unsigned has)
{
    return has ? canary_take_double(reader, -CANARY_VIEW_VALUE,
                                    CANARY_VIEW_VALUE)
               : (double) NAN;
}


static void
canary_view_take_rule(canary_reader_t *reader, canary_judgement_t *rule)
{
    unsigned  bits;

    bits = (unsigned) canary_take(reader, CANARY_VIEW_BITS);

    if ((bits & 3) > CANARY_FAILING) {
        (void) canary_take_wrong(reader);
    }

    rule->verdict = (canary_verdict_t) (bits & 3);
    rule->attempts = canary_take(reader, CANARY_VIEW_ATTEMPTS);
    rule->needed = canary_take(reader, CANARY_VIEW_ATTEMPTS);
    rule->bad = canary_take(reader, CANARY_VIEW_ATTEMPTS);
    rule->value = canary_view_take_value(reader, bits & CANARY_VIEW_HAS_VALUE);
    rule->low = canary_view_take_value(reader, bits & CANARY_VIEW_HAS_LOW);
    rule->high = canary_view_take_value(reader, bits & CANARY_VIEW_HAS_HIGH);
}


static int
canary_view_is_printed(uint8_t c)
{
    return c >= 0x20 && c != 0x7f;
}


static void
canary_view_put_text(canary_writer_t *writer, const char *text)
{
    size_t  len, i;

    len = strlen(text);
    canary_put(writer, len);

    if ((size_t) (writer->end - writer->next) < len) {
        writer->full = 1;
        return;
    }

    for (i = 0; i < len; i++) {
        *writer->next++ = canary_view_is_printed((uint8_t) text[i])
                          ? (uint8_t) text[i] : '?';
    }
}


/* of one line */

static void
canary_view_take_text(canary_reader_t *reader, char *text, size_t size)
{
    size_t  len, i;

    text[0] = '\0';
    len = (size_t) canary_take(reader, size - 1);

    if ((size_t) (reader->end - reader->next) < len) {
        (void) canary_take_wrong(reader);
        return;
    }

    for (i = 0; i < len; i++) {
        if (!canary_view_is_printed(reader->next[i])) {
            (void) canary_take_wrong(reader);
            return;
        }
    }

    memcpy(text, reader->next, len);
    text[len] = '\0';
    reader->next += len;
}


int
canary_view_is_of(const canary_view_t *view, const canary_rollout_t *rollout,
    uint64_t time)
{
    return view->number == rollout->number && view->trial == rollout->trial
           && view->step == rollout->tests
           && view->result.n == rollout->strategy.nrules
           && view->at < time + CANARY_VIEW_FRESH
           && time < view->at + CANARY_VIEW_FRESH;
}
