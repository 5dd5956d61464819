//! Set-up, build, run, test and benchmarks.
fn main() {}
