
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_conf.h"

#include "canary_match.h"
#include "canary_setting.h"
#include "canary_split.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"


/* The directives of an endpoint but for its releases and rules. */


static char *ngx_http_canary_set_string(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_canary_string_t *string);
static char *ngx_http_canary_one_variable(ngx_conf_t *cf, ngx_str_t *value,
    ngx_int_t *index);


char *
ngx_http_canary_step(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t  *cscf = conf;

    uint32_t              *step, at;
    uint64_t               parts;
    ngx_str_t             *value;
    ngx_uint_t             i;
    canary_strategy_t      strategy;
    canary_steps_status_t  status;

    static const char *const  errors[] = {
        "",
        "a step is missing",
        "at most 100 steps are possible",
        "it must be above 0 and at most 1 or 100%",
        "steps must rise",
        "linear steps must be at least 0.1%"
    };

    ngx_http_canary_note_directive(cf, cscf);

    if (cscf->steps) {
        return "is duplicate";
    }

    cscf->steps = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                   sizeof(uint32_t));
    if (cscf->steps == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (!canary_setting_ratio((char *) value[i].data, 6, &parts)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid step \"%V\", it must be a ratio "
                               "such as \"20%%\" or \"0.2\", no finer than "
                               "0.0001%%", &value[i]);
            return NGX_CONF_ERROR;
        }

        step = ngx_array_push(cscf->steps);
        if (step == NULL) {
            return NGX_CONF_ERROR;
        }

        *step = (uint32_t) ngx_min(parts, CANARY_ONE + 1);
    }

    status = canary_strategy_set_steps(&strategy, cscf->steps->elts,
                                       cscf->steps->nelts, &at);

    if (status != CANARY_STEPS_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid step \"%V\", %s",
                           &value[at + 1], errors[status]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * The setters of nginx know nothing of where an upstream's first canary
 * directive stands: with it, an upstream that has no release can be told.
 * Nor do all of them say what would be right.
 */

char *
ngx_http_canary_endpoint_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char             *p = conf;
    ngx_int_t         n;
    ngx_str_t        *value;
    ngx_msec_t       *field;
    ngx_conf_post_t  *post;

    ngx_http_canary_note_directive(cf, conf);

    field = (ngx_msec_t *) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_parse_time(&value[1], 0);

    if (n == NGX_ERROR || (uint64_t) n > CANARY_TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it "
                           "must be a time of at most 365d, such as \"10s\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    *field = (ngx_msec_t) n;

    post = cmd->post;

    return post ? post->post_handler(cf, post, field) : NGX_CONF_OK;
}


char *
ngx_http_canary_endpoint_flag(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_note_directive(cf, conf);

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}


char *
ngx_http_canary_endpoint_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char             *p = conf;
    u_char           *last, known[128];
    ngx_str_t        *value;
    ngx_uint_t        i, *field;
    ngx_conf_enum_t  *choices;

    ngx_http_canary_note_directive(cf, conf);

    field = (ngx_uint_t *) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    choices = cmd->post;
    last = known;

    for (i = 0; choices[i].name.len; i++) {

        if (choices[i].name.len == value[1].len
            && ngx_strcasecmp(choices[i].name.data, value[1].data) == 0)
        {
            *field = choices[i].value;
            return NGX_CONF_OK;
        }

        last = ngx_slprintf(last, known + sizeof(known), "%s\"%V\"",
                            i ? " or " : "", &choices[i].name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must "
                       "be %*s",
                       &value[1], &cmd->name, (size_t) (last - known), known);

    return NGX_CONF_ERROR;
}


/*
 * Most strings are one variable, which can be had without the machinery for
 * strings that have variables in them.  One that has none would be the same
 * for all requests: refused, but where the directive has a post field.
 */

char *
ngx_http_canary_string(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t            *value;
    ngx_canary_string_t  *string;

    ngx_http_canary_note_directive(cf, conf);

    string = (ngx_canary_string_t *) ((char *) conf + cmd->offset);

    if (string->value) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return ngx_http_canary_set_string(cf, cmd, &value[1], string);
}


static char *
ngx_http_canary_set_string(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_canary_string_t *string)
{
    ngx_http_complex_value_t          *cv;
    ngx_http_compile_complex_value_t   ccv;

    cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (cv == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cv->lengths == NULL && cmd->post == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"%V\" has no variable, so it is the "
                           "same for all requests, it must be a string such "
                           "as \"$cookie_user\"", value, &cmd->name);
        return NGX_CONF_ERROR;
    }

    string->value = cv;

    return ngx_http_canary_one_variable(cf, value, &string->variable);
}


