
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_DIALECT_H_INCLUDED_
#define _NGX_HTTP_CANARY_DIALECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_json.h"
#include "canary_rollout.h"

#include "ngx_canary_change.h"
#include "ngx_canary_endpoint.h"


/*
 * What one API has of its own.  Who may come in, how a body is read, and how a
 * change is made and waited for is the same for all: ngx_http_canary_gate.c
 * and ngx_http_canary_write.c.
 */


#define NGX_HTTP_CANARY_BODY_MAX     65536
#define NGX_HTTP_CANARY_BODY_BUFFER  (5 * NGX_HTTP_CANARY_BODY_MAX)


typedef struct ngx_http_canary_resource_s  ngx_http_canary_resource_t;
typedef struct ngx_http_canary_write_s     ngx_http_canary_write_t;


/* What there is at the path of a request. */

typedef struct {
    const ngx_http_canary_resource_t  *resource;
    ngx_canary_endpoint_t             *endpoint;   /* or NULL */
    uint64_t                           number;     /* of a release, or 0 */
    ngx_str_t                          node;       /* of the fleet, if the path
                                                      names one */
} ngx_http_canary_target_t;


struct ngx_http_canary_resource_s {
    ngx_str_t                     path;      /* below the location, or below
                                                endpoints/NAME */
    ngx_uint_t                    methods;   /* NGX_HTTP_GET... */
    ngx_str_t                     allow;     /* the same in words */
    ngx_int_t                   (*read)(ngx_http_request_t *r,
                                        ngx_http_canary_target_t *target);
                                             /* GET and HEAD, or a write that
                                                is of no endpoint; or NULL */
    canary_verb_t                 verb;      /* POST */
    unsigned                      open:1;    /* GET takes no token: it tells
                                                of no endpoint */
    unsigned                      page:1;    /* a file of the dashboard */
};


/* Of what a fleet did not do: whether anything was changed. */

typedef enum {
    NGX_HTTP_CANARY_NOT_SAID = 0,
    NGX_HTTP_CANARY_UNCHANGED,
    NGX_HTTP_CANARY_NOT_KNOWN
} ngx_http_canary_changed_e;


/* Why a request is not done. */

typedef struct {
    ngx_uint_t                    status;
    ngx_str_t                     text;
    const canary_json_errors_t   *errors;    /* of the body, instead of text */
    uint32_t                      verbs;     /* that apply, if it is 409 */
    ngx_http_canary_changed_e     changed;
} ngx_http_canary_refusal_t;


/*
 * Functions return what came of the answer that they sent, or NGX_DECLINED if
 * they have sent none.
 */

typedef struct {
    const char                   *directive;
    const char                   *headers[3];    /* with the token, the first
                                                    that there is; then NULL */
    unsigned                      bearer:1;      /* or "Authorization" */
    const char                   *credentials;   /* the same in words */
    const char                   *nothing;       /* 404, format for the URI */
    const char                   *not_allowed;   /* 405, for method, URI, and
                                                    methods that are */

    ngx_int_t                   (*find)(ngx_http_request_t *r,
                                        ngx_http_canary_target_t *target);
                                    /* else than NGX_OK: there is nothing */
    ngx_int_t                   (*refuse)(ngx_http_request_t *r,
                                        const ngx_http_canary_refusal_t *why);

    /* writes; without the first there are none */

    ngx_int_t                   (*write)(ngx_http_canary_write_t *w,
                                         ngx_http_canary_target_t *target);
                                    /* reads the body; DECLINED: there is a
                                       change to be made */
    ngx_int_t                   (*prepare)(ngx_http_canary_write_t *w);
                                    /* a command on what there is now */
    ngx_int_t                   (*outcome)(ngx_http_canary_write_t *w,
                                           ngx_canary_section_e rc);
                                    /* DONE, STOPPED or STALE_MATCH; DECLINED:
                                       it waits, as w->wait says */
    ngx_int_t                   (*answer)(ngx_http_canary_write_t *w,
                                          ngx_uint_t durable);
    size_t                        size;          /* of a write, with what this
                                                    dialect knows of it */
    ngx_uint_t                    unable;        /* status of a write that it
                                                    is of no use to repeat */
    const char                   *unchanged;     /* "nothing was changed" */
    const char                   *shown;         /* where it can be seen
                                                    whether one was done */
} ngx_http_canary_dialect_t;


/* What a location of an API is configured to be. */

typedef struct {
    const ngx_http_canary_dialect_t    *dialect;       /* NULL: no API */
    ngx_uint_t                          write;
    u_char                             *file;          /* of the directive */
    ngx_uint_t                          line;
    off_t                               body_max;      /* the smaller of ours
                                                          and nginx's */
    ngx_array_t                        *tokens;        /* of token_t; NULL:
                                                          none are needed */
} ngx_http_canary_loc_conf_t;


extern ngx_module_t  ngx_http_canary_api_module;


#define ngx_http_canary_location(r)                                           \
    ((ngx_http_canary_loc_conf_t *)                                           \
         ngx_http_get_module_loc_conf(r, ngx_http_canary_api_module))

/*
 * For the directive of a dialect: its location answers in it, read only as
 * yet.  Returns what is wrong with that, or NGX_CONF_OK.
 */
char *ngx_http_canary_speak(ngx_conf_t *cf,
    const ngx_http_canary_dialect_t *dialect);


#endif /* _NGX_HTTP_CANARY_DIALECT_H_INCLUDED_ */
