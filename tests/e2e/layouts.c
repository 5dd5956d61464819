/* Prints the layout of the CPython whose headers it is compiled against: `name value` lines, the names of
   profiler_common::cpython::layout::Layout. What a version does not have is not printed, and must be 0. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#if PY_VERSION_HEX >= 0x03080000
#include "internal/pycore_pystate.h"
#elif PY_VERSION_HEX >= 0x03070000
#include "internal/pystate.h"
#endif
#if PY_VERSION_HEX >= 0x03090000
#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#endif
#if PY_VERSION_HEX >= 0x030B0000
#include "internal/pycore_frame.h"
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include "internal/pycore_interpframe.h"
#include "internal/pycore_stackref.h"
#include "internal/pycore_debug_offsets.h"
#endif

#define SHOW(name, value) printf("%s %llu\n", name, (unsigned long long)(value))
#define AT(name, type, field) SHOW(name, offsetof(type, field))

/* The lowest set bit of the 4 bytes at `place`: where a bit-field begins after it alone was set. */
static unsigned lowest(const void *place) {
    uint32_t word;
    memcpy(&word, place, sizeof word);
    return (unsigned)__builtin_ctz(word);
}

static void interpreter(void) {
#if PY_VERSION_HEX >= 0x03070000
    AT("interpreter_next", PyInterpreterState, next);
#if PY_VERSION_HEX >= 0x030B0000
    AT("interpreter_threads", PyInterpreterState, threads.head);
#else
    AT("interpreter_threads", PyInterpreterState, tstate_head);
#endif
    AT("interpreters_head", _PyRuntimeState, interpreters.head);
#if PY_VERSION_HEX < 0x030C0000
    AT("current_thread", _PyRuntimeState, gilstate.tstate_current);
#else
    AT("interpreter_id", PyInterpreterState, id);
#endif
#else
    /* Include/pystate.h of 3.6 shows the structure to all. */
    AT("interpreter_next", PyInterpreterState, next);
    AT("interpreter_threads", PyInterpreterState, tstate_head);
#endif
}

static void thread(void) {
    AT("thread_next", PyThreadState, next);
    AT("thread_id", PyThreadState, thread_id);
    AT("thread_interpreter", PyThreadState, interp);
#if PY_VERSION_HEX >= 0x030D0000
    AT("thread_frame", PyThreadState, current_frame);
#elif PY_VERSION_HEX >= 0x030B0000
    AT("thread_frame", PyThreadState, cframe);
    AT("cframe_current_frame", _PyCFrame, current_frame);
    AT("cframe_previous", _PyCFrame, previous);
#else
    AT("thread_frame", PyThreadState, frame);
#endif
#if PY_VERSION_HEX >= 0x030B0000
    AT("thread_native_id", PyThreadState, native_thread_id);
#endif
#if PY_VERSION_HEX >= 0x030C0000
    static PyThreadState state;
    state._status.active = 1;
    unsigned active = 1u << lowest(&state._status);
    state._status.active = 0;
    state._status.unbound = 1;
    AT("thread_active", PyThreadState, _status);
    SHOW("thread_active_mask", active | 1u << lowest(&state._status));
    SHOW("thread_active_value", active);
#endif
}

static void frame(void) {
#if PY_VERSION_HEX < 0x030B0000
    AT("frame_code", PyFrameObject, f_code);
    AT("frame_previous", PyFrameObject, f_back);
    AT("frame_instruction", PyFrameObject, f_lasti);
#else
    AT("frame_previous", _PyInterpreterFrame, previous);
    AT("frame_owner", _PyInterpreterFrame, owner);
#if PY_VERSION_HEX < 0x030C0000
    AT("frame_is_entry", _PyInterpreterFrame, is_entry);
#endif
    SHOW("frame_owner_generator", FRAME_OWNED_BY_GENERATOR);
#if PY_VERSION_HEX < 0x030D0000
    AT("frame_code", _PyInterpreterFrame, f_code);
    AT("frame_instruction", _PyInterpreterFrame, prev_instr);
#else
    AT("frame_code", _PyInterpreterFrame, f_executable);
    AT("frame_instruction", _PyInterpreterFrame, instr_ptr);
#endif
#if PY_VERSION_HEX >= 0x030E0000
    /* What _PyFrame_IsIncomplete asks. */
    unsigned shims = 0;
    for (unsigned owner = 0; owner < 8; owner++)
        shims |= (unsigned)(owner >= FRAME_OWNED_BY_INTERPRETER) << owner;
    SHOW("shim_owners", shims);
    SHOW("tag_bits", Py_TAG_BITS);
#ifdef Py_GIL_DISABLED
    AT("frame_tlbc_index", _PyInterpreterFrame, tlbc_index);
#endif
#elif PY_VERSION_HEX >= 0x030C0000
    SHOW("shim_owners", 1u << FRAME_OWNED_BY_CSTACK);
#endif
#endif
}

static void code(void) {
    AT("code_type", PyObject, ob_type);
    AT("code_window", PyObject, ob_type);
    AT("code_name", PyCodeObject, co_name);
    AT("code_filename", PyCodeObject, co_filename);
    AT("code_first_line", PyCodeObject, co_firstlineno);
#if PY_VERSION_HEX >= 0x030A0000
    AT("code_line_table", PyCodeObject, co_linetable);
#else
    AT("code_line_table", PyCodeObject, co_lnotab);
#endif
#if PY_VERSION_HEX >= 0x030B0000
    AT("code_qualname", PyCodeObject, co_qualname);
    AT("code_first_traceable", PyCodeObject, _co_firsttraceable);
    AT("code_instructions", PyCodeObject, co_code_adaptive);
#endif
#if PY_VERSION_HEX >= 0x030E0000 && defined(Py_GIL_DISABLED)
    AT("code_tlbc", PyCodeObject, co_tlbc);
#endif
}

static void strings(void) {
    static PyASCIIObject string;
    AT("bytes_size", PyVarObject, ob_size);
    AT("bytes_data", PyBytesObject, ob_sval);
    AT("unicode_length", PyASCIIObject, length);
    AT("unicode_hash", PyASCIIObject, hash);
    AT("unicode_state", PyASCIIObject, state);
    SHOW("unicode_ascii_data", sizeof(PyASCIIObject));
    SHOW("unicode_compact_data", sizeof(PyCompactUnicodeObject));
    string.state.kind = 7;
    SHOW("unicode_kind_shift", lowest(&string.state));
    string.state.kind = 0;
    string.state.compact = 1;
    SHOW("unicode_compact_bit", lowest(&string.state));
    string.state.compact = 0;
    string.state.ascii = 1;
    SHOW("unicode_ascii_bit", lowest(&string.state));
    AT("type_flags", PyTypeObject, tp_flags);
}

/* What an interpreter built from these headers would publish, byte for byte. */
static void published(void) {
#if PY_VERSION_HEX >= 0x030E0000
    static const _Py_DebugOffsets offsets = _Py_DebugOffsets_INIT(_Py_Debug_Cookie);
    const unsigned char *bytes = (const unsigned char *)&offsets;
    printf("published ");
    for (size_t i = 0; i < sizeof offsets; i++)
        printf("%02x", bytes[i]);
    printf("\n");
#endif
}

int main(void) {
    interpreter();
    thread();
    frame();
    code();
    strings();
    published();
    return 0;
}
