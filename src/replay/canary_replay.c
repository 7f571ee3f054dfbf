
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_replay.h"


#define STABLE_ID  0
#define CANARY_ID  1

#define QUIET_MS   (2 * CANARY_OVERDUE_MS)   /* then nothing is in flight that
                                                could still be judged */


/* Where an attempt is: what is due next. */

typedef enum {
    STAGE_BEGINS = 0,
    STAGE_HEADER,
    STAGE_ENDS
} canary_replay_stage_t;


typedef struct {
    uint64_t                 due;      /* microseconds */
    uint64_t                 order;    /* among those due at the same time */
    uint64_t                 began;
    canary_replay_attempt_t  attempt;
    uint32_t                 weight;   /* at which it was sent, or NO_WEIGHT */
    uint8_t                  side;
    uint8_t                  stage;    /* canary_replay_stage_t */
    canary_ticket_t          ticket;
} canary_replay_pending_t;


struct canary_replay_s {
    canary_replay_options_t   options;
    canary_replay_summary_t   summary;
    canary_rollout_t          rollout;
    canary_evidence_t        *evidence;
    canary_slot_t            *slot;       /* of it, the only one */
    canary_times_t            times;
    canary_histogram_t        before[CANARY_SIDES];
                                       /* times before the present step */

    canary_replay_pending_t  *heap;    /* least due first */
    size_t                    n;
    size_t                    size;
    uint64_t                  order;
    uint64_t                  latest;  /* end of a line, microseconds */

    uint64_t                  clock;   /* microseconds; 0: not begun */
    uint64_t                  tick;    /* ms: the next one */
    uint64_t                  active;  /* ms: when something was due last */
    uint64_t                  window;  /* ms: the longest of a rule */

    uint32_t                  left_weight;
    uint64_t                  left_at; /* ms: see canary_replay_follow() */
    int                       ended;
};


static int canary_replay_take(canary_replay_t *replay,
    const canary_replay_line_t *line);
static int canary_replay_take_fallback(canary_replay_t *replay,
    const canary_replay_line_t *line, uint64_t *starts);
static int canary_replay_push(canary_replay_t *replay,
    const canary_replay_line_t *line, unsigned i, unsigned side,
    uint64_t start);
static void canary_replay_rise(canary_replay_t *replay, size_t i);
static void canary_replay_sink(canary_replay_t *replay, size_t i);
static int canary_replay_before(const canary_replay_pending_t *a,
    const canary_replay_pending_t *b);
static void canary_replay_run(canary_replay_t *replay, uint64_t until);
static void canary_replay_begin(canary_replay_t *replay,
    const canary_replay_pending_t *first);
static void canary_replay_advance(canary_replay_t *replay, uint64_t until);
static uint64_t canary_replay_next_tick(const canary_replay_t *replay,
    uint64_t until);
static int canary_replay_attempt_begins(canary_replay_t *replay,
    canary_replay_pending_t *pending);
static int canary_replay_attempt_header(canary_replay_t *replay,
    canary_replay_pending_t *pending);
static void canary_replay_count(canary_replay_t *replay,
    const canary_replay_pending_t *pending, canary_finish_t *finish);
static void canary_replay_add_time(canary_replay_t *replay, unsigned side,
    uint64_t time);
static void canary_replay_follow(canary_replay_t *replay, uint32_t weight);
static void canary_replay_tick(canary_replay_t *replay, uint64_t now);
static int canary_replay_is_settled(canary_replay_t *replay, uint64_t now);
static int canary_replay_guard(canary_replay_t *replay,
    canary_result_t *result, int immediate, uint64_t now);
static int canary_replay_change(canary_replay_t *replay,
    const canary_command_t *command, canary_replay_event_t *event);
static void canary_replay_entered(canary_replay_t *replay,
    const canary_rollout_t *from, uint64_t now);
static void canary_replay_report(canary_replay_t *replay,
    const canary_rollout_t *from, const canary_command_t *command,
    canary_replay_event_t *event);
static void canary_replay_times(canary_replay_t *replay);


