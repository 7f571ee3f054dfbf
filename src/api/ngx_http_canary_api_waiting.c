
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_waiting.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_strategy.h"
#include "canary_json.h"
#include "canary_text.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_snapshot.h"


static void ngx_http_canary_render_file(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);
static ngx_uint_t ngx_http_canary_steps(ngx_canary_snapshot_t *snapshot);
static const canary_figure_t *ngx_http_canary_holder(
    ngx_canary_snapshot_t *snapshot);
static uint64_t ngx_http_canary_needed(
    const canary_figure_t *figure);
static void ngx_http_canary_wait_reason(u_char *reason, size_t size,
    ngx_canary_judgement_t *judgement,
    const canary_figure_t *figure);


/*
 * What a rollout waits for besides its clock: null, or the first rule that
 * holds it, the clean attempts that it needs, and the reason in words.
 */

void
ngx_http_canary_render_waiting(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    cJSON                  *waiting;
    u_char                  reason[256];
    const canary_figure_t  *figure;

    if (snapshot->problem[0] && ngx_http_canary_steps(snapshot)) {
        ngx_http_canary_render_file(object, snapshot, failed);
        return;
    }

    figure = ngx_http_canary_holder(snapshot);

    if (figure == NULL) {
        canary_json_add_null(object, "waiting_for", failed);
        return;
    }

    ngx_http_canary_wait_reason(reason, sizeof(reason), &snapshot->judgement,
                                figure);

    waiting = canary_json_add_object(object, "waiting_for", failed);

    canary_json_add_text(waiting, "rule",
                         canary_rule_info[figure->rule.kind].name, failed);
    canary_json_add_number(waiting, "attempts",
                           ngx_http_canary_needed(figure), 0, failed);
    canary_json_add_text(waiting, "reason", (char *) reason, failed);
}


/* no rule holds it, but a file that cannot be written */

static void
ngx_http_canary_render_file(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    char    reason[NGX_CANARY_PROBLEM];
    cJSON  *waiting;

    (void) ngx_cpystrn((u_char *) reason, snapshot->problem, sizeof(reason));

    reason[canary_utf8_prefix(reason, ngx_strlen(reason))] = '\0';

    waiting = canary_json_add_object(object, "waiting_for", failed);

    canary_json_add_null(waiting, "rule", failed);
    canary_json_add_number(waiting, "attempts", 0, 0, failed);
    canary_json_add_text(waiting, "reason", reason, failed);
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

    for (i = 0; i < judgement->nfigures; i++) {
        if (judgement->figures[i].judgement.verdict == CANARY_UNDECIDED) {
            return &judgement->figures[i];
        }
    }

    return judgement->attempts ? NULL : &judgement->figures[0];
}


static void
ngx_http_canary_wait_reason(u_char *reason, size_t size,
    ngx_canary_judgement_t *judgement,
    const canary_figure_t *figure)
{
    uint64_t     flying, needed;
    const char  *rule;

    rule = canary_rule_info[figure->rule.kind].name;
    needed = ngx_http_canary_needed(figure);

    /* begun, and not decided yet */

    flying = (judgement->started > judgement->attempts)
             ? judgement->started - judgement->attempts : 0;

    if (judgement->held != -1) {
        ngx_snprintf(reason, size, "stable breaks %s too: evidence does not "
                     "count until a second after it stops%Z", rule);

    } else if (judgement->started == 0) {
        ngx_snprintf(reason, size, "no attempt in this step yet%Z");

    } else if (needed <= flying) {
        ngx_snprintf(reason, size, "%uL attempt%s in flight or just ended: "
                     "%s can pass when they are settled%Z",
                     flying, (flying == 1) ? "" : "s", rule);

    } else {
        ngx_snprintf(reason, size, "%uL more clean attempt%s until %s can "
                     "pass%Z", needed, (needed == 1) ? "" : "s", rule);
    }
}