char *
ngx_http_canary_add_match(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t  *cscf = conf;

    unsigned     place;
    ngx_str_t   *value;
    const char  *bad;

    ngx_http_canary_note_directive(cf, cscf);

    value = cf->args->elts;

    bad = canary_match_bad_name((char *) value[1].data, value[1].len);

    if (bad) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name of \"canary_match\" \"%V\" %s",
                           &value[1], bad);
        return NGX_CONF_ERROR;
    }

    if (canary_match_find(&cscf->matches, (char *) value[1].data,
                          value[1].len))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"canary_match\" \"%V\" is here twice",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    place = canary_match_add(&cscf->matches, (char *) value[1].data,
                             value[1].len);

    if (place == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many \"canary_match\", at most %d are "
                           "possible", CANARY_MATCHES_MAX);
        return NGX_CONF_ERROR;
    }

    return ngx_http_canary_set_string(cf, cmd, &value[2],
                                      &cscf->matched[place - 1]);
}


/* a string, and whether each attempt of a key counts */

char *
ngx_http_canary_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t  *cscf = conf;

    char       *rv;
    ngx_int_t   n;
    ngx_str_t  *value, time;

    rv = ngx_http_canary_string(cf, cmd, conf);

    if (rv != NGX_CONF_OK || cf->args->nelts == 2) {
        return rv;
    }

    value = cf->args->elts;

    time.data = value[2].data + 5;
    time.len = value[2].len - 5;

    n = (ngx_strncmp(value[2].data, "once=", 5) == 0)
            ? ngx_parse_time(&time, 0) : NGX_ERROR;

    if (n <= 0 || (uint64_t) n > CANARY_TIME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"canary_key\", it "
                           "must be \"once=\" and a time above 0 of at most "
                           "365d, such as \"once=10m\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    cscf->once = (ngx_msec_t) n;

    return NGX_CONF_OK;
}


/* the index of what is just one variable, or -1 */

static char *
ngx_http_canary_one_variable(ngx_conf_t *cf, ngx_str_t *value,
    ngx_int_t *index)
{
    u_char     *p, *last;
    ngx_str_t   name;

    *index = -1;

    name.data = value->data + 1;
    name.len = value->len - 1;

    if (value->len < 2 || value->data[0] != '$') {
        return NGX_CONF_OK;
    }

    last = name.data + name.len;

    for (p = name.data; p < last; p++) {
        if (!(*p == '_' || (*p >= '0' && *p <= '9')
              || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')))
        {
            return NGX_CONF_OK;
        }
    }

    /* $1 is no variable, but a part of what a regular expression found */

    if (name.data[0] >= '0' && name.data[0] <= '9') {
        return NGX_CONF_OK;
    }

    *index = ngx_http_get_variable_index(cf, &name);

    return (*index == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* for the post field of a time that cannot be 0 */

char *
ngx_http_canary_check_positive(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *value = data;

    return (*value == 0) ? "must be above 0" : NGX_CONF_OK;
}


char *
ngx_http_canary_check_patience(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *value = data;

    if (*value < CANARY_PATIENCE_MIN || *value > CANARY_PATIENCE_MAX) {
        return "must be from 10s to 10m";
    }

    return NGX_CONF_OK;
}


void
ngx_http_canary_note_directive(ngx_conf_t *cf, ngx_http_canary_srv_conf_t *conf)
{
    ngx_str_t  *value;

    if (conf->file) {
        return;
    }

    value = cf->args->elts;

    conf->directive = value[0];
    conf->file = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;
}
