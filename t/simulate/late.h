
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef LATE_H
#define LATE_H


#include <stdint.h>


/*
 * Services whose answers are slow, and rules whose evidence comes late: how
 * many canaries are rolled back that are good or at the limit, and how long it
 * takes for bad ones.  Prints tables, and returns whether a promise was not
 * kept.  At the limit there are so many runs, of the quickest row 20 times as
 * many; elsewhere a tenth.
 */

int table_late(uint32_t runs);


#endif /* LATE_H */
