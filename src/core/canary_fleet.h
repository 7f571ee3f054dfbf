
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_H
#define CANARY_FLEET_H


#include <stddef.h>
#include <stdint.h>

#include "canary_fleet_clock.h"
#include "canary_fleet_nodes.h"
#include "canary_fleet_record.h"
#include "canary_fleet_share.h"


/*
 * One node of a fleet, as a state machine: what has come and the time go in,
 * what is to be sent and what follows for the node's own rollouts come out.
 * Redis is where nodes meet, and each node has all records in its state file;
 * src/fleet has the scripts that this talks to.
 *
 * The shell owns the connection, the records and the file.  It tells what has
 * happened, by the functions below, and after each of them, and when
 * canary_fleet_due() has come, it does what canary_fleet_next() says until
 * that says CANARY_FLEET_NOTHING.  Answers of a connection come in the order
 * in which they were asked for.
 *
 * "now" and all times are ms of the node's own clock, which never goes back,
 * unless it says that they are those of Redis or of the fleet.  A clock that
 * stands still while the machine sleeps will do.
 */


#define CANARY_FLEET_TIMEOUT     500     /* ms: default of "timeout" */
#define CANARY_FLEET_YOUNG       3000    /* ms: data are, and leases */
#define CANARY_FLEET_LEASE       1000    /* ms of a leader without a tick */
#define CANARY_FLEET_STARTING    1000    /* ms at a start without Redis */
#define CANARY_FLEET_RETRY       1000    /* ms until a name, or a record that
                                            the file refused, is tried again */
#define CANARY_FLEET_SEEDS       16      /* the last ones are remembered */
#define CANARY_FLEET_CHANGES     64      /* records in one answer to a tick */
#define CANARY_FLEET_SEED_SIZE   24      /* bytes, with the zero */


typedef enum {
    CANARY_FLEET_STANDALONE = 0,
    CANARY_FLEET_JOINING,        /* since the start of nginx: serves stable */
    CANARY_FLEET_FOLLOWER,
    CANARY_FLEET_LEADER,         /* a follower, and takes the steps */
    CANARY_FLEET_ISOLATED,       /* keeps what it has, may stop, never raises */
    CANARY_FLEET_KEPT_OUT        /* another node has its name: serves stable */
} canary_fleet_state_t;


/* What a change is allowed under: the mode of a commit. */

typedef enum {
    CANARY_FLEET_ANY = 0,        /* it stops */
    CANARY_FLEET_EXPOSE,         /* needs a majority, and data that are not
                                    young */
    CANARY_FLEET_STEP            /* and the lease, and all nodes at the step */
} canary_fleet_mode_t;


/*
 * What is kept in shared memory over a reload, and in the state file over a
 * restart (there without the clock).  Plain data; the members that a node
 * lives on are in here.
 */

typedef struct {
    canary_fleet_clock_t   clock;
    uint32_t               incarnation;  /* of this nginx; random */
    uint32_t               before;       /* of the nginx before it, by the
                                            file; 0: none */
    uint32_t               term;         /* the highest of a leader */
    uint32_t               nseeds;       /* 0: never was in the fleet */
    char                   seeds[CANARY_FLEET_SEEDS][CANARY_FLEET_SEED_SIZE];
                                         /* that the fleet's data have had;
                                            the last is the present one */
    uint64_t               version;      /* of changes that this node knows;
                                            to be kept as
                                            canary_fleet_filed_version() */
    uint32_t               nmembers;
    canary_fleet_member_t  members[CANARY_FLEET_NODES];
} canary_fleet_kept_t;


/*
 * An endpoint: one that this node has, or one that only others have, whose
 * record it keeps in its file.  To be made by canary_fleet_endpoint_init();
 * the rest is canary_fleet.c's.
 */

