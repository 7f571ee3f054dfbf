
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_canary_redis.h"

#include "ngx_canary_redis_connection.h"


/*
 * Commands of a connection, one behind the other, and their answers.  What is
 * sent is sent when the event that asked for it is over, so that nobody loses
 * the connection in the middle of using it.
 */


#define NGX_CANARY_REDIS_BUFFER  65536
#define NGX_CANARY_REDIS_HEAD    128       /* EVALSHA and SHA-1, formatted */


typedef struct {
    ngx_queue_t                       queue;
    ngx_canary_redis_answer_pt        answer;
    void                             *data;
    const ngx_canary_redis_script_t  *script;    /* NULL: no script */
    ngx_uint_t                        argc;
    char                             *text;      /* hiredis', or as its */
    size_t                            len;
    size_t                            sent;
    ngx_uint_t                        told;      /* it has the script's text */
} ngx_canary_redis_command_t;


static ngx_canary_redis_command_t *ngx_canary_redis_add(
    ngx_canary_redis_t *redis, ngx_uint_t argc, const ngx_str_t *args);
static void ngx_canary_redis_free(ngx_canary_redis_command_t *command);
static ngx_int_t ngx_canary_redis_format(ngx_canary_redis_command_t *command,
    ngx_uint_t argc, const ngx_str_t *args);
static ngx_uint_t ngx_canary_redis_knows(ngx_canary_redis_t *redis,
    const ngx_canary_redis_script_t *script);
static ngx_int_t ngx_canary_redis_with_text(
    ngx_canary_redis_command_t *command);
static void ngx_canary_redis_authenticated(ngx_canary_redis_t *redis,
    redisReply *reply, void *data);
static void ngx_canary_redis_greeted(ngx_canary_redis_t *redis,
    redisReply *reply, void *data);
static ngx_uint_t ngx_canary_redis_answers(ngx_canary_redis_t *redis);
static void ngx_canary_redis_dispatch(ngx_canary_redis_t *redis,
    redisReply *reply);
static ngx_uint_t ngx_canary_redis_refuses(ngx_canary_redis_t *redis,
    ngx_canary_redis_command_t *command, redisReply *reply);
static ngx_uint_t ngx_canary_redis_begins(redisReply *reply,
    const char *prefix);


