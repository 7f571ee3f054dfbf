
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef VECTORS_H
#define VECTORS_H


#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>


/*
 * One case of a file of vectors: "in" goes into the core, and what comes out
 * has to be "out", numbers to the case's tolerance.
 */

typedef struct {
    const char   *id;
    const cJSON  *in;
    const cJSON  *out;
    double        tolerance;   /* absolute; 0 if the case has none */
    int           failed;      /* set by any of the functions below */
} vector_t;


typedef void (*vector_run_pt)(vector_t *vector);


typedef struct {
    const char    *name;
    vector_run_pt  run;
} vector_group_t;


/* Each ends with an entry without a name. */

extern const vector_group_t  vector_groups_counts[];
extern const vector_group_t  vector_groups_paths[];
extern const vector_group_t  vector_groups_histogram[];


/*
 * Values of an object.  What is missing or of another type fails the case,
 * and is 0, "" or an empty array then.
 */

double vector_number(vector_t *vector, const cJSON *object, const char *name);
uint64_t vector_count(vector_t *vector, const cJSON *object, const char *name);
int vector_flag(vector_t *vector, const cJSON *object, const char *name);
const char *vector_string(vector_t *vector, const cJSON *object,
    const char *name);
const cJSON *vector_array(vector_t *vector, const cJSON *object,
    const char *name);

/* The value at a place of an array, in the same way. */

double vector_item(vector_t *vector, const cJSON *array, int i);


/* Compares a result with what "out" has under this name. */

void vector_expect(vector_t *vector, const char *name, double got);
void vector_expect_relative(vector_t *vector, const char *name, double got,
    double tolerance);
void vector_expect_string(vector_t *vector, const char *name,
    const char *got);
void vector_expect_none(vector_t *vector, const char *name);
void vector_expect_array(vector_t *vector, const char *name,
    const double *got, int n);

/* The same place by place: first each of the items, then how many they are. */

void vector_expect_item(vector_t *vector, const char *name, int i,
    double got);
void vector_expect_length(vector_t *vector, const char *name, int n);


void vector_fail(vector_t *vector, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


#endif /* VECTORS_H */