canary_replay_t *
canary_replay_create(const canary_replay_options_t *options)
{
    uint32_t          i;
    canary_replay_t  *replay;

    replay = calloc(1, sizeof(canary_replay_t));

    if (replay == NULL) {
        return NULL;
    }

    replay->options = *options;
    replay->evidence = calloc(1, canary_judge_size(1));
    replay->slot = malloc(sizeof(canary_slot_t));

    if (replay->evidence == NULL || replay->slot == NULL) {
        canary_replay_destroy(replay);
        return NULL;
    }

    canary_evidence_init(replay->evidence, 1);
    canary_evidence_use(replay->evidence, replay->slot);

    canary_rollout_init(&replay->rollout, STABLE_ID);

    for (i = 0; i < options->strategy->nrules; i++) {
        if (options->strategy->rules[i].window > replay->window) {
            replay->window = options->strategy->rules[i].window;
        }
    }

    return replay;
}


void
canary_replay_destroy(canary_replay_t *replay)
{
    free(replay->heap);
    free(replay->evidence);
    free(replay->slot);
    free(replay);
}


int
canary_replay_add(canary_replay_t *replay, const canary_replay_line_t *line)
{
    if (replay->ended) {
        return 0;
    }

    if (replay->options.endpoint
        && strcmp(line->endpoint, replay->options.endpoint) != 0)
    {
        return 1;
    }

    if (!canary_replay_take(replay, line)) {
        return -1;
    }

    if (line->time > replay->latest) {
        replay->latest = line->time;
    }

    if (replay->latest > CANARY_REPLAY_AHEAD_MS * 1000ull) {
        canary_replay_run(replay,
                          replay->latest - CANARY_REPLAY_AHEAD_MS * 1000ull);
    }

    while (replay->n > CANARY_REPLAY_AHEAD_MAX && !replay->ended) {
        canary_replay_run(replay, replay->heap[0].due);
    }

    return !replay->ended;
}


const canary_replay_summary_t *
canary_replay_finish(canary_replay_t *replay)
{
    uint64_t                  now;
    canary_replay_summary_t  *summary;

    canary_replay_run(replay, UINT64_MAX);

    summary = &replay->summary;

    if (replay->clock && !replay->ended) {
        now = replay->tick;
        canary_replay_tick(replay, now);

        if (!replay->ended) {
            summary->now = now;
            summary->rollout = replay->rollout;
            canary_replay_times(replay);
            canary_judge_rules(replay->evidence, &replay->rollout, now,
                               &replay->times, 1, &summary->result);
        }
    }

    return summary;
}


/*
 * Attempts of one request are made one after the other; of when the first
 * began the log tells best if it has the time of the whole request.
 */

static int
canary_replay_take(canary_replay_t *replay, const canary_replay_line_t *line)
{
    int       side;
    uint64_t  start, length, starts[CANARY_REPLAY_ATTEMPTS_MAX];
    unsigned  i;

    for (i = 0, length = 0; i < line->n; i++) {
        length += line->attempts[i].duration;
    }

    if (line->request_time != CANARY_REPLAY_UNKNOWN) {
        length = line->request_time;
    }

    start = (line->time > length + 1000) ? line->time - length : 1000;

    for (i = 0; i < line->n; i++) {
        starts[i] = start;
        start += line->attempts[i].duration;
    }

    if (line->n && line->reason == CANARY_REPLAY_BY_FALLBACK) {
        return canary_replay_take_fallback(replay, line, starts);
    }

    side = (strcmp(line->release, replay->options.canary) == 0)
           ? CANARY_SIDE_CANARY
           : (strcmp(line->release, replay->options.stable) == 0)
             ? CANARY_SIDE_STABLE : -1;

    if (side == -1 || line->reason == CANARY_REPLAY_BY_FORCE) {
        replay->summary.others += line->n;
        return 1;
    }

    for (i = 0; i < line->n; i++) {
        if (!canary_replay_push(replay, line, i, (unsigned) side, starts[i])) {
            return 0;
        }
    }

    return 1;
}


/*
 * A request that another release has finished than it was sent to.  From the
 * canary to stable it goes after the first attempt that failed, or without an
 * attempt if the canary has no live peer; from stable to the canary only if
 * stable has none.  What was made by fallback is no evidence.
 */

