
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_FIELD_H
#define CANARY_STATE_FIELD_H


#include <stddef.h>
#include <stdint.h>

#include "canary_json.h"


/*
 * Members of objects in the state file and in that of events, each of which is
 * told once: its name, its place in a struct, how it is written, and read.
 */


typedef struct canary_state_field_s  canary_state_field_t;

/*
 * "of" is the part of the struct that the field is.  "at" is the place of the
 * value, for errors; with one of them the struct is not to be used.
 */

typedef struct {
    void                        (*read)(const cJSON *value,
                                    const canary_json_at_t *at,
                                    const canary_state_field_t *field,
                                    void *of, canary_json_errors_t *errors);
    void                        (*write)(cJSON *object,
                                    const canary_state_field_t *field,
                                    const void *of, int *failed);
} canary_state_kind_t;


struct canary_state_field_s {
    const char                  *name;
    const canary_state_kind_t   *kind;
    size_t                       offset;   /* in the struct */
    uint64_t                     max;      /* of a number: what has counted
                                              further is written as that; of a
                                              text: bytes, with a zero; of a
                                              choice: how many there are */
    const void                  *more;     /* names of a choice; what it is, of
                                              an object or a list */
};


typedef struct {
    const canary_state_field_t  *fields;
    unsigned                     n;        /* at most 32 */
    int                        (*is)(const void *of);
                                           /* 0: it is null, and so what is
                                              read is as it was; NULL: it
                                              always is */
    unsigned                     later;    /* so many of the fields, the last,
                                              came with later versions: what
                                              has not got one reads as 0 */
} canary_state_object_t;


/* A list that is allocated, to be freed with free(). */

typedef struct {
    const canary_state_object_t *object;   /* an element, */
    size_t                       size;     /* of so many bytes */
    size_t                       list;     /* offset of the pointer, */
    size_t                       n;        /* and of how many there are, an
                                              unsigned */
    int                          max;      /* 0: any number */
} canary_state_list_t;


#define CANARY_STATE_FIELD(type, member, max)  offsetof(type, member), max, NULL
#define CANARY_STATE_FIELDS(fields)                                           \
    fields, sizeof(fields) / sizeof(canary_state_field_t)


extern const canary_state_kind_t  canary_state_long;    /* uint64_t */
extern const canary_state_kind_t  canary_state_int;     /* uint32_t */
extern const canary_state_kind_t  canary_state_ratio;   /* uint32_t, parts per
                                                           million */
extern const canary_state_kind_t  canary_state_double;  /* from 0 to max; with 0
                                                           any, or null */
extern const canary_state_kind_t  canary_state_text;    /* char[] */
extern const canary_state_kind_t  canary_state_name;    /* the same, of an
                                                           endpoint or a
                                                           release; or empty */
extern const canary_state_kind_t  canary_state_choice;  /* uint32_t: index */
extern const canary_state_kind_t  canary_state_part;    /* an object */
extern const canary_state_kind_t  canary_state_option;  /* an object, which is
                                                           left out if there is
                                                           none: a later field
                                                           */
extern const canary_state_kind_t  canary_state_list;    /* of objects; at
                                                           offset 0 */


/* As canary_json_members(), but all have to be there. */

int canary_state_members(const cJSON *object, const canary_json_at_t *at,
    const char *const *names, unsigned n, const cJSON **values,
    canary_json_errors_t *errors);

/* All of them but later ones have to be there, and no others. */

void canary_state_read_fields(const cJSON *object, const canary_json_at_t *at,
    const canary_state_object_t *what, void *of, canary_json_errors_t *errors);

void canary_state_write_fields(cJSON *object,
    const canary_state_object_t *what, const void *of, int *failed);


#endif /* CANARY_STATE_FIELD_H */
