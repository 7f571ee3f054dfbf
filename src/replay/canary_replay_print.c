
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "canary_replay_print.h"
#include "canary_rule_json.h"


#define VALUE_MAX  48
#define WORDS_MAX  64


static void canary_replay_reason(char *text, size_t size,
    const canary_replay_options_t *options,
    const canary_replay_event_t *event);
static size_t canary_replay_violation(char *text, size_t size,
    const canary_replay_options_t *options,
    const canary_replay_event_t *event);
static void canary_replay_rule_words(char text[WORDS_MAX],
    const canary_rule_t *rule, const canary_strategy_t *strategy,
    const char *between);
static const char *canary_replay_by(const canary_replay_event_t *event);
static void canary_replay_value(char text[VALUE_MAX],
    const canary_rule_t *rule, double value);
static void canary_replay_number(char text[VALUE_MAX], double value,
    const char *unit);
static void canary_replay_write_date(char text[32], uint64_t time);
static void canary_replay_print_rules(FILE *out,
    const canary_replay_summary_t *summary);
static int canary_replay_has_bad(const canary_rule_t *rule);
static void canary_replay_json_side(cJSON *object, const char *role,
    const char *release, const canary_replay_side_t *side, int *failed);
static void canary_replay_json_rules(cJSON *list,
    const canary_replay_summary_t *summary, int *failed);
static void canary_replay_json_match(cJSON *object, const canary_rule_t *rule,
    const canary_strategy_t *strategy, int *failed);
static int canary_replay_json_line(FILE *out, cJSON *object, int failed);


static const char *const  canary_replay_ends[] = {
    "running", "promoted", "rolled_back", "halted"
};

static const char *const  canary_replay_verdicts[] = {
    "undecided", "passing", "failing"
};


void
canary_replay_print_head(FILE *out)
{
    fprintf(out, "%-24s  %-11s  %7s  %-19s  %s\n", "TIME", "PHASE", "WEIGHT",
            "BY", "REASON");
}


void
canary_replay_print_event(FILE *out, const canary_replay_options_t *options,
    const canary_replay_event_t *event)
{
    char  date[32], weight[VALUE_MAX], reason[CANARY_REPLAY_REASON];

    canary_replay_write_date(date, event->time);
    canary_replay_number(weight, event->to_weight / (CANARY_ONE / 100.0),
                         "%");
    canary_replay_reason(reason, sizeof(reason), options, event);

    fprintf(out, "%-24s  %-11s  %7s  %-19s  %s\n", date,
            canary_phase_name(event->to_phase), weight,
            canary_replay_by(event), reason);
}


static const char *
canary_replay_by(const canary_replay_event_t *event)
{
    if (event->rule) {
        return canary_rule_info[event->rule->kind].name;
    }

    return (event->verb == CANARY_START) ? "replay"
           : (event->verb == CANARY_TICK) ? "controller" : "log";
}


static void
canary_replay_reason(char *text, size_t size,
    const canary_replay_options_t *options,
    const canary_replay_event_t *event)
{
    char    value[VALUE_MAX];
    size_t  len;

    switch (event->verb) {

    case CANARY_START:
        snprintf(text, size, "rollout of %s started", options->canary);
        return;

    case CANARY_VIOLATION:
        (void) canary_replay_violation(text, size, options, event);
        return;

    case CANARY_HOLDING:
        len = (size_t) snprintf(text, size, "holding: ");
        len += canary_replay_violation(text + len, size - len, options,
                                       event);

        if (canary_rule_info[event->rule->kind].quantile) {
            canary_replay_number(value, 100 * event->outage.value,
                                 "% above it");
        } else {
            canary_replay_value(value, event->rule, event->outage.value);
        }

        if (len < size) {
            snprintf(text + len, size - len, ", but stable breaks it too with "
                     "%s in the last %g s", value,
                     (double) event->outage.ms / 1000);
        }

        return;

    case CANARY_TICK:
        snprintf(text, size, "%s after %" PRIu64 " attempts",
                 (event->verdict == CANARY_PASSING) ? "every rule passed"
                                                    : "no rule failed",
                 event->attempts);
        return;

    default:
        snprintf(text, size, "as in the log");
        return;
    }
}


/*
 * "error_5xx_rate 0.66 > 0.1 after 50 attempts",
 * "error_5xx_rate > 0.1 of late: 9 of 1009 attempts were bad"
 */

