//! Reading durations, rates and sizes as people write them.

use std::time::Duration;

use crate::profile::budget::Budget;

/// Samples per second and CPU at most: a hundred microseconds apart is already a tenth of that.
const RATE_MAX: u64 = 100_000;
/// Memory at least and at most (bytes): the programs and an empty recording take some 30 MB.
const MEMORY: (f64, f64) = (64.0 * 1_048_576.0, 1_048_576.0 * 1_048_576.0);
/// The least budget, in per cent: to look at what was spent takes some of it.
const BUDGET_MIN: f64 = 0.01;

/// `10` and `10s` are seconds; `500ms`, `2m`, `1h`.
///
/// # Errors
/// What is wrong, with an example.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: write 10, 10s, 500ms or 2m");
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if duration.is_zero() {
        Err(wrong())
    } else {
        Ok(duration)
    }
}

/// `99`, `1000hz`, `10khz`.
///
/// # Errors
/// What is wrong, with the range.
pub fn rate(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let number = lower.strip_suffix("hz").unwrap_or(&lower);
    let (number, factor) = match number.strip_suffix('k') {
        Some(number) => (number, 1000),
        None => (number, 1),
    };
    let rate = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    rate.filter(|rate| (1..=RATE_MAX).contains(rate))
        .ok_or_else(|| format!("`{text}` is no rate: write samples per second from 1 to {RATE_MAX}, such as 99 or 10khz"))
}

/// A share of a core, `1%` or `0.5%`, or of all cores, `2%host`.
///
/// # Errors
/// What is wrong, with examples.
pub fn budget(text: &str) -> Result<Budget, String> {
    let lower = text.to_ascii_lowercase();
    let (share, of_host) = match lower.strip_suffix("host") {
        Some(share) => (share.trim_end(), true),
        None => (lower.as_str(), false),
    };
    let number = share.strip_suffix('%').map(str::trim_end);
    let is_plain = |number: &&str| {
        number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let percent = number
        .filter(is_plain)
        .and_then(|number| number.parse::<f64>().ok());
    percent
        .filter(|percent| (BUDGET_MIN..=100.0).contains(percent))
        .map(|percent| Budget { percent, of_host })
        .ok_or_else(|| {
            format!(
                "`{text}` is no budget: write a share of a core such as 1% or 0.5%, or of all cores such as 2%host, from {BUDGET_MIN}% to 100%"
            )
        })
}

/// An amount of memory in bytes: `256m`, `256MB`, `1.5g`; all are powers of 1,024.
///
/// # Errors
/// What is wrong, with the range.
pub fn memory(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit = unit.trim_start();
    let shift = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(unit)
    {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    let bytes = shift.and_then(|shift| Some(number.parse::<f64>().ok()? * f64::from(shift).exp2()));
    bytes
        .filter(|bytes| (MEMORY.0..=MEMORY.1).contains(bytes))
        .map(|bytes| bytes as u64)
        .ok_or_else(|| {
            format!("`{text}` is no amount of memory: write 64m to 1t, such as 256m or 1g")
        })
}

/// A ring buffer's size in bytes: `4k`, `1m`; a power of two from 4 KiB to 64 MiB.
///
/// # Errors
/// What is wrong, with the range.
pub fn ring_size(text: &str) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        _ => None,
    };
    let bytes = shift.and_then(|shift| number.parse::<u32>().ok()?.checked_mul(1 << shift));
    bytes
        .filter(|bytes| bytes.is_power_of_two() && (4 << 10..=64 << 20).contains(bytes))
        .ok_or_else(|| {
            format!("`{text}` is no ring buffer size: write a power of two from 4k to 64m")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that durations are read as the help says, and nonsense is refused.
    #[test]
    fn durations() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "0", "-1", "s", "10x", "1e400", "1.2.3"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    /// Makes sure that rates are read as the help says, and out of range is refused.
    #[test]
    fn rates() {
        assert_eq!(rate("99"), Ok(99));
        assert_eq!(rate("10khz"), Ok(10_000));
        assert_eq!(rate("1000Hz"), Ok(1000));
        for wrong in ["", "0", "1mhz", "100001", "-5", "k"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    /// Makes sure that budgets are read as the help says, and that a number without a unit is none.
    #[test]
    fn budgets() {
        let is = |percent, of_host| Ok(Budget { percent, of_host });
        assert_eq!(budget("1%"), is(1.0, false));
        assert_eq!(budget("0.5%"), is(0.5, false));
        assert_eq!(budget("2%host"), is(2.0, true));
        assert_eq!(budget("2% Host"), is(2.0, true));
        for wrong in [
            "", "1", "%", "0%", "-1%", "101%", "1%core", "host", "nan%", "inf%", "1e1%",
        ] {
            assert!(
                budget(wrong).is_err_and(|error| error.contains("2%host")),
                "{wrong}"
            );
        }
    }

    /// Makes sure that amounts of memory are read as people write them, and that what is too little for a recording is
    /// refused with the range.
    #[test]
    fn amounts_of_memory() {
        for (text, mebibytes) in [
            ("64m", 64),
            ("256M", 256),
            ("512 MiB", 512),
            ("128mb", 128),
            ("1.5g", 1536),
            ("1T", 1 << 20),
            ("67108864", 64),
        ] {
            assert_eq!(memory(text), Ok(mebibytes << 20), "{text}");
        }
        for wrong in [
            "", "m", "63m", "2t", "-1g", "1e9", "100x", "1.2.3g", "nan", "10%",
        ] {
            assert!(
                memory(wrong).is_err_and(|error| error.contains("256m")),
                "{wrong}"
            );
        }
    }

    /// Makes sure that only sizes that the kernel takes pass.
    #[test]
    fn ring_sizes() {
        assert_eq!(ring_size("4k"), Ok(4096));
        assert_eq!(ring_size("1M"), Ok(1 << 20));
        for wrong in ["", "1", "5k", "128m", "4g", "99999999m"] {
            assert!(ring_size(wrong).is_err(), "{wrong}");
        }
    }
}