static int
canary_replay_take_fallback(canary_replay_t *replay,
    const canary_replay_line_t *line, uint64_t *starts)
{
    unsigned              i;
    canary_replay_line_t  none;

    none = *line;
    none.attempts[0].outcome = CANARY_REPLAY_FAILED;
    none.attempts[0].header = 0;
    none.attempts[0].duration = 0;

    if (strcmp(line->release, replay->options.stable) == 0) {

        if (line->n == 1) {
            replay->summary.others++;
            return canary_replay_push(replay, &none, 0, CANARY_SIDE_CANARY,
                                      starts[0]);
        }

        replay->summary.others += line->n - 1;
        return canary_replay_push(replay, line, 0, CANARY_SIDE_CANARY,
                                  starts[0]);
    }

    replay->summary.others++;

    if (strcmp(line->release, replay->options.canary) != 0) {
        replay->summary.others += line->n - 1;
        return 1;
    }

    for (i = 0; i < line->n - 1; i++) {
        if (!canary_replay_push(replay, line, i, CANARY_SIDE_STABLE,
                                starts[i]))
        {
            return 0;
        }
    }

    return canary_replay_push(replay, &none, 0, CANARY_SIDE_STABLE, starts[i]);
}


static int
canary_replay_push(canary_replay_t *replay, const canary_replay_line_t *line,
    unsigned i, unsigned side, uint64_t start)
{
    size_t                    size;
    canary_replay_pending_t  *heap, *pending;

    if (replay->n == replay->size) {
        size = replay->size ? 2 * replay->size : 1024;
        heap = realloc(replay->heap, size * sizeof(canary_replay_pending_t));

        if (heap == NULL) {
            return 0;
        }

        replay->heap = heap;
        replay->size = size;
    }

    if (start < replay->clock) {
        replay->summary.late++;
        start = replay->clock;
    }

    pending = &replay->heap[replay->n];

    memset(pending, 0, sizeof(canary_replay_pending_t));

    pending->due = start;
    pending->began = start;
    pending->order = replay->order++;
    pending->attempt = line->attempts[i];
    pending->weight = line->weight;
    pending->side = (uint8_t) side;
    pending->stage = STAGE_BEGINS;

    canary_replay_rise(replay, replay->n++);

    return 1;
}


static void
canary_replay_rise(canary_replay_t *replay, size_t i)
{
    size_t                   parent;
    canary_replay_pending_t  pending, *heap;

    heap = replay->heap;
    pending = heap[i];

    while (i) {
        parent = (i - 1) / 2;

        if (!canary_replay_before(&pending, &heap[parent])) {
            break;
        }

        heap[i] = heap[parent];
        i = parent;
    }

    heap[i] = pending;
}


static void
canary_replay_sink(canary_replay_t *replay, size_t i)
{
    size_t                   child;
    canary_replay_pending_t  pending, *heap;

    heap = replay->heap;
    pending = heap[i];

    for (child = 2 * i + 1; child < replay->n; child = 2 * i + 1) {

        if (child + 1 < replay->n
            && canary_replay_before(&heap[child + 1], &heap[child]))
        {
            child++;
        }

        if (!canary_replay_before(&heap[child], &pending)) {
            break;
        }

        heap[i] = heap[child];
        i = child;
    }

    heap[i] = pending;
}


static int
canary_replay_before(const canary_replay_pending_t *a,
    const canary_replay_pending_t *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}


/* all that is due until then */

static void
canary_replay_run(canary_replay_t *replay, uint64_t until)
{
    int                       more;
    canary_replay_pending_t  *pending;

    while (replay->n && replay->heap[0].due <= until && !replay->ended) {

        if (replay->clock == 0) {
            canary_replay_begin(replay, &replay->heap[0]);
        }

        canary_replay_advance(replay, replay->heap[0].due);

        if (replay->ended) {
            return;
        }

        pending = &replay->heap[0];

        switch (pending->stage) {

        case STAGE_BEGINS:
            more = canary_replay_attempt_begins(replay, pending);
            break;

        case STAGE_HEADER:
            more = canary_replay_attempt_header(replay, pending);
            break;

        default: /* STAGE_ENDS */
            canary_evidence_time(replay->evidence, &pending->ticket,
                                 pending->attempt.duration, 1);
            canary_replay_add_time(replay, pending->side,
                                   pending->attempt.duration);
            more = 0;
            break;
        }

        if (!more) {
            replay->heap[0] = replay->heap[--replay->n];
        }

        if (replay->n) {
            canary_replay_sink(replay, 0);
        }
    }
}