static size_t
canary_replay_violation(char *text, size_t size,
    const canary_replay_options_t *options, const canary_replay_event_t *event)
{
    int                   len;
    char                  value[VALUE_MAX], threshold[VALUE_MAX];
    char                  name[WORDS_MAX];
    canary_measure_t      measure;
    const canary_rule_t  *rule;

    rule = event->rule;

    canary_replay_rule_words(name, rule, options->strategy, " of ");

    measure.sum = event->judgement.bad;
    measure.attempts = event->judgement.attempts;

    canary_replay_value(value, rule, event->judgement.value);
    canary_replay_value(threshold, rule,
                        (canary_rule_unit(rule) == CANARY_UNIT_RATIO
                         || canary_rule_unit(rule) == CANARY_UNIT_FACTOR)
                        ? canary_rule_threshold(rule)
                        : (double) rule->threshold);

    if (canary_rule_base(rule, event->judgement.value)
        > canary_rule_threshold(rule))
    {
        len = snprintf(text, size, "%s %s > %s after %" PRIu64 " attempts",
                       name, value, threshold, measure.attempts);

    } else if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        len = snprintf(text, size, "%s > %s of late: %s after %" PRIu64
                       " attempts", name, threshold, value, measure.attempts);

    } else {
        len = snprintf(text, size, "%s > %s%s: %" PRIu64 " of %" PRIu64
                       " attempts %s", name, threshold,
                       (rule->baseline || canary_rule_above(rule, &measure))
                       ? "" : " of late", measure.sum, measure.attempts,
                       canary_rule_info[rule->kind].quantile ? "took longer"
                                                             : "were bad");
    }

    return (len > 0) ? (size_t) len : 0;
}


/* its name, and what it is about */

static void
canary_replay_rule_words(char text[WORDS_MAX], const canary_rule_t *rule,
    const canary_strategy_t *strategy, const char *between)
{
    snprintf(text, WORDS_MAX, "%s%s%s", canary_rule_info[rule->kind].name,
             rule->match ? between : "",
             rule->match ? strategy->matches.names[rule->match - 1] : "");
}


/* as in canary_judgement_t */

static void
canary_replay_value(char text[VALUE_MAX], const canary_rule_t *rule,
    double value)
{
    if (isnan(value)) {
        snprintf(text, VALUE_MAX, "-");

    } else if (canary_rule_unit(rule) == CANARY_UNIT_LATENCY) {
        canary_replay_number(text, value / 1000, "ms");

    } else {
        canary_replay_number(text, value, "");
    }
}


/* four decimal places at most, or six when it is small */

static void
canary_replay_number(char text[VALUE_MAX], double value, const char *unit)
{
    char  *end;

    if (!(fabs(value) < 1e15)) {
        snprintf(text, VALUE_MAX, "-");
        return;
    }

    snprintf(text, VALUE_MAX, fabs(value) < 0.01 ? "%.6f" : "%.4f", value);

    for (end = text + strlen(text); end[-1] == '0'; end--) { /* void */ }

    if (end[-1] == '.') {
        end--;
    }

    snprintf(end, VALUE_MAX - (size_t) (end - text), "%s", unit);
}


static void
canary_replay_write_date(char text[32], uint64_t time)
{
    time_t      seconds;
    size_t      len;
    struct tm  *tm;

    seconds = (time_t) (time / 1000);
    tm = gmtime(&seconds);

    len = tm ? strftime(text, 32, "%Y-%m-%dT%H:%M:%S", tm) : 0;

    snprintf(text + len, 32 - len, ".%03uZ", (unsigned) (time % 1000));
}


