
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_answer.h"

#include "canary_text.h"

#include "ngx_http_canary_compat.h"


static ngx_int_t ngx_http_canary_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *text);
static ngx_int_t ngx_http_canary_print(ngx_http_request_t *r, cJSON *json,
    ngx_str_t *text);


ngx_str_t  ngx_http_canary_json = ngx_string("application/json");

static ngx_str_t  ngx_http_canary_no_store = ngx_string("no-store");
static ngx_str_t  ngx_http_canary_nosniff = ngx_string("nosniff");


ngx_int_t
ngx_http_canary_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, cJSON *json, int failed)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = failed ? NGX_ERROR : ngx_http_canary_print(r, json, &text);

    cJSON_Delete(json);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_send(r, status, type, &text);
}


ngx_int_t
ngx_http_canary_answer_text(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *text)
{
    return ngx_http_canary_send(r, status, &ngx_http_canary_json, text);
}


ngx_int_t
ngx_http_canary_answer_empty(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_str_t  text = ngx_null_string;

    return ngx_http_canary_send(r, status, &ngx_http_canary_json, &text);
}


static ngx_int_t
ngx_http_canary_print(ngx_http_request_t *r, cJSON *json, ngx_str_t *text)
{
    char  *printed;

    printed = cJSON_PrintUnformatted(json);
    if (printed == NULL) {
        return NGX_ERROR;
    }

    /* with a newline for those who read it in a terminal */

    text->len = ngx_strlen(printed) + 1;

    text->data = ngx_pnalloc(r->pool, text->len);
    if (text->data) {
        *ngx_cpymem(text->data, printed, text->len - 1) = LF;
    }

    cJSON_free(printed);

    return text->data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_canary_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *text)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_canary_send_header(r, status, type, text->len);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_canary_send_body(r, b, text);
}


ngx_int_t
ngx_http_canary_send_body(ngx_http_request_t *r, ngx_buf_t *b, ngx_str_t *text)
{
    ngx_chain_t  out;

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_canary_send_header(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, off_t length)
{
    ngx_int_t  rc;

    rc = ngx_http_canary_drop_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    /* If-Match is for writes only, and judged by these themselves */

    r->disable_not_modified = 1;

    if (ngx_http_canary_add_header(r, "Cache-Control",
                                   &ngx_http_canary_no_store)
        == NULL
        || ngx_http_canary_add_header(r, "X-Content-Type-Options",
                                      &ngx_http_canary_nosniff)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = length;

    if (length == 0) {
        r->header_only = 1;

    } else {
        r->headers_out.content_type = *type;
        r->headers_out.content_type_len = type->len;
        r->headers_out.content_type_lowcase = NULL;
    }

    return ngx_http_send_header(r);
}


/*
 * A body that was not read is not asked for any more; a client that waits for
 * "100 Continue" may send it or not, so what comes next on the connection
 * could not be told from it.
 */

ngx_int_t
ngx_http_canary_drop_body(ngx_http_request_t *r)
{
    if (r->headers_in.expect && !r->expect_tested) {
        r->expect_tested = 1;
        r->keepalive = 0;
    }

    return ngx_http_discard_request_body(r);
}


ngx_table_elt_t *
ngx_http_canary_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *header;

    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NULL;
    }

    header->hash = 1;
    ngx_http_canary_single_header(header);
    header->key.data = (u_char *) name;
    header->key.len = ngx_strlen(name);
    header->value = *value;

    return header;
}


/*
 * Not as r->headers_out.etag: gzip would weaken it, and no filter is to
 * compare it with the headers of a request.
 */

ngx_int_t
ngx_http_canary_add_etag(ngx_http_request_t *r, uint64_t generation,
    uint32_t uid)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_HTTP_CANARY_ETAG);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_http_canary_etag(value.data, generation, uid)
                - value.data;

    return ngx_http_canary_add_header(r, "ETag", &value) ? NGX_OK : NGX_ERROR;
}


u_char *
ngx_http_canary_etag(u_char *p, uint64_t generation, uint32_t uid)
{
    return uid ? ngx_sprintf(p, "\"%uL-%08xD\"", generation, uid)
               : ngx_sprintf(p, "\"%uL\"", generation);
}


/* Names and URIs may be any bytes; JSON may not. */

char *
ngx_http_canary_utf8(ngx_pool_t *pool, ngx_str_t *text)
{
    char  *copy;

    copy = ngx_pnalloc(pool, text->len * CANARY_UTF8_GROWS + 1);

    if (copy) {
        canary_utf8_replace((char *) text->data, text->len, copy);
    }

    return copy;
}
