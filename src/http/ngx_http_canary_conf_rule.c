
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_rule.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"


static char *ngx_http_canary_rule_kind(ngx_conf_t *cf, ngx_str_t *name,
    canary_rule_t *rule);
static char *ngx_http_canary_rule_threshold(ngx_conf_t *cf, ngx_str_t *value,
    canary_rule_t *rule);
static char *ngx_http_canary_rule_parameter(ngx_conf_t *cf,
    ngx_http_canary_srv_conf_t *cscf, ngx_str_t *parameter,
    canary_rule_t *rule, ngx_uint_t *given);
static char *ngx_http_canary_rule_min_requests(ngx_conf_t *cf,
    ngx_str_t *parameter, canary_rule_t *rule);
static char *ngx_http_canary_rule_confidence(ngx_conf_t *cf,
    ngx_str_t *parameter, canary_rule_t *rule);
static char *ngx_http_canary_rule_burst(ngx_conf_t *cf,
    ngx_str_t *parameter, canary_rule_t *rule);
static char *ngx_http_canary_rule_window(ngx_conf_t *cf,
    ngx_str_t *parameter, canary_rule_t *rule);
static char *ngx_http_canary_rule_match(ngx_conf_t *cf,
    ngx_http_canary_srv_conf_t *cscf, ngx_str_t *parameter,
    canary_rule_t *rule);
static char *ngx_http_canary_rule_complete(ngx_conf_t *cf,
    ngx_array_t *rules, canary_rule_t *rule, ngx_uint_t given);


char *
ngx_http_canary_add_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t  *cscf = conf;

    char           *rv;
    ngx_str_t      *value;
    ngx_uint_t      i, given;
    canary_rule_t  *rule;

    ngx_http_canary_note_directive(cf, cscf);

    if (cscf->rules == NULL) {
        cscf->rules = ngx_array_create(cf->pool, 2, sizeof(canary_rule_t));
        if (cscf->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (cscf->rules->nelts == CANARY_RULES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many rules, at most %d are possible",
                           CANARY_RULES_MAX);
        return NGX_CONF_ERROR;
    }

    rule = ngx_array_push(cscf->rules);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(rule, sizeof(canary_rule_t));

    given = 0;
    value = cf->args->elts;

    rv = ngx_http_canary_rule_kind(cf, &value[1], rule);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 3; i < cf->args->nelts; i++) {
        rv = ngx_http_canary_rule_parameter(cf, cscf, &value[i], rule, &given);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    /* what it is a number of depends on the baseline */

    rv = ngx_http_canary_rule_threshold(cf, &value[2], rule);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_canary_rule_complete(cf, cscf->rules, rule, given);
}


