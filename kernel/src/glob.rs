//! Globs of the spec language: `*` stands for any run of characters, `?` for any one.

/// Whether the whole of `text` fits `pattern`; takes time proportional to the product of their lengths at worst.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: past the star, and one character further in the text.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => {
                t += character(text, t);
                p += 1;
                continue;
            }
            Some(&byte) if byte == text[t] => {
                t += 1;
                p += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, start)) = retry else { return false };
        t = start + character(text, start);
        p = after;
        retry = Some((after, t));
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Bytes that the UTF-8 character at `at` takes.
fn character(text: &[u8], at: usize) -> usize {
    1 + text[at + 1..].iter().take_while(|&&byte| byte & 0xc0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_stand_for_what_they_should() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything"),
            ("book.*", "book.BTC/USD"),
            ("*@depth@*", "btcusdt@depth@100ms"),
            ("*@trade", "a@trade@trade"),
            ("a?c", "abc"),
            ("a?c", "aéc"),
            ("*é?", "xéy"),
            ("**a**", "bab"),
            ("", ""),
            ("exact", "exact"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("?", ""),
            ("book.*", "Book.x"),
            ("*@trade", "a@trades"),
            ("a?c", "ac"),
            ("a*b*c", "acb"),
            ("exact", "exactly"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(matches(&"a*".repeat(50), &"a".repeat(5_000)));
        assert!(!matches(&("*a".repeat(50) + "c"), &"a".repeat(20_000)));
    }
}
