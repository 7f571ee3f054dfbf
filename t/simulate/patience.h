
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef PATIENCE_H
#define PATIENCE_H


#include <stdint.h>


/*
 * Rollouts of a service whose good answers are slow and whose bad ones come
 * at once, with more or less patience, through evidence and control step as
 * in nginx: how many of them are rolled back.  Returns whether too many of
 * the healthy ones were.
 */

int table_patience(uint32_t runs);


#endif /* PATIENCE_H */
