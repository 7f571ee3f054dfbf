
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_conf.h"


static ngx_int_t ngx_http_canary_release_number(ngx_conf_t *cf,
    ngx_str_t *parameter, ngx_http_canary_release_t *release);
static ngx_http_canary_endpoint_t *ngx_http_canary_create_endpoint(
    ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_canary_add_placeholder(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf);
static char *ngx_http_canary_check_release(ngx_conf_t *cf,
    ngx_http_canary_endpoint_t *endpoint, ngx_http_canary_release_t *release);


char *
ngx_http_canary_add_release(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t *cscf = conf;

    ngx_str_t                     *value;
    ngx_http_canary_release_t     *release;
    ngx_http_canary_endpoint_t    *endpoint;
    ngx_http_upstream_srv_conf_t  *uscf;

    ngx_http_canary_note(cf, cscf);

    if (cscf->endpoint == NULL) {
        uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

        if (uscf->peer.init_upstream) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"canary_release\" cannot be combined with "
                               "load balancing directives in one upstream, "
                               "put them into the upstreams of the releases");
            return NGX_CONF_ERROR;
        }

        cscf->endpoint = ngx_http_canary_create_endpoint(cf, uscf);
        if (cscf->endpoint == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    endpoint = cscf->endpoint;

    if (endpoint->releases.nelts == NGX_HTTP_CANARY_RELEASES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many releases in upstream \"%V\", "
                           "at most %d are possible",
                           &endpoint->name, NGX_HTTP_CANARY_RELEASES_MAX);
        return NGX_CONF_ERROR;
    }

    release = ngx_array_push(&endpoint->releases);
    if (release == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(release, sizeof(ngx_http_canary_release_t));

    value = cf->args->elts;

    release->name = value[1];
    release->upstream_name = value[2];
    release->number = endpoint->releases.nelts;
    release->file = cf->conf_file->file.name.data;
    release->line = cf->conf_file->line;

    if (cf->args->nelts == 4
        && ngx_http_canary_release_number(cf, &value[3], release) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_canary_check_release(cf, endpoint, release);
}


static ngx_int_t
ngx_http_canary_release_number(ngx_conf_t *cf, ngx_str_t *parameter,
    ngx_http_canary_release_t *release)
{
    ngx_int_t  n;

    if (ngx_strncmp(parameter->data, "id=", 3) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", "
                           "it must be \"id=number\"", parameter);
        return NGX_ERROR;
    }

    n = ngx_atoi(parameter->data + 3, parameter->len - 3);

    if (n == NGX_ERROR || n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid id in \"%V\", it must be a whole number "
                           "above 0", parameter);
        return NGX_ERROR;
    }

    release->number = n;

    return NGX_OK;
}


static ngx_http_canary_endpoint_t *
ngx_http_canary_create_endpoint(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_http_canary_endpoint_t   *endpoint, **place;
    ngx_http_canary_main_conf_t  *cmcf;

    endpoint = ngx_pcalloc(cf->pool, sizeof(ngx_http_canary_endpoint_t));
    if (endpoint == NULL) {
        return NULL;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_canary_module);

    endpoint->main = cmcf;
    endpoint->name = uscf->host;
    endpoint->upstream = uscf;

    if (ngx_array_init(&endpoint->releases, cf->pool, 2,
                       sizeof(ngx_http_canary_release_t))
        != NGX_OK)
    {
        return NULL;
    }

    uscf->peer.init_upstream = ngx_http_canary_init_upstream;

    if (ngx_http_canary_add_placeholder(cf, uscf) != NGX_OK) {
        return NULL;
    }

    place = ngx_array_push(&cmcf->endpoints);
    if (place == NULL) {
        return NULL;
    }

    *place = endpoint;

    return endpoint;
}


/*
 * nginx refuses an upstream{} without a server.  The placeholder has an
 * address, since a balancing directive after canary_release would look for
 * one before ngx_http_canary_check_upstreams() can refuse the directive; it
 * is taken out there and never used.
 */

static ngx_int_t
ngx_http_canary_add_placeholder(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_url_t                    u;
    ngx_http_upstream_server_t  *server;

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));
    ngx_memzero(&u, sizeof(ngx_url_t));

    ngx_str_set(&u.url, "127.0.0.1:9");

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        return NGX_ERROR;
    }

    server->name = u.url;
    server->addrs = u.addrs;
    server->naddrs = u.naddrs;
    server->weight = 1;
    server->down = 1;

    return NGX_OK;
}