typedef struct {
    canary_fleet_record_t  ours;         /* in effect here */
    canary_fleet_record_t  theirs;       /* the fleet's, as far as known */
    canary_fleet_record_t  root;         /* "ours" before it was stopped */
    canary_fleet_record_t  proposed;
    canary_fleet_record_t  base;         /* what that follows */
    canary_fleet_record_t  sent;         /* of a commit in flight */
    canary_fleet_record_t  sent_of;      /* "ours" when that was sent */
    uint64_t               filed;        /* generation that the file has */
    uint32_t               filed_uid;
    uint64_t               version;      /* of "theirs"; at most that */
    uint64_t               before;       /* while the file lacks "theirs": it
                                            has all up to this version */
    uint64_t               asked;        /* when it was proposed */
    uint8_t                mode;         /* canary_fleet_mode_t of that */
    uint8_t                proposal;     /* where that stands */
    uint8_t                result;       /* canary_fleet_result_t */
    uint8_t                flight;       /* what was sent; 0: nothing */
    uint8_t                known;        /* "theirs" is what the fleet has */
    uint8_t                untold;       /* "ours" is to be told */
    uint8_t                stopped;      /* it is a stop of this node */
    uint8_t                apply;        /* that is to be done to "theirs" */
    uint8_t                ends;         /* its rollout is not the fleet's */
    uint8_t                met;          /* for one pass over an answer */
} canary_fleet_endpoint_t;


/* What an answer says of an endpoint, and what follows from it. */

typedef enum {
    CANARY_FLEET_SAME = 0,   /* nothing */
    CANARY_FLEET_ADOPT,      /* take it: effect at once, then the file */
    CANARY_FLEET_RAISE,      /* take it: the file, then effect */
    CANARY_FLEET_LATER,      /* it would raise while the data are young: it
                                comes again by itself */
    CANARY_FLEET_OURS,       /* this node's stands: a commit follows */
    CANARY_FLEET_APPLY,      /* the rollout goes on in the fleet, but this node
                                has paused or halted it, and still has to tell:
                                give the record that the fleet has the head
                                that is now in "record", and propose that, by
                                canary_fleet_propose(), as CANARY_FLEET_ANY */
    CANARY_FLEET_RENAME      /* (commits) the fleet has what this node told,
                                but under the head that is now in "record":
                                give it to the node's own, at once; it never
                                raises */
} canary_fleet_what_t;

/*
 * To give a record a head: its generation, uid, phase and weight become those,
 * and its step that of the weight, which may be 0 while paused.
 */


typedef struct {
    unsigned               endpoint;     /* index */
    uint64_t               version;      /* of the change (ticks), else 0 */
    canary_fleet_record_t  record;       /* in; out with APPLY and RENAME */

    /*
     * Out.  What is on its way into the file already may be said again.
     * LATER, OURS and SAME ask for nothing.
     */

    canary_fleet_what_t    what;
    int                    dropped;      /* a stop of this node that was not
                                            told is lost by this: an event */
} canary_fleet_offer_t;


/*
 * Answers of the scripts.  Where they are not "OK" only "reply" is read.
 * Members and nodes are CANARY_FLEET_NODES at most.
 */

typedef enum {
    CANARY_FLEET_OK = 0,
    CANARY_FLEET_EMPTY,          /* no data (tick, commit) */
    CANARY_FLEET_LOST,           /* other or older data (tick, commit) */
    CANARY_FLEET_DUP,            /* another has the name (tick, join) */
    CANARY_FLEET_CONFLICTS,      /* commit: "offer" is what is there */
    CANARY_FLEET_WAITS           /* commit: "reason" */
} canary_fleet_reply_t;


typedef struct {
    canary_fleet_reply_t    reply;
    uint64_t                sent;        /* when it was asked for, and came */
    uint64_t                received;
    uint64_t                now;         /* ms of Redis */
    uint64_t                age;         /* of the data, ms */
    int                     foreign;     /* the data share no seed with this
                                            node: numbers of its records
                                            mean nothing */
    char                    seeds[CANARY_FLEET_SEEDS][CANARY_FLEET_SEED_SIZE];
    unsigned                nseeds;      /* of the data, the last is present */
    uint64_t                version;
    unsigned                nmembers;
    canary_fleet_member_t  *members;
    unsigned                noffers;     /* all records that there are */
    canary_fleet_offer_t   *offers;
} canary_fleet_join_t;


