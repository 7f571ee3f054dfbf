
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_event.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_split.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"


static void ngx_canary_reason(canary_event_t *event,
    const canary_rollout_t *from, const canary_rollout_t *to,
    ngx_canary_change_t *change);
static const char *ngx_canary_words(uint32_t verb,
    const canary_rollout_t *from, const canary_rollout_t *to);
static ngx_canary_release_shared_t *ngx_canary_subject(
    ngx_canary_shared_t *shared, const canary_rollout_t *from,
    const canary_rollout_t *to);
static void ngx_canary_patch_reason(u_char *p, u_char *last,
    const canary_rollout_t *from, const canary_rollout_t *to);
static u_char *ngx_canary_violation(u_char *p, u_char *last,
    const canary_event_t *event);
static u_char *ngx_canary_limit(u_char *p, u_char *last,
    const canary_rule_t *rule);
static u_char *ngx_canary_value(u_char *p, u_char *last,
    const canary_rule_t *rule, double value);
static void ngx_canary_holding(u_char *p, u_char *last, canary_event_t *event);
static u_char *ngx_canary_number(u_char *p, u_char *last, double value);
static u_char *ngx_canary_percent(u_char *p, u_char *last, uint32_t weight);
static u_char *ngx_canary_point(u_char *p, u_char *last, uint32_t phase,
    uint32_t weight);


