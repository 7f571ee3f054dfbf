
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _CANARY_REPLY_H_INCLUDED_
#define _CANARY_REPLY_H_INCLUDED_


#include <stddef.h>

#include <hiredis/hiredis.h>


/*
 * Answers of a Redis that nobody has to trust: hiredis' reader with bounds on
 * what it takes memory for.
 */


#define CANARY_REPLY_BYTES     (16 * 1024 * 1024)  /* of one answer */
#define CANARY_REPLY_ELEMENTS  65536               /* of its arrays, in all */
#define CANARY_REPLY_LEVELS    7                   /* of arrays in arrays */


#if HIREDIS_MAJOR < 1
typedef int     canary_reply_size_t;
#else
typedef size_t  canary_reply_size_t;
#endif


typedef struct {
    redisReader                *reader;
    redisReplyObjectFunctions   functions;   /* hiredis' with our arrays, */
    void                     *(*array)(const redisReadTask *task,
                                       canary_reply_size_t elements);
                                             /* which it makes */
    size_t                      bytes;       /* of the answer that is read */
    size_t                      elements;
    const char                 *error;       /* what is wrong with it */
} canary_reply_t;


/* 0: no memory */
int canary_reply_init(canary_reply_t *reply);

void canary_reply_free(canary_reply_t *reply);

/* what has been received; 0: error says why nothing can be read any more */
int canary_reply_feed(canary_reply_t *reply, const char *data, size_t len);

/*
 * The next answer that is complete, to be freed by freeReplyObject(); NULL
 * without an error: there is none yet.
 */

redisReply *canary_reply_next(canary_reply_t *reply);


#endif /* _CANARY_REPLY_H_INCLUDED_ */
