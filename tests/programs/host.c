/* A program that is no Python and loads one at run time:
 *
 *     host STEP... -- PROGRAM [ARG...]
 *
 *     work:SECONDS   uses so many seconds of CPU time
 *     wait           reads a line
 *     load:LIBRARY   opens a libpython and does nothing with it
 *     start:LIBRARY  opens one, starts its interpreter, and lets go of the GIL
 *     run:LIBRARY    opens one, and has it run the program as python would; the last step
 *
 * Before `run` it says `loaded {"cpu_s": ...}`: what CPU time it has used until then. Libraries are opened so
 * that each keeps to its own symbols: two interpreters do not mix.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void say(const char *word) {
    printf("%s {\"cpu_s\": %f}\n", word, cpu());
    fflush(stdout);
}

static void *library(const char *path, int scope) {
    void *opened = dlopen(path, RTLD_NOW | scope);
    if (opened == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return opened;
}

static void *function(void *opened, const char *name) {
    void *found = dlsym(opened, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

int main(int argc, char **argv) {
    for (int index = 1; index < argc; index++) {
        const char *step = argv[index], *colon = strchr(step, ':');
        const char *of = colon ? colon + 1 : "";
        if (strncmp(step, "work:", 5) == 0) {
            double until = cpu() + atof(of);
            while (cpu() < until) {
            }
        } else if (strcmp(step, "wait") == 0) {
            char line[80];
            say("waiting");
            if (fgets(line, sizeof line, stdin) == NULL) {
                return 1;
            }
        } else if (strncmp(step, "load:", 5) == 0) {
            library(of, RTLD_LOCAL | RTLD_DEEPBIND);
        } else if (strncmp(step, "start:", 6) == 0) {
            void *python = library(of, RTLD_LOCAL | RTLD_DEEPBIND);
            ((void (*)(int))function(python, "Py_InitializeEx"))(0);
            ((void *(*)(void))function(python, "PyEval_SaveThread"))();
        } else if (strncmp(step, "run:", 4) == 0) {
            /* The words from `--` on, which takes the place of the program's name. */
            void *python = library(of, RTLD_LOCAL | RTLD_DEEPBIND);
            int (*run)(int, char **) = function(python, "Py_BytesMain");
            say("loaded");
            return run(argc - index - 1, argv + index + 1);
        }
    }
    return 0;
}