void
ngx_canary_make_event(canary_event_t *event,
    ngx_canary_shared_t *shared, const canary_rollout_t *from,
    const canary_rollout_t *to, ngx_canary_change_t *change)
{
    ngx_uint_t                    i;
    struct timeval                tv;
    ngx_canary_release_shared_t  *release;

    ngx_memzero(event, sizeof(canary_event_t));

    ngx_gettimeofday(&tv);

    event->generation = to->generation;
    event->time = (uint64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
    event->rollout = to->number;
    event->verb = change->command.verb;
    event->from_phase = from->phase;
    event->from_weight = from->weight;
    event->to_phase = to->phase;
    event->to_weight = to->weight;
    event->actor = change->actor;

    event->nfigures = ngx_min(change->nfigures, CANARY_FIGURES);

    for (i = 0; i < event->nfigures; i++) {
        event->figures[i] = change->figures[i];
    }

    if (change->nfigures) {
        event->attempts = change->command.attempts;
        event->matches = from->strategy.matches;
    }

    if ((change->command.verb == CANARY_VIOLATION
         || change->command.verb == CANARY_HOLDING)
        && change->nfigures)
    {
        event->attempts = change->figures[0].judgement.attempts;
    }

    if (change->outage) {
        event->outage = *change->outage;
    }

    release = ngx_canary_subject(shared, from, to);

    if (release) {
        ngx_memcpy(event->release, release->name, release->len);
    }

    if (change->reason[0]) {
        ngx_memcpy(event->reason, change->reason, CANARY_REASON_SIZE);
        event->reason[CANARY_REASON_SIZE - 1] = '\0';

    } else {
        ngx_canary_reason(event, from, to, change);
    }
}


/* what happened, in words, when nobody gave a reason */

static void
ngx_canary_reason(canary_event_t *event, const canary_rollout_t *from,
    const canary_rollout_t *to, ngx_canary_change_t *change)
{
    u_char      *p, *last;
    const char  *words;

    p = event->reason;
    last = p + CANARY_REASON_SIZE - 1;

    words = ngx_canary_words(event->verb, from, to);

    if (words) {
        ngx_slprintf(p, last, "%s", words);
        return;
    }

    switch (event->verb) {

    case CANARY_START:
        ngx_slprintf(p, last, "rollout of %s started", event->release);
        break;

    case CANARY_DIRECT:
        ngx_slprintf(p, last, "%s made stable at once", event->release);
        break;

    case CANARY_PATCH:
        ngx_canary_patch_reason(p, last, from, to);
        break;

    case CANARY_VIOLATION:
        (void) ngx_canary_violation(p, last, event);
        break;

    case CANARY_HOLDING:
        ngx_canary_holding(p, last, event);
        break;

    default: /* CANARY_TICK */
        ngx_slprintf(p, last, "%s after %uL attempts",
                     (change->command.verdict == CANARY_PASSING)
                     ? "every rule passed" : "no rule failed",
                     event->attempts);
        break;
    }
}


/* NULL: there is more to say than the verb does */

static const char *
ngx_canary_words(uint32_t verb, const canary_rollout_t *from,
    const canary_rollout_t *to)
{
    switch (verb) {

    case CANARY_ADVANCE:
        return (to->phase == CANARY_IDLE) ? "advanced from the last step"
                                          : "advanced to the next step";

    case CANARY_PAUSE:
        return "paused";

    case CANARY_RESUME:
        return "resumed";

    case CANARY_PROMOTE:
        return "promoted";

    case CANARY_ROLLBACK:
        return "rolled back";

    case CANARY_RELEASE_GONE:
        return (from->phase == CANARY_IDLE || from->stable != to->stable)
               ? "the stable release is no longer configured"
               : "the canary is no longer configured";

    default:
        return NULL;
    }
}


/* the release that is rolled out, or made stable; NULL: none is */

static ngx_canary_release_shared_t *
ngx_canary_subject(ngx_canary_shared_t *shared, const canary_rollout_t *from,
    const canary_rollout_t *to)
{
    uint32_t  id;

    id = (from->phase != CANARY_IDLE) ? from->canary
         : (to->phase != CANARY_IDLE) ? to->canary
         : (to->number != from->number) ? to->last_release
                                        : CANARY_NO_RELEASE;

    return (id < CANARY_RELEASES) ? shared->releases[id] : NULL;
}


static void
ngx_canary_patch_reason(u_char *p, u_char *last,
    const canary_rollout_t *from, const canary_rollout_t *to)
{
    if (from->weight == to->weight) {
        ngx_slprintf(p, last, "strategy changed");
        return;
    }

    p = ngx_slprintf(p, last, "weight set to ");
    (void) ngx_canary_percent(p, last, to->weight);
}


/*
 * "error_5xx_rate 0.21 > 0.1 after 57 attempts",
 * "error_5xx_rate > 0.1 of late: 9 of 1009 attempts were bad",
 * "match_rate of redirects 0.21 > 0.1 after 57 attempts"
 */

static u_char *
ngx_canary_violation(u_char *p, u_char *last, const canary_event_t *event)
{
    double                     value;
    canary_measure_t           measure;
    const canary_rule_t       *rule;
    const canary_judgement_t  *judgement;

    rule = &event->figures[0].rule;
    judgement = &event->figures[0].judgement;
    value = canary_rule_base(rule, judgement->value);

    p = ngx_slprintf(p, last, "%s ", canary_rule_info[rule->kind].name);

    if (rule->match) {
        p = ngx_slprintf(p, last, "of %s ",
                         event->matches.names[rule->match - 1]);
    }

    if (value > canary_rule_threshold(rule)) {
        p = ngx_canary_value(p, last, rule, value);
        p = ngx_slprintf(p, last, " ");
        p = ngx_canary_limit(p, last, rule);

        return ngx_slprintf(p, last, " after %uL attempts",
                            judgement->attempts);
    }

    /* it was proved by the last attempts, or by those that are not answered */

    p = ngx_canary_limit(p, last, rule);

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        p = ngx_slprintf(p, last, " of late: ");
        p = ngx_canary_value(p, last, rule, value);

        return ngx_slprintf(p, last, " after %uL attempts",
                            judgement->attempts);
    }

    measure.sum = judgement->bad;
    measure.attempts = judgement->attempts;

    return ngx_slprintf(p, last, "%s: %uL of %uL attempts %s",
                        (rule->baseline || canary_rule_above(rule, &measure))
                        ? "" : " of late",
                        judgement->bad, judgement->attempts,
                        canary_rule_info[rule->kind].quantile ? "took longer"
                                                              : "were bad");
}


/* "> 0.1", "> 0.01 above stable's", "> 1.3 times stable's" */

