
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "canary_fleet_internal.h"


/* Why a step of an endpoint has to wait, in the words that users read. */


typedef struct {
    char    *text;
    size_t   size;
    size_t   len;        /* that it has, or would have */
} canary_fleet_text_t;


/* One thing that nodes have to be waited for; its text for a node, or NULL. */

typedef struct {
    const canary_fleet_t           *fleet;
    const canary_fleet_endpoint_t  *endpoint;
    uint64_t                        now;       /* ms of Redis */
} canary_fleet_look_t;

typedef int (*canary_fleet_is_pt)(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node);


static void canary_fleet_add(canary_fleet_text_t *text, const char *s,
    size_t len);
static size_t canary_fleet_say_so(canary_fleet_text_t *text, const char *s);
static unsigned canary_fleet_count(const canary_fleet_look_t *look,
    canary_fleet_is_pt is);
static size_t canary_fleet_name_all(const canary_fleet_look_t *look,
    canary_fleet_is_pt is, const char *one, const char *many,
    canary_fleet_text_t *text);
static int canary_fleet_is_live(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node);
static int canary_fleet_is_silent(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node);
static int canary_fleet_is_behind(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node);
static size_t canary_fleet_say_minority(const canary_fleet_look_t *look,
    canary_fleet_text_t *text);
static size_t canary_fleet_say_lacks(const canary_fleet_look_t *look,
    const char *word, canary_fleet_text_t *text);
static int canary_fleet_is_about(const char *line, size_t line_len,
    const char *word, size_t len);
static void canary_fleet_say_lack(const char *node, const char *word,
    const char *line, size_t len, canary_fleet_text_t *text);


size_t
canary_fleet_waits(const canary_fleet_t *fleet, unsigned endpoint,
    const char *word, uint64_t now, char *buffer, size_t size)
{
    size_t               len;
    canary_fleet_text_t  text = { buffer, size, 0 };
    canary_fleet_look_t  look = { fleet, &fleet->endpoints[endpoint],
                                  now + (uint64_t) fleet->kept.clock.server };

    buffer[0] = '\0';

    if (!canary_fleet_reached(fleet) || !fleet->joined) {
        return canary_fleet_say_so(&text, "the fleet cannot be reached");
    }

    if (now < fleet->kept.clock.born + CANARY_FLEET_YOUNG) {
        return canary_fleet_say_so(&text, "nodes gather");
    }

    if (fleet->leader[0] == '\0') {
        return canary_fleet_say_so(&text, "a new leader");
    }

    if (fleet->state != CANARY_FLEET_LEADER) {
        return 0;
    }

    len = canary_fleet_say_minority(&look, &text);

    if (len == 0 && look.now < fleet->since + CANARY_FLEET_YOUNG) {
        len = canary_fleet_say_so(&text, "a new leader");
    }

    if (len == 0) {
        len = canary_fleet_name_all(&look, canary_fleet_is_silent,
                                    " is silent", " are silent", &text);
    }

    if (len == 0) {
        len = canary_fleet_name_all(&look, canary_fleet_is_behind,
                                    " is at an older step",
                                    " are at an older step", &text);
    }

    return (len > 0) ? len : canary_fleet_say_lacks(&look, word, &text);
}


/* cut where the room ends */

static void
canary_fleet_add(canary_fleet_text_t *text, const char *s, size_t len)
{
    size_t  room;

    room = text->size - 1 - text->len;

    if (len > room) {
        len = room;
    }

    memcpy(text->text + text->len, s, len);
    text->len += len;
    text->text[text->len] = '\0';
}


static size_t
canary_fleet_say_so(canary_fleet_text_t *text, const char *s)
{
    canary_fleet_add(text, s, strlen(s));

    return text->len;
}


static unsigned
canary_fleet_count(const canary_fleet_look_t *look, canary_fleet_is_pt is)
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < look->fleet->nnodes; i++) {
        n += is(look, &look->fleet->nodes[i]) != 0;
    }

    return n;
}


