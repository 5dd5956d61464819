//! The program `pyprof-ebpf`: exit codes and nothing else.
fn main() {}
