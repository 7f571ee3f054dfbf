
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_QUEUE_H
#define CANARY_REPLAY_QUEUE_H


#include <stddef.h>
#include <stdint.h>

#include "canary_evidence_count.h"
#include "canary_replay_line.h"


/* Attempts of a log, in the order in which something of them is due. */


/* Where an attempt is: what is due next. */

typedef enum {
    CANARY_REPLAY_BEGINS = 0,
    CANARY_REPLAY_HEADER,
    CANARY_REPLAY_ENDS
} canary_replay_stage_t;


typedef struct {
    uint64_t                  due;     /* microseconds */
    uint64_t                  order;   /* among those due at the same time */
    uint64_t                  began;
    canary_replay_attempt_t   attempt;
    uint32_t                  weight;  /* at which it was sent, or NO_WEIGHT */
    uint8_t                   side;
    uint8_t                   stage;   /* canary_replay_stage_t */
    uint8_t                   untimed; /* of the last stage: its time is yet
                                          to come, */
    uint8_t                   followed;/* or whether its client has left */
    canary_ticket_t           ticket;
} canary_replay_pending_t;


typedef struct {
    canary_replay_pending_t  *heap;    /* least due first; NULL: none yet */
    size_t                    n;
    size_t                    size;
    uint64_t                  order;   /* attempts ever added */
} canary_replay_queue_t;


/* Copies an attempt, and gives it its order.  Returns 0 without memory. */

int canary_replay_queue_add(canary_replay_queue_t *queue,
    const canary_replay_pending_t *pending);

/* The attempt that is due first; there has to be one. */

static inline canary_replay_pending_t *
canary_replay_queue_first(const canary_replay_queue_t *queue)
{
    return &queue->heap[0];
}

/* When the first attempt is due at another time now, and when it is over. */

void canary_replay_queue_later(canary_replay_queue_t *queue);
void canary_replay_queue_remove(canary_replay_queue_t *queue);


#endif /* CANARY_REPLAY_QUEUE_H */
