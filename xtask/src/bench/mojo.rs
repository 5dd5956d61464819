//! Austin's binary output, MOJO version 3, as far as it tells which process used how much time
//! (<https://github.com/P403n1x87/austin/wiki/The-MOJO-file-format>).

use std::collections::HashMap;

/// The times of all samples, in microseconds, by process. What is cut short counts up to there.
pub fn times(bytes: &[u8]) -> HashMap<u64, u64> {
    let mut times = HashMap::new();
    let mut input = Input(bytes);
    // What it is, and the version.
    if input.take(3) == Some(b"MOJ") {
        input.number();
        let mut process = 0;
        while let Some(event) = input.event(&mut process) {
            if let Some(time) = event {
                *times.entry(process).or_default() += time;
            }
        }
    }
    times
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Reads an event; a stack's sets `process`, and of a metric the time is returned.
    fn event(&mut self, process: &mut u64) -> Option<Option<u64>> {
        let mut time = None;
        match self.take(1)?[0] {
            // Metadata: key and value.
            1 => {
                self.string()?;
                self.string()?;
            }
            // A stack: process, interpreter, thread.
            2 => {
                *process = self.number()?;
                self.number()?;
                self.string()?;
            }
            // A frame: key, file, scope, lines and columns from and to.
            3 => {
                for _ in 0..7 {
                    self.number()?;
                }
            }
            // A frame that is invalid, a sample in the collector, an idle one.
            4 | 7 | 8 => {}
            // A known frame, memory, a known string.
            5 | 10 | 12 => {
                self.number()?;
            }
            // A frame of the kernel.
            6 => {
                self.string()?;
            }
            9 => time = Some(self.number()?),
            // A string, with its key.
            11 => {
                self.number()?;
                self.string()?;
            }
            _ => return None,
        }
        Some(time)
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// An integer without its sign: six bits in the first byte, seven in each further one, lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut byte = self.take(1)?[0];
        let mut number = u64::from(byte & 0x3f);
        let mut shift = 6;
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
        }
        Some(number)
    }

    fn string(&mut self) -> Option<()> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        self.take(end + 1).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::times;

    /// The beginning of a real file, with two samples made of it: process 6571 ran for 23 and 100 us.
    #[test]
    fn a_process_has_its_time() {
        let mut file =
            b"MOJ\x03\x01mode\0cpu\0\x02\xab\x66\x0019ab\0\x0b\xb0\xe4\xf4\x7e/storm.py\0".to_vec();
        file.extend(b"\x03\x92\x81\x80\x99\xd9\xfb\x03\xb0\xe4\xf4\x7e\x90\xca\xee\x7e\x10\x10\x0b\x1e\x09\x17");
        file.extend(b"\x02\xab\x66\x0019ab\0\x05\x92\x81\x80\x99\xd9\xfb\x03\x09\xa4\x01");
        assert_eq!(times(&file), [(6571, 123)].into());
        file.truncate(file.len() - 1);
        assert_eq!(times(&file), [(6571, 23)].into());
    }
}