static char *
ngx_http_canary_rule_complete(ngx_conf_t *cf, ngx_array_t *rules,
    canary_rule_t *rule, ngx_uint_t given)
{
    ngx_uint_t      i, limits;
    const char     *wrong;
    canary_rule_t  *all;

    wrong = canary_rule_complete(rule, given);

    if (wrong) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "rule \"%s\" %s",
                           canary_rule_info[rule->kind].name, wrong);
        return NGX_CONF_ERROR;
    }

    all = rules->elts;
    limits = 0;

    for (i = 0; i < rules->nelts; i++) {
        limits += canary_rule_has_limit(&all[i]);
    }

    if (limits > CANARY_LIMITS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many rules about quantiles of latency and "
                           "matches, at most %d are possible",
                           CANARY_LIMITS_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_rule_kind(ngx_conf_t *cf, ngx_str_t *name, canary_rule_t *rule)
{
    int         kind;
    u_char     *p, known[256];
    ngx_uint_t  i;

    kind = canary_rule_by_name((char *) name->data, name->len);

    if (kind != -1) {
        rule->kind = kind;
        return NGX_CONF_OK;
    }

    p = known;

    for (i = 0; i < CANARY_RULE_KINDS; i++) {
        p = ngx_slprintf(p, known + sizeof(known), "%s\"%s\"", i ? ", " : "",
                         canary_rule_info[i].name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown rule \"%V\", the rules are %*s",
                       name, (size_t) (p - known), known);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_canary_rule_threshold(ngx_conf_t *cf, ngx_str_t *value,
    canary_rule_t *rule)
{
    ngx_int_t   n;
    ngx_str_t  *name;

    name = (ngx_str_t *) cf->args->elts + 1;

    switch (canary_rule_unit(rule)) {

    case CANARY_UNIT_RATIO:

        if (ngx_http_canary_parse_ratio(value, 9, &rule->threshold) != NGX_OK
            || rule->threshold > CANARY_RATIO_ONE)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid threshold \"%V\" of rule \"%V\", it "
                               "must be a ratio from 0 to 1, such as \"10%%\" "
                               "or \"0.1\"", value, name);
            return NGX_CONF_ERROR;
        }

        break;

    case CANARY_UNIT_LATENCY:

        n = ngx_parse_time(value, 0);

        if (n == NGX_ERROR || n == 0
            || (uint64_t) n > CANARY_LATENCY_MAX / 1000)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid threshold \"%V\" of rule \"%V\", it "
                               "must be a time from 1ms to 24h, such as "
                               "\"250ms\"", value, name);
            return NGX_CONF_ERROR;
        }

        rule->threshold = (uint64_t) n * 1000;
        break;

    case CANARY_UNIT_FACTOR:

        if (ngx_http_canary_parse_ratio(value, 9, &rule->threshold) != NGX_OK
            || rule->threshold == 0 || rule->threshold > CANARY_FACTOR_MAX)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid threshold \"%V\" of rule \"%V\" with "
                               "a baseline, it must be a factor above 0, up "
                               "to 1000, such as \"1.3\"", value, name);
            return NGX_CONF_ERROR;
        }

        break;

    default: /* CANARY_UNIT_COUNT */

        n = ngx_atoi(value->data, value->len);

        if (n == NGX_ERROR || (uint64_t) n > CANARY_COUNT_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid threshold \"%V\" of rule \"%V\", it "
                               "must be a whole number of requests from 0 "
                               "to %uL", value, name, CANARY_COUNT_MAX);
            return NGX_CONF_ERROR;
        }

        rule->threshold = n;
        break;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_rule_parameter(ngx_conf_t *cf,
    ngx_http_canary_srv_conf_t *cscf, ngx_str_t *parameter,
    canary_rule_t *rule, ngx_uint_t *given)
{
    char       *rv;
    ngx_uint_t  bit;

    if (ngx_strncmp(parameter->data, "min_requests=", 13) == 0) {
        bit = CANARY_GIVEN_MIN_REQUESTS;
        rv = ngx_http_canary_rule_min_requests(cf, parameter, rule);

    } else if (ngx_strncmp(parameter->data, "confidence=", 11) == 0) {
        bit = CANARY_GIVEN_CONFIDENCE;
        rv = ngx_http_canary_rule_confidence(cf, parameter, rule);

    } else if (ngx_strncmp(parameter->data, "burst=", 6) == 0) {
        bit = CANARY_GIVEN_BURST;
        rv = ngx_http_canary_rule_burst(cf, parameter, rule);

    } else if (ngx_strncmp(parameter->data, "window=", 7) == 0) {
        bit = CANARY_GIVEN_WINDOW;
        rv = ngx_http_canary_rule_window(cf, parameter, rule);

    } else if (ngx_strcmp(parameter->data, "baseline=stable") == 0) {
        bit = CANARY_GIVEN_BASELINE;
        rule->baseline = 1;
        rv = NGX_CONF_OK;

    } else if (ngx_strncmp(parameter->data, "match=", 6) == 0) {
        bit = CANARY_GIVEN_MATCH;
        rv = ngx_http_canary_rule_match(cf, cscf, parameter, rule);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"canary_rule\", it "
                           "must be \"min_requests=number\", "
                           "\"confidence=number\" or \"confidence=off\", "
                           "\"burst=time\", \"window=time\", "
                           "\"baseline=stable\" or \"match=name\"",
                           parameter);
        return NGX_CONF_ERROR;
    }

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (*given & bit) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "parameter \"%V\" of \"canary_rule\" is here "
                           "twice", parameter);
        return NGX_CONF_ERROR;
    }

    *given |= bit;

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_rule_min_requests(ngx_conf_t *cf, ngx_str_t *parameter,
    canary_rule_t *rule)
{
    ngx_int_t  n;

    n = ngx_atoi(parameter->data + 13, parameter->len - 13);

    if (n == NGX_ERROR || n == 0 || (uint64_t) n > CANARY_MIN_REQUESTS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\", min_requests must be a whole "
                           "number from 1 to %ud",
                           parameter, CANARY_MIN_REQUESTS_MAX);
        return NGX_CONF_ERROR;
    }

    rule->min_requests = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_rule_burst(ngx_conf_t *cf, ngx_str_t *parameter,
    canary_rule_t *rule)
{
    ngx_int_t  n;
    ngx_str_t  value;

    value.data = parameter->data + 6;
    value.len = parameter->len - 6;

    n = ngx_parse_time(&value, 0);

    if (n == NGX_ERROR || (uint64_t) n > CANARY_BURST_MAX || n % 100) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\", burst must be 0 or a multiple "
                           "of 100ms, up to 10s", parameter);
        return NGX_CONF_ERROR;
    }

    rule->burst = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_rule_window(ngx_conf_t *cf, ngx_str_t *parameter,
    canary_rule_t *rule)
{
    ngx_int_t  n;
    ngx_str_t  value;

    value.data = parameter->data + 7;
    value.len = parameter->len - 7;

    n = ngx_parse_time(&value, 0);

    if (n == NGX_ERROR || (uint64_t) n < CANARY_WINDOW_MIN
        || (uint64_t) n > CANARY_WINDOW_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\", window must be a time from "
                           "100ms to 24h", parameter);
        return NGX_CONF_ERROR;
    }

    rule->window = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_rule_confidence(ngx_conf_t *cf, ngx_str_t *parameter,
    canary_rule_t *rule)
{
    uint64_t   n;
    ngx_str_t  value;

    value.data = parameter->data + 11;
    value.len = parameter->len - 11;

    if (value.len == 3 && ngx_strncmp(value.data, "off", 3) == 0) {
        rule->confidence = 0;
        return NGX_CONF_OK;
    }

    if (ngx_http_canary_parse_ratio(&value, 9, &n) != NGX_OK
        || n < CANARY_CONFIDENCE_MIN || n > CANARY_CONFIDENCE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\", confidence must be a ratio from "
                           "0.5 up to, but not including, 1, such as "
                           "\"0.999\", or \"off\"", parameter);
        return NGX_CONF_ERROR;
    }

    rule->confidence = (uint32_t) n;

    return NGX_CONF_OK;
}


/* whether there is such a one is known when the upstream{} has been read */

static char *
ngx_http_canary_rule_match(ngx_conf_t *cf, ngx_http_canary_srv_conf_t *cscf,
    ngx_str_t *parameter, canary_rule_t *rule)
{
    size_t       len;
    char        *name;
    const char  *bad;

    name = (char *) parameter->data + 6;
    len = parameter->len - 6;

    bad = canary_match_bad_name(name, len);

    if (bad) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\", the name of a \"canary_match\" "
                           "%s", parameter, bad);
        return NGX_CONF_ERROR;
    }

    rule->match = (uint16_t) canary_match_add(&cscf->asked, name, len);

    if (rule->match == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is one too many, there can be at most %d "
                           "\"canary_match\"", parameter,
                           CANARY_MATCHES_MAX);
        return NGX_CONF_ERROR;
    }

    if (cscf->asked_file[rule->match - 1] == NULL) {
        cscf->asked_file[rule->match - 1] = cf->conf_file->file.name.data;
        cscf->asked_line[rule->match - 1] = cf->conf_file->line;
    }

    return NGX_CONF_OK;
}