/* with the weight of the log it begins when the log has one */

static void
canary_replay_begin(canary_replay_t *replay,
    const canary_replay_pending_t *first)
{
    uint64_t               now;
    canary_command_t       command;
    canary_replay_event_t  event;

    if (replay->options.log_weight
        && (first->weight == CANARY_REPLAY_NO_WEIGHT || first->weight == 0))
    {
        return;
    }

    now = first->due / 1000;

    replay->clock = first->due;
    replay->tick = now + CANARY_REPLAY_TICK_MS;
    replay->active = now;
    replay->summary.began = now;

    memset(&command, 0, sizeof(canary_command_t));
    memset(&event, 0, sizeof(canary_replay_event_t));

    command.verb = CANARY_START;
    command.now = now;
    command.release = CANARY_ID;
    command.strategy = replay->options.strategy;

    (void) canary_replay_change(replay, &command, &event);

    if (replay->options.log_weight) {
        canary_replay_follow(replay, first->weight);
    }
}


static void
canary_replay_advance(canary_replay_t *replay, uint64_t until)
{
    if (replay->clock == 0) {
        return;
    }

    while (replay->tick <= until / 1000 && !replay->ended) {
        canary_replay_tick(replay, replay->tick);

        replay->tick = canary_replay_next_tick(replay, until / 1000);
    }

    if (until > replay->clock) {
        replay->clock = until;
    }

    replay->active = until / 1000;
}


/*
 * A log may have gaps of days.  When everything in flight is long settled,
 * time alone can only end an interval, or move the window of a rule.
 */

static uint64_t
canary_replay_next_tick(const canary_replay_t *replay, uint64_t until)
{
    int64_t   remaining;
    uint64_t  quiet, next;

    quiet = replay->tick - replay->active;

    if (quiet < QUIET_MS) {
        return replay->tick + CANARY_REPLAY_TICK_MS;
    }

    if (quiet < QUIET_MS + replay->window) {
        return replay->tick + 1000;
    }

    remaining = canary_rollout_remaining(&replay->rollout, replay->tick);
    next = replay->tick + (uint64_t) remaining;

    return (remaining > 0 && next <= until) ? next : until + 1;
}


/* Returns 0 if nothing more comes of the attempt. */

static int
canary_replay_attempt_begins(canary_replay_t *replay,
    canary_replay_pending_t *pending)
{
    if (replay->clock == 0) {
        replay->summary.others++;
        return 0;
    }

    if (replay->options.log_weight) {
        canary_replay_follow(replay, pending->weight);
    }

    canary_evidence_start(replay->evidence, 0, pending->side,
                          &pending->ticket);

    pending->stage = STAGE_HEADER;
    pending->due = pending->began + pending->attempt.header;

    return 1;
}


static int
canary_replay_attempt_header(canary_replay_t *replay,
    canary_replay_pending_t *pending)
{
    unsigned         response_class;
    canary_finish_t  finish;
    canary_result_t  result;

    canary_replay_count(replay, pending, &finish);

    canary_evidence_finish(replay->evidence, &pending->ticket, &finish);

    if (finish.timed && !finish.gave_up) {
        canary_replay_add_time(replay, pending->side, finish.time);
    }

    if (pending->side == CANARY_SIDE_CANARY
        && (finish.bad_4xx || finish.bad_5xx))
    {
        response_class = finish.bad_5xx ? 5 : 4;

        if (canary_evidence_burn(replay->evidence, response_class)
            && canary_rollout_guarded(&replay->rollout))
        {
            (void) canary_replay_guard(replay, &result, 1,
                                       pending->due / 1000);
        }
    }

    if (!finish.untimed) {
        return 0;
    }

    pending->stage = STAGE_ENDS;
    pending->due = pending->began + pending->attempt.duration;

    return 1;
}


/* as the accounting of attempts in nginx does */

