
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_waiting.h"

#include "canary_pace.h"
#include "canary_rollout.h"
#include "canary_rule.h"
#include "canary_sequential.h"
#include "canary_strategy.h"
#include "canary_json.h"
#include "canary_text.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_snapshot.h"


/* What a rollout waits for besides its clock, and why. */


static void ngx_http_canary_render_seconds(cJSON *waiting,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure,
    int *failed);
static const u_char *ngx_http_canary_wait_other(
    ngx_canary_snapshot_t *snapshot);
static ngx_uint_t ngx_http_canary_steps(ngx_canary_snapshot_t *snapshot);
static uint64_t ngx_http_canary_needed(const canary_figure_t *figure);
static const canary_figure_t *ngx_http_canary_holder(
    ngx_canary_snapshot_t *snapshot);
static ngx_uint_t ngx_http_canary_is_missing(ngx_canary_snapshot_t *snapshot,
    const canary_figure_t *figure);
static void ngx_http_canary_rule_words(u_char *words, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure);
static void ngx_http_canary_wait_reason(u_char *reason, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure);


void
ngx_http_canary_render_waiting(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    char                    reason[NGX_CANARY_PROBLEM];
    cJSON                  *waiting;
    ngx_uint_t              approval;
    const u_char           *other;
    const canary_figure_t  *figure;

    other = ngx_http_canary_wait_other(snapshot);
    figure = other ? NULL : ngx_http_canary_holder(snapshot);
    approval = other == NULL && figure == NULL
               && ngx_canary_awaits_approval(&snapshot->record.rollout,
                                             &snapshot->judgement,
                                             snapshot->now);

    if (approval) {
        other = (u_char *) "approval";
    }

    if (other == NULL && figure == NULL) {
        canary_json_add_null(object, "waiting_for", failed);
        return;
    }

    waiting = canary_json_add_object(object, "waiting_for", failed);

    if (other) {
        (void) ngx_cpystrn((u_char *) reason, (u_char *) other,
                           sizeof(reason));
        reason[canary_utf8_prefix(reason, ngx_strlen(reason))] = '\0';

        canary_json_add_null(waiting, "rule", failed);
        canary_json_add_number(waiting, "attempts", 0, 0, failed);
        canary_json_add_null(waiting, "seconds", failed);

    } else {
        ngx_http_canary_wait_reason((u_char *) reason, sizeof(reason),
                                    snapshot, figure);

        canary_json_add_text(waiting, "rule",
                             canary_rule_info[figure->rule.kind].name, failed);
        canary_json_add_number(waiting, "attempts",
                               ngx_http_canary_is_missing(snapshot, figure)
                               ? 0 : ngx_http_canary_needed(figure),
                               0, failed);
        ngx_http_canary_render_seconds(waiting, snapshot, figure, failed);
    }

    canary_json_add_text(waiting, "reason", reason, failed);

    if (approval) {
        canary_json_add(waiting, "approval", cJSON_CreateTrue(), failed);
    }
}


/* how long that takes; while stable breaks the rule too, nothing counts */

static void
ngx_http_canary_render_seconds(cJSON *waiting, ngx_canary_snapshot_t *snapshot,
    const canary_figure_t *figure, int *failed)
{
    int64_t                  seconds;
    ngx_canary_judgement_t  *judgement;

    judgement = &snapshot->judgement;

    seconds = canary_pace_seconds(&judgement->pace,
                                  snapshot->record.rollout.tests,
                                  snapshot->now, judgement->started,
                                  ngx_http_canary_needed(figure));

    if (seconds < 0 || judgement->held != -1
        || ngx_http_canary_is_missing(snapshot, figure)
        || figure->judgement.needed >= CANARY_NEEDED_MAX)
    {
        canary_json_add_null(waiting, "seconds", failed);
        return;
    }

    canary_json_add_number(waiting, "seconds", (uint64_t) seconds, 0, failed);
}


/* why no step is taken, whatever the rules say; NULL: for no such reason */

static const u_char *
ngx_http_canary_wait_other(ngx_canary_snapshot_t *snapshot)
{
    if (!ngx_http_canary_steps(snapshot)) {
        return NULL;
    }

    if (snapshot->problem[0]) {
        return snapshot->problem;
    }

    return snapshot->judgement.stable_away
           ? (u_char *) "stable has no live upstreams, and the canary serves "
                        "its requests: no step until stable answers again"
           : NULL;
}


/* whether time alone makes it go on */

