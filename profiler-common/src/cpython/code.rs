//! Reading a code object: its identity and its strings.