static void
canary_replay_count(canary_replay_t *replay,
    const canary_replay_pending_t *pending, canary_finish_t *finish)
{
    unsigned                        response_class;
    canary_replay_side_t           *side;
    const canary_replay_attempt_t  *attempt;

    attempt = &pending->attempt;
    side = &replay->summary.sides[pending->side];

    memset(finish, 0, sizeof(canary_finish_t));

    finish->time = attempt->header;

    if (attempt->outcome == CANARY_REPLAY_ABORTED) {
        side->aborted++;
        finish->voided = 1;

        if (canary_judge_too_long(replay->evidence, &replay->rollout.strategy,
                                  pending->side, finish->time))
        {
            finish->gave_up = 1;
            finish->timed = 1;
        }

        return;
    }

    side->attempts++;

    if (attempt->outcome != CANARY_REPLAY_ANSWERED) {
        side->failed++;
        side->bad_5xx++;
        finish->bad_5xx = 1;
        finish->timed = (attempt->outcome == CANARY_REPLAY_TIMEOUT);
        return;
    }

    response_class = attempt->status / 100;

    finish->bad_4xx = (response_class == 4);
    finish->bad_5xx = (response_class == 5);
    finish->untimed = (replay->options.by_response && attempt->status != 101);
    finish->timed = !finish->untimed;

    side->bad_4xx += finish->bad_4xx;
    side->bad_5xx += finish->bad_5xx;
}


static void
canary_replay_add_time(canary_replay_t *replay, unsigned side, uint64_t time)
{
    replay->times.sides[side].counts[canary_histogram_index(time)]++;
}


/*
 * The weight that the log had when an attempt was sent.  Where it changes,
 * attempts with the old one still come for a moment.
 */

static void
canary_replay_follow(canary_replay_t *replay, uint32_t weight)
{
    uint64_t               now;
    canary_rollout_t       from;
    canary_command_t       command;
    canary_replay_event_t  event;

    now = replay->clock / 1000;

    if (weight == CANARY_REPLAY_NO_WEIGHT || weight == 0
        || weight == replay->rollout.weight
        || (weight == replay->left_weight && now - replay->left_at < 1000))
    {
        return;
    }

    memset(&command, 0, sizeof(canary_command_t));
    memset(&event, 0, sizeof(canary_replay_event_t));

    from = replay->rollout;

    command.verb = CANARY_PATCH;
    command.now = now;
    command.weight = weight;
    command.has_weight = 1;

    if (weight < CANARY_ONE) {
        (void) canary_replay_change(replay, &command, &event);

    } else {

        /* there is no other way to all of the traffic */

        command.verb = CANARY_ADVANCE;

        while (replay->rollout.weight < CANARY_ONE
               && canary_rollout_apply(&replay->rollout, &command)
                  == CANARY_CHANGED)
        {
            /* void */
        }

        canary_replay_entered(replay, &from, now);
        canary_replay_report(replay, &from, &command, &event);
    }

    replay->left_weight = from.weight;
    replay->left_at = now;
}


static void
canary_replay_tick(canary_replay_t *replay, uint64_t now)
{
    int                    moved, holds;
    canary_result_t        result;
    canary_command_t       command;
    canary_replay_event_t  event;

    moved = canary_judge_tick(replay->evidence, &replay->rollout, now);

    if (moved) {
        canary_replay_times(replay);
        canary_judge_measure(replay->evidence, &replay->rollout, now,
                             &replay->times);
    }

    if (!canary_rollout_guarded(&replay->rollout)) {
        return;
    }

    holds = canary_judge_holds(replay->evidence, &replay->rollout, now);

    if ((!moved && !holds && canary_replay_is_settled(replay, now))
        || canary_replay_guard(replay, &result, 0, now)
        || canary_judge_holds(replay->evidence, &replay->rollout, now)
        || canary_replay_is_settled(replay, now))
    {
        return;
    }

    canary_judge_rules(replay->evidence, &replay->rollout, now,
                       &replay->times, 1, &replay->summary.result);

    memset(&command, 0, sizeof(canary_command_t));
    memset(&event, 0, sizeof(canary_replay_event_t));

    command.verb = CANARY_TICK;
    command.now = now;
    command.verdict = result.verdict;
    command.attempts = result.decided;

    (void) canary_replay_change(replay, &command, &event);
}


