
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_evidence_places.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_verdict.h"
#include "ctl_needed.h"
#include "ctl_text.h"


#define CTL_NOW  1000000                  /* ms; any time will do */


static void ctl_needed_judge(const canary_rollout_t *rollout,
    uint64_t *needed);


int
ctl_needed(const canary_strategy_t *strategy,
    uint64_t needed[CANARY_RULES_MAX])
{
    canary_rollout_t  rollout;
    canary_command_t  command;

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = CANARY_START;
    command.now = CTL_NOW;
    command.release = 1;
    command.strategy = strategy;

    canary_rollout_init(&rollout, 0);

    if (canary_rollout_apply(&rollout, &command) != CANARY_CHANGED) {
        return 0;
    }

    ctl_needed_judge(&rollout, needed);

    return 1;
}


static void
ctl_needed_judge(const canary_rollout_t *rollout, uint64_t *needed)
{
    uint32_t            i;
    canary_slot_t      *slot;
    canary_times_t     *times;
    canary_result_t     result;
    canary_judged_t    *books;
    canary_evidence_t  *evidence;

    evidence = ctl_calloc(1, canary_evidence_size(1));
    books = ctl_calloc(1, sizeof(canary_judged_t));
    slot = ctl_calloc(1, sizeof(canary_slot_t));
    times = ctl_calloc(1, sizeof(canary_times_t));

    canary_evidence_init(evidence, 1);
    canary_evidence_set_books(evidence, &books->books);
    canary_evidence_use(evidence, slot);

    canary_judge_begin(evidence, rollout, CTL_NOW, times);
    (void) canary_judge_tick(evidence, rollout, CTL_NOW);
    canary_judge_rules(evidence, rollout, CTL_NOW, times, CANARY_DETAIL_ALL,
                       &result);

    for (i = 0; i < result.n; i++) {
        needed[i] = result.rules[i].needed;
    }

    free(evidence);
    free(books);
    free(slot);
    free(times);
}
