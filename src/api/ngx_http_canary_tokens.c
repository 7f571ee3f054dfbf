
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_canary_tokens.h"

#include "canary_text.h"

#include "ngx_canary_text_file.h"

#include "ngx_http_canary_dialect.h"


/*
 * The file of canary_api_tokens, a token to a line:
 *
 *     # name  role  SHA-256 of the token, in hexadecimal
 *     ci  operator  9f86d081884c7d65...
 */


#define NGX_HTTP_CANARY_TOKENS_SIZE  1048576
#define NGX_HTTP_CANARY_FIELDS       3


static ngx_int_t ngx_http_canary_parse_tokens(ngx_conf_t *cf,
    ngx_str_t *file, ngx_str_t *text, ngx_array_t *tokens);
static ngx_uint_t ngx_http_canary_split_line(u_char *p, u_char *last,
    ngx_str_t *fields);
static const char *ngx_http_canary_parse_token(ngx_str_t *fields,
    ngx_uint_t n, ngx_http_canary_token_t *token);
static ngx_int_t ngx_http_canary_parse_hash(ngx_str_t *text, u_char *hash);
static ngx_int_t ngx_http_canary_add_token(ngx_conf_t *cf, ngx_str_t *file,
    ngx_array_t *tokens, ngx_http_canary_token_t *token);


char *
ngx_http_canary_api_tokens(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    ngx_str_t               *value;
    ngx_array_t             *tokens;
    ngx_canary_text_file_t   file;

    if (lcf->tokens != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tokens = ngx_array_create(cf->pool, 4, sizeof(ngx_http_canary_token_t));
    if (tokens == NULL) {
        return NGX_CONF_ERROR;
    }

    file.pool = cf->temp_pool;
    file.max = NGX_HTTP_CANARY_TOKENS_SIZE;

    if (ngx_canary_text_file(cf, &value[1], &file) != NGX_OK
        || ngx_http_canary_parse_tokens(cf, &file.name, &file.text, tokens)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (tokens->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "there is no token in \"%V\", so nobody may use "
                           "the API", &file.name);
    }

    lcf->tokens = tokens;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_canary_parse_tokens(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *text, ngx_array_t *tokens)
{
    u_char                   *p, *end, *last;
    ngx_str_t                 fields[NGX_HTTP_CANARY_FIELDS];
    ngx_uint_t                n, line;
    const char               *error;
    ngx_http_canary_token_t   token;

    last = text->data + text->len;

    for (p = text->data, line = 1; p < last; p = end + 1, line++) {

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        n = ngx_http_canary_split_line(p, end, fields);

        if (n == 0) {
            continue;
        }

        token.line = line;

        error = ngx_http_canary_parse_token(fields, n, &token);

        if (error) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in %V:%ui",
                          error, file, line);
            return NGX_ERROR;
        }

        if (ngx_http_canary_add_token(cf, file, tokens, &token) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the number of fields, also if there is no room for all of them */

static ngx_uint_t
ngx_http_canary_split_line(u_char *p, u_char *last, ngx_str_t *fields)
{
    u_char      *start;
    ngx_uint_t   n;

    n = 0;

    for ( ;; ) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == CR)) {
            p++;
        }

        if (p == last || *p == '#') {
            return n;
        }

        start = p;

        while (p < last && *p != ' ' && *p != '\t' && *p != CR && *p != '#') {
            p++;
        }

        if (n < NGX_HTTP_CANARY_FIELDS) {
            fields[n].data = start;
            fields[n].len = p - start;
        }

        n++;
    }
}


/* errors repeat nothing of the line: it may be a token that stands there */

static const char *
ngx_http_canary_parse_token(ngx_str_t *fields, ngx_uint_t n,
    ngx_http_canary_token_t *token)
{
    char       *name;
    ngx_str_t  *role;

    if (n != NGX_HTTP_CANARY_FIELDS) {
        return "a line of tokens has to be \"name role sha256-hex\"";
    }

    name = (char *) fields[0].data;

    if (fields[0].len > NGX_HTTP_CANARY_TOKEN_NAME
        || canary_utf8_prefix(name, fields[0].len) != fields[0].len
        || canary_utf8_controls(name, fields[0].len))
    {
        return "the name of a token has to be valid UTF-8 without control "
               "characters, of at most 63 bytes";
    }

    token->name = fields[0];
    role = &fields[1];

    if (role->len == 8 && ngx_strncmp(role->data, "operator", 8) == 0) {
        token->operator = 1;

    } else if (role->len == 6 && ngx_strncmp(role->data, "reader", 6) == 0) {
        token->operator = 0;

    } else {
        return "the role of a token has to be \"reader\" or \"operator\"";
    }

    if (ngx_http_canary_parse_hash(&fields[2], token->hash) != NGX_OK) {
        return "the SHA-256 of a token has to be 64 hexadecimal digits";
    }

    return NULL;
}


static ngx_int_t
ngx_http_canary_parse_hash(ngx_str_t *text, u_char *hash)
{
    ngx_int_t   byte;
    ngx_uint_t  i;

    if (text->len != 2 * NGX_HTTP_CANARY_TOKEN_HASH) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_CANARY_TOKEN_HASH; i++) {
        byte = ngx_hextoi(text->data + 2 * i, 2);

        if (byte == NGX_ERROR) {
            return NGX_ERROR;
        }

        hash[i] = (u_char) byte;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_add_token(ngx_conf_t *cf, ngx_str_t *file,
    ngx_array_t *tokens, ngx_http_canary_token_t *token)
{
    ngx_uint_t                i;
    const char               *twice;
    ngx_http_canary_token_t  *known, *added;

    known = tokens->elts;

    for (i = 0; i < tokens->nelts; i++) {

        if (known[i].name.len == token->name.len
            && ngx_memcmp(known[i].name.data, token->name.data,
                          token->name.len)
               == 0)
        {
            twice = "name";

        } else if (ngx_memcmp(known[i].hash, token->hash,
                              NGX_HTTP_CANARY_TOKEN_HASH)
                   == 0)
        {
            twice = "SHA-256";

        } else {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the %s of token \"%V\" is that of the one in line %ui "
                      "already in %V:%ui",
                      twice, &token->name, known[i].line, file, token->line);
        return NGX_ERROR;
    }

    added = ngx_array_push(tokens);
    if (added == NULL) {
        return NGX_ERROR;
    }

    *added = *token;

    /* the text of the file is gone when the configuration has been read */

    added->name.data = ngx_pstrdup(cf->pool, &token->name);

    return added->name.data ? NGX_OK : NGX_ERROR;
}