ngx_int_t
ngx_canary_redis_eval(ngx_canary_redis_t *redis,
    const ngx_canary_redis_script_t *script, ngx_uint_t nkeys,
    ngx_array_t *args, ngx_canary_redis_answer_pt answer, void *data)
{
    u_char                       number[NGX_INT_T_LEN];
    ngx_str_t                   *argv;
    ngx_canary_redis_command_t  *command;

    if (redis->state != NGX_CANARY_REDIS_READY) {
        return NGX_ERROR;
    }

    argv = ngx_alloc((args->nelts + 3) * sizeof(ngx_str_t), redis->log);
    if (argv == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "EVALSHA");

    argv[1].data = (u_char *) script->sha1;
    argv[1].len = ngx_strlen(script->sha1);

    argv[2].data = number;
    argv[2].len = ngx_sprintf(number, "%ui", nkeys) - number;

    ngx_memcpy(&argv[3], args->elts, args->nelts * sizeof(ngx_str_t));

    command = ngx_canary_redis_add(redis, args->nelts + 3, argv);

    ngx_free(argv);

    if (command == NULL) {
        return NGX_ERROR;
    }

    command->answer = answer;
    command->data = data;
    command->script = script;

    /* the first time with its text, which Redis then keeps */

    if (!ngx_canary_redis_knows(redis, script)
        && ngx_canary_redis_with_text(command) != NGX_OK)
    {
        ngx_queue_remove(&command->queue);
        ngx_canary_redis_free(command);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_canary_redis_command(ngx_canary_redis_t *redis, ngx_uint_t argc,
    const ngx_str_t *args, ngx_canary_redis_answer_pt answer, void *data)
{
    ngx_canary_redis_command_t  *command;

    command = ngx_canary_redis_add(redis, argc, args);
    if (command == NULL) {
        return NGX_ERROR;
    }

    command->answer = answer;
    command->data = data;

    return NGX_OK;
}


static ngx_canary_redis_command_t *
ngx_canary_redis_add(ngx_canary_redis_t *redis, ngx_uint_t argc,
    const ngx_str_t *args)
{
    ngx_event_t                 *wev;
    ngx_canary_redis_command_t  *command;

    command = ngx_calloc(sizeof(ngx_canary_redis_command_t), redis->log);
    if (command == NULL) {
        return NULL;
    }

    if (ngx_canary_redis_format(command, argc, args) != NGX_OK) {
        ngx_free(command);
        return NULL;
    }

    ngx_queue_insert_tail(&redis->commands, &command->queue);

    wev = redis->peer.connection->write;
    ngx_post_event(wev, &ngx_posted_events);

    return command;
}


static ngx_int_t
ngx_canary_redis_format(ngx_canary_redis_command_t *command, ngx_uint_t argc,
    const ngx_str_t *args)
{
    size_t        *lens;
    long long      len;
    ngx_uint_t     i;
    const char   **argv;

    argv = malloc(argc * (sizeof(char *) + sizeof(size_t)));
    if (argv == NULL) {
        return NGX_ERROR;
    }

    lens = (size_t *) (argv + argc);

    for (i = 0; i < argc; i++) {
        argv[i] = (const char *) args[i].data;
        lens[i] = args[i].len;
    }

    len = redisFormatCommandArgv(&command->text, (int) argc, argv, lens);

    free(argv);

    if (len < 0) {
        return NGX_ERROR;
    }

    command->len = (size_t) len;
    command->argc = argc;

    return NGX_OK;
}


static void
ngx_canary_redis_free(ngx_canary_redis_command_t *command)
{
    redisFreeCommand(command->text);
    ngx_free(command);
}


static ngx_uint_t
ngx_canary_redis_knows(ngx_canary_redis_t *redis,
    const ngx_canary_redis_script_t *script)
{
    ngx_uint_t  i;

    for (i = 0; i < redis->nknown; i++) {
        if (redis->known[i] == script) {
            return 1;
        }
    }

    if (redis->nknown < NGX_CANARY_REDIS_SCRIPTS) {
        redis->known[redis->nknown++] = script;
    }

    return 0;
}


/* EVALSHA becomes EVAL; what follows, keys and arguments, is the same */

static ngx_int_t
ngx_canary_redis_with_text(ngx_canary_redis_command_t *command)
{
    char                             *text, *last;
    u_char                            head[NGX_CANARY_REDIS_HEAD];
    size_t                            skip, tail;
    const ngx_canary_redis_script_t  *script;

    script = command->script;

    skip = ngx_sprintf(head, "*%ui\r\n$7\r\nEVALSHA\r\n$%uz\r\n%s\r\n",
                       command->argc, ngx_strlen(script->sha1), script->sha1)
           - head;

    tail = command->len - skip;

    text = malloc(NGX_CANARY_REDIS_HEAD + script->len + tail);
    if (text == NULL) {
        return NGX_ERROR;
    }

    last = (char *) ngx_sprintf((u_char *) text,
                                "*%ui\r\n$4\r\nEVAL\r\n$%uz\r\n",
                                command->argc, script->len);
    last = (char *) ngx_cpymem(last, script->text, script->len);
    last = (char *) ngx_cpymem(last, "\r\n", 2);
    last = (char *) ngx_cpymem(last, command->text + skip, tail);

    redisFreeCommand(command->text);

    command->text = text;
    command->len = last - text;
    command->sent = 0;
    command->told = 1;

    return NGX_OK;
}


void
ngx_canary_redis_greet(ngx_canary_redis_t *redis)
{
    u_char      number[NGX_INT_T_LEN];
    ngx_int_t   rc;
    ngx_str_t   args[3];
    ngx_uint_t  n;

    redis->state = NGX_CANARY_REDIS_GREETING;

    if (ngx_handle_read_event(redis->peer.connection->read, 0) != NGX_OK) {
        ngx_canary_redis_failed(redis, "no events");
        return;
    }

    rc = NGX_OK;

    if (redis->conf->password.len) {
        ngx_str_set(&args[0], "AUTH");
        n = 1;

        if (redis->conf->user.len) {
            args[n++] = redis->conf->user;
        }

        args[n++] = redis->conf->password;

        rc = ngx_canary_redis_command(redis, n, args,
                                      redis->conf->db
                                          ? ngx_canary_redis_authenticated
                                          : ngx_canary_redis_greeted, NULL);
    }

    if (redis->conf->db && rc == NGX_OK) {
        ngx_str_set(&args[0], "SELECT");
        args[1].data = number;
        args[1].len = ngx_sprintf(number, "%ui", redis->conf->db) - number;

        rc = ngx_canary_redis_command(redis, 2, args,
                                      ngx_canary_redis_greeted, NULL);
    }

    if (rc != NGX_OK) {
        ngx_canary_redis_failed(redis, "no memory");
        return;
    }

    if (ngx_queue_empty(&redis->commands)) {
        ngx_canary_redis_ready(redis);
    }
}


static void
ngx_canary_redis_authenticated(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_canary_redis_failed(redis, "it says: %*s", (size_t) reply->len,
                                reply->str);
    }
}


static void
ngx_canary_redis_greeted(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
    ngx_canary_redis_authenticated(redis, reply, data);

    if (reply && reply->type != REDIS_REPLY_ERROR) {
        ngx_canary_redis_ready(redis);
    }
}


void
ngx_canary_redis_write(ngx_event_t *ev)
{
    ssize_t                      n;
    ngx_queue_t                 *q;
    ngx_connection_t            *c;
    ngx_canary_redis_t          *redis;
    ngx_canary_redis_command_t  *command;

    c = ev->data;
    redis = c->data;

    for (q = ngx_queue_head(&redis->commands);
         q != ngx_queue_sentinel(&redis->commands);
         q = ngx_queue_next(q))
    {
        command = ngx_queue_data(q, ngx_canary_redis_command_t, queue);

        while (command->sent < command->len) {
            n = c->send(c, (u_char *) command->text + command->sent,
                        command->len - command->sent);

            if (n == NGX_AGAIN) {
                goto again;
            }

            if (n <= 0) {
                ngx_canary_redis_failed(redis, "the connection broke");
                return;
            }

            command->sent += n;
            redis->status.sent += n;
        }
    }

again:

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_canary_redis_failed(redis, "no events");
    }
}


