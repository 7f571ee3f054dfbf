
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_JUDGE_H_INCLUDED_
#define _NGX_CANARY_JUDGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_cohorts.h"
#include "canary_event.h"
#include "canary_lead.h"
#include "canary_pace.h"
#include "canary_rule.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* Verdicts and what follows from them, in the control loop and without. */


#define NGX_CANARY_TICK                50    /* ms */
#define NGX_CANARY_STALE               500   /* ms: a heartbeat is old */


/* under the lock */


typedef struct {
    canary_verdict_t                    verdict;       /* of all */
    uint64_t                            attempts;      /* decided, canary */
    uint64_t                            started;       /* in the step */
    uint64_t                            served;        /* of these by this
                                                          nginx, */
    uint64_t                            stable_served; /* and by its stable */
    uint64_t                            overdue;       /* canary_result_t */
    ngx_uint_t                          nfigures;
    canary_figure_t                     figures[CANARY_RULES_MAX];
    ngx_int_t                           failing;       /* index, or -1 */
    ngx_int_t                           held;          /* rule that stable
                                                          breaks too, or -1 */
    ngx_uint_t                          stable_away;   /* steps wait for it */
    canary_pace_t                       pace;          /* of the canary's
                                                          attempts */
    ngx_uint_t                          missing;       /* canary_evidence_t */
    u_char                              waits[CANARY_REASON_SIZE];
                                                       /* in a fleet: why its
                                                          leader takes no step;
                                                          or empty */
} ngx_canary_judgement_t;

/* "detail" is that of canary_verdict.h; in a fleet that is reached, by the
   evidence of all nodes, as soon as the leader has told of the step */
void ngx_canary_judge(ngx_canary_shared_t *shared, uint64_t now,
    ngx_uint_t detail, ngx_canary_judgement_t *judgement);

/* whether the step or the promotion that is due waits for a person only */
ngx_uint_t ngx_canary_awaits_approval(const canary_rollout_t *rollout,
    const ngx_canary_judgement_t *judgement, uint64_t now);

/* the control loop: judges if there is a reason to, acts when a rule is
   broken, and takes the next step when it is time to; "lead": of the leader of
   a fleet, else NULL */
void ngx_canary_progress(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_lead_t *lead, uint64_t now,
    ngx_log_t *log);

/* what this node of a fleet tells of a rollout under way */
void ngx_canary_tell(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, uint64_t now, canary_cohorts_t *cohorts);

/* a failed attempt: judged at once, by the process that saw it */
void ngx_canary_trip(ngx_canary_endpoint_t *endpoint,
    uint32_t epoch, ngx_log_t *log);


#endif /* _NGX_CANARY_JUDGE_H_INCLUDED_ */
