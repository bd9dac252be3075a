//! Internationalized names (RFC 5890): the Unicode form of a name in ASCII, and whether a terminal can
//! be trusted with it. Everything else works on the form that is on the wire.

/// The Unicode form of a name in presentation format, if it has one and obeys the rules of UTS #46:
/// no controls, no joiners out of place, no labels of mixed direction.
#[must_use]
pub fn of(name: &str) -> Option<String> {
    // What is escaped is no host name.
    if name.contains('\\') || !name.split('.').any(has_prefix) {
        return None;
    }
    let (unicode, result) = idna::domain_to_unicode(name);
    (result.is_ok() && unicode != name).then_some(unicode)
}

/// Labels of that kind begin so (RFC 5890, section 2.3.1).
fn has_prefix(label: &str) -> bool {
    label
        .as_bytes()
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"))
}

/// Columns that a text takes at most on a terminal; `None` if it must not get there: it holds
/// something other than letters, digits, '-', '_' and '.', or letters that run from right to left and
/// take their neighbours with them.
#[must_use]
pub fn columns(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |sum, c| match c {
        '-' | '_' | '.' => Some(sum + 1),
        c if c.is_ascii_alphanumeric() => Some(sum + 1),
        c if c.is_alphanumeric() && !is_right_to_left(c) => Some(sum + 2),
        _ => None,
    })
}

/// Blocks whose default is to run from right to left (Unicode, DerivedBidiClass.txt).
const fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_have_a_form_get_it() {
        assert_eq!(
            of("xn--bcher-kva.example").as_deref(),
            Some("bücher.example")
        );
        assert_eq!(
            of("www.XN--BCHER-KVA.example").as_deref(),
            Some("www.bücher.example")
        );
        assert_eq!(
            of("_dmarc.xn--bcher-kva.example").as_deref(),
            Some("_dmarc.bücher.example")
        );
        // Right to left, and in order.
        assert_eq!(of("xn--4dbrk0ce.example").as_deref(), Some("ישראל.example"));
        for other in [
            "example.com",
            "notxn--bcher-kva.example",
            r"xn--bcher-kva\.example",
            // No Punycode; an ASCII label in disguise; a joiner; an override of the direction.
            "xn--99999999999.example",
            "xn--abc-.example",
            "xn--ab-m1t.example",
            "xn--ab-q3t.example",
            ".",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_terminal_gets_letters_from_left_to_right() {
        assert_eq!(columns("bücher.example"), Some(15));
        assert_eq!(columns("日本"), Some(4));
        for hostile in [
            "ישראל",
            "a\u{202e}b",
            "a\u{200d}b",
            "a\u{1b}b",
            "a b",
            "a\u{301}",
        ] {
            assert_eq!(columns(hostile), None, "{hostile:?}");
        }
    }
}
