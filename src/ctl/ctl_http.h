
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_HTTP_H
#define CTL_HTTP_H


#include <curl/curl.h>
#include <cjson/cJSON.h>

#include "ctl.h"
#include "ctl_text.h"


typedef struct {
    CURL                 *curl;
    const ctl_options_t  *options;
    const char           *method;         /* with a body; NULL: POST */
    char                 *base;           /* ends with a slash; without user
                                             and password */
    char                 *user;           /* NULL: none */
    char                 *password;
    char                 *token;          /* a header; NULL: none */
    int                   here;           /* the API is on this machine */
} ctl_http_t;


typedef struct {
    CURLcode     code;
    long         sent;                    /* bytes of the request */
    long         status;
    char        *type;                    /* NULL: none */
    char        *location;                /* of a redirect; NULL: none */
    ctl_text_t   body;
    cJSON       *json;                    /* NULL: none */
    size_t       values;                  /* of it */
    int          too_large;
    char         why[CURL_ERROR_SIZE];    /* nothing was answered, or what
                                             cannot be read */
} ctl_answer_t;


/* What is wrong with the options is told; to be closed in any case. */

ctl_exit_t ctl_http_open(ctl_http_t *http, const ctl_options_t *options);
void ctl_http_close(ctl_http_t *http);


/*
 * One request, to a path below the API: with a body of JSON by the method that
 * is set, else GET.
 * The answer is to be freed in any case.
 */

void ctl_http_request(ctl_http_t *http, const char *path, const char *body,
    ctl_answer_t *answer);
void ctl_answer_free(ctl_answer_t *answer);

/* Whether it is a success in JSON. */

int ctl_answer_ok(const ctl_answer_t *answer);

/*
 * What went wrong, and what to do about it: on standard error, with the
 * endpoints that there are if there is none of the name; or added to the text
 * as one safe line.
 */

void ctl_answer_error(ctl_http_t *http, const ctl_answer_t *answer);
void ctl_answer_tell(const ctl_http_t *http, const ctl_answer_t *answer,
    ctl_text_t *text);

/*
 * A request, and the telling if it fails.  With --json what the API answers
 * goes to standard output, whatever it is.
 */

ctl_exit_t ctl_http_call(ctl_http_t *http, const char *path,
    const char *body, ctl_answer_t *answer);

/* The same for what was asked for before: whether it was a write. */

ctl_exit_t ctl_answer_take(ctl_http_t *http, int written,
    ctl_answer_t *answer);

/*
 * The answer's body, which is JSON, and the end of the line: as it is, but
 * escaped for a terminal.
 */

void ctl_answer_print(const ctl_answer_t *answer);

/* Is it this type of content, whatever its parameters are? */

int ctl_is_type(const char *type, const char *name);


/*
 * A stream of server-sent events.  Pieces are handed on as they come, until
 * the stream ends, the program is to end, or the handler returns 0.  The
 * answer has no body unless it is no stream of events.
 */

typedef int (*ctl_http_piece_pt)(void *data, const char *bytes, size_t len);

void ctl_http_stream(ctl_http_t *http, const char *path,
    const char *last_event_id, ctl_http_piece_pt handler, void *data,
    ctl_answer_t *answer);


/*
 * "endpoints/NAME" and what follows, to be freed.  The name is as on the
 * command line, with a slash before it or not, and not a bad one.
 */

char *ctl_endpoint_path(const char *name, const char *rest);


#endif /* CTL_HTTP_H */