/* whether no step is to be taken, by the last verdicts */

static int
canary_replay_is_settled(canary_replay_t *replay, uint64_t now)
{
    return replay->options.log_weight
           || canary_judge_settled(replay->evidence, &replay->rollout, now);
}


/*
 * Judges the rules, and acts when one is broken; when an attempt has failed
 * just now, only one that is judged then.  Returns 1 if the rollout has
 * changed.
 */

static int
canary_replay_guard(canary_replay_t *replay, canary_result_t *result,
    int immediate, uint64_t now)
{
    canary_breach_t        breach;
    canary_command_t       command;
    canary_replay_event_t  event;

    canary_replay_times(replay);
    canary_judge_rules(replay->evidence, &replay->rollout, now,
                       &replay->times, 0, result);

    if (!canary_judge_breach(replay->evidence, &replay->rollout, result,
                             immediate, now, &breach))
    {
        return 0;
    }

    canary_judge_rules(replay->evidence, &replay->rollout, now,
                       &replay->times, 1, &replay->summary.result);

    memset(&command, 0, sizeof(canary_command_t));
    memset(&event, 0, sizeof(canary_replay_event_t));

    command.verb = breach.verb;
    command.now = now;

    event.rule = &replay->options.strategy->rules[breach.rule];
    event.judgement = replay->summary.result.rules[breach.rule];

    /* only now: what the event tells of is discarded */

    if (breach.verb == CANARY_HOLDING) {
        event.outage = breach.outage;

        canary_judge_hold(replay->evidence, &replay->rollout, breach.rule,
                          now);
    }

    return canary_replay_change(replay, &command, &event)
           && breach.verb == CANARY_VIOLATION;
}


static int
canary_replay_change(canary_replay_t *replay, const canary_command_t *command,
    canary_replay_event_t *event)
{
    canary_rollout_t          from;
    canary_replay_summary_t  *summary;

    from = replay->rollout;

    if (canary_rollout_apply(&replay->rollout, command) != CANARY_CHANGED) {
        return 0;
    }

    canary_replay_entered(replay, &from, command->now);
    canary_replay_report(replay, &from, command, event);

    summary = &replay->summary;

    if (replay->rollout.phase == CANARY_HALTED) {
        summary->end = CANARY_REPLAY_HALTED;

    } else if (replay->rollout.phase == CANARY_IDLE) {
        summary->end = (replay->rollout.last_result == CANARY_PROMOTED)
                       ? CANARY_REPLAY_PROMOTED : CANARY_REPLAY_ROLLED_BACK;

    } else {
        return 1;
    }

    replay->ended = 1;
    summary->now = command->now;
    summary->rollout = from;

    return 1;
}


/* evidence and judge follow the rollout */

static void
canary_replay_entered(canary_replay_t *replay, const canary_rollout_t *from,
    uint64_t now)
{
    if (replay->rollout.phase == CANARY_IDLE) {
        return;
    }

    if (from->phase == CANARY_IDLE) {
        canary_replay_times(replay);
        canary_judge_begin(replay->evidence, &replay->rollout, now,
                           &replay->times);
    }

    if (replay->rollout.tests != from->tests) {
        memcpy(replay->before, replay->times.sides, sizeof(replay->before));
    }

    (void) canary_judge_tick(replay->evidence, &replay->rollout, now);
}


static void
canary_replay_report(canary_replay_t *replay, const canary_rollout_t *from,
    const canary_command_t *command, canary_replay_event_t *event)
{
    event->time = command->now;
    event->verb = command->verb;
    event->from_phase = from->phase;
    event->from_weight = from->weight;
    event->to_phase = replay->rollout.phase;
    event->to_weight = replay->rollout.weight;
    event->verdict = command->verdict;
    event->attempts = command->attempts;

    replay->options.report(replay->options.data, event);
}


/* what there has been of times in the step, from what there was before it */

static void
canary_replay_times(canary_replay_t *replay)
{
    unsigned  side;

    if (!canary_judge_needs_times(replay->options.strategy, 1)) {
        return;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        replay->times.step[side] = replay->times.sides[side];
        canary_histogram_subtract(&replay->times.step[side],
                                  &replay->before[side]);
    }
}
