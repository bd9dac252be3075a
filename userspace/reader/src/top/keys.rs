//! From the bytes of a terminal to keys.
//!
//! Not by crossterm's events: their thread spins once the terminal has hung up, and stops after more than 1024
//! pasted bytes until the next key (crossterm 0.29, `event/source/unix/mio.rs`).

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Printable ASCII; nothing else is part of a name that can be looked for.
    Char(char),
    /// Ctrl-C.
    Interrupt,
    /// Esc.
    Escape,
    /// Enter.
    Enter,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the start.
    Home,
    /// To the end.
    End,
}

const ESC: u8 = 0x1b;
/// Longest sequence that is put together.
const SEQUENCE_MAX: usize = 16;

/// Puts sequences together (ECMA-48, section 5.4; xterm's `ctlseqs`).
#[derive(Debug, Default)]
pub struct Parser {
    /// A sequence that has begun.
    sequence: Vec<u8>,
}

impl Parser {
    /// Takes in bytes, and hands out the keys in them.
    pub fn feed(&mut self, bytes: &[u8], key: &mut impl FnMut(Key)) {
        for byte in bytes {
            if let Some(found) = self.byte(*byte) {
                key(found);
            }
        }
    }

    /// Whether a sequence has begun: if nothing follows soon, it was the key Esc.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        !self.sequence.is_empty()
    }

    /// Nothing followed.
    pub fn give_up(&mut self) -> Option<Key> {
        let lone = self.sequence == [ESC];
        self.sequence.clear();
        lone.then_some(Key::Escape)
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        match (&self.sequence[..], byte) {
            ([], ESC) => {
                self.sequence.push(byte);
                None
            }
            ([], _) => plain(byte),
            // Twice: the first one was the key.
            ([ESC], ESC) => Some(Key::Escape),
            ([ESC], b'[' | b'O') => {
                self.sequence.push(byte);
                None
            }
            ([ESC], 0x03) => {
                self.sequence.clear();
                Some(Key::Interrupt)
            }
            // A key with Alt, which means nothing.
            ([ESC], _) => {
                self.sequence.clear();
                None
            }
            // The end, or something that does not belong into a sequence.
            (_, 0x40..) | (_, ..0x20) => {
                let key = sequence(&self.sequence[2..], byte);
                self.sequence.clear();
                key
            }
            _ => {
                if self.sequence.len() < SEQUENCE_MAX {
                    self.sequence.push(byte);
                }
                None
            }
        }
    }
}

const fn plain(byte: u8) -> Option<Key> {
    Some(match byte {
        0x03 => Key::Interrupt,
        b'\t' => Key::Tab,
        b'\r' | b'\n' => Key::Enter,
        0x08 | 0x7f => Key::Backspace,
        b' '..=b'~' => Key::Char(byte as char),
        _ => return None,
    })
}

/// What follows `ESC [` or `ESC O`. Modifiers, after a semicolon, change nothing.
fn sequence(parameters: &[u8], end: u8) -> Option<Key> {
    let number = parameters.split(|byte| *byte == b';').next();
    Some(match (end, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', Some(b"1" | b"7")) => Key::Home,
        (b'F', _) | (b'~', Some(b"4" | b"8")) => Key::End,
        (b'Z', _) => Key::BackTab,
        (b'~', Some(b"5")) => Key::PageUp,
        (b'~', Some(b"6")) => Key::PageDown,
        // Enter on the keypad.
        (b'M', Some(b"")) => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let (mut parser, mut keys) = (Parser::default(), Vec::new());
        parser.feed(bytes, &mut |key| keys.push(key));
        keys.extend(parser.give_up());
        keys
    }

    #[test]
    fn sequences_are_keys() {
        use Key::{
            BackTab, Backspace, Char, Down, End, Enter, Escape, Home, Interrupt, PageUp, Up,
        };
        for (bytes, expected) in [
            (&b"q\x03"[..], &[Char('q'), Interrupt][..]),
            (b"\x1b", &[Escape]),
            (b"\x1b\x1b", &[Escape, Escape]),
            (b"\x1b\x03", &[Interrupt]),
            (b"\x1b[A\x1bOB\x1b[1;5A", &[Up, Down, Up]),
            (b"\x1b[H\x1b[4~\x1b[5~\x1b[Z", &[Home, End, PageUp, BackTab]),
            (b"\r\x7f", &[Enter, Backspace]),
            // Alt and a key, a function key, a mouse, a letter beyond ASCII.
            (b"\x1bx\x1b[15~\x1b[<0;1;1M\xc3\xa9", &[]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_sequence_may_come_in_pieces() {
        let (mut parser, mut keys) = (Parser::default(), Vec::new());
        for piece in [&b"\x1b"[..], b"[", b"6", b"~"] {
            parser.feed(piece, &mut |key| keys.push(key));
        }
        assert_eq!((keys, parser.is_waiting()), (vec![Key::PageDown], false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let found = keys(&bytes);
            prop_assert!(found.len() <= bytes.len());
            let printable = |key: &Key| matches!(key, Key::Char(c) if !c.is_ascii_graphic() && *c != ' ');
            prop_assert!(!found.iter().any(printable));
        }
    }
}