typedef struct {
    canary_fleet_reply_t    reply;
    uint64_t                sent;
    uint64_t                received;
    uint64_t                now;         /* ms of Redis */
    int64_t                 shift;       /* the fleet's time - that */
    int                     shifted;     /* there is a shift */
    uint64_t                version;
    int                     leads;       /* this node has the lease */
    char                    leader[CANARY_NAME_SIZE];    /* or empty */
    uint32_t                term;
    uint64_t                since;       /* of the lease, ms of Redis */
    uint64_t                age;         /* of the data, ms */
    uint64_t                quorum;      /* more than half of the members have
                                            this version in their files */
    unsigned                nmembers;    /* of "members" */
    canary_fleet_member_t  *members;     /* NULL: none have changed */
    unsigned                noffers;     /* what has changed, oldest first */
    canary_fleet_offer_t   *offers;
    uint64_t                upto;        /* the answer has all changes up to
                                            this version */

    /*
     * A leader gets them with each answer, others when they ask for what
     * there is once a second; have to stay until the next such answer.
     */

    unsigned                nnodes;
    canary_fleet_node_t    *nodes;       /* NULL: not in this answer */
} canary_fleet_ticked_t;


typedef struct {
    canary_fleet_reply_t    reply;
    uint64_t                version;     /* CANARY_FLEET_OK */
    const char             *reason;      /* CANARY_FLEET_WAITS */
    canary_fleet_offer_t    offer;       /* CANARY_FLEET_CONFLICTS: what is
                                            there, generation 0 if nothing.
                                            CANARY_FLEET_OK: out, "what" is
                                            SAME or RENAME */
} canary_fleet_committed_t;


/* What became of a proposal. */

typedef enum {
    CANARY_FLEET_DONE = 0,       /* the fleet has it: file, then effect */
    CANARY_FLEET_CONFLICT,       /* another change came first; nothing
                                    happened */
    CANARY_FLEET_WAIT,           /* not now: "reason"; nothing happened */
    CANARY_FLEET_UNREACHED,      /* it was not sent; nothing happened */
    CANARY_FLEET_UNKNOWN,        /* it was sent, but there was no answer */
    CANARY_FLEET_OVERTAKEN       /* the fleet has it, but a stop of this node
                                    came meanwhile, and is told now: nothing
                                    is to happen here */
} canary_fleet_result_t;


typedef enum {
    CANARY_FLEET_NOTHING = 0,    /* until an answer, or canary_fleet_due() */
    CANARY_FLEET_CONNECT,        /* to the next address */
    CANARY_FLEET_DISCONNECT,     /* no answer in time: close, and forget what
                                    is in flight; this machine has */
    CANARY_FLEET_JOIN,           /* send it, with "kept" */
    CANARY_FLEET_TELL,           /* send a commit: "ours" of the endpoint, with
                                    generation, uid, phase and weight of
                                    "record" */
    CANARY_FLEET_COMMIT,         /* send a commit of what was proposed */
    CANARY_FLEET_SEND_TICK,
    CANARY_FLEET_CONCLUDE,       /* a proposal: "result", "reason" */
    CANARY_FLEET_END             /* the endpoint's rollout is of no fleet, or of
                                    another: roll it back here, and call
                                    canary_fleet_stopped() */
} canary_fleet_act_t;


