
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_PRINT_H
#define CANARY_REPLAY_PRINT_H


#include <stdio.h>

#include "canary_replay.h"


/* What was seen of the input itself. */

typedef struct {
    uint64_t  lines;
    uint64_t  bad;           /* that could not be read */
    uint64_t  empty;         /* without an attempt */
} canary_replay_input_t;


/* Tables for people. */

void canary_replay_print_head(FILE *out);
void canary_replay_print_event(FILE *out,
    const canary_replay_options_t *options,
    const canary_replay_event_t *event);
void canary_replay_print_summary(FILE *out,
    const canary_replay_options_t *options, const canary_replay_input_t *input,
    const canary_replay_summary_t *summary);

/* An object on a line of its own; 0: no memory. */

int canary_replay_json_event(FILE *out, const canary_replay_options_t *options,
    const canary_replay_event_t *event);
int canary_replay_json_summary(FILE *out,
    const canary_replay_options_t *options, const canary_replay_input_t *input,
    const canary_replay_summary_t *summary);


#endif /* CANARY_REPLAY_PRINT_H */
