
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * A log for canary-replay, line by line: what is accepted is within its
 * ranges, and a replay of it comes to an end.  That takes long, so it is done
 * with some of the inputs: their last byte tells, and what the options are.
 */


#include "canary_replay.h"
#include "canary_replay_time.h"

#include "fuzz.h"


#define FUZZ_LINES   2000
#define FUZZ_REPLAY  30      /* of them that are replayed: each may be far from
                                the one before, and time passes in between */


static canary_replay_format_t fuzz_format(const uint8_t *data, size_t size);
static void fuzz_options(canary_replay_options_t *options,
    const uint8_t *data, size_t size);
static void fuzz_strategy(canary_strategy_t *strategy);
static void fuzz_line(const canary_replay_line_t *line);
static void fuzz_summary(const canary_replay_summary_t *summary);
static void fuzz_report(void *data, const canary_replay_event_t *event);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                     *text, *line, *end;
    unsigned                  n, nread, nreplay;
    const char               *error;
    canary_replay_t          *replay;
    canary_strategy_t         strategy;
    canary_replay_line_t      read;
    canary_replay_options_t   options;

    fuzz_strategy(&strategy);
    fuzz_options(&options, data, size);

    options.strategy = &strategy;

    replay = canary_replay_create(&options);
    fuzz_assert(replay != NULL);

    text = fuzz_text(data, size);
    line = text;
    nread = 0;
    nreplay = (size && (data[size - 1] & 0xe0) == 0x60) ? FUZZ_REPLAY : 0;

    for (n = 0; n < FUZZ_LINES && line; n++) {
        end = memchr(line, '\n', size - (size_t) (line - text));

        if (end) {
            *end++ = '\0';
        }

        error = canary_replay_line_read(line,
                                        end ? (size_t) (end - line) - 1
                                            : size - (size_t) (line - text),
                                        fuzz_format(data, size),
                                        &strategy.matches, &read);

        if (error == NULL) {
            fuzz_line(&read);

            if (nread++ < nreplay) {
                fuzz_assert(canary_replay_add(replay, &read) != -1);
            }
        }

        line = end;
    }

    fuzz_summary(canary_replay_finish(replay));

    canary_replay_destroy(replay);
    free(text);

    return 0;
}


static canary_replay_format_t
fuzz_format(const uint8_t *data, size_t size)
{
    return (canary_replay_format_t) (size ? data[size - 1] % 3 : 0);
}


static void
fuzz_options(canary_replay_options_t *options, const uint8_t *data,
    size_t size)
{
    memset(options, 0, sizeof(canary_replay_options_t));

    options->stable = "v1";
    options->canary = "v2";
    options->report = fuzz_report;

    if (size) {
        options->by_response = (data[size - 1] & 4) != 0;
        options->log_weight = (data[size - 1] & 8) != 0;
        options->endpoint = (data[size - 1] & 16) ? "ep" : NULL;
    }
}


/* a rule of each sort of statistics, and one with a window */

static void
fuzz_strategy(canary_strategy_t *strategy)
{
    uint32_t  i;

    static const canary_rule_t  rules[] = {
        { CANARY_RULE_ERROR_5XX_RATE, 1, 100000000, 999000000, 100, 0, 0 },
        { CANARY_RULE_ERROR_4XX_RATE, 1, 100000000, 999000000, 0, 0, 0 },
        { CANARY_RULE_ERROR_RATE, 1, 100000000, 999000000, 100, 0, 1 },
        { CANARY_RULE_LATENCY_AVG_MAX, 1, 250000, 999000000, 100, 0, 0 },
        { CANARY_RULE_LATENCY_P99_MAX, 1, 250000, 999000000, 100, 0, 0 },
        { CANARY_RULE_LATENCY_P50_MAX, 1, 1300000000, 999000000, 100, 0, 1 },
        { CANARY_RULE_ERROR_RATE, 50, 500000000, 0, 0, 10000, 0 },
        { CANARY_RULE_FAILED_REQUESTS_MAX, 1, 100, 0, 0, 0, 0 }
    };

    canary_strategy_init(strategy);

    strategy->interval = 1000;
    strategy->bake = 1000;
    strategy->on_undecided = CANARY_ADVANCE_UNDECIDED;
    strategy->nrules = sizeof(rules) / sizeof(rules[0]);

    for (i = 0; i < strategy->nrules; i++) {
        strategy->rules[i] = rules[i];
    }
}


static void
fuzz_line(const canary_replay_line_t *line)
{
    unsigned                        i;
    const canary_replay_attempt_t  *attempt;

    fuzz_assert(line->time <= CANARY_REPLAY_TIME_MAX);
    fuzz_assert(line->n <= CANARY_REPLAY_ATTEMPTS_MAX);
    fuzz_assert(line->n == 0 || line->release[0]);
    fuzz_assert(line->reason < CANARY_REPLAY_REASONS);
    fuzz_assert(line->weight <= CANARY_ONE
                || line->weight == CANARY_REPLAY_NO_WEIGHT);
    fuzz_assert(line->request_time <= CANARY_REPLAY_DURATION_MAX
                || line->request_time == CANARY_REPLAY_UNKNOWN);
    fuzz_assert(strlen(line->release) < CANARY_REPLAY_NAME_MAX
                && strlen(line->endpoint) < CANARY_REPLAY_NAME_MAX);

    for (i = 0; i < line->n; i++) {
        attempt = &line->attempts[i];

        fuzz_assert(attempt->header <= attempt->duration);
        fuzz_assert(attempt->duration <= CANARY_REPLAY_DURATION_MAX);
        fuzz_assert(attempt->outcome != CANARY_REPLAY_ANSWERED
                    || (attempt->status >= 100 && attempt->status <= 599));
    }
}


static void
fuzz_summary(const canary_replay_summary_t *summary)
{
    unsigned                     i;
    const canary_replay_side_t  *side;

    if (summary->began == 0) {
        return;
    }

    fuzz_assert(summary->now >= summary->began);
    fuzz_assert(summary->result.n == summary->rollout.strategy.nrules);

    for (i = 0; i < CANARY_SIDES; i++) {
        side = &summary->sides[i];

        fuzz_assert(side->failed <= side->bad_5xx);
        fuzz_assert(side->bad_4xx + side->bad_5xx <= side->attempts);
    }
}


static void
fuzz_report(void *data, const canary_replay_event_t *event)
{
    (void) data;

    fuzz_assert(event->to_weight <= CANARY_ONE);
    fuzz_assert(event->time <= CANARY_REPLAY_TIME_MAX);
}
