//! Where the objects lie that lead to a thread's name, for each version of CPython.

/// How a dict's keys table is laid out (`struct _dictkeysobject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// 3.6 to 3.10: the number of slots stands as it is and tells how wide an index is; every entry has
    /// a hash. `Objects/dict-common.h`.
    Sized,
    /// 3.11 and newer: logarithms of both, and a kind: tables with nothing but strings for keys have
    /// entries without a hash. `Include/internal/pycore_dict.h`.
    Logarithmic,
}

/// Where an instance of a class written in Python keeps its attributes: from 3.11 on, if its type has
/// `Py_TPFLAGS_MANAGED_DICT`, and else as before. `Include/internal/pycore_object.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// 3.6 to 3.10: in a dict, at the offset that the type says.
    Dict,
    /// 3.11: in front of the object, a pointer to the values (-32) and one to the dict (-24).
    ValuesOrDict,
    /// 3.12: in front of the object (-24), a pointer to the dict or, less by one, to the values.
    Tagged,
    /// 3.13 and newer: in front of the object (-24), a pointer to the dict; while it is null, the values
    /// are behind the object.
    Inline,
}

/// How an int says how many digits it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// 3.6 to 3.11: `ob_size`, negative for a negative number.
    Signed,
    /// 3.12 and newer: `lv_tag`: shifted by 3, with the sign in the two lowest bits (0: positive).
    Tagged,
}

/// Offsets (bytes) and encodings on the way from an interpreter to the names of its threads. They hold
/// for builds with the GIL and without `Py_TRACE_REFS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectLayout {
    /// `PyInterpreterState.next`.
    pub interpreter_next: u64,
    /// `PyInterpreterState.modules` (`imports.modules` from 3.12 on): `sys.modules`.
    pub interpreter_modules: u64,
    /// `PyObject.ob_type`.
    pub object_type: u64,
    /// `PyTypeObject.tp_basicsize`.
    pub type_basic_size: u64,
    /// `PyTypeObject.tp_flags`.
    pub type_flags: u64,
    /// `PyTypeObject.tp_dictoffset`.
    pub type_dict_offset: u64,
    /// `PyHeapTypeObject.ht_cached_keys`: the keys that instances share.
    pub type_cached_keys: u64,
    /// `PyModuleObject.md_dict`.
    pub module_dict: u64,
    /// `PyDictObject.ma_keys`.
    pub dict_keys: u64,
    /// `PyDictObject.ma_values`: null where the values are among the keys.
    pub dict_values: u64,
    /// How a keys table is laid out.
    pub keys: Keys,
    /// `struct _dictvalues.values`.
    pub values_data: u64,
    /// Where instances keep their attributes.
    pub attributes: Attributes,
    /// How an int says how many digits it has, at `int_size`.
    pub digits: Digits,
    /// `PyVarObject.ob_size` or `PyLongObject.long_value.lv_tag`.
    pub int_size: u64,
    /// `ob_digit`: digits of 30 bits in 4 bytes each, least significant first.
    pub int_digits: u64,
    /// `PyASCIIObject.length` (code points).
    pub text_length: u64,
    /// `PyASCIIObject.state` (4 bytes).
    pub text_state: u64,
    /// How far `kind` is shifted in the state (3 bits).
    pub text_kind_shift: u32,
    /// The bit of `compact` in the state.
    pub text_compact_bit: u32,
    /// The bit of `ascii` in the state.
    pub text_ascii_bit: u32,
    /// `sizeof(PyASCIIObject)`: where the data of an ASCII string begin.
    pub text_ascii_data: u64,
    /// `sizeof(PyCompactUnicodeObject)`: where the data of any other string begin.
    pub text_compact_data: u64,
}

const V3_6: ObjectLayout = ObjectLayout {
    interpreter_next: 0,
    interpreter_modules: 16,
    object_type: 8,
    type_basic_size: 32,
    type_flags: 168,
    type_dict_offset: 288,
    type_cached_keys: 856,
    module_dict: 16,
    dict_keys: 32,
    dict_values: 40,
    keys: Keys::Sized,
    values_data: 0,
    attributes: Attributes::Dict,
    digits: Digits::Signed,
    int_size: 16,
    int_digits: 24,
    text_length: 16,
    text_state: 32,
    text_kind_shift: 2,
    text_compact_bit: 5,
    text_ascii_bit: 6,
    text_ascii_data: 48,
    text_compact_data: 72,
};

const V3_7: ObjectLayout = ObjectLayout {
    interpreter_modules: 40,
    ..V3_6
};

const V3_8: ObjectLayout = ObjectLayout {
    interpreter_modules: 56,
    type_cached_keys: 872,
    ..V3_7
};

const V3_9: ObjectLayout = ObjectLayout {
    interpreter_modules: 856,
    type_cached_keys: 864,
    ..V3_8
};

const V3_10: ObjectLayout = ObjectLayout {
    type_cached_keys: 872,
    ..V3_9
};

const V3_11: ObjectLayout = ObjectLayout {
    interpreter_modules: 888,
    keys: Keys::Logarithmic,
    attributes: Attributes::ValuesOrDict,
    ..V3_10
};

const V3_12: ObjectLayout = ObjectLayout {
    interpreter_modules: 944,
    type_cached_keys: 880,
    attributes: Attributes::Tagged,
    digits: Digits::Tagged,
    text_ascii_data: 40,
    text_compact_data: 56,
    ..V3_11
};

const V3_13: ObjectLayout = ObjectLayout {
    interpreter_next: 7264,
    interpreter_modules: 7656,
    values_data: 8,
    attributes: Attributes::Inline,
    ..V3_12
};

const V3_14: ObjectLayout = ObjectLayout {
    interpreter_next: 7272,
    interpreter_modules: 7688,
    ..V3_13
};

const V3_15: ObjectLayout = ObjectLayout {
    interpreter_next: 7264,
    interpreter_modules: 7592,
    type_cached_keys: 888,
    ..V3_14
};

impl ObjectLayout {
    /// The layout of a version, given as (major, minor).
    #[must_use]
    pub fn of(version: (u32, u32)) -> Option<&'static Self> {
        match version {
            (3, 6) => Some(&V3_6),
            (3, 7) => Some(&V3_7),
            (3, 8) => Some(&V3_8),
            (3, 9) => Some(&V3_9),
            (3, 10) => Some(&V3_10),
            (3, 11) => Some(&V3_11),
            (3, 12) => Some(&V3_12),
            (3, 13) => Some(&V3_13),
            (3, 14) => Some(&V3_14),
            (3, 15) => Some(&V3_15),
            _ => None,
        }
    }
}
