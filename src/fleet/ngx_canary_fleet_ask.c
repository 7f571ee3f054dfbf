
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/sha.h>

#include "ngx_canary_fleet_node.h"
#include "ngx_canary_fleet_seal.h"

#include "canary_away.h"
#include "canary_fleet.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_redis.h"

#include "ngx_canary_fleet_lua.h"


/* What the scripts are given: see their heads. */


#define NGX_CANARY_FLEET_POOL  4096
#define NGX_CANARY_FLEET_LACKS 64          /* lines at most */


typedef enum {
    NGX_CANARY_FLEET_TICK = 0,
    NGX_CANARY_FLEET_COMMIT,
    NGX_CANARY_FLEET_JOIN,
    NGX_CANARY_FLEET_BYE,
    NGX_CANARY_FLEET_FORGET,
    NGX_CANARY_FLEET_SCRIPTS
} ngx_canary_fleet_script_e;


static ngx_array_t *ngx_canary_fleet_args(ngx_canary_fleet_node_t *node,
    ngx_pool_t **pool);
static ngx_int_t ngx_canary_fleet_send(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_script_e script, ngx_array_t *args, ngx_pool_t *pool,
    ngx_canary_redis_answer_pt answer, void *data);
static void ngx_canary_fleet_arg_text(ngx_array_t *args, const char *text,
    size_t len);
static void ngx_canary_fleet_arg_lost(ngx_array_t *args);
static void ngx_canary_fleet_arg(ngx_array_t *args, const char *fmt, ...);
static void ngx_canary_fleet_arg_sealed(ngx_canary_fleet_node_t *node,
    ngx_array_t *args, ngx_canary_fleet_key_e key, const char *field,
    const ngx_str_t *text);
static void ngx_canary_fleet_arg_parcel(ngx_canary_fleet_node_t *node,
    ngx_array_t *args, ngx_canary_fleet_part_e kind, uint64_t now);
static void ngx_canary_fleet_arg_figures(ngx_canary_fleet_node_t *node,
    ngx_array_t *args, uint64_t now);
static void ngx_canary_fleet_presence(ngx_canary_fleet_node_t *node,
    ngx_array_t *args, ngx_uint_t leaves);
static ngx_uint_t ngx_canary_fleet_is_older(ngx_canary_fleet_node_t *node);
static size_t ngx_canary_fleet_lacks(ngx_canary_fleet_node_t *node,
    ngx_uint_t i, char *line);
static size_t ngx_canary_fleet_lacks_more(ngx_canary_shared_t *shared,
    const char *name, char *line);
static const char *ngx_canary_fleet_lacks_server(ngx_canary_shared_t *shared,
    char *release);
static void ngx_canary_fleet_said_bye(ngx_canary_redis_t *redis,
    redisReply *reply, void *data);


static ngx_canary_redis_script_t  ngx_canary_fleet_scripts[] = {
    { "tick", ngx_canary_tick, sizeof(ngx_canary_tick) - 1, NULL },
    { "commit", ngx_canary_commit, sizeof(ngx_canary_commit) - 1, NULL },
    { "join", ngx_canary_join, sizeof(ngx_canary_join) - 1, NULL },
    { "bye", ngx_canary_bye, sizeof(ngx_canary_bye) - 1, NULL },
    { "forget", ngx_canary_forget, sizeof(ngx_canary_forget) - 1, NULL }
};

static u_char  ngx_canary_fleet_sha1[NGX_CANARY_FLEET_SCRIPTS]
                                    [2 * SHA_DIGEST_LENGTH + 1];


