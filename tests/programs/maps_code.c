/* A stand-in for a compiler at run time: maps new code all the time, calls it, and unmaps some of it. */
#include <string.h>
#include <sys/mman.h>

int main(void) {
    static const unsigned char add[] = {0x8d, 0x47, 0x01, 0xc3}; /* lea eax, [rdi + 1]; ret */
    int sum = 0;
    for (unsigned round = 0;; round++) {
        size_t size = 4096 * (1 + round % 7);
        unsigned char *code = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code == MAP_FAILED) {
            return 1;
        }
        memcpy(code, add, sizeof add);
        mprotect(code, size, PROT_READ | PROT_EXEC);
        for (int call = 0; call < 1000; call++) {
            sum = ((int (*)(int))code)(sum);
        }
        munmap(code, size);
    }
}
