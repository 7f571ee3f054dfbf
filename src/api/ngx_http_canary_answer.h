
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_ANSWER_H_INCLUDED_
#define _NGX_HTTP_CANARY_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>


extern ngx_str_t  ngx_http_canary_json;   /* the usual type */


/* sends a document and frees it; 500 if it is NULL or "failed" is set */
ngx_int_t ngx_http_canary_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, cJSON *json, int failed);

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

/* headers for the answer that follows; the value is not copied; NULL: no
   memory */
ngx_table_elt_t *ngx_http_canary_add_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
ngx_int_t ngx_http_canary_add_etag(ngx_http_request_t *r, uint64_t generation,
    uint32_t uid);

/* the tag itself, its end: in a fleet a generation alone is not unique */
#define NGX_HTTP_CANARY_ETAG  (NGX_INT64_LEN + sizeof("\"-00000000\""))
u_char *ngx_http_canary_etag(u_char *p, uint64_t generation, uint32_t uid);

/* a zero-terminated copy that is valid UTF-8; NULL: no memory */
char *ngx_http_canary_utf8(ngx_pool_t *pool, ngx_str_t *text);


#endif /* _NGX_HTTP_CANARY_ANSWER_H_INCLUDED_ */
