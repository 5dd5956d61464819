use profiler_common::record::kind;

use super::*;

fn code(table_bytes: u32, table_sent: u32) -> Code {
    Code {
        kind: kind::CODE,
        missing: 0,
        pid: 1,
        generation: 1,
        key: 7,
        address: 0x1000,
        first_line: 1,
        name_kind: 1,
        file_kind: 1,
        padding: 0,
        name_bytes: 1,
        file_bytes: 1,
        table_bytes,
        name_sent: 1,
        file_sent: 1,
        table_sent,
    }
}

fn piece(offset: u32) -> Piece {
    Piece {
        kind: kind::PIECE,
        section: section::TABLE,
        offset,
        generation: 1,
        key: 7,
        bytes: 2,
        padding: 0,
    }
}

/// Makes sure that pieces complete a section only where none is missing.
#[test]
fn pieces_complete_a_section() {
    let mut store = Store::default();
    store.add_code(&code(6, 2), [b"n", b"f", b"ab"]);
    assert!(!store.is_complete(7));
    store.add_piece(&piece(4), b"ef");
    assert!(!store.is_complete(7), "a gap");
    store.add_piece(&piece(2), b"cd");
    store.add_piece(&piece(4), b"ef");
    assert!(store.is_complete(7));
    assert_eq!(
        store.code(7).and_then(|code| code.sections[2].complete()),
        Some(&b"abcdef"[..])
    );
    store.add_piece(&piece(6), b"gh");
    assert_eq!(
        store.code(7).and_then(|code| code.sections[2].complete()),
        Some(&b"abcdef"[..])
    );
}
