
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>

#include "canary_replay_queue.h"


static void canary_replay_rise(canary_replay_queue_t *queue, size_t i);
static int canary_replay_before(const canary_replay_pending_t *a,
    const canary_replay_pending_t *b);


int
canary_replay_queue_add(canary_replay_queue_t *queue,
    const canary_replay_pending_t *pending)
{
    size_t                    size;
    canary_replay_pending_t  *heap;

    if (queue->n == queue->size) {
        size = queue->size ? 2 * queue->size : 1024;
        heap = realloc(queue->heap, size * sizeof(canary_replay_pending_t));

        if (heap == NULL) {
            return 0;
        }

        queue->heap = heap;
        queue->size = size;
    }

    queue->heap[queue->n] = *pending;
    queue->heap[queue->n].order = queue->order++;

    canary_replay_rise(queue, queue->n++);

    return 1;
}


void
canary_replay_queue_remove(canary_replay_queue_t *queue)
{
    queue->heap[0] = queue->heap[--queue->n];

    if (queue->n) {
        canary_replay_queue_later(queue);
    }
}


static void
canary_replay_rise(canary_replay_queue_t *queue, size_t i)
{
    size_t                   parent;
    canary_replay_pending_t  pending, *heap;

    heap = queue->heap;
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


void
canary_replay_queue_later(canary_replay_queue_t *queue)
{
    size_t                   i, child;
    canary_replay_pending_t  pending, *heap;

    heap = queue->heap;
    pending = heap[0];
    i = 0;

    for (child = 1; child < queue->n; child = 2 * i + 1) {

        if (child + 1 < queue->n
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
