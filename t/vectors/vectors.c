
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * vectors FILE: runs the core on every case of a file of vectors.
 *
 * The file is an object with an array "cases"; a case is an object with "id",
 * "group", "in", "out" and, unless it is about something exact, "tol".
 */


#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"


static char *read_file(const char *name);
static int run_cases(const cJSON *cases);
static int run_case(const cJSON *item, int i);
static vector_run_pt find_group(const char *name);
static void compare(vector_t *vector, const char *name, int i,
    const cJSON *expected, double got, double tolerance);
static const char *string_of(const cJSON *object, const char *name);


static const vector_group_t  *groups[] = {
    vector_groups_counts,
    vector_groups_paths,
    vector_groups_histogram
};


int
main(int argc, char **argv)
{
    int     failed;
    char   *text;
    cJSON  *file, *cases;

    if (argc != 2) {
        fprintf(stderr, "usage: vectors FILE\n");
        return 2;
    }

    text = read_file(argv[1]);
    if (text == NULL) {
        return 1;
    }

    file = cJSON_ParseWithOpts(text, NULL, 1);
    free(text);

    cases = cJSON_GetObjectItemCaseSensitive(file, "cases");

    if (!cJSON_IsArray(cases) || cJSON_GetArraySize(cases) == 0) {
        fprintf(stderr, "%s: %s\n", argv[1],
                file ? "\"cases\" is no array of cases" : "this is no JSON");
        cJSON_Delete(file);
        return 1;
    }

    failed = run_cases(cases);

    cJSON_Delete(file);

    return failed ? 1 : 0;
}


static char *
read_file(const char *name)
{
    char    *text, *more;
    FILE    *file;
    size_t   n, size;

    file = fopen(name, "rb");
    if (file == NULL) {
        perror(name);
        return NULL;
    }

    text = NULL;
    size = 0;

    do {
        more = realloc(text, size + 65536);
        if (more == NULL) {
            perror(name);
            free(text);
            fclose(file);
            return NULL;
        }

        text = more;
        n = fread(text + size, 1, 65535, file);
        size += n;
    } while (n);

    text[size] = '\0';

    if (ferror(file)) {
        perror(name);
        free(text);
        text = NULL;
    }

    fclose(file);

    return text;
}


static int
run_cases(const cJSON *cases)
{
    int           failed, i, passed;
    const cJSON  *item;

    failed = 0;
    passed = 0;
    i = 0;

    cJSON_ArrayForEach(item, cases) {
        if (run_case(item, i++)) {
            passed++;

        } else {
            failed++;
        }
    }

    printf("%d passed, %d failed\n", passed, failed);

    return failed;
}


static int
run_case(const cJSON *item, int i)
{
    char           place[32];
    vector_t       vector;
    const char    *group;
    const cJSON   *tolerance;
    vector_run_pt  run;

    snprintf(place, sizeof(place), "case %d", i);

    memset(&vector, 0, sizeof(vector_t));

    vector.id = string_of(item, "id");
    vector.in = cJSON_GetObjectItemCaseSensitive(item, "in");
    vector.out = cJSON_GetObjectItemCaseSensitive(item, "out");

    if (vector.id == NULL) {
        vector.id = place;
    }

    tolerance = cJSON_GetObjectItemCaseSensitive(item, "tol");

    if (cJSON_IsNumber(tolerance)) {
        vector.tolerance = tolerance->valuedouble;

    } else if (tolerance && !cJSON_IsNull(tolerance)) {
        vector_fail(&vector, "\"tol\" is no number");
    }

    group = string_of(item, "group");
    run = group ? find_group(group) : NULL;

    if (run == NULL) {
        vector_fail(&vector, "unknown group \"%s\"", group ? group : "");

    } else if (!cJSON_IsObject(vector.in) || !cJSON_IsObject(vector.out)) {
        vector_fail(&vector, "\"in\" and \"out\" are not both objects");

    } else {
        run(&vector);
    }

    return !vector.failed;
}


static vector_run_pt
find_group(const char *name)
{
    size_t                 i;
    const vector_group_t  *group;

    for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        for (group = groups[i]; group->name; group++) {
            if (strcmp(group->name, name) == 0) {
                return group->run;
            }
        }
    }

    return NULL;
}


static const char *
string_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object,
                                                                 name));
}


double
vector_number(vector_t *vector, const cJSON *object, const char *name)
{
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsNumber(item)) {
        vector_fail(vector, "\"%s\" is no number", name);
        return 0;
    }

    return item->valuedouble;
}