void
canary_replay_print_summary(FILE *out, const canary_replay_options_t *options,
    const canary_replay_input_t *input,
    const canary_replay_summary_t *summary)
{
    unsigned                     i;
    const canary_replay_side_t  *side;

    static const char *const  ends[] = {
        "still running", "promoted", "rolled back", "halted"
    };

    fprintf(out, "\n%s: %s after %.3f s\n", options->canary,
            ends[summary->end], (double) (summary->now - summary->began)
                                / 1000);

    fprintf(out, "%" PRIu64 " lines, %" PRIu64 " of them bad, %" PRIu64
            " without an attempt; %" PRIu64 " attempts that are no evidence, "
            "%" PRIu64 " counted too late\n\n",
            input->lines, input->bad, input->empty, summary->others,
            summary->late);

    fprintf(out, "%-7s  %-16s  %9s  %7s  %7s  %7s  %7s\n", "ROLE", "RELEASE",
            "ATTEMPTS", "4XX", "5XX", "FAILED", "ABORTED");

    for (i = CANARY_SIDES; i-- > 0; /* void */ ) {
        side = &summary->sides[i];

        fprintf(out, "%-7s  %-16s  %9" PRIu64 "  %7" PRIu64 "  %7" PRIu64
                "  %7" PRIu64 "  %7" PRIu64 "\n",
                (i == CANARY_SIDE_CANARY) ? "canary" : "stable",
                (i == CANARY_SIDE_CANARY) ? options->canary : options->stable,
                side->attempts, side->bad_4xx, side->bad_5xx - side->failed,
                side->failed, side->aborted);
    }

    canary_replay_print_rules(out, summary);
}


static void
canary_replay_print_rules(FILE *out, const canary_replay_summary_t *summary)
{
    char                       threshold[VALUE_MAX], value[VALUE_MAX];
    char                       low[VALUE_MAX], high[VALUE_MAX];
    char                       bounds[2 * VALUE_MAX + 8], bad[VALUE_MAX];
    char                       name[WORDS_MAX];
    uint32_t                   i;
    const canary_rule_t       *rule;
    const canary_judgement_t  *judgement;

    fprintf(out, "\n%-19s  %9s  %9s  %-22s  %9s  %7s  %s\n", "RULE",
            "THRESHOLD", "VALUE", "BOUNDS", "ATTEMPTS", "BAD", "VERDICT");

    for (i = 0; i < summary->result.n; i++) {
        rule = &summary->rollout.strategy.rules[i];
        judgement = &summary->result.rules[i];

        canary_replay_value(value, rule, judgement->value);
        canary_replay_value(low, rule, judgement->low);
        canary_replay_value(high, rule, judgement->high);
        canary_replay_number(threshold, canary_rule_threshold(rule)
                             * (canary_rule_unit(rule) == CANARY_UNIT_LATENCY
                                ? 1000 : 1),
                             canary_rule_unit(rule) == CANARY_UNIT_LATENCY
                             ? "ms" : "");

        snprintf(bounds, sizeof(bounds), "-");
        snprintf(bad, sizeof(bad), "-");

        if (!isnan(judgement->low) || !isnan(judgement->high)) {
            snprintf(bounds, sizeof(bounds), "%s to %s", low, high);
        }

        if (canary_replay_has_bad(rule)) {
            snprintf(bad, sizeof(bad), "%" PRIu64, judgement->bad);
        }

        canary_replay_rule_words(name, rule, &summary->rollout.strategy, " ");

        fprintf(out, "%-19s  %9s  %9s  %-22s  %9" PRIu64 "  %7s  %s\n",
                name, threshold, value, bounds, judgement->attempts, bad,
                canary_replay_verdicts[judgement->verdict]);
    }
}


/* a mean is not made of good and bad attempts */

static int
canary_replay_has_bad(const canary_rule_t *rule)
{
    return rule->kind != CANARY_RULE_LATENCY_AVG_MAX;
}


int
canary_replay_json_event(FILE *out, const canary_replay_options_t *options,
    const canary_replay_event_t *event)
{
    int     failed;
    char    text[CANARY_REPLAY_REASON];
    cJSON  *object;

    failed = 0;
    object = cJSON_CreateObject();

    canary_replay_write_date(text, event->time);
    canary_json_add_text(object, "time", text, &failed);
    canary_json_add_text(object, "phase", canary_phase_name(event->to_phase),
                         &failed);
    canary_json_add_number(object, "weight", event->to_weight, 6, &failed);
    canary_json_add_text(object, "by", canary_replay_by(event), &failed);

    canary_replay_reason(text, sizeof(text), options, event);
    canary_json_add_text(object, "reason", text, &failed);

    if (event->rule) {
        canary_json_add_text(object, "rule",
                             canary_rule_info[event->rule->kind].name,
                             &failed);
        canary_replay_json_match(object, event->rule, options->strategy,
                                 &failed);
        canary_rule_json_write_value(object, "value", event->rule,
                                     event->judgement.value, &failed);
        canary_rule_json_write_threshold(object, "threshold", event->rule,
                                         &failed);
        canary_json_add_number(object, "attempts", event->judgement.attempts,
                               0, &failed);

    } else if (event->verb == CANARY_TICK) {
        canary_json_add_number(object, "attempts", event->attempts, 0,
                               &failed);
    }

    return canary_replay_json_line(out, object, failed);
}