void
ngx_canary_fleet_init_scripts(ngx_canary_fleet_node_t *node)
{
    u_char                     *p, digest[SHA_DIGEST_LENGTH];
    ngx_uint_t                  i;
    ngx_canary_redis_script_t  *script;

    static const char *const  keys[NGX_CANARY_FLEET_KEYS] = {
        "rec", "chg", "log", "live", "ev", "trial", "view"
    };

    p = node->keys_text;

    for (i = 0; i < NGX_CANARY_FLEET_KEYS; i++) {
        node->keys[i].data = p;
        p = ngx_sprintf(p, "canary:{%V}:%s", &node->conf->name, keys[i]);
        node->keys[i].len = p - node->keys[i].data;
    }

    for (i = 0; i < NGX_CANARY_FLEET_SCRIPTS; i++) {
        script = &ngx_canary_fleet_scripts[i];

        (void) SHA1((const u_char *) script->text, script->len, digest);

        *ngx_hex_dump(ngx_canary_fleet_sha1[i], digest, SHA_DIGEST_LENGTH)
            = '\0';

        script->sha1 = (char *) ngx_canary_fleet_sha1[i];
    }
}


/* keys, this node and its incarnation; NULL: no memory */

static ngx_array_t *
ngx_canary_fleet_args(ngx_canary_fleet_node_t *node, ngx_pool_t **pool)
{
    ngx_str_t    *arg;
    ngx_uint_t    i;
    ngx_array_t  *args;

    *pool = ngx_create_pool(NGX_CANARY_FLEET_POOL, ngx_cycle->log);
    if (*pool == NULL) {
        return NULL;
    }

    args = ngx_array_create(*pool, 32, sizeof(ngx_str_t));
    if (args == NULL) {
        ngx_destroy_pool(*pool);
        return NULL;
    }

    for (i = 0; i < NGX_CANARY_FLEET_KEYS; i++) {
        arg = ngx_array_push(args);
        *arg = node->keys[i];
    }

    ngx_canary_fleet_arg(args, "%s", node->core.conf.name);
    ngx_canary_fleet_arg(args, "%08xD", node->core.kept.incarnation);

    return args;
}


/* one that there was no memory for has no data */

