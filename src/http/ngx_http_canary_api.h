
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_H_INCLUDED_


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_conf_location.h"
#include "canary_json.h"


#define NGX_HTTP_CANARY_BODY_MAX     65536
#define NGX_HTTP_CANARY_BODY_BUFFER  (5 * NGX_HTTP_CANARY_BODY_MAX)


/* What there is at a path of the API, and what can be done with it. */

typedef ngx_int_t (*ngx_http_canary_api_read_pt)(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


typedef struct {
    ngx_str_t                     path;      /* below the location, or below
                                                endpoints/NAME */
    ngx_uint_t                    methods;   /* NGX_HTTP_GET... */
    ngx_str_t                     allow;     /* the same in words */
    ngx_http_canary_api_read_pt   read;      /* GET and HEAD; or NULL */
    canary_verb_t                 verb;      /* POST */
    unsigned                      open:1;    /* GET takes no token: it tells
                                                of no endpoint */
    unsigned                      page:1;    /* a file of the dashboard */
} ngx_http_canary_api_resource_t;


typedef struct {
    const ngx_http_canary_api_resource_t  *resource;
    ngx_http_canary_endpoint_t            *endpoint;   /* or NULL */
} ngx_http_canary_api_target_t;


/* ngx_http_canary_api_path.c */

/* NGX_DECLINED: there is nothing at the path of the request */
ngx_int_t ngx_http_canary_api_find(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target);

/* what follows the location, with the slash between them left out;
   NGX_DECLINED: the URI is not below the location */
ngx_int_t ngx_http_canary_api_below(ngx_http_request_t *r, ngx_str_t *path);

/* at the location itself: the dashboard for who prefers HTML, else an index
   of the API */
ngx_int_t ngx_http_canary_api_root(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


/* ngx_http_canary_api_accept.c */

/* whether the Accept header prefers text/html to application/json */
ngx_uint_t ngx_http_canary_accepts_html(ngx_http_request_t *r);


/* ngx_http_canary_api_body.c */

/* what answers that a body is larger than body_max */
typedef ngx_int_t (*ngx_http_canary_too_large_pt)(ngx_http_request_t *r);

/*
 * For a content handler to return: the body is read, no more of it than may
 * be, and then the handler is called.
 */
ngx_int_t ngx_http_canary_api_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler,
    ngx_http_canary_too_large_pt too_large);

/* the most bytes that a body may have here */
off_t ngx_http_canary_api_body_max(ngx_http_request_t *r);

/* the text, zero-terminated; NGX_DECLINED: longer than is accepted */
ngx_int_t ngx_http_canary_api_body(ngx_http_request_t *r, ngx_str_t *text);


/* ngx_http_canary_api_origin.c */

/* whether the request says that a page of another site has sent it */
ngx_uint_t ngx_http_canary_cross_site(ngx_http_request_t *r);


/* ngx_http_canary_api_match.c */

typedef struct {
    ngx_str_t                    *if_match;  /* value of the header or NULL */
    uint64_t                      expected;  /* what the change starts from */
    unsigned                      pinned:1;  /* has to be the present one */

    unsigned                      refused:1; /* result: by If-Match */
    uint64_t                      present;   /* result */
} ngx_http_canary_match_t;


/* for ngx_http_canary_change_t: neither allocates nor locks */
ngx_uint_t ngx_http_canary_match(void *data, uint64_t generation);


/* ngx_http_canary_api_write.c */

/* members of a body: what all have, then what start and PATCH have */

enum {
    NGX_HTTP_CANARY_MEMBER_REASON = 0,
    NGX_HTTP_CANARY_MEMBER_STRATEGY,
    NGX_HTTP_CANARY_MEMBER_PARTS,
    NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBER_WEIGHT = NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBERS
};


/* what a write waits for */

typedef enum {
    NGX_HTTP_CANARY_WAIT_TURN = 0,     /* another change is pending */
    NGX_HTTP_CANARY_WAIT_FATE,         /* its own change is */
    NGX_HTTP_CANARY_WAIT_DURABLE       /* it is done, but not in the file */
} ngx_http_canary_wait_e;


/* why a write that had to wait is in vain */

typedef enum {
    NGX_HTTP_CANARY_VAIN_NOT_WRITTEN = 0,
    NGX_HTTP_CANARY_VAIN_FORGOTTEN,    /* or was not: nobody knows */
    NGX_HTTP_CANARY_VAIN_CANCELLED,
    NGX_HTTP_CANARY_VAIN_CROWDED,      /* it may not even wait */
    NGX_HTTP_CANARY_VAIN_SUPERSEDED
} ngx_http_canary_vain_e;


typedef struct ngx_http_canary_write_s  ngx_http_canary_write_t;


/* What becomes of a write; each answers. */

typedef struct {
    ngx_int_t                   (*attempt)(ngx_http_canary_write_t *w);
                                               /* NGX_DECLINED: has to wait */
    ngx_int_t                   (*done)(ngx_http_canary_write_t *w,
                                        ngx_uint_t durable);
    ngx_int_t                   (*vain)(ngx_http_canary_write_t *w,
                                        ngx_http_canary_vain_e why);
} ngx_http_canary_waiter_t;


struct ngx_http_canary_write_s {
    ngx_http_request_t           *request;
    ngx_http_canary_endpoint_t   *endpoint;
    const ngx_http_canary_waiter_t  *waiter;
    canary_verb_t                 verb;
    cJSON                        *body;        /* or NULL */
    uint64_t                      deadline;    /* ms, monotonic */
    ngx_http_canary_wait_e        wait;
    ngx_queue_t                   queue;       /* of those that wait for the
                                                  same */
    unsigned                      queued:1;    /* it is in one, */
    unsigned                      in_line:1;   /* and that is its endpoint's */
    const cJSON                  *members[NGX_HTTP_CANARY_MEMBERS];
    canary_json_errors_t          errors;
    canary_strategy_t             strategy;
    ngx_http_canary_match_t       match;
    ngx_http_canary_change_t      change;
    canary_rollout_t              rollout;     /* that it was prepared for */
};


/* with room for "size" bytes, of which it is the first; NULL: no memory */
ngx_http_canary_write_t *ngx_http_canary_write_create(ngx_http_request_t *r,
    size_t size, const ngx_http_canary_waiter_t *waiter);

/* when the body of the request has been read; NGX_DECLINED: the request
   waits, and will be finalized */
ngx_int_t ngx_http_canary_api_write(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target);


/* ngx_http_canary_api_wait.c */

/* the first attempt; NGX_DECLINED: the request waits, and is finalized when
   that is over */
ngx_int_t ngx_http_canary_write_begin(ngx_http_canary_write_t *w);

/* the change, in its section; BUSY where the state file is about to be ours */
ngx_http_canary_section_e ngx_http_canary_write_change(
    ngx_http_canary_write_t *w);

/* it waits for nothing any more */
void ngx_http_canary_write_leave(ngx_http_canary_write_t *w);


/* ngx_http_canary_api_request.c */

/* takes the members of a body; NGX_ERROR: it is no object */
ngx_int_t ngx_http_canary_read_write(ngx_http_canary_write_t *w,
    const cJSON *body);

/* makes them a command on what there is now; may add errors */
void ngx_http_canary_prepare_write(ngx_http_canary_write_t *w);


/* ngx_http_canary_api_render.c */

ngx_int_t ngx_http_canary_api_endpoints(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);
ngx_int_t ngx_http_canary_api_endpoint(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


/* sends it with this status */
ngx_int_t ngx_http_canary_api_send_endpoint(ngx_http_request_t *r,
    ngx_uint_t status, ngx_http_canary_snapshot_t *snapshot);

void ngx_http_canary_render_name(cJSON *object, const char *name,
    ngx_str_t *text, ngx_pool_t *pool, int *failed);
void ngx_http_canary_render_line(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed);

/* RFC 3339, UTC; with milliseconds or without */
void ngx_http_canary_render_time(cJSON *object, const char *name,
    uint64_t time, ngx_uint_t ms, int *failed);


/* ngx_http_canary_api_waiting.c */

void ngx_http_canary_render_waiting(cJSON *object,
    ngx_http_canary_snapshot_t *snapshot, int *failed);


/* ngx_http_canary_api_event.c */

ngx_int_t ngx_http_canary_api_events(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);

void ngx_http_canary_render_event(cJSON *object,
    ngx_http_canary_endpoint_t *endpoint,
    const canary_event_t *event, int *failed);


/* ngx_http_canary_openapi.c: the description of the API */

ngx_int_t ngx_http_canary_api_openapi(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


/* ngx_http_canary_stream.c: server-sent events */

ngx_int_t ngx_http_canary_api_stream(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


/* ngx_http_canary_access.c */

/* the first header of that name; NULL: there is none */
ngx_table_elt_t *ngx_http_canary_find_header(ngx_http_request_t *r,
    const char *name);


/* ngx_http_canary_metrics.c: for Prometheus */

ngx_int_t ngx_http_canary_api_metrics(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


/* ngx_http_canary_api_failure.c */

ngx_int_t ngx_http_canary_api_failures(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint);


/* ngx_http_canary_answer.c */

/* sends a document and frees it; 500 if it is NULL or "failed" is set; from
   400 on it is a problem */
ngx_int_t ngx_http_canary_answer(ngx_http_request_t *r, ngx_uint_t status,
    cJSON *json, int failed);

/* the same, but whatever the status, it is just JSON */
ngx_int_t ngx_http_canary_answer_json(ngx_http_request_t *r,
    ngx_uint_t status, cJSON *json, int failed);
/* sends a text that outlives the request */
ngx_int_t ngx_http_canary_answer_text(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *text);

/* sends a status without a body */
ngx_int_t ngx_http_canary_answer_empty(ngx_http_request_t *r,
    ngx_uint_t status);

/* sends the header of an answer whose body the caller sends; length -1: it is
   not known */
ngx_int_t ngx_http_canary_send_header(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, off_t length);

/* after it: a body that is all in memory, in an empty buffer */
ngx_int_t ngx_http_canary_send_body(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_str_t *text);

/* before an answer to a request whose body was not read; else than NGX_OK,
   that is the answer */
ngx_int_t ngx_http_canary_drop_body(ngx_http_request_t *r);

/* headers for the answer that follows; the value is not copied */
ngx_int_t ngx_http_canary_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);
ngx_table_elt_t *ngx_http_canary_push_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
ngx_int_t ngx_http_canary_add_etag(ngx_http_request_t *r,
    uint64_t generation);

/* a zero-terminated copy that is valid UTF-8; NULL: no memory */
char *ngx_http_canary_utf8(ngx_pool_t *pool, ngx_str_t *text);


/* ngx_http_canary_problem.c: application/problem+json (RFC 9457) */

ngx_int_t ngx_http_canary_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...);

/* 400, with what is wrong in the body */
ngx_int_t ngx_http_canary_problem_body(ngx_http_request_t *r,
    canary_json_errors_t *errors);

/* 413 */
ngx_int_t ngx_http_canary_problem_too_large(ngx_http_request_t *r);

/* 409, with the verbs that apply, bits of 1 << canary_verb_t */
ngx_int_t ngx_http_canary_problem_verbs(ngx_http_request_t *r, uint32_t verbs,
    const char *fmt, ...);


#endif /* _NGX_HTTP_CANARY_API_H_INCLUDED_ */