static ngx_uint_t
ngx_http_canary_steps(ngx_canary_snapshot_t *snapshot)
{
    uint32_t  phase;

    phase = snapshot->record.rollout.phase;

    return phase == CANARY_PROGRESSING || phase == CANARY_BAKING;
}


static uint64_t
ngx_http_canary_needed(const canary_figure_t *figure)
{
    return ngx_max(figure->judgement.needed, 1);
}


/* the rule that the next step waits for; NULL: none */

static const canary_figure_t *
ngx_http_canary_holder(ngx_canary_snapshot_t *snapshot)
{
    ngx_uint_t               i;
    canary_rollout_t        *rollout;
    ngx_canary_judgement_t  *judgement;

    rollout = &snapshot->record.rollout;
    judgement = &snapshot->judgement;

    if (!ngx_http_canary_steps(snapshot)
        || judgement->nfigures == 0 || judgement->failing != -1)
    {
        return NULL;
    }

    if (judgement->held != -1) {
        return &judgement->figures[judgement->held];
    }

    /* without an attempt it holds whatever it does else */

    if (rollout->phase == CANARY_PROGRESSING && judgement->attempts
        && rollout->strategy.on_undecided == CANARY_ADVANCE_UNDECIDED)
    {
        return NULL;
    }

    /* time alone does not bring back what a rule is about */

    for (i = 0; i < judgement->nfigures; i++) {
        if (ngx_http_canary_is_missing(snapshot, &judgement->figures[i])) {
            return &judgement->figures[i];
        }
    }

    for (i = 0; i < judgement->nfigures; i++) {
        if (judgement->figures[i].judgement.verdict == CANARY_UNDECIDED) {
            return &judgement->figures[i];
        }
    }

    return judgement->attempts ? NULL : &judgement->figures[0];
}


/* whether its canary_match is no longer in the configuration */

static ngx_uint_t
ngx_http_canary_is_missing(ngx_canary_snapshot_t *snapshot,
    const canary_figure_t *figure)
{
    return figure->rule.match
           && (snapshot->judgement.missing & 1u << (figure->rule.match - 1));
}


/* a rule as a sentence has it: "match_rate of redirects" */

static void
ngx_http_canary_rule_words(u_char *words, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure)
{
    const canary_matches_t  *matches;

    matches = &snapshot->record.rollout.strategy.matches;

    ngx_snprintf(words, size, "%s%s%s%Z",
                 canary_rule_info[figure->rule.kind].name,
                 figure->rule.match ? " of " : "",
                 figure->rule.match ? matches->names[figure->rule.match - 1]
                                    : "");
}


static void
ngx_http_canary_wait_reason(u_char *reason, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure)
{
    u_char                   rule[64];
    uint64_t                 flying, needed, patience;
    ngx_canary_judgement_t  *judgement;

    judgement = &snapshot->judgement;
    patience = snapshot->record.rollout.strategy.patience;
    needed = ngx_http_canary_needed(figure);

    /* begun, and not decided yet */

    flying = (judgement->started > judgement->attempts)
             ? judgement->started - judgement->attempts : 0;

    ngx_http_canary_rule_words(rule, sizeof(rule), snapshot, figure);

    if (judgement->held == -1
        && ngx_http_canary_is_missing(snapshot, figure))
    {
        ngx_snprintf(reason, size, "%s cannot be decided: its canary_match is "
                     "not in nginx.conf any more%Z", rule);

    } else if (judgement->held != -1) {
        ngx_snprintf(reason, size, "stable breaks %s too: evidence does not "
                     "count until a second after it stops%Z", rule);

    } else if (judgement->started == 0) {
        ngx_snprintf(reason, size, "no attempt in this step yet%Z");

    } else if (judgement->overdue) {
        ngx_snprintf(reason, size, "%uL more clean attempt%s until %s can "
                     "pass: %uL count%s as bad until they end, in flight for "
                     "longer than canary_patience (%uL%s) or than any that "
                     "ended in this step%Z",
                     needed, (needed == 1) ? "" : "s", rule,
                     judgement->overdue, (judgement->overdue == 1) ? "s" : "",
                     (patience % 1000) ? patience : patience / 1000,
                     (patience % 1000) ? "ms" : "s");

    } else if (needed <= flying) {
        ngx_snprintf(reason, size, "%uL attempt%s in flight or just ended: "
                     "%s can pass when they are settled%Z",
                     flying, (flying == 1) ? "" : "s", rule);

    } else {
        ngx_snprintf(reason, size, "%uL more clean attempt%s until %s can "
                     "pass%Z", needed, (needed == 1) ? "" : "s", rule);
    }
}
