/* Prints where an interpreter's own headers have the fields that lead to a thread's name: "name value"
 * lines, for as many as the headers of the version show. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#if PY_VERSION_HEX < 0x030B0000
#include <longintrepr.h>
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interp_structs.h>
#endif
#if PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_interp.h>
#elif PY_VERSION_HEX >= 0x03080000
#include <internal/pycore_pystate.h>
#elif PY_VERSION_HEX >= 0x03070000
#include <internal/pystate.h>
#endif
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_dict.h>
#endif
#if PY_VERSION_HEX >= 0x030C0000
#include <internal/pycore_moduleobject.h>
#define MODULES imports.modules
#define INT_SIZE long_value.lv_tag
#define INT_DIGITS long_value.ob_digit
#else
#define MODULES modules
#define INT_SIZE ob_base.ob_size
#define INT_DIGITS ob_digit
#endif

#define SHOW(name, value) printf(name " %ld\n", (long)(value))
#define SHOW_OFFSET(name, type, field) SHOW(name, offsetof(type, field))
/* The lowest bit of a field of PyASCIIObject.state, whose fields are bit fields. */
#define SHOW_BIT(name, field)                                 \
    do {                                                      \
        PyASCIIObject object;                                 \
        unsigned int bits;                                    \
        memset(&object, 0, sizeof(object));                   \
        object.state.field = 1;                               \
        memcpy(&bits, &object.state, sizeof(bits));           \
        SHOW(name, __builtin_ctz(bits));                      \
    } while (0)

int main(void)
{
    SHOW_OFFSET("interpreter_next", PyInterpreterState, next);
    SHOW_OFFSET("interpreter_modules", PyInterpreterState, MODULES);
    SHOW_OFFSET("object_type", PyObject, ob_type);
    SHOW_OFFSET("type_basic_size", PyTypeObject, tp_basicsize);
    SHOW_OFFSET("type_flags", PyTypeObject, tp_flags);
    SHOW_OFFSET("type_dict_offset", PyTypeObject, tp_dictoffset);
    SHOW_OFFSET("type_cached_keys", PyHeapTypeObject, ht_cached_keys);
    SHOW_OFFSET("dict_keys", PyDictObject, ma_keys);
    SHOW_OFFSET("dict_values", PyDictObject, ma_values);
    SHOW_OFFSET("int_size", PyLongObject, INT_SIZE);
    SHOW_OFFSET("int_digits", PyLongObject, INT_DIGITS);
    SHOW_OFFSET("text_length", PyASCIIObject, length);
    SHOW_OFFSET("text_state", PyASCIIObject, state);
    SHOW_BIT("text_kind_shift", kind);
    SHOW_BIT("text_compact_bit", compact);
    SHOW_BIT("text_ascii_bit", ascii);
    SHOW("text_ascii_data", sizeof(PyASCIIObject));
    SHOW("text_compact_data", sizeof(PyCompactUnicodeObject));
#if PY_VERSION_HEX >= 0x030B0000
    SHOW_OFFSET("values_data", struct _dictvalues, values);
#endif
#if PY_VERSION_HEX >= 0x030C0000
    SHOW_OFFSET("module_dict", PyModuleObject, md_dict);
#endif
    return 0;
}