static u_char *
ngx_canary_limit(u_char *p, u_char *last, const canary_rule_t *rule)
{
    p = ngx_slprintf(p, last, "> ");
    p = ngx_canary_value(p, last, rule, canary_rule_threshold(rule));

    if (rule->baseline) {
        p = ngx_slprintf(p, last, "%s stable's",
                         (canary_rule_unit(rule) == CANARY_UNIT_FACTOR)
                         ? " times" : " above");
    }

    return p;
}


/* a value in base units */

static u_char *
ngx_canary_value(u_char *p, u_char *last, const canary_rule_t *rule,
    double value)
{
    if (canary_rule_unit(rule) != CANARY_UNIT_LATENCY) {
        return ngx_canary_number(p, last, value);
    }

    p = ngx_canary_number(p, last, value * 1000);

    return ngx_slprintf(p, last, "ms");
}


/* "holding: error_5xx_rate 0.3 > 0.1 after 20 attempts, but stable has ..." */

static void
ngx_canary_holding(u_char *p, u_char *last, canary_event_t *event)
{
    double                  value;
    const char             *unit;
    const canary_figure_t  *figure;

    figure = &event->figures[0];
    value = event->outage.value;
    unit = "";

    if (canary_rule_info[figure->rule.kind].quantile) {
        value *= 100;
        unit = "% above it";

    } else if (canary_rule_unit(&figure->rule) == CANARY_UNIT_LATENCY) {
        value /= 1000;
        unit = "ms";
    }

    p = ngx_slprintf(p, last, "holding: ");
    p = ngx_canary_violation(p, last, event);
    p = ngx_slprintf(p, last, ", but stable breaks it too with ");
    p = ngx_canary_number(p, last, value);
    p = ngx_slprintf(p, last, "%s in the last ", unit);
    p = ngx_canary_number(p, last, (double) event->outage.ms / 1000);

    (void) ngx_slprintf(p, last, "s");
}


/* four decimal places at most, or six when it is small */

static u_char *
ngx_canary_number(u_char *p, u_char *last, double value)
{
    u_char  *start, *end;

    start = p;

    p = (value < 0.01) ? ngx_slprintf(p, last, "%.6f", value)
                       : ngx_slprintf(p, last, "%.4f", value);

    end = p;

    if (ngx_strlchr(start, p, '.') == NULL) {
        return p;
    }

    while (p > start && p[-1] == '0') {
        p--;
    }

    if (p > start && p[-1] == '.') {
        p--;
    }

    /* the text may end here, by the zeros that follow */

    ngx_memzero(p, end - p);

    return p;
}


static u_char *
ngx_canary_percent(u_char *p, u_char *last, uint32_t weight)
{
    p = ngx_canary_number(p, last, (double) weight / (CANARY_ONE / 100));

    return ngx_slprintf(p, last, "%%");
}


void
ngx_canary_log_event(canary_event_t *event,
    ngx_canary_shared_t *shared, ngx_log_t *log)
{
    u_char  from[32], to[32], *p, *q;

    p = ngx_canary_point(from, from + sizeof(from), event->from_phase,
                         event->from_weight);
    q = ngx_canary_point(to, to + sizeof(to), event->to_phase,
                         event->to_weight);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%*s\" event %uL: %s%s%s, %*s -> %*s, "
                  "by %s%s%s: %s",
                  shared->len, shared->name, event->id,
                  canary_event_type(event), event->release[0] ? " " : "",
                  event->release,
                  (size_t) (p - from), from, (size_t) (q - to), to,
                  event->actor.name, event->actor.address[0] ? " " : "",
                  event->actor.address, event->reason);
}


/* "progressing 20%", "idle" */

static u_char *
ngx_canary_point(u_char *p, u_char *last, uint32_t phase, uint32_t weight)
{
    p = ngx_slprintf(p, last, "%s", canary_phase_name(phase));

    if (phase == CANARY_IDLE) {
        return p;
    }

    p = ngx_slprintf(p, last, " ");

    return ngx_canary_percent(p, last, weight);
}