static char *
ngx_http_canary_check_release(ngx_conf_t *cf,
    ngx_http_canary_endpoint_t *endpoint, ngx_http_canary_release_t *release)
{
    u_char                     *p, *last;
    ngx_uint_t                  i;
    ngx_http_canary_release_t  *releases;

    last = release->name.data + release->name.len;

    for (p = release->name.data; p < last; p++) {
        if (*p <= 0x20 || *p == 0x7f || *p == '"' || *p == '\\') {
            break;
        }
    }

    if (p < last || release->name.len == 0
        || release->name.len >= NGX_HTTP_CANARY_NAME_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid release name \"%V\", it must have 1 to "
                           "%d characters, without spaces, quotes and "
                           "backslashes",
                           &release->name, NGX_HTTP_CANARY_NAME_MAX - 1);
        return NGX_CONF_ERROR;
    }

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts - 1; i++) {

        if (releases[i].name.len == release->name.len
            && ngx_memcmp(releases[i].name.data, release->name.data,
                          release->name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate release \"%V\" in upstream \"%V\", "
                               "the first is in %s:%ui",
                               &release->name, &endpoint->name,
                               releases[i].file, releases[i].line);
            return NGX_CONF_ERROR;
        }

        if (releases[i].number == release->number) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "release \"%V\" has the id %ui of release "
                               "\"%V\", set another one with \"id=\"",
                               &release->name, release->number,
                               &releases[i].name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_canary_step(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t *cscf = conf;

    uint32_t               *step, at;
    uint64_t                parts;
    ngx_str_t              *value;
    ngx_uint_t              i;
    canary_strategy_t       strategy;
    canary_steps_status_t   status;

    static const char *const  errors[] = {
        "",
        "a step is missing",
        "at most 100 steps are possible",
        "it must be above 0 and at most 1 or 100%",
        "steps must rise",
        "linear steps must be at least 0.1%"
    };

    ngx_http_canary_note(cf, cscf);

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

        if (ngx_http_canary_parse_ratio(&value[i], 6, &parts) != NGX_OK) {
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

    ngx_http_canary_note(cf, conf);

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
    ngx_http_canary_note(cf, conf);

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

    ngx_http_canary_note(cf, conf);

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


char *
ngx_http_canary_endpoint_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_note(cf, conf);

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


/*
 * The key of most endpoints is one variable, which can be had without the
 * machinery for strings that have variables in them.
 */

char *
ngx_http_canary_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t *cscf = conf;

    char       *rv;
    u_char     *p, *last;
    ngx_str_t  *value, name;

    rv = ngx_http_canary_endpoint_value(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    cscf->key_variable = -1;

    value = cf->args->elts;
    name.data = value[1].data + 1;
    name.len = value[1].len - 1;

    if (value[1].len < 2 || value[1].data[0] != '$') {
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

    cscf->key_variable = ngx_http_get_variable_index(cf, &name);

    return (cscf->key_variable == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* for the post field of a time that cannot be 0 */

char *
ngx_http_canary_check_positive(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *value = data;

    return (*value == 0) ? "must be above 0" : NGX_CONF_OK;
}


char *
ngx_http_canary_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_main_conf_t *cmcf = conf;

    ngx_str_t  *value;

    if (cmcf->state_path) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "is empty, it must be the path of a directory";
    }

    cmcf->state_path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (cmcf->state_path == NULL) {
        return NGX_CONF_ERROR;
    }

    cmcf->state_path->name = value[1];
    cmcf->state_path->conf_file = cf->conf_file->file.name.data;
    cmcf->state_path->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


char *
ngx_http_canary_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->api != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (lcf->metrics != NGX_CONF_UNSET) {
        return "cannot be in one location with \"canary_metrics\"";
    }

    rv = ngx_http_canary_check_location(cf, lcf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->api = 1;
    lcf->write = 0;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        if (ngx_strcmp(value[1].data, "write=on") == 0) {
            lcf->write = 1;

        } else if (ngx_strcmp(value[1].data, "write=off") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it must be "
                               "\"write=on\" or \"write=off\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_canary_api_handler;

    /* from /canary to /canary/, as proxy_pass does */

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_canary_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->metrics != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (lcf->api != NGX_CONF_UNSET) {
        return "cannot be in one location with \"canary_api\", which has "
               "them at \"metrics\"";
    }

    if (lcf->verta == 1) {
        return "cannot be in one location with \"canary_verta_api\"";
    }

    lcf->metrics = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_canary_metrics_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_canary_check_location(ngx_conf_t *cf,
    ngx_http_canary_loc_conf_t *lcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* regex is under NGX_PCRE, as are locations by regular expression */

#if (NGX_PCRE)
    if (clcf->regex) {
        return "cannot be in a location by regular expression, "
               "use one by prefix";
    }
#endif

    if (clcf->named) {
        return "cannot be in a named location, use one by prefix";
    }

    if (lcf->api == 1 || lcf->verta == 1 || lcf->metrics == 1) {
        return "cannot be in a location with another API, "
               "use one of its own";
    }

    return NGX_CONF_OK;
}


void
ngx_http_canary_note(ngx_conf_t *cf, ngx_http_canary_srv_conf_t *conf)
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


ngx_int_t
ngx_http_canary_parse_ratio(ngx_str_t *value, ngx_uint_t decimals,
    uint64_t *parts)
{
    size_t     len;
    ngx_int_t  n;

    len = value->len;

    if (len && value->data[len - 1] == '%') {
        decimals -= 2;
        len--;
    }

    n = ngx_atofp(value->data, len, decimals);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *parts = n;

    return NGX_OK;
}