typedef struct {
    canary_fleet_act_t      act;

    /* TELL, COMMIT, CONCLUDE, END */

    unsigned                endpoint;
    canary_fleet_record_t   record;      /* to be committed */
    canary_fleet_record_t   base;        /* it is based on; generation 0:
                                            none */
    canary_fleet_mode_t     mode;
    uint64_t                not_after;   /* ms of Redis; 0: at any time */
    canary_fleet_result_t   result;      /* CONCLUDE */
    const char             *reason;      /* CONCLUDE of WAIT; until the next
                                            call */

    /* JOIN: the seed if there are no data; SEND_TICK: the one it knows */

    char                    seed[CANARY_FLEET_SEED_SIZE];

    /* SEND_TICK */

    uint64_t                version;     /* of changes that it knows */
    uint64_t                filed;       /* that its file has */
    uint32_t                term;
    int                     may_lead;
    uint64_t                time;        /* of the fleet; 0: not known */
    uint64_t                quorum;      /* a leader's */
    int                     evidence;    /* send it: a slot has closed */
    int                     second;      /* send what is sent once a second,
                                            and ask for it */
} canary_fleet_todo_t;


typedef struct {
    const char              *name;       /* of this node; stays the caller's */
    uint64_t                 timeout;    /* ms, 200..5000 */
    uint64_t                 random;     /* really random */
    int                      goes_on;    /* after a reload, not a start */
} canary_fleet_conf_t;


/*
 * The node.  "state", "kept" and what is marked so are for the shell to read;
 * the rest is canary_fleet.c's.
 */

typedef struct {
    canary_fleet_state_t      state;        /* read */
    canary_fleet_kept_t       kept;         /* read: to be kept */
    uint32_t                  changed;      /* read: counts changes of "kept"
                                               but of version and clock */
    char                      leader[CANARY_NAME_SIZE];   /* read */
    char                      reason[CANARY_REASON_SIZE]; /* of a WAIT */
    uint64_t                  since;        /* read: of the present lease, ms
                                               of Redis */
    uint64_t                  quorum;       /* read: versions up to this one
                                               are durable */
    uint64_t                  last;         /* read: ms of the node: the last
                                               answer; 0: none yet */
    uint32_t                  rtt;          /* read: ms of the last tick */
    unsigned                  nnodes;       /* read: as the last answer that
                                               had them */
    canary_fleet_node_t      *nodes;

    canary_fleet_conf_t       conf;
    unsigned                  nendpoints;
    canary_fleet_endpoint_t  *endpoints;
    uint64_t                  random;
    uint64_t                  started;
    uint64_t                  connect_at;   /* when to try next */
    uint64_t                  again;        /* when to join anew; 0: not */
    uint64_t                  tick_at;      /* when the next one is due */
    uint64_t                  waiting;      /* since when for an answer */
    uint64_t                  slot;         /* that evidence was sent of */
    uint64_t                  second;       /* when that was last asked for */
    uint32_t                  failures;     /* to connect, in a row */
    uint32_t                  flight;       /* answers to come */
    uint8_t                   connection;   /* where that stands */
    uint8_t                   joined;       /* on this connection */
    uint8_t                   joining;      /* a join is in flight */
    uint8_t                   ticking;      /* a tick is in flight */
    uint8_t                   may_lead;
    uint8_t                   busy;         /* there is a rollout: the beat */
} canary_fleet_t;


/*
 * An endpoint whose record here is "ours" (generation 0: it has none), and
 * whether the file has that.  A reload may find that "ours" was not told yet:
 * then canary_fleet_stopped() follows, after canary_fleet_init().
 */

void canary_fleet_endpoint_init(canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *ours, int filed);

/*
 * Begins; the array stays the caller's, and with it what it holds.  "kept" is
 * as it was (all zero: never in a fleet), but for its incarnation: another one
 * after each start of nginx, the same after a reload.
 */

void canary_fleet_init(canary_fleet_t *fleet, const canary_fleet_conf_t *conf,
    const canary_fleet_kept_t *kept, canary_fleet_endpoint_t *endpoints,
    unsigned nendpoints, uint64_t now);

/* There are more endpoints, after those that there were, in this array. */

void canary_fleet_endpoints(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoints, unsigned nendpoints);


/* What has happened to the connection: made, TLS and AUTH included ... */

