
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Shared memory that is full: calls of the module to the slab allocator are
 * led here when the module is loaded, by its table of imported functions.  A
 * line of CANARY_FAULTS,
 *
 *   slab N TOKEN
 *
 * makes the Nth allocation fail that a process does from then on; with N 0,
 * all of them.  Another TOKEN begins to count anew.  In CANARY_FAULTS.log each
 * that has failed is "slab".
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults.h"


typedef void *(*faults_alloc_pt)(void *pool, size_t size);

typedef struct {
    const char       *name;
    void             *replacement;
    faults_alloc_pt  *original;
} faults_import_t;


static void faults_import(struct link_map *map);
static void faults_table(struct link_map *map, const ElfW(Rela) *table,
    size_t size, const ElfW(Sym) *symbols, const char *names);
static void faults_slot(void **slot, const char *name);
static int faults_slab_fails(void);
static void *faults_alloc(void *pool, size_t size);
static void *faults_calloc(void *pool, size_t size);
static void *faults_alloc_locked(void *pool, size_t size);
static void *faults_calloc_locked(void *pool, size_t size);


static faults_alloc_pt  faults_next_alloc;
static faults_alloc_pt  faults_next_calloc;
static faults_alloc_pt  faults_next_alloc_locked;
static faults_alloc_pt  faults_next_calloc_locked;

static const faults_import_t  faults_imports[] = {
    { "ngx_slab_alloc", faults_alloc, &faults_next_alloc },
    { "ngx_slab_calloc", faults_calloc, &faults_next_calloc },
    { "ngx_slab_alloc_locked", faults_alloc_locked,
      &faults_next_alloc_locked },
    { "ngx_slab_calloc_locked", faults_calloc_locked,
      &faults_next_calloc_locked },
};


void *
dlopen(const char *path, int flags)
{
    void             *handle, *(*next)(const char *, int);
    struct link_map  *map;

    *(void **) &next = dlsym(RTLD_NEXT, "dlopen");

    handle = next(path, flags);

    if (handle && path && strstr(path, "canary")
        && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
    {
        faults_import(map);
    }

    return handle;
}


static void
faults_import(struct link_map *map)
{
    size_t             size, plt_size;
    ElfW(Dyn)         *dyn;
    const char        *names;
    const ElfW(Sym)   *symbols;
    const ElfW(Rela)  *table, *plt;

    size = plt_size = 0;
    names = NULL;
    symbols = NULL;
    table = plt = NULL;

    for (dyn = map->l_ld; dyn->d_tag != DT_NULL; dyn++) {

        switch (dyn->d_tag) {

        case DT_STRTAB:
            names = (const char *) dyn->d_un.d_ptr;
            break;

        case DT_SYMTAB:
            symbols = (const ElfW(Sym) *) dyn->d_un.d_ptr;
            break;

        case DT_RELA:
            table = (const ElfW(Rela) *) dyn->d_un.d_ptr;
            break;

        case DT_RELASZ:
            size = dyn->d_un.d_val;
            break;

        case DT_JMPREL:
            plt = (const ElfW(Rela) *) dyn->d_un.d_ptr;
            break;

        case DT_PLTRELSZ:
            plt_size = dyn->d_un.d_val;
            break;
        }
    }

    faults_table(map, table, size, symbols, names);
    faults_table(map, plt, plt_size, symbols, names);
}


static void
faults_table(struct link_map *map, const ElfW(Rela) *table, size_t size,
    const ElfW(Sym) *symbols, const char *names)
{
    size_t  i, symbol;

    if (table == NULL || symbols == NULL || names == NULL) {
        return;
    }

    for (i = 0; i < size / sizeof(ElfW(Rela)); i++) {
        symbol = ELF64_R_SYM(table[i].r_info);

        if (symbol) {
            faults_slot((void **) (map->l_addr + table[i].r_offset),
                        names + symbols[symbol].st_name);
        }
    }
}


/* a module that is loaded once more has its slots replaced already */

static void
faults_slot(void **slot, const char *name)
{
    void                   *page;
    size_t                  i, size;
    const faults_import_t  *import;

    size = (size_t) sysconf(_SC_PAGESIZE);

    for (i = 0; i < sizeof(faults_imports) / sizeof(faults_import_t); i++) {
        import = &faults_imports[i];

        if (strcmp(name, import->name) != 0 || *slot == import->replacement) {
            continue;
        }

        *import->original = (faults_alloc_pt) *slot;

        page = (void *) ((size_t) slot & ~(size - 1));

        if (mprotect(page, size, PROT_READ|PROT_WRITE) == 0) {
            *slot = import->replacement;
        }
    }
}


static int
faults_slab_fails(void)
{
    int              nth, token, fails;
    static int       known;
    static unsigned  count;

    if (!faults_find("slab", &nth, &token)) {
        return 0;
    }

    if (token != known) {
        known = token;
        count = 0;
    }

    count++;
    fails = (nth == 0 || count == (unsigned) nth);

    if (fails) {
        faults_done("slab");
    }

    return fails;
}


static void *
faults_alloc(void *pool, size_t size)
{
    return faults_slab_fails() ? NULL : faults_next_alloc(pool, size);
}


static void *
faults_calloc(void *pool, size_t size)
{
    return faults_slab_fails() ? NULL : faults_next_calloc(pool, size);
}


static void *
faults_alloc_locked(void *pool, size_t size)
{
    return faults_slab_fails() ? NULL : faults_next_alloc_locked(pool, size);
}


static void *
faults_calloc_locked(void *pool, size_t size)
{
    return faults_slab_fails() ? NULL : faults_next_calloc_locked(pool, size);
}
