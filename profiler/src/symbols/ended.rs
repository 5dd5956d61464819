//! Code objects and stacks of registrations that have ended: equal ones are kept once.
//!
//! The keys of the kernel side tell processes apart, so that no name is taken for another's. Of a hundred thousand
//! children that ran the same function, each has its own. What is known of them does not change any more when they
//! have ended: from then on, contents tell them apart.

use foldhash::{HashMap, HashSet};

use super::{
    section::Section,
    stack::{Place, RawStack},
    store::{CodeObject, Store},
};

/// All that a name or a line is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Content {
    line_table: Option<u8>,
    first_line: i32,
    text_kinds: [u8; 2],
    sections: [Section; 3],
}

/// Code objects and stacks by numbers of our own.
#[derive(Debug, Default)]
pub struct Ended {
    /// What is kept.
    pub store: Store,
    code: HashMap<Content, u64>,
    stacks: HashMap<RawStack, u64>,
    /// Code objects and stacks so far.
    count: u64,
}

/// What stands for the registration of a code object here: the format of its line table.
fn format_number(line_table: Option<u8>) -> u64 {
    line_table.map_or(u64::MAX, u64::from)
}

/// The formats of the line tables here, by what stands for registrations.
#[must_use]
pub fn line_tables() -> HashMap<u64, u8> {
    let formats = 0..=u8::MAX;
    formats
        .map(|format| (format_number(Some(format)), format))
        .collect()
}

/// The key of code objects that never arrived: there is none of this number.
const UNKNOWN: u64 = u64::MAX;

impl Ended {
    /// Takes over from `live` what is of registrations that have ended; `line_tables` has the format of each one's
    /// line tables. For each of their stacks there, the number here.
    pub fn take(
        &mut self,
        live: &mut Store,
        ended: &HashSet<u64>,
        line_tables: &HashMap<u64, u8>,
    ) -> HashMap<u64, u64> {
        let of = |generation| ended.contains(&generation);
        let keys: HashMap<u64, u64> = live
            .take_code(of)
            .into_iter()
            .map(|(key, object)| {
                let line_table = line_tables.get(&object.generation).copied();
                (key, self.code(object, line_table))
            })
            .collect();
        let place =
            |&(key, instruction): &Place| (keys.get(&key).copied().unwrap_or(UNKNOWN), instruction);
        let stacks = live.take_stacks(of).into_iter();
        stacks
            .map(|(id, stack, met)| (id, self.stack(stack.translated(0, place), met)))
            .collect()
    }

    /// Drops stacks by their numbers, and the code objects that no other stack needs. How many code objects are gone.
    pub fn drop_stacks(&mut self, numbers: &[u64]) -> usize {
        self.store.condemn(numbers);
        let (_, code) = self.store.drop_condemned(numbers);
        self.stacks
            .retain(|_, number| self.store.stack(*number).is_some());
        self.code
            .retain(|_, number| self.store.code(*number).is_some());
        code
    }

    /// The number of a stack that is nothing but a mark.
    pub fn mark(&mut self, mark: u32) -> u64 {
        self.stack(RawStack::marked(0, mark), 0)
    }

    fn code(&mut self, object: CodeObject, line_table: Option<u8>) -> u64 {
        let content = Content {
            line_table,
            first_line: object.first_line,
            text_kinds: object.text_kinds,
            sections: object.sections.clone(),
        };
        let next = self.count;
        let number = *self.code.entry(content).or_insert(next);
        if number == next {
            self.count += 1;
            // Registrations come and go: in their place stands what is wanted of them.
            let generation = format_number(line_table);
            self.store.fill(
                number,
                CodeObject {
                    generation,
                    ..object
                },
            );
        }
        number
    }

    fn stack(&mut self, stack: RawStack, met: u64) -> u64 {
        let next = self.count;
        let number = *self.stacks.entry(stack.clone()).or_insert(next);
        if number == next {
            self.count += 1;
            self.store.keep(number, stack, met);
        } else {
            self.store.meet(number, met);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::record::{Code, Stack, StackFrame, kind};
    use zerocopy::FromZeros as _;

    use super::*;

    fn live(processes: &[(u64, &str)]) -> Store {
        let mut store = Store::default();
        for &(generation, name) in processes {
            let bytes = [name.as_bytes(), b"f.py", b""];
            store.add_code(
                &Code {
                    kind: kind::CODE,
                    missing: 0,
                    pid: 1,
                    generation,
                    key: generation + 1000,
                    address: 0x1000,
                    first_line: 7,
                    name_kind: 1,
                    file_kind: 1,
                    padding: 0,
                    name_bytes: bytes[0].len() as u32,
                    file_bytes: bytes[1].len() as u32,
                    table_bytes: 0,
                    name_sent: bytes[0].len() as u32,
                    file_sent: bytes[1].len() as u32,
                    table_sent: 0,
                },
                bytes,
            );
            let frame = StackFrame {
                key: generation + 1000,
                ..StackFrame::new_zeroed()
            };
            let stack = Stack {
                generation,
                id: generation + 2000,
                depth: 1,
                leaf_frames: 1,
                ..Stack::new_zeroed()
            };
            store.add_stack(&stack, &[frame]);
        }
        store
    }

    /// Makes sure that equal functions of processes that have ended are one, that others are not, and that those of
    /// processes that live stay where they are.
    #[test]
    fn equal_ones_are_kept_once() {
        let mut store = live(&[(1, "same"), (2, "same"), (3, "other"), (4, "same")]);
        let mut ended = Ended::default();
        let formats = HashMap::from_iter([(1, 0), (2, 0), (3, 0)]);
        let mut numbers = ended.take(&mut store, &HashSet::from_iter([1, 3]), &formats);
        numbers.extend(ended.take(&mut store, &HashSet::from_iter([2]), &formats));
        assert_eq!(numbers[&2001], numbers[&2002]);
        assert_ne!(numbers[&2001], numbers[&2003]);
        let stack = ended.store.stack(numbers[&2002]).expect("a known stack");
        let code = ended
            .store
            .code(stack.leaf()[0].0)
            .expect("a known function");
        assert_eq!(code.sections[0].complete(), Some(&b"same"[..]));
        assert!(store.stack(2001).is_none() && store.code(1001).is_none());
        assert!(store.stack(2004).is_some() && store.code(1004).is_some());
    }

    /// Makes sure that a line table is not read in another version's format.
    #[test]
    fn formats_are_kept_apart() {
        let mut store = live(&[(1, "same"), (2, "same")]);
        let formats = HashMap::from_iter([(1, 0), (2, 1)]);
        let numbers = Ended::default().take(&mut store, &HashSet::from_iter([1, 2]), &formats);
        assert_ne!(numbers[&2001], numbers[&2002]);
    }
}