void canary_fleet_connected(canary_fleet_t *fleet, uint64_t now);

/* ... not made, broken, or an error was answered on it and it is closed. */

void canary_fleet_disconnected(canary_fleet_t *fleet, uint64_t now);


/*
 * What has happened here.
 *
 * A change that exposes, or a step, or one that CANARY_FLEET_APPLY asked for,
 * is to be made: "record" follows what is in effect, by its generation, has a
 * uid of canary_fleet_uid(), and is not in effect.  CANARY_FLEET_CONCLUDE will
 * follow, within the timeout and about as long again.  0: not now, since this
 * node is not in touch with the fleet, or another proposal is not concluded.
 */

int canary_fleet_propose(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record, canary_fleet_mode_t mode,
    uint64_t now);

/* Something stops: "record" is in effect, whatever the fleet says. */

void canary_fleet_stopped(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record);

/* What was adopted, renamed or done is in effect; */

void canary_fleet_effective(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record);

/* the file has it; */

void canary_fleet_filed(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record);

/*
 * or will not have it, or may not raise any more, and it did not take effect:
 * it comes again later.
 */

void canary_fleet_not_filed(canary_fleet_t *fleet, unsigned endpoint,
    uint64_t now);

/*
 * Whether the node may lead, as far as it knows itself (what others have and
 * it lacks, the script sees); and whether there is a rollout here: the beat.
 */

void canary_fleet_set(canary_fleet_t *fleet, int may_lead, int busy);


/* Answers.  All of an answer's offers are judged; "what" says what follows. */

void canary_fleet_join_answer(canary_fleet_t *fleet, canary_fleet_join_t *join,
    uint64_t now);
void canary_fleet_tick_answer(canary_fleet_t *fleet,
    canary_fleet_ticked_t *tick, uint64_t now);
void canary_fleet_commit_answer(canary_fleet_t *fleet, unsigned endpoint,
    canary_fleet_committed_t *commit, uint64_t now);


/* What is to be done; whatever is to be sent counts as sent by this. */

void canary_fleet_next(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo);

/* When to ask again if nothing happens before; at least "now" + 1. */

uint64_t canary_fleet_due(const canary_fleet_t *fleet, uint64_t now);


/* A uid, or any random number but 0. */

uint32_t canary_fleet_uid(canary_fleet_t *fleet);

/* Whether it is in touch with the fleet: follower or leader. */

int canary_fleet_reached(const canary_fleet_t *fleet);

/*
 * Whether a record that raises may take effect now that the file has it, be it
 * adopted or this node's own: in touch, and the data are not young.
 */

int canary_fleet_may_raise(const canary_fleet_t *fleet, uint64_t now);

/*
 * From when until when that is so, ms of the node, if it hears nothing more;
 * "until" is 0 if it is not in touch.
 */

void canary_fleet_raises(const canary_fleet_t *fleet, uint64_t *from,
    uint64_t *until);

/* The version that the file has: all changes up to it. */

uint64_t canary_fleet_filed_version(const canary_fleet_t *fleet);

/*
 * How far "ours" of an endpoint has come: not in the fleet yet, there, or also
 * in the files of this node and of more than half of all members.
 */

typedef enum {
    CANARY_FLEET_NOT_TOLD = 0,
    CANARY_FLEET_TOLD,
    CANARY_FLEET_DURABLE
} canary_fleet_told_t;

canary_fleet_told_t canary_fleet_told(const canary_fleet_t *fleet,
    unsigned endpoint);

/*
 * Why this node may not take a step of an endpoint now ("word": its name as
 * canary_fleet_escape() makes it), as users read it in waiting_for; the
 * length, cut to the size, 0: it may.  Only a leader has to wait for nodes,
 * and the script looks again.
 */

size_t canary_fleet_waits(const canary_fleet_t *fleet, unsigned endpoint,
    const char *word, uint64_t now, char *text, size_t size);


#endif /* CANARY_FLEET_H */
