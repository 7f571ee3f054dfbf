
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_REDIS_H_INCLUDED_
#define _NGX_CANARY_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <hiredis/hiredis.h>


/*
 * A connection to Redis, over nginx's events: each time it is made to the next
 * address, until one answers as a master.  When to try, and how long to wait,
 * is up to the caller.  The protocol is parsed and written by hiredis.
 */


/* one of the hosts that may be the master */

typedef struct {
    ngx_str_t                   host;      /* without brackets; what its
                                              certificate has to have */
    in_port_t                   port;      /* 0: a unix socket */
    ngx_addr_t                 *addrs;     /* none: to be looked up at each
                                              connect */
    ngx_uint_t                  naddrs;
} ngx_canary_redis_server_t;


/* as configured */

typedef struct {
    ngx_array_t                 servers;   /* of the above, one or more */
    ngx_str_t                   user;      /* empty: the default one */
    ngx_str_t                   password;  /* empty: none */
    ngx_uint_t                  db;
    ngx_msec_t                  timeout;   /* for a connect, for an answer:
                                              the caller's */
    ngx_ssl_t                  *ssl;       /* NULL: no TLS */
    ngx_str_t                   server_name;   /* empty: the host's */
    ngx_resolver_t             *resolver;  /* of names without addresses */
    ngx_msec_t                  resolver_timeout;
} ngx_canary_redis_conf_t;


/* a script and its SHA-1 in 40 hexadecimal digits */

typedef struct {
    const char                 *name;
    const char                 *text;
    size_t                      len;
    const char                 *sha1;
} ngx_canary_redis_script_t;


#define NGX_CANARY_REDIS_SCRIPTS    8      /* that a connection may use */
#define NGX_CANARY_REDIS_ERROR      256    /* bytes of a reason */


typedef struct ngx_canary_redis_s  ngx_canary_redis_t;

/*
 * What became of a command: the answer, which is freed after this, and may be
 * an error of Redis'; or NULL if the connection ended before there was one,
 * and the command may have been carried out or not.
 */

typedef void (*ngx_canary_redis_answer_pt)(ngx_canary_redis_t *redis,
    redisReply *reply, void *data);


typedef struct {
    /* it was made, TLS and AUTH included, and may be used */
    void                      (*ready)(ngx_canary_redis_t *redis);
    /* it was not made, or has ended: its commands got NULL */
    void                      (*lost)(ngx_canary_redis_t *redis);
} ngx_canary_redis_events_t;


/* what there is to know, for metrics and GET fleet; not to be written */

typedef struct {
    ngx_str_t                   address;   /* that is, or was, connected to */
    ngx_str_t                   error;     /* why the last one ended; empty
                                              while all is well */
    ngx_uint_t                  ready;
    uint64_t                    connects;
    uint64_t                    sent;      /* bytes */
    uint64_t                    received;
} ngx_canary_redis_status_t;


/* NULL: no memory.  Nothing is connected yet */
ngx_canary_redis_t *ngx_canary_redis_create(ngx_canary_redis_conf_t *conf,
    const ngx_canary_redis_events_t *events, void *data, ngx_log_t *log);

/* begins to connect; there must be no connection */
void ngx_canary_redis_connect(ngx_canary_redis_t *redis);

/*
 * Ends the connection, or the attempt at one, for a reason that is logged.
 * Commands without an answer get NULL; lost() is not called.
 */

void ngx_canary_redis_close(ngx_canary_redis_t *redis, const char *why);

void ngx_canary_redis_destroy(ngx_canary_redis_t *redis);

/*
 * Runs a script with its keys and arguments, after all that was sent before.
 * NGX_ERROR: there is no connection, or no memory, and answer is not called.
 */

ngx_int_t ngx_canary_redis_eval(ngx_canary_redis_t *redis,
    const ngx_canary_redis_script_t *script, ngx_uint_t nkeys,
    ngx_array_t *args, ngx_canary_redis_answer_pt answer, void *data);

/* sends what can be sent at once, for who is about to end */
void ngx_canary_redis_flush(ngx_canary_redis_t *redis);

/* the address of this machine on the connection, without a port, into
   NGX_SOCKADDR_STRLEN bytes; its length */
size_t ngx_canary_redis_local(ngx_canary_redis_t *redis, u_char *text);

void *ngx_canary_redis_data(ngx_canary_redis_t *redis);
const ngx_canary_redis_status_t *ngx_canary_redis_status(
    ngx_canary_redis_t *redis);


#endif /* _NGX_CANARY_REDIS_H_INCLUDED_ */