void
ngx_canary_redis_flush(ngx_canary_redis_t *redis)
{
    if (redis->peer.connection) {
        ngx_canary_redis_write(redis->peer.connection->write);
    }
}


void
ngx_canary_redis_read(ngx_event_t *ev)
{
    ssize_t              n;
    ngx_uint_t           life;
    ngx_connection_t    *c;
    ngx_canary_redis_t  *redis;

    static u_char  buffer[NGX_CANARY_REDIS_BUFFER];

    c = ev->data;
    redis = c->data;
    life = redis->life;

    /* events are told once: until there is nothing more */

    for ( ;; ) {
        n = c->recv(c, buffer, sizeof(buffer));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            ngx_canary_redis_failed(redis, n ? "the connection broke"
                                             : "it closed the connection");
            return;
        }

        redis->status.received += n;

        if (!canary_reply_feed(&redis->reply, (char *) buffer, n)) {
            ngx_canary_redis_failed(redis, "%s", redis->reply.error);
            return;
        }

        if (!ngx_canary_redis_answers(redis) || redis->life != life) {
            return;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_canary_redis_failed(redis, "no events");
    }
}


/* 0: the connection is another one, or none */

static ngx_uint_t
ngx_canary_redis_answers(ngx_canary_redis_t *redis)
{
    ngx_uint_t   life;
    redisReply  *reply;

    life = redis->life;

    for ( ;; ) {
        reply = canary_reply_next(&redis->reply);

        if (reply == NULL) {

            if (redis->reply.error) {
                ngx_canary_redis_failed(redis, "%s", redis->reply.error);
                return 0;
            }

            return 1;
        }

        if (ngx_queue_empty(&redis->commands)) {
            freeReplyObject(reply);
            ngx_canary_redis_failed(redis, "it answers what nobody asked");
            return 0;
        }

        ngx_canary_redis_dispatch(redis, reply);

        freeReplyObject(reply);

        if (redis->life != life) {
            return 0;
        }
    }
}


