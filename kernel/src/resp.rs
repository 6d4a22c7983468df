//! Redis commands as bytes, ready for one write.

/// The head of every PUBLISH to `channel` up to the payload's length; made once for each channel.
pub fn publish_header(channel: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(channel.len() + 40);
    header.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n");
    bulk(&mut header, channel);
    header.push(b'$');
    header
}

/// Adds `PUBLISH channel payload`; `header` is of `publish_header`.
#[inline]
pub fn publish(out: &mut Vec<u8>, header: &[u8], payload: &[u8]) {
    publish_begin(out, header, payload.len());
    out.extend_from_slice(payload);
    publish_end(out);
}

/// Adds a PUBLISH up to its payload, of which the caller then adds exactly `length` bytes before `publish_end`.
#[inline]
pub fn publish_begin(out: &mut Vec<u8>, header: &[u8], length: usize) {
    out.reserve(header.len() + length + 24);
    out.extend_from_slice(header);
    number_line(out, length);
}

/// Ends what `publish_begin` began.
#[inline]
pub fn publish_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Adds `SET key value`.
pub fn set(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    command(out, 3, b"SET");
    bulk(out, key);
    bulk(out, value);
}

/// Adds `HSET key field value …`; nothing where there are no fields, which Redis would refuse. Whether it added it.
pub fn hset<F: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, key: &[u8], fields: &[(F, V)]) -> bool {
    if fields.is_empty() {
        return false;
    }
    command(out, 2 + 2 * fields.len(), b"HSET");
    bulk(out, key);
    for (field, value) in fields {
        bulk(out, field.as_ref());
        bulk(out, value.as_ref());
    }
    true
}

/// Adds `HDEL key field …`; nothing where there are no fields. Whether it added it.
pub fn hdel<F: AsRef<[u8]>>(out: &mut Vec<u8>, key: &[u8], fields: &[F]) -> bool {
    keyed_list(out, b"HDEL", key, fields)
}

/// Adds `SADD key member …`; nothing where there are no members. Whether it added it.
pub fn sadd<M: AsRef<[u8]>>(out: &mut Vec<u8>, key: &[u8], members: &[M]) -> bool {
    keyed_list(out, b"SADD", key, members)
}

/// Adds `DEL key …`; nothing where there are no keys. Whether it added it.
pub fn del<K: AsRef<[u8]>>(out: &mut Vec<u8>, keys: &[K]) -> bool {
    if keys.is_empty() {
        return false;
    }
    command(out, 1 + keys.len(), b"DEL");
    for key in keys {
        bulk(out, key.as_ref());
    }
    true
}

fn keyed_list<I: AsRef<[u8]>>(out: &mut Vec<u8>, name: &[u8], key: &[u8], items: &[I]) -> bool {
    if items.is_empty() {
        return false;
    }
    command(out, 2 + items.len(), name);
    bulk(out, key);
    for item in items {
        bulk(out, item.as_ref());
    }
    true
}

fn command(out: &mut Vec<u8>, words: usize, name: &[u8]) {
    out.push(b'*');
    number_line(out, words);
    bulk(out, name);
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    number_line(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn number_line(out: &mut Vec<u8>, mut number: usize) {
    let mut text = *b"00000000000000000000\r\n";
    let mut at = text.len() - 2;
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn publish_is_one_command_of_three_words() {
        let header = publish_header(b"MARKET_DATA.a");
        assert_eq!(
            written(|out| publish(out, &header, &[b'x'; 12])),
            "*3\r\n$7\r\nPUBLISH\r\n$13\r\nMARKET_DATA.a\r\n$12\r\nxxxxxxxxxxxx\r\n"
        );
        assert_eq!(
            written(|out| publish(out, &publish_header(b""), b"")),
            "*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$0\r\n\r\n"
        );
    }

    #[test]
    fn other_commands_count_their_words() {
        assert_eq!(written(|out| set(out, b"k", b"vv")), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n");
        let fields = [("a", "1"), ("b", "22")];
        assert_eq!(
            written(|out| assert!(hset(out, b"k", &fields))),
            "*6\r\n$4\r\nHSET\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$2\r\n22\r\n"
        );
        let members = ["m", "n"];
        assert_eq!(
            written(|out| assert!(sadd(out, b"k", &members))),
            "*4\r\n$4\r\nSADD\r\n$1\r\nk\r\n$1\r\nm\r\n$1\r\nn\r\n"
        );
        assert_eq!(written(|out| assert!(hdel(out, b"k", &["f"]))), "*3\r\n$4\r\nHDEL\r\n$1\r\nk\r\n$1\r\nf\r\n");
        assert_eq!(written(|out| assert!(del(out, &["k"]))), "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
    }

    #[test]
    fn commands_without_items_are_not_written() {
        let none: [&str; 0] = [];
        let pairs: [(&str, &str); 0] = [];
        assert_eq!(written(|out| assert!(!sadd(out, b"k", &none))), "");
        assert_eq!(written(|out| assert!(!hset(out, b"k", &pairs))), "");
        assert_eq!(written(|out| assert!(!del(out, &none))), "");
    }

    #[test]
    fn the_longest_number_fits() {
        assert_eq!(written(|out| number_line(out, usize::MAX)), format!("{}\r\n", usize::MAX));
    }
}
