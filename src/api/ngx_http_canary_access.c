
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "ngx_http_canary_access.h"

#include "canary_event.h"
#include "canary_text.h"

#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_guard.h"
#include "ngx_http_canary_headers.h"
#include "ngx_http_canary_tokens.h"


/* Who it is that uses the API, and what that one may do. */


static void ngx_http_canary_secret(ngx_http_request_t *r, ngx_str_t *secret);
static ngx_uint_t ngx_http_canary_verified_user(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_verified_client(ngx_http_request_t *r,
    ngx_str_t *subject);
static ngx_uint_t ngx_http_canary_find_variable(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static void ngx_http_canary_copy_line(u_char *dst, size_t size,
    ngx_str_t *text);


static ngx_module_t  *ngx_http_canary_basic_module;


void
ngx_http_canary_find_basic(ngx_conf_t *cf)
{
    ngx_http_canary_basic_module
               = ngx_http_canary_find_module(cf, "ngx_http_auth_basic_module");
}


/*
 * A user may just be named in a header that a variable looked at.  It is known
 * to be verified if the request could not have come here otherwise: with
 * "satisfy any" it could.  A subrequest has not been through the access phase.
 */

static ngx_uint_t
ngx_http_canary_verified_user(ngx_http_request_t *r)
{
    ngx_str_t                      realm;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_canary_basic_conf_t  *basic;

    if (r != r->main || r->headers_in.user.len == 0
        || ngx_http_canary_basic_module == NULL)
    {
        return 0;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    basic = r->loc_conf[ngx_http_canary_basic_module->ctx_index];

    if (clcf->satisfy != NGX_HTTP_SATISFY_ALL
        || basic->realm == NULL || basic->user_file == 0
        || ngx_http_complex_value(r, basic->realm, &realm) != NGX_OK)
    {
        return 0;
    }

    return realm.len != 3 || ngx_strncmp(realm.data, "off", 3) != 0;
}


ngx_int_t
ngx_http_canary_find_token(ngx_http_request_t *r,
    ngx_http_canary_token_t **token)
{
    u_char                    hash[NGX_HTTP_CANARY_TOKEN_HASH];
    ngx_str_t                 secret;
    ngx_uint_t                i;
    ngx_array_t              *all;
    ngx_http_canary_token_t  *tokens;

    *token = NULL;

    all = ngx_http_canary_location(r)->tokens;

    if (all == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_canary_secret(r, &secret);

    if (secret.len == 0) {
        return NGX_DECLINED;
    }

    if (EVP_Digest(secret.data, secret.len, hash, NULL, EVP_sha256(), NULL)
        != 1)
    {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "canary: EVP_Digest(SHA-256) failed");
        return NGX_ERROR;
    }

    tokens = all->elts;

    /* all of them, so that the time tells nothing */

    for (i = 0; i < all->nelts; i++) {
        if (CRYPTO_memcmp(tokens[i].hash, hash, sizeof(hash)) == 0) {
            *token = &tokens[i];
        }
    }

    return *token ? NGX_OK : NGX_ERROR;
}


/* Authorization is the last: it may be for others, as auth_basic */

static void
ngx_http_canary_secret(ngx_http_request_t *r, ngx_str_t *secret)
{
    const char *const                *name;
    ngx_table_elt_t                  *header;
    const ngx_http_canary_dialect_t  *dialect;

    ngx_str_null(secret);

    dialect = ngx_http_canary_location(r)->dialect;

    for (name = dialect->headers; *name; name++) {
        header = ngx_http_canary_find_header(r, *name);

        if (header) {
            *secret = header->value;
            return;
        }
    }

    header = dialect->bearer ? r->headers_in.authorization : NULL;

    if (header == NULL || header->value.len < sizeof("Bearer ") - 1
        || ngx_strncasecmp(header->value.data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           != 0)
    {
        return;
    }

    *secret = header->value;

    secret->data += sizeof("Bearer ") - 1;
    secret->len -= sizeof("Bearer ") - 1;

    while (secret->len && secret->data[0] == ' ') {
        secret->data++;
        secret->len--;
    }
}


void
ngx_http_canary_find_actor(ngx_http_request_t *r, canary_actor_t *actor)
{
    ngx_str_t                 name;
    ngx_http_canary_token_t  *token;

    if (ngx_http_canary_find_token(r, &token) == NGX_OK) {
        name = token->name;

    } else if (ngx_http_canary_verified_user(r)) {
        name = r->headers_in.user;

    } else if (!ngx_http_canary_verified_client(r, &name)) {
        ngx_str_set(&name, "api");
    }

    ngx_http_canary_copy_line(actor->name, sizeof(actor->name), &name);
    ngx_http_canary_copy_line(actor->address, sizeof(actor->address),
                              &r->connection->addr_text);
}


/* by variables: there are none if nginx is without TLS */

static ngx_uint_t
ngx_http_canary_verified_client(ngx_http_request_t *r, ngx_str_t *subject)
{
    ngx_str_t  verified;

    return ngx_http_canary_find_variable(r, "ssl_client_verify", &verified)
           && verified.len == sizeof("SUCCESS") - 1
           && ngx_strncmp(verified.data, "SUCCESS", verified.len) == 0
           && ngx_http_canary_find_variable(r, "ssl_client_s_dn", subject)
           && subject->len;
}


static ngx_uint_t
ngx_http_canary_find_variable(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_str_t                   text;
    ngx_http_variable_value_t  *vv;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    vv = ngx_http_get_variable(r, &text, ngx_hash_key(text.data, text.len));

    if (vv == NULL || vv->not_found) {
        return 0;
    }

    value->data = vv->data;
    value->len = vv->len;

    return 1;
}


/* what fits of a text that goes to the log; what is no text is "?" */

static void
ngx_http_canary_copy_line(u_char *dst, size_t size, ngx_str_t *text)
{
    size_t      i, n, len;
    ngx_uint_t  clean;

    clean = (canary_utf8_prefix((char *) text->data, text->len) == text->len
             && !canary_utf8_controls((char *) text->data, text->len));

    len = ngx_min(text->len, size - 1);

    for (i = 0; i < len; i++) {
        dst[i] = (clean || (text->data[i] >= 0x20 && text->data[i] < 0x7f))
                 ? text->data[i] : '?';
    }

    n = canary_utf8_prefix((char *) dst, len);
    dst[n] = '\0';
}