static size_t
canary_fleet_name_all(const canary_fleet_look_t *look, canary_fleet_is_pt is,
    const char *one, const char *many, canary_fleet_text_t *text)
{
    unsigned                    i, n, named;
    const canary_fleet_node_t  *node;

    n = canary_fleet_count(look, is);

    if (n == 0) {
        return 0;
    }

    (void) canary_fleet_say_so(text, (n > 1) ? "nodes " : "node ");

    named = 0;

    for (i = 0; i < look->fleet->nnodes; i++) {
        node = &look->fleet->nodes[i];

        if (is(look, node)) {
            (void) canary_fleet_say_so(text, (named++ > 0) ? ", " : "");
            (void) canary_fleet_say_so(text, node->name);
        }
    }

    return canary_fleet_say_so(text, (n > 1) ? many : one);
}


static int
canary_fleet_is_live(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node)
{
    return canary_fleet_node_age(node, look->now, look->fleet->conf.timeout)
           == CANARY_FLEET_LIVE;
}


static int
canary_fleet_is_silent(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node)
{
    return canary_fleet_node_age(node, look->now, look->fleet->conf.timeout)
           == CANARY_FLEET_SILENT;
}


static int
canary_fleet_is_behind(const canary_fleet_look_t *look,
    const canary_fleet_node_t *node)
{
    return canary_fleet_is_live(look, node)
           && node->version < look->endpoint->version;
}


static size_t
canary_fleet_say_minority(const canary_fleet_look_t *look,
    canary_fleet_text_t *text)
{
    int       len;
    char      s[CANARY_REASON_SIZE];
    unsigned  live, members;

    live = canary_fleet_count(look, canary_fleet_is_live);
    members = look->fleet->kept.nmembers;

    if (canary_fleet_majority(live, members)) {
        return 0;
    }

    len = snprintf(s, sizeof(s),
                   "%u of %u nodes: forget those that will not return",
                   live, members);

    canary_fleet_add(text, s, (size_t) len);

    return text->len;
}


static size_t
canary_fleet_say_lacks(const canary_fleet_look_t *look, const char *word,
    canary_fleet_text_t *text)
{
    size_t                      len, line_len;
    unsigned                    i;
    const char                 *at, *line;
    const canary_fleet_node_t  *node;

    len = strlen(word);

    for (i = 0; i < look->fleet->nnodes; i++) {
        node = &look->fleet->nodes[i];

        if (!canary_fleet_is_live(look, node)) {
            continue;
        }

        at = node->lacks;

        while ((line = canary_fleet_next_lack(node, &at, &line_len))) {

            if (canary_fleet_is_about(line, line_len, word, len)) {
                line += len + 1;
                line_len -= len + 1;

            } else if (canary_fleet_is_about(line, line_len, "-", 1)) {
                line += 2;
                line_len -= 2;

            } else {
                continue;
            }

            canary_fleet_say_lack(node->name, word, line, line_len, text);
            break;
        }
    }

    return text->len;
}


static int
canary_fleet_is_about(const char *line, size_t line_len, const char *word,
    size_t len)
{
    return line_len > len && line[len] == ' ' && memcmp(line, word, len) == 0;
}


/* KIND, or KIND NAME */

static void
canary_fleet_say_lack(const char *node, const char *word,
    const char *line, size_t len, canary_fleet_text_t *text)
{
    char         what[CANARY_FLEET_ENDPOINT_SIZE];
    size_t       kind;
    const char  *space;

    what[0] = '\0';
    space = memchr(line, ' ', len);
    kind = space ? (size_t) (space - line) : len;

    if (space) {
        (void) canary_fleet_unescape(space + 1, len - kind - 1, what,
                                     CANARY_NAME_SIZE);
    } else {
        (void) canary_fleet_unescape(word, strlen(word), what, sizeof(what));
    }

    (void) canary_fleet_say_so(text, (text->len > 0) ? ", node " : "node ");
    (void) canary_fleet_say_so(text, node);

    if (kind == 6 && memcmp(line, "server", 6) == 0) {
        (void) canary_fleet_say_so(text, ": no live server in ");

    } else if (kind == 7 && memcmp(line, "version", 7) == 0) {
        (void) canary_fleet_say_so(text, " is of an older version");
        return;

    } else {
        (void) canary_fleet_say_so(text, " has no ");
        canary_fleet_add(text, line, kind);
        (void) canary_fleet_say_so(text, " ");
    }

    (void) canary_fleet_say_so(text, what);
}
