
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_rule_text.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"


static void ngx_http_canary_rule_match(ngx_conf_t *cf,
    ngx_http_canary_srv_conf_t *cscf, const canary_rule_t *rule);
static char *ngx_http_canary_rule_limits(ngx_conf_t *cf, ngx_array_t *rules);


char *
ngx_http_canary_add_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t  *cscf = conf;

    char            why[CANARY_RULE_WHY_MAX];
    ngx_str_t      *value;
    ngx_uint_t      n;
    const char     *words[CANARY_RULE_WORDS];
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

    /* the words of a configuration end with a zero */

    value = cf->args->elts;

    for (n = 0; n < CANARY_RULE_WORDS && n + 1 < cf->args->nelts; n++) {
        words[n] = (const char *) value[n + 1].data;
    }

    if (!canary_rule_text_read(words, (unsigned) n, &cscf->asked, rule, why))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", why);
        return NGX_CONF_ERROR;
    }

    ngx_http_canary_rule_match(cf, cscf, rule);

    return ngx_http_canary_rule_limits(cf, cscf->rules);
}


/* whether there is such a one is known when the upstream{} has been read */

static void
ngx_http_canary_rule_match(ngx_conf_t *cf, ngx_http_canary_srv_conf_t *cscf,
    const canary_rule_t *rule)
{
    if (rule->match && cscf->asked_file[rule->match - 1] == NULL) {
        cscf->asked_file[rule->match - 1] = cf->conf_file->file.name.data;
        cscf->asked_line[rule->match - 1] = cf->conf_file->line;
    }
}


static char *
ngx_http_canary_rule_limits(ngx_conf_t *cf, ngx_array_t *rules)
{
    ngx_uint_t      i, limits;
    canary_rule_t  *all;

    all = rules->elts;
    limits = 0;

    for (i = 0; i < rules->nelts; i++) {
        limits += canary_rule_has_limit(&all[i]);
    }

    if (limits > CANARY_LIMITS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many rules about quantiles of latency, at "
                           "most %d are possible, those about matches among "
                           "them", CANARY_LIMITS_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