int
canary_replay_json_summary(FILE *out, const canary_replay_options_t *options,
    const canary_replay_input_t *input,
    const canary_replay_summary_t *summary)
{
    int     failed;
    char    date[32];
    cJSON  *object, *json;

    failed = 0;
    json = cJSON_CreateObject();
    object = canary_json_add_object(json, "summary", &failed);

    canary_json_add_text(object, "result", canary_replay_ends[summary->end],
                         &failed);

    canary_replay_write_date(date, summary->began);
    canary_json_add_text(object, "began", date, &failed);
    canary_replay_write_date(date, summary->now);
    canary_json_add_text(object, "ended", date, &failed);

    canary_json_add_number(object, "lines", input->lines, 0, &failed);
    canary_json_add_number(object, "bad_lines", input->bad, 0, &failed);
    canary_json_add_number(object, "without_attempt", input->empty, 0,
                           &failed);
    canary_json_add_number(object, "no_evidence", summary->others, 0,
                           &failed);
    canary_json_add_number(object, "late", summary->late, 0, &failed);

    canary_replay_json_side(object, "canary", options->canary,
                            &summary->sides[CANARY_SIDE_CANARY], &failed);
    canary_replay_json_side(object, "stable", options->stable,
                            &summary->sides[CANARY_SIDE_STABLE], &failed);

    canary_replay_json_rules(canary_json_add_array(object, "rules", &failed),
                             summary, &failed);

    return canary_replay_json_line(out, json, failed);
}


static void
canary_replay_json_side(cJSON *object, const char *role, const char *release,
    const canary_replay_side_t *side, int *failed)
{
    object = canary_json_add_object(object, role, failed);

    canary_json_add_text(object, "release", release, failed);
    canary_json_add_number(object, "attempts", side->attempts, 0, failed);
    canary_json_add_number(object, "4xx", side->bad_4xx, 0, failed);
    canary_json_add_number(object, "5xx", side->bad_5xx - side->failed, 0,
                           failed);
    canary_json_add_number(object, "failed", side->failed, 0, failed);
    canary_json_add_number(object, "aborted", side->aborted, 0, failed);
}


static void
canary_replay_json_rules(cJSON *list, const canary_replay_summary_t *summary,
    int *failed)
{
    cJSON                     *object, *bounds;
    uint32_t                   i;
    const canary_rule_t       *rule;
    const canary_judgement_t  *judgement;

    for (i = 0; i < summary->result.n; i++) {
        rule = &summary->rollout.strategy.rules[i];
        judgement = &summary->result.rules[i];

        object = canary_json_add_object(list, NULL, failed);

        canary_json_add_text(object, "rule", canary_rule_info[rule->kind].name,
                             failed);
        canary_replay_json_match(object, rule, &summary->rollout.strategy,
                                 failed);
        canary_rule_json_write_threshold(object, "threshold", rule, failed);
        canary_rule_json_write_value(object, "value", rule, judgement->value,
                                     failed);

        if (rule->confidence) {
            bounds = canary_json_add_array(object, "bounds", failed);
            canary_rule_json_write_value(bounds, NULL, rule, judgement->low,
                                         failed);
            canary_rule_json_write_value(bounds, NULL, rule, judgement->high,
                                         failed);
        }

        canary_json_add_number(object, "attempts", judgement->attempts, 0,
                               failed);

        if (canary_replay_has_bad(rule)) {
            canary_json_add_number(object, "bad", judgement->bad, 0, failed);
        }

        canary_json_add_text(object, "verdict",
                             canary_replay_verdicts[judgement->verdict],
                             failed);
    }
}


static void
canary_replay_json_match(cJSON *object, const canary_rule_t *rule,
    const canary_strategy_t *strategy, int *failed)
{
    if (rule->match) {
        canary_json_add_text(object, "match",
                             strategy->matches.names[rule->match - 1], failed);
    }
}


static int
canary_replay_json_line(FILE *out, cJSON *object, int failed)
{
    char  *text;

    text = (object && !failed) ? cJSON_PrintUnformatted(object) : NULL;

    cJSON_Delete(object);

    if (text == NULL) {
        return 0;
    }

    fprintf(out, "%s\n", text);
    cJSON_free(text);

    return 1;
}
