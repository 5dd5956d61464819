//! How a sample ended: one list, from which the kernel's counters, the ledger and the words that the
//! user reads all come.

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $index:literal, $key:literal, $words:literal;)*) => {
        /// What became of one firing of the sampling program in a process under profile.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Outcome {
            $($(#[$doc])* $name = $index,)*
        }

        impl Outcome {
            /// Every outcome, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name in the `--stats` ledger: stable, lower case, hyphenated.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// What a person reads in the summary.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

outcomes! {
    /// The sample reached user space and is in the profile.
    Delivered = 0, "delivered", "delivered";
    /// No room in the ring buffer for the sample itself.
    RingBufferFull = 1, "ring-buffer-full", "the ring buffer was full";
    /// No room in the ring buffer for a stack that was met for the first time.
    StackRingBufferFull = 2, "stack-ring-buffer-full", "the ring buffer was full when a new stack was met";
    /// The kernel refused a tail call between the sampling programs.
    TailCallFailed = 3, "tail-call-failed", "the kernel refused a tail call";
    /// The per-CPU scratch memory or a layout was missing: a defect of the profiler.
    Internal = 4, "internal", "an internal table was missing";
    /// User space received a record that it could not make sense of: a defect of the profiler.
    Malformed = 5, "malformed", "the record could not be decoded";
    /// A sample named a stack that user space never received or no longer had.
    UnknownStack = 6, "unknown-stack", "its stack was not known";
}

/// How many outcomes there are: the length of the counter arrays.
pub const OUTCOME_COUNT: usize = Outcome::ALL.len();

const _: () = assert!(OUTCOME_COUNT <= 8, "process::Process keeps eight counters");

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that an outcome's discriminant is its place in the counter arrays.
    #[test]
    fn discriminants_index_the_list() {
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
