
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_REDIS_CONNECTION_H_INCLUDED_
#define _NGX_CANARY_REDIS_CONNECTION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "canary_reply.h"

#include "ngx_canary_redis.h"


/* What the files of a connection share: the life of one, commands, TLS. */


typedef enum {
    NGX_CANARY_REDIS_CLOSED = 0,
    NGX_CANARY_REDIS_RESOLVING,
    NGX_CANARY_REDIS_CONNECTING,           /* TLS as well */
    NGX_CANARY_REDIS_GREETING,             /* AUTH, SELECT */
    NGX_CANARY_REDIS_READY
} ngx_canary_redis_state_e;


struct ngx_canary_redis_s {
    ngx_canary_redis_conf_t    *conf;
    ngx_canary_redis_events_t   events;
    void                       *data;
    ngx_log_t                  *log;
    ngx_log_t                   quiet;     /* for what is logged here, once */
    uint32_t                   *logged;    /* of each server, a hash of why it
                                              failed last */

    ngx_canary_redis_state_e    state;
    ngx_uint_t                  life;      /* counts connections that ended */
    ngx_uint_t                  server;    /* whose turn it is, */
    ngx_uint_t                  addr;      /* and its address */
    ngx_uint_t                  is_moved;  /* or that where MOVED leads: */
    ngx_canary_redis_server_t   moved;
    u_char                      moved_text[NGX_CANARY_REDIS_ERROR];
    u_char                      moved_name[NGX_SOCKADDR_STRLEN];
    ngx_addr_t                  moved_addr;
    ngx_pool_t                 *moved_pool;

    ngx_resolver_ctx_t         *resolving;
    ngx_pool_t                 *names;     /* what was looked up: */
    ngx_addr_t                 *addrs;
    ngx_uint_t                  naddrs;

    ngx_peer_connection_t       peer;
    canary_reply_t              reply;
    ngx_queue_t                 commands;  /* in the order of answers */
    const ngx_canary_redis_script_t  *known[NGX_CANARY_REDIS_SCRIPTS];
                                           /* that Redis has, */
    ngx_uint_t                  nknown;    /* as far as we know */

    ngx_canary_redis_status_t   status;
    u_char                      address[NGX_SOCKADDR_STRLEN];
    u_char                      error[NGX_CANARY_REDIS_ERROR];
};


/* the handshake; calls ngx_canary_redis_greet() or fails */
void ngx_canary_redis_handshake(ngx_canary_redis_t *redis);

/* whose turn it is */
ngx_canary_redis_server_t *ngx_canary_redis_server(ngx_canary_redis_t *redis);

/* the connection is there: AUTH and SELECT, then it is ready */
void ngx_canary_redis_greet(ngx_canary_redis_t *redis);

/* AUTH or SELECT; what follows it */
ngx_int_t ngx_canary_redis_command(ngx_canary_redis_t *redis, ngx_uint_t argc,
    const ngx_str_t *args, ngx_canary_redis_answer_pt answer, void *data);
void ngx_canary_redis_ready(ngx_canary_redis_t *redis);

void ngx_canary_redis_read(ngx_event_t *ev);
void ngx_canary_redis_write(ngx_event_t *ev);

/* NULL to all that wait */
void ngx_canary_redis_give_up(ngx_canary_redis_t *redis);

/* the connection ends; why as of ngx_sprintf() */
void ngx_canary_redis_failed(ngx_canary_redis_t *redis, const char *fmt, ...);

/* "MOVED slot host:port": the connection ends, and another one begins there */
void ngx_canary_redis_move(ngx_canary_redis_t *redis, ngx_str_t *target);

/* what Redis, or something on the way to it, says */
void ngx_canary_redis_note(ngx_canary_redis_t *redis, u_char *text,
    size_t len);


#endif /* _NGX_CANARY_REDIS_CONNECTION_H_INCLUDED_ */