uint64_t
vector_count(vector_t *vector, const cJSON *object, const char *name)
{
    double  value;

    value = vector_number(vector, object, name);

    if (value < 0 || value > 9007199254740992.0 || value != floor(value)) {
        vector_fail(vector, "\"%s\" is %.17g, no count", name, value);
        return 0;
    }

    return (uint64_t) value;
}


int
vector_flag(vector_t *vector, const cJSON *object, const char *name)
{
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (cJSON_IsBool(item)) {
        return cJSON_IsTrue(item);
    }

    return vector_number(vector, object, name) != 0;
}


const char *
vector_string(vector_t *vector, const cJSON *object, const char *name)
{
    const char  *string;

    string = string_of(object, name);

    if (string == NULL) {
        vector_fail(vector, "\"%s\" is no string", name);
        return "";
    }

    return string;
}


const cJSON *
vector_array(vector_t *vector, const cJSON *object, const char *name)
{
    const cJSON         *item;
    static const cJSON   empty = { .type = cJSON_Array };

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsArray(item)) {
        vector_fail(vector, "\"%s\" is no array", name);
        return &empty;
    }

    return item;
}


double
vector_item(vector_t *vector, const cJSON *array, int i)
{
    const cJSON  *item;

    item = cJSON_IsArray(array) ? cJSON_GetArrayItem(array, i) : NULL;

    if (!cJSON_IsNumber(item)) {
        vector_fail(vector, "no number at place %d of an array", i);
        return 0;
    }

    return item->valuedouble;
}


void
vector_expect(vector_t *vector, const char *name, double got)
{
    compare(vector, name, -1,
            cJSON_GetObjectItemCaseSensitive(vector->out, name), got,
            vector->tolerance);
}


void
vector_expect_relative(vector_t *vector, const char *name, double got,
    double tolerance)
{
    const cJSON  *expected;

    expected = cJSON_GetObjectItemCaseSensitive(vector->out, name);

    if (cJSON_IsNumber(expected)) {
        tolerance *= fabs(expected->valuedouble);
    }

    compare(vector, name, -1, expected, got, tolerance);
}


void
vector_expect_string(vector_t *vector, const char *name, const char *got)
{
    const char  *expected;

    expected = vector_string(vector, vector->out, name);

    if (strcmp(expected, got) != 0) {
        vector_fail(vector, "%s: expected \"%s\", got \"%s\"", name, expected,
                    got);
    }
}


void
vector_expect_none(vector_t *vector, const char *name)
{
    const cJSON  *expected;

    expected = cJSON_GetObjectItemCaseSensitive(vector->out, name);

    if (cJSON_IsNumber(expected)) {
        vector_fail(vector, "%s: expected %.17g, got none", name,
                    expected->valuedouble);

    } else if (!cJSON_IsNull(expected)) {
        vector_fail(vector, "\"%s\" is neither a number nor null", name);
    }
}


void
vector_expect_array(vector_t *vector, const char *name, const double *got,
    int n)
{
    int  i;

    for (i = 0; i < n; i++) {
        vector_expect_item(vector, name, i, got[i]);
    }

    vector_expect_length(vector, name, n);
}


void
vector_expect_item(vector_t *vector, const char *name, int i, double got)
{
    const cJSON  *array;

    array = cJSON_GetObjectItemCaseSensitive(vector->out, name);

    compare(vector, name, i,
            cJSON_IsArray(array) ? cJSON_GetArrayItem(array, i) : NULL, got,
            vector->tolerance);
}


void
vector_expect_length(vector_t *vector, const char *name, int n)
{
    int  expected;

    expected = cJSON_GetArraySize(vector_array(vector, vector->out, name));

    if (expected != n) {
        vector_fail(vector, "%s: expected %d values, got %d", name, expected,
                    n);
    }
}


/* A got that is no number at all must not pass either. */

static void
compare(vector_t *vector, const char *name, int i, const cJSON *expected,
    double got, double tolerance)
{
    char  place[32];

    place[0] = '\0';

    if (i >= 0) {
        snprintf(place, sizeof(place), "[%d]", i);
    }

    if (!cJSON_IsNumber(expected)) {
        vector_fail(vector, "%s%s: expected no number, got %.17g", name,
                    place, got);

    } else if (!(fabs(got - expected->valuedouble) <= tolerance)) {
        vector_fail(vector, "%s%s: expected %.17g, got %.17g, tolerance %g",
                    name, place, expected->valuedouble, got, tolerance);
    }
}


void
vector_fail(vector_t *vector, const char *format, ...)
{
    va_list  args;

    vector->failed = 1;

    printf("%s: ", vector->id);

    va_start(args, format);
    vprintf(format, args);
    va_end(args);

    printf("\n");
}