static void
ngx_canary_redis_dispatch(ngx_canary_redis_t *redis, redisReply *reply)
{
    ngx_queue_t                 *q;
    ngx_canary_redis_command_t  *command;

    q = ngx_queue_head(&redis->commands);
    command = ngx_queue_data(q, ngx_canary_redis_command_t, queue);

    ngx_queue_remove(q);

    if (command->script) {

        if (reply->type != REDIS_REPLY_ERROR) {
            redis->status.error.len = 0;
            redis->logged[redis->is_moved ? redis->conf->servers.nelts
                                          : redis->server] = 0;

        } else if (ngx_canary_redis_refuses(redis, command, reply)) {
            return;
        }
    }

    command->answer(redis, reply, command->data);

    ngx_canary_redis_free(command);
}


/* errors that are about this address, or this way of asking; 1: dealt with */

static ngx_uint_t
ngx_canary_redis_refuses(ngx_canary_redis_t *redis,
    ngx_canary_redis_command_t *command, redisReply *reply)
{
    u_char      *last;
    ngx_str_t    target;
    const char  *const *code;

    static const char *const  elsewhere[] = {
        "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "ASK", NULL
    };

    /* somebody has made it forget: it is told once more, behind the others */

    if (ngx_canary_redis_begins(reply, "NOSCRIPT") && command->told == 0) {
        redis->nknown = 0;

        if (ngx_canary_redis_with_text(command) == NGX_OK) {
            (void) ngx_canary_redis_knows(redis, command->script);
            ngx_queue_insert_tail(&redis->commands, &command->queue);
            ngx_post_event(redis->peer.connection->write, &ngx_posted_events);
            return 1;
        }
    }

    /* it is among those that get no answer */

    if (ngx_canary_redis_begins(reply, "MOVED")) {
        ngx_queue_insert_head(&redis->commands, &command->queue);

        last = (u_char *) reply->str + reply->len;
        target.data = last;

        while (target.data > (u_char *) reply->str && target.data[-1] != ' ') {
            target.data--;
        }

        target.len = last - target.data;

        ngx_canary_redis_move(redis, &target);
        return 1;
    }

    for (code = elsewhere; *code; code++) {

        if (ngx_canary_redis_begins(reply, *code)) {
            ngx_queue_insert_head(&redis->commands, &command->queue);
            ngx_canary_redis_failed(redis, "it says: %*s",
                                    (size_t) reply->len, reply->str);
            return 1;
        }
    }

    ngx_canary_redis_note(redis, (u_char *) reply->str, reply->len);

    return 0;
}


/* the first word of an error */

static ngx_uint_t
ngx_canary_redis_begins(redisReply *reply, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return reply->len > len && ngx_strncmp(reply->str, word, len) == 0
           && reply->str[len] == ' ';
}


void
ngx_canary_redis_give_up(ngx_canary_redis_t *redis)
{
    ngx_queue_t                  commands, *q;
    ngx_canary_redis_command_t  *command;

    ngx_queue_init(&commands);

    if (!ngx_queue_empty(&redis->commands)) {
        ngx_queue_add(&commands, &redis->commands);
        ngx_queue_init(&redis->commands);
    }

    while (!ngx_queue_empty(&commands)) {
        q = ngx_queue_head(&commands);
        command = ngx_queue_data(q, ngx_canary_redis_command_t, queue);

        ngx_queue_remove(q);
        command->answer(redis, NULL, command->data);
        ngx_canary_redis_free(command);
    }
}
