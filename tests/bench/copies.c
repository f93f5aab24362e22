// Counts the bytes that a process copies: preloaded by the benchmark, it stands before memcpy and memmove, and adds what
// the kernel copied for read and write. At the end it writes "<copied> <read> <written>" to the file in $COPIES_TO.
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic unsigned long copied;

void *memcpy(void *to, const void *from, size_t count) {
    atomic_fetch_add_explicit(&copied, count, memory_order_relaxed);
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    if ((size_t)((char *)to - (const char *)from) >= count) return memcpy(to, from, count);
    atomic_fetch_add_explicit(&copied, count, memory_order_relaxed);
    char *at = (char *)to + count - 1;
    const char *end = (const char *)from + count - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(at), "+S"(end), "+c"(count) : : "memory");
    return to;
}

__attribute__((destructor)) static void report(void) {
    unsigned long count = copied, in = 0, out = 0;
    const char *path = getenv("COPIES_TO");
    FILE *io = fopen("/proc/self/io", "r");
    if (io) {
        if (fscanf(io, "rchar: %lu wchar: %lu", &in, &out) != 2) in = out = 0;
        fclose(io);
    }
    FILE *to = path ? fopen(path, "w") : NULL;
    if (to) {
        fprintf(to, "%lu %lu %lu\n", count, in, out);
        fclose(to);
    }
}
