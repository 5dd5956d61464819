//! x
fn main() {
    let k = profiler::kernel::Kernel::load(profiler::kernel::Options {
        clock: Default::default(),
        rate_hz: 99,
        ring_bytes: 1 << 20,
        every_exec: true,
        count_run_time: true,
    });
    match k {
        Ok(_) => println!("ok"),
        Err(e) => {
            println!("{e}");
            let mut s: Option<&dyn std::error::Error> = Some(&e);
            while let Some(x) = s {
                println!("  {x:.20000}");
                s = x.source();
            }
        }
    }
}
