
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_reply.h"


static void *canary_reply_array(const redisReadTask *task,
    canary_reply_size_t elements);


int
canary_reply_init(canary_reply_t *reply)
{
    *reply = (canary_reply_t) { 0 };

    reply->reader = redisReaderCreate();

    if (reply->reader == NULL) {
        return 0;
    }

    reply->functions = *reply->reader->fn;
    reply->array = reply->functions.createArray;
    reply->functions.createArray = canary_reply_array;

    reply->reader->fn = &reply->functions;
    reply->reader->privdata = reply;

    return 1;
}


void
canary_reply_free(canary_reply_t *reply)
{
    if (reply->reader) {
        redisReaderFree(reply->reader);
        reply->reader = NULL;
    }
}


int
canary_reply_feed(canary_reply_t *reply, const char *data, size_t len)
{
    if (reply->error == NULL && len > CANARY_REPLY_BYTES - reply->bytes) {
        reply->error = "an answer of more than 16 MiB";
    }

    if (reply->error) {
        return 0;
    }

    reply->bytes += len;

    if (redisReaderFeed(reply->reader, data, len) != REDIS_OK) {
        reply->error = reply->reader->errstr;
        return 0;
    }

    return 1;
}


redisReply *
canary_reply_next(canary_reply_t *reply)
{
    void  *object;

    object = NULL;

    if (reply->error) {
        return NULL;
    }

    if (redisReaderGetReply(reply->reader, &object) != REDIS_OK) {

        /* the reader takes our refusals for a lack of memory */

        if (reply->error == NULL) {
            reply->error = reply->reader->errstr;
        }

        return NULL;
    }

    if (object) {
        reply->bytes = reply->reader->len - reply->reader->pos;
        reply->elements = 0;
    }

    return object;
}


/*
 * Called when the length of an array has been read, and before any of it has:
 * the reader would take memory for as many as it is told.
 */

static void *
canary_reply_array(const redisReadTask *task, canary_reply_size_t elements)
{
    int                   levels;
    canary_reply_t       *reply;
    const redisReadTask  *parent;

    reply = task->privdata;
    levels = 1;

    for (parent = task->parent; parent; parent = parent->parent) {
        levels++;
    }

    if (levels > CANARY_REPLY_LEVELS) {
        reply->error = "an answer of more than 7 levels";
        return NULL;
    }

    if ((size_t) elements > CANARY_REPLY_ELEMENTS - reply->elements) {
        reply->error = "an answer of more than 65536 elements";
        return NULL;
    }

    reply->elements += elements;

    return reply->array(task, elements);
}