static ngx_int_t
ngx_canary_fleet_send(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_script_e script, ngx_array_t *args, ngx_pool_t *pool,
    ngx_canary_redis_answer_pt answer, void *data)
{
    ngx_int_t    rc;
    ngx_str_t   *arg;
    ngx_uint_t   i;

    rc = NGX_OK;
    arg = args->elts;

    for (i = 0; i < args->nelts; i++) {
        if (arg[i].data == NULL) {
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_canary_redis_eval(node->redis,
                                   &ngx_canary_fleet_scripts[script],
                                   NGX_CANARY_FLEET_KEYS, args, answer, data);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static void
ngx_canary_fleet_arg_text(ngx_array_t *args, const char *text, size_t len)
{
    u_char     *copy;
    ngx_str_t  *arg;

    copy = ngx_pnalloc(args->pool, len + 1);
    arg = copy ? ngx_array_push(args) : NULL;

    if (arg == NULL) {
        ngx_canary_fleet_arg_lost(args);
        return;
    }

    arg->len = len;
    arg->data = copy;

    ngx_memcpy(copy, text, len);
}


/* the keys are always there */

static void
ngx_canary_fleet_arg_lost(ngx_array_t *args)
{
    ngx_str_t  *arg;

    arg = args->elts;
    arg->data = NULL;
}


static void
ngx_canary_fleet_arg(ngx_array_t *args, const char *fmt, ...)
{
    u_char   text[CANARY_NAME_SIZE + NGX_INT64_LEN], *last;
    va_list  list;

    va_start(list, fmt);
    last = ngx_vslprintf(text, text + sizeof(text), fmt, list);
    va_end(list);

    ngx_canary_fleet_arg_text(args, (char *) text, last - text);
}


/* where it is in Redis: what is not there is not sealed */

static void
ngx_canary_fleet_arg_sealed(ngx_canary_fleet_node_t *node, ngx_array_t *args,
    ngx_canary_fleet_key_e key, const char *field, const ngx_str_t *text)
{
    u_char     *data, seal[NGX_CANARY_FLEET_SEAL];
    ngx_int_t   len;

    len = text->len ? ngx_canary_fleet_seal(node, key, field, text, seal) : 0;
    data = (len == NGX_ERROR) ? NULL : malloc(text->len + len + 1);

    if (data == NULL) {
        ngx_canary_fleet_arg_lost(args);
        return;
    }

    ngx_memcpy(ngx_cpymem(data, text->data, text->len), seal, len);

    ngx_canary_fleet_arg_text(args, (char *) data, text->len + len);

    free(data);
}


ngx_int_t
ngx_canary_fleet_ask_join(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo, uint64_t now)
{
    uint32_t              i;
    ngx_pool_t           *pool;
    ngx_array_t          *args;
    canary_fleet_kept_t  *kept;

    args = ngx_canary_fleet_args(node, &pool);
    if (args == NULL) {
        return NGX_ERROR;
    }

    kept = &node->core.kept;
    node->join_sent = now;

    ngx_canary_fleet_arg(args, kept->before ? "%08xD" : "%uD", kept->before);
    ngx_canary_fleet_arg(args, "%s", todo->seed);
    ngx_canary_fleet_arg(args, "%uL",
                         canary_fleet_filed_version(&node->core));
    ngx_canary_fleet_arg(args, "%uL", node->cmcf->zone->last_event);
    ngx_canary_fleet_arg(args, "%uD", kept->nseeds);

    for (i = 0; i < kept->nseeds; i++) {
        ngx_canary_fleet_arg(args, "%s", kept->seeds[i]);
    }

    for (i = 0; i < kept->nmembers; i++) {
        ngx_canary_fleet_arg(args, "%s", kept->members[i].name);
        ngx_canary_fleet_arg(args, "%uL", kept->members[i].number);
    }

    return ngx_canary_fleet_send(node, NGX_CANARY_FLEET_JOIN, args, pool,
                                 ngx_canary_fleet_joined, node);
}


ngx_int_t
ngx_canary_fleet_ask_tick(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo, uint64_t now)
{
    ngx_uint_t    leads;
    ngx_pool_t   *pool;
    ngx_array_t  *args;

    args = ngx_canary_fleet_args(node, &pool);
    if (args == NULL) {
        return NGX_ERROR;
    }

    node->tick_sent = now;
    leads = (node->core.state == CANARY_FLEET_LEADER);

    ngx_canary_fleet_arg(args, node->core.kept.before ? "%08xD" : "%uD",
                         node->core.kept.before);
    ngx_canary_fleet_arg(args, "%s", todo->seed);
    ngx_canary_fleet_arg(args, "%uL", todo->version);
    ngx_canary_fleet_arg(args, "%uL", todo->filed);
    ngx_canary_fleet_arg(args, "%uL", node->core.conf.timeout);
    ngx_canary_fleet_arg(args, !todo->may_lead ? "0"
                               : node->conf->nkeys ? "2" : "1");
    ngx_canary_fleet_arg(args, "%uD", todo->term);
    ngx_canary_fleet_arg(args, todo->time ? "%uL" : "", todo->time);
    ngx_canary_fleet_arg(args, todo->second ? "1" : "0");

    ngx_canary_fleet_presence(node, args, 0);

    node->told = todo->evidence;

    ngx_canary_fleet_arg_parcel(node, args, NGX_CANARY_FLEET_COHORTS, now);
    ngx_canary_fleet_arg(args, leads ? "%uL" : "", todo->quorum);
    ngx_canary_fleet_arg_parcel(node, args, NGX_CANARY_FLEET_ORDERS, now);
    ngx_canary_fleet_arg_parcel(node, args, NGX_CANARY_FLEET_TESTS, now);
    ngx_canary_fleet_arg_figures(node, args, now);

    return ngx_canary_fleet_send(node, NGX_CANARY_FLEET_TICK, args, pool,
                                 ngx_canary_fleet_ticked, node);
}


/* empty, if there is nothing to tell, or no memory: the next one tells all */

static void
ngx_canary_fleet_arg_parcel(ngx_canary_fleet_node_t *node, ngx_array_t *args,
    ngx_canary_fleet_part_e kind, uint64_t now)
{
    ngx_str_t   parcel, word;
    ngx_uint_t  tests;

    ngx_str_null(&parcel);

    if (!node->told
        || ngx_canary_fleet_parcel(node, kind, now, &parcel) != NGX_OK)
    {
        parcel.len = 0;
    }

    if (parcel.len == 0) {
        ngx_canary_fleet_arg(args, "");
        free(parcel.data);
        return;
    }

    if (kind != NGX_CANARY_FLEET_ORDERS) {
        tests = (kind == NGX_CANARY_FLEET_TESTS);

        ngx_canary_fleet_arg_sealed(node, args,
                                    tests ? NGX_CANARY_FLEET_TRIAL
                                          : NGX_CANARY_FLEET_EV,
                                    tests ? "" : node->core.conf.name,
                                    &parcel);
        free(parcel.data);
        return;
    }

    /* a word */

    word.data = malloc(ngx_base64_encoded_length(parcel.len));

    if (word.data) {
        ngx_encode_base64url(&word, &parcel);
        ngx_canary_fleet_arg_sealed(node, args, NGX_CANARY_FLEET_LIVE,
                                    "@lead", &word);

    } else {
        ngx_canary_fleet_arg(args, "");
    }

    free(word.data);
    free(parcel.data);
}


static void
ngx_canary_fleet_arg_figures(ngx_canary_fleet_node_t *node, ngx_array_t *args,
    uint64_t now)
{
    ngx_str_t    bytes;
    ngx_uint_t   i;

    for (i = 0; i < node->n; i++) {
        if (ngx_canary_fleet_figures(node, i, now, &bytes) == NGX_OK) {
            ngx_canary_fleet_arg_text(args, node->endpoints[i].word,
                                      ngx_strlen(node->endpoints[i].word));

            ngx_canary_fleet_arg_sealed(node, args, NGX_CANARY_FLEET_VIEW,
                                        node->endpoints[i].word, &bytes);
        }
    }
}


/*
 * The first line is the node itself, the rest what it lacks.  One that leaves
 * has nothing to say where nobody would know that it is from it.
 */

static void
ngx_canary_fleet_presence(ngx_canary_fleet_node_t *node, ngx_array_t *args,
    ngx_uint_t leaves)
{
    char        *text, *last;
    size_t       room;
    u_char       address[NGX_SOCKADDR_STRLEN];
    ngx_str_t    all;
    ngx_uint_t   i, lines;

    if (leaves && node->conf->nkeys == 0) {
        ngx_canary_fleet_arg(args, "");
        return;
    }

    room = NGX_SOCKADDR_STRLEN + NGX_INT64_LEN + 3
           + canary_fleet_signed_room(&node->core) + CANARY_FLEET_LACK_SIZE
           + NGX_CANARY_FLEET_LACKS * CANARY_FLEET_LACK_SIZE;

    text = ngx_alloc(room, ngx_cycle->log);

    if (text == NULL) {
        ngx_canary_fleet_arg(args, "- 0\n");
        return;
    }

    last = (char *) ngx_sprintf((u_char *) text, "%*s %uD",
                                ngx_canary_redis_local(node->redis, address),
                                address,
                                canary_fleet_clock_error(
                                    &node->core.kept.clock));

    last += canary_fleet_signed_print(&node->core, (int) leaves,
                                      ngx_canary_milliseconds(), last);
    *last++ = '\n';

    if (ngx_canary_fleet_is_older(node)) {
        last += canary_fleet_lack_print(CANARY_FLEET_LACKS_VERSION, NULL, NULL,
                                        last);
    }

    for (i = 0, lines = 0; i < node->n && lines < NGX_CANARY_FLEET_LACKS; i++)
    {
        room = ngx_canary_fleet_lacks(node, i, last);
        last += room;
        lines += (room != 0);
    }

    all.data = (u_char *) text;
    all.len = last - text;

    ngx_canary_fleet_arg_sealed(node, args, NGX_CANARY_FLEET_LIVE,
                                node->core.conf.name, &all);

    ngx_free(text);
}


/* than another node, by what there is that it cannot read */

static ngx_uint_t
ngx_canary_fleet_is_older(ngx_canary_fleet_node_t *node)
{
    ngx_uint_t  i;

    for (i = 0; i < node->n; i++) {
        if (node->endpoints[i].newer) {
            return 1;
        }
    }

    return node->newer
           && ngx_canary_milliseconds() - node->newer < CANARY_FLEET_GONE;
}


static size_t
ngx_canary_fleet_lacks(ngx_canary_fleet_node_t *node, ngx_uint_t i, char *line)
{
    size_t                        len;
    ngx_uint_t                    n;
    canary_fleet_record_t        *record;
    ngx_canary_shared_t          *shared;
    ngx_canary_release_shared_t  *place;
    char                          name[CANARY_STATE_ENDPOINT_NAME];

    shared = node->endpoints[i].shared;
    record = &node->states[i].ours;

    if (canary_fleet_unescape(node->endpoints[i].word,
                              ngx_strlen(node->endpoints[i].word), name,
                              sizeof(name))
        == 0)
    {
        return 0;
    }

    if (shared == NULL) {
        return canary_fleet_lack_print(CANARY_FLEET_LACKS_ENDPOINT, name, NULL,
                                       line);
    }

    if (record->phase == CANARY_IDLE || record->canary[0] == '\0') {
        return 0;
    }

    len = ngx_strlen(record->canary);

    for (n = 0; n < CANARY_RELEASES; n++) {
        place = shared->releases[n];

        if (place && place->len == len
            && ngx_memcmp(place->name, record->canary, len) == 0
            && ngx_canary_release_configured(shared->zone, place))
        {
            return ngx_canary_fleet_lacks_more(shared, name, line);
        }
    }

    return canary_fleet_lack_print(CANARY_FLEET_LACKS_RELEASE, name,
                                   record->canary, line);
}


/* a match of a rule, the first of those that are not configured; or a server */

static size_t
ngx_canary_fleet_lacks_more(ngx_canary_shared_t *shared, const char *name,
    char *line)
{
    ngx_uint_t   i, missing;
    const char  *server;
    char         match[CANARY_MATCH_SIZE], release[CANARY_NAME_SIZE];

    ngx_canary_lock(shared->zone);

    server = ngx_canary_fleet_lacks_server(shared, release);

    missing = shared->evidence ? shared->evidence->missing : 0;

    for (i = 0; i < CANARY_MATCHES_MAX && !(missing & 1u << i); i++) {
        /* void */
    }

    if (missing) {
        ngx_memcpy(match,
                   ngx_canary_record(shared)->rollout.strategy.matches.names[i],
                   CANARY_MATCH_SIZE);
    }

    ngx_canary_unlock(shared->zone);

    if (missing) {
        return canary_fleet_lack_print(CANARY_FLEET_LACKS_MATCH, name, match,
                                       line);
    }

    return server ? canary_fleet_lack_print(CANARY_FLEET_LACKS_SERVER, name,
                                            server, line)
                  : 0;
}


/*
 * Under the lock: a release of the rollout in which requests have met no live
 * server, and which was not found back since; NULL: none.  At 100 % nobody
 * asks stable.
 */

static const char *
ngx_canary_fleet_lacks_server(ngx_canary_shared_t *shared, char *release)
{
    uint32_t                      id;
    ngx_uint_t                    side;
    const canary_rollout_t       *rollout;
    ngx_canary_release_shared_t  *place;

    rollout = &ngx_canary_record(shared)->rollout;

    for (side = 0; side < CANARY_SIDES; side++) {
        id = (side == CANARY_SIDE_CANARY) ? rollout->canary : rollout->stable;

        if (rollout->phase == CANARY_IDLE || id >= CANARY_RELEASES
            || !canary_away_marked(&shared->away[side], rollout->number)
            || (side == CANARY_SIDE_STABLE && rollout->weight == CANARY_ONE))
        {
            continue;
        }

        place = shared->releases[id];

        (void) ngx_snprintf((u_char *) release, CANARY_NAME_SIZE, "%*s%Z",
                            place->len, place->name);
        return release;
    }

    return NULL;
}


ngx_int_t
ngx_canary_fleet_ask_commit(ngx_canary_fleet_node_t *node,
    const canary_fleet_todo_t *todo)
{
    char         *text, base[32];
    size_t        len;
    uintptr_t     i;
    ngx_str_t     record;
    ngx_pool_t   *pool;
    ngx_array_t  *args;

    static const char *const  modes[] = { "any", "expose", "step" };

    i = todo->endpoint;

    args = ngx_canary_fleet_args(node, &pool);
    if (args == NULL) {
        return NGX_ERROR;
    }

    text = ngx_canary_fleet_write(node, i, &todo->record,
                                  todo->act == CANARY_FLEET_COMMIT, &len);
    if (text == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ngx_canary_fleet_arg_text(args, node->endpoints[i].word,
                              ngx_strlen(node->endpoints[i].word));
    ngx_canary_fleet_arg_text(args, todo->over ? "*" : base,
                              todo->over
                              ? 1 : canary_fleet_record_base(&todo->base,
                                                             base));

    record.data = (u_char *) text;
    record.len = len;

    ngx_canary_fleet_arg_sealed(node, args, NGX_CANARY_FLEET_REC,
                                node->endpoints[i].word, &record);
    ngx_canary_fleet_arg(args, modes[todo->mode]);
    ngx_canary_fleet_arg(args, "");
    ngx_canary_fleet_arg(args, "%uL", todo->not_after);
    ngx_canary_fleet_arg(args, "%uL", node->core.conf.timeout);

    free(text);

    return ngx_canary_fleet_send(node, NGX_CANARY_FLEET_COMMIT, args, pool,
                                 ngx_canary_fleet_committed, (void *) i);
}


ngx_int_t
ngx_canary_fleet_ask_bye(ngx_canary_fleet_node_t *node)
{
    ngx_pool_t   *pool;
    ngx_array_t  *args;

    args = ngx_canary_fleet_args(node, &pool);
    if (args == NULL) {
        return NGX_ERROR;
    }

    ngx_canary_fleet_presence(node, args, 1);

    return ngx_canary_fleet_send(node, NGX_CANARY_FLEET_BYE, args, pool,
                                 ngx_canary_fleet_said_bye, node);
}


/* its arguments are not those that other scripts begin with */

ngx_int_t
ngx_canary_fleet_ask_forget(ngx_canary_fleet_node_t *node, const char *name,
    const char *event)
{
    ngx_str_t     text;
    ngx_pool_t   *pool;
    ngx_array_t  *args;

    args = ngx_canary_fleet_args(node, &pool);
    if (args == NULL) {
        return NGX_ERROR;
    }

    text.data = (u_char *) event;
    text.len = ngx_strlen(event);

    args->nelts = NGX_CANARY_FLEET_KEYS;

    ngx_canary_fleet_arg(args, "%s", name);
    ngx_canary_fleet_arg(args, "%s", node->core.conf.name);
    ngx_canary_fleet_arg_sealed(node, args, NGX_CANARY_FLEET_LOG, "", &text);

    return ngx_canary_fleet_send(node, NGX_CANARY_FLEET_FORGET, args, pool,
                                 ngx_canary_fleet_said_forget, node);
}


static void
ngx_canary_fleet_said_bye(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
}
