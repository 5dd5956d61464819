/* A program with an interpreter inside, linked at build time: `embed PROGRAM [ARG...]`. */
#include <Python.h>

int main(int argc, char **argv) {
    return Py_BytesMain(argc, argv);
}
