//! The words of `_Py_DebugOffsets` by name, in the order of each version.
//!
//! Include/internal/pycore_runtime.h (3.13) and pycore_debug_offsets.h (3.14, 3.15); what follows `unicode` there is
//! not needed.

/// The structure's groups and fields as far as they are needed, in the order of 3.13.
pub const FIELDS_3_13: &str = "
    runtime: size finalizing interpreters_head
    interpreter: size id next threads_head gc imports_modules sysdict builtins ceval_gil gil_state
        gil_state_enabled gil_state_locked gil_state_holder
    thread: size prev next interp current_frame thread_id native_thread_id datastack_chunk status
    frame: size previous executable instr_ptr localsplus owner
    code: size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds
        co_code_adaptive
    object: size ob_type
    type: size tp_name tp_repr tp_flags
    tuple: size ob_item ob_size
    list: size ob_item ob_size
    dict: size ma_keys ma_values
    float: size ob_fval
    long: size lv_tag ob_digit
    bytes: size ob_size ob_sval
    unicode: size state length asciiobject_size";

/// The same of 3.14.
pub const FIELDS_3_14: &str = "
    runtime: size finalizing interpreters_head
    interpreter: size id next threads_head threads_main gc imports_modules sysdict builtins ceval_gil
        gil_state gil_state_enabled gil_state_locked gil_state_holder code_object_generation
        tlbc_generation
    thread: size prev next interp current_frame thread_id native_thread_id datastack_chunk status
    frame: size previous executable instr_ptr localsplus owner stackpointer tlbc_index
    code: size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds
        co_code_adaptive co_tlbc
    object: size ob_type
    type: size tp_name tp_repr tp_flags
    tuple: size ob_item ob_size
    list: size ob_item ob_size
    set: size used table mask
    dict: size ma_keys ma_values
    float: size ob_fval
    long: size lv_tag ob_digit
    bytes: size ob_size ob_sval
    unicode: size state length asciiobject_size";

/// The same of 3.15.
pub const FIELDS_3_15: &str = "
    runtime: size finalizing interpreters_head
    interpreter: size id next threads_head threads_main gc imports_modules sysdict builtins ceval_gil
        gil_state gil_state_enabled gil_state_locked gil_state_holder code_object_generation
        tlbc_generation
    thread: size prev next interp current_frame base_frame last_profiled_frame
        last_profiled_frame_seq thread_id native_thread_id datastack_chunk status holds_gil
        gil_requested current_exception exc_state
    err_stackitem: exc_value
    frame: size previous executable instr_ptr localsplus owner stackpointer tlbc_index
    code: size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds
        co_code_adaptive co_tlbc
    object: size ob_type
    type: size tp_name tp_repr tp_flags tp_basicsize tp_dictoffset
    heap_type: size ht_cached_keys
    tuple: size ob_item ob_size
    list: size ob_item ob_size
    set: size used table mask
    dict: size ma_keys ma_values
    float: size ob_fval
    long: size lv_tag ob_digit
    bytes: size ob_size ob_sval
    unicode: size state length asciiobject_size compactunicodeobject_size";

/// The words of one structure, by name.
pub struct Words<'a> {
    /// One of the lists of fields.
    pub fields: &'static str,
    /// The structure.
    pub bytes: &'a [u8],
}

impl Words<'_> {
    /// The word called `name` of `group`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, group: &str, name: &str) -> Result<u64, String> {
        let mut current = "";
        // Before the groups stand the cookie, the version and whether there is no GIL.
        let mut index = 3;
        for token in self.fields.split_whitespace() {
            if let Some(begin) = token.strip_suffix(':') {
                current = begin;
                continue;
            }
            if current == group && token == name {
                return word(self.bytes, index)
                    .ok_or_else(|| "its debug offsets are cut short".to_owned());
            }
            index += 1;
        }
        Err(format!("its debug offsets have no {group}.{name}"))
    }

    /// The offset `name` in the structure that `group` describes: it must lie inside.
    ///
    /// # Errors
    /// Where it does not, or there is none.
    pub fn offset(&self, group: &str, name: &str) -> Result<u16, String> {
        let (value, size) = (self.get(group, name)?, self.get(group, "size")?);
        u16::try_from(value)
            .ok()
            .filter(|_| value < size)
            .ok_or_else(|| {
                format!("its debug offsets put {group}.{name} at {value} of {size} bytes")
            })
    }
}

/// The 8-byte word of that index.
#[must_use]
pub fn word(bytes: &[u8], index: usize) -> Option<u64> {
    bytes
        .get(index * 8..index * 8 + 8)?
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}
