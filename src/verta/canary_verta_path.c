
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_verta_path.h"


/* A rest of a path, of which segments are taken from the beginning. */

typedef struct {
    const char  *text;
    size_t       len;
} canary_verta_rest_t;


static int canary_verta_matches(const char *pattern, const char *text,
    size_t len, canary_verta_path_t *path);
static canary_verta_rest_t canary_verta_segment(canary_verta_rest_t *rest);
static int canary_verta_take(canary_verta_rest_t pattern,
    canary_verta_rest_t segment, canary_verta_path_t *path);
static int canary_verta_id(canary_verta_rest_t segment, uint64_t *id);


/* {w} is any workspace; {e}, {s} and {b} are ids */

static const char *const  canary_verta_patterns[CANARY_VERTA_RESOURCES] = {
    "deployment/workspace/{w}/endpoints",
    "deployment/workspace/{w}/endpoints/{e}",
    "deployment/workspace/{w}/endpoints/{e}/stages",
    "deployment/workspace/{w}/endpoints/{e}/stages/{s}",
    "deployment/workspace/{w}/endpoints/{e}/stages/{s}/update",
    "deployment/workspace/{w}/endpoints/{e}/stages/{s}/status",
    "deployment/workspace/{w}/endpoints/{e}/stages/{s}/rules",
    "deployment/workspace/{w}/endpoints/{e}/stages/{s}/accesstokens",
    "deployment/stages/{s}/kafka",
    "deployment/workspace/{w}/builds",
    "deployment/workspace/{w}/builds/{b}",
    "registry/model_versions/{b}",
    "registry/registered_models/{e}",
    "modeldb/project/verifyConnection"
};


canary_verta_resource_t
canary_verta_path(const char *text, size_t len, canary_verta_path_t *path)
{
    unsigned  i;

    for (i = 0; i < CANARY_VERTA_RESOURCES; i++) {
        if (canary_verta_matches(canary_verta_patterns[i], text, len, path)) {
            break;
        }
    }

    return (canary_verta_resource_t) i;
}


static int
canary_verta_matches(const char *pattern, const char *text, size_t len,
    canary_verta_path_t *path)
{
    canary_verta_rest_t  expected = { pattern, strlen(pattern) };
    canary_verta_rest_t  rest = { text, len };

    memset(path, 0, sizeof(canary_verta_path_t));

    while (expected.text && rest.text) {
        if (!canary_verta_take(canary_verta_segment(&expected),
                               canary_verta_segment(&rest), path))
        {
            return 0;
        }
    }

    return expected.text == NULL && rest.text == NULL;
}


/* what is up to the next slash; after the last one, the rest is NULL */

static canary_verta_rest_t
canary_verta_segment(canary_verta_rest_t *rest)
{
    const char           *slash;
    canary_verta_rest_t   segment;

    segment = *rest;

    slash = memchr(rest->text, '/', rest->len);

    if (slash == NULL) {
        rest->text = NULL;
        rest->len = 0;
        return segment;
    }

    segment.len = (size_t) (slash - rest->text);

    rest->text += segment.len + 1;
    rest->len -= segment.len + 1;

    return segment;
}


static int
canary_verta_take(canary_verta_rest_t pattern, canary_verta_rest_t segment,
    canary_verta_path_t *path)
{
    if (pattern.text[0] != '{') {
        return segment.len == pattern.len
               && memcmp(segment.text, pattern.text, segment.len) == 0;
    }

    switch (pattern.text[1]) {

    case 'w':
        path->workspace = segment.text;
        path->workspace_len = segment.len;
        return segment.len != 0;

    case 'e':
        return canary_verta_id(segment, &path->endpoint);

    case 's':
        return canary_verta_id(segment, &path->stage);

    default: /* 'b' */
        return canary_verta_id(segment, &path->build);
    }
}


static int
canary_verta_id(canary_verta_rest_t segment, uint64_t *id)
{
    size_t  i;

    *id = 0;

    for (i = 0; i < segment.len; i++) {

        if (segment.text[i] < '0' || segment.text[i] > '9'
            || *id > UINT32_MAX)
        {
            return 0;
        }

        *id = *id * 10 + (uint64_t) (segment.text[i] - '0');
    }

    return *id != 0;
}
