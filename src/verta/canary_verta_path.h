
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_VERTA_PATH_H
#define CANARY_VERTA_PATH_H


#include <stddef.h>
#include <stdint.h>


/* What there is below /api/v1/ of the API of Verta. */

typedef enum {
    CANARY_VERTA_ENDPOINTS = 0,
    CANARY_VERTA_ENDPOINT,
    CANARY_VERTA_STAGES,
    CANARY_VERTA_STAGE,
    CANARY_VERTA_UPDATE,
    CANARY_VERTA_UPDATE_STATUS,
    CANARY_VERTA_RULES,
    CANARY_VERTA_ACCESS_TOKENS,
    CANARY_VERTA_KAFKA,
    CANARY_VERTA_BUILDS,
    CANARY_VERTA_BUILD,
    CANARY_VERTA_MODEL_VERSION,
    CANARY_VERTA_MODEL,
    CANARY_VERTA_CONNECTION,
    CANARY_VERTA_RESOURCES             /* their number; none of them */
} canary_verta_resource_t;


/* What a path has not is 0, which is no id. */

typedef struct {
    const char               *workspace;      /* in the path, or NULL */
    size_t                    workspace_len;
    uint64_t                  endpoint;       /* or registered model */
    uint64_t                  stage;
    uint64_t                  build;          /* or model version */
} canary_verta_path_t;


canary_verta_resource_t canary_verta_path(const char *text, size_t len,
    canary_verta_path_t *path);


#endif /* CANARY_VERTA_PATH_H */
