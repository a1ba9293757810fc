//! Text that is meant to be seen: documented example keys, placeholders, references to where the secret is.

use super::entropy::shannon;

/// What only placeholders hold, in small letters. Five letters or more, so that a random token holds one hardly ever.
const WORDS: &[&[u8]] = &[
    b"example",
    b"xxxxx",
    b"your_",
    b"your-",
    b"yourapi",
    b"yourkey",
    b"yourtoken",
    b"yoursecret",
    b"placeholder",
    b"changeme",
    b"change-me",
    b"change_me",
    b"change_this",
    b"replace_",
    b"replaceme",
    b"replace-me",
    b"insert_",
    b"redacted",
    b"deadbeefdeadbeef",
    b"1234567890",
    b"0123456789",
    b"abcdefghij",
    b"0000000000",
    b"dummy",
    b"sample",
    b"notreal",
    b"not-real",
    b"not_real",
    b"fakekey",
    b"faketoken",
    b"fake_",
    b"fake-",
    b"_here",
    b"-here",
    b"todo_",
    b"*****",
    b".....",
    b"<",
    b"${",
    b"{{",
    b"$(",
    b"%s",
    b"-----",
    b"_____",
];

/// False for a placeholder or a key printed in a vendor's documentation.
pub fn is_no_example(secret: &[u8], _: &[u8]) -> bool {
    let small = secret.to_ascii_lowercase();
    !WORDS.iter().any(|word| contains(&small, word)) && !has_run(&small) && !has_sequence(&small)
}

/// What people write where a password goes and no password is.
const NO_PASSWORDS: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"pass",
    b"pwd",
    b"secret",
    b"token",
    b"username",
    b"user",
    b"null",
    b"none",
    b"true",
    b"false",
    b"undefined",
    b"string",
    b"admin",
    b"root",
    b"test",
    b"guest",
    b"postgres",
    b"mysql",
    b"redis",
    b"mongo",
    b"localhost",
    b"foo",
    b"bar",
    b"baz",
    b"foobar",
    b"pw",
    b"key",
    b"apikey",
    b"api_key",
    b"mypassword",
    b"my_password",
    b"mypass",
    b"<password>",
    b"db_password",
    b"dbpassword",
    b"dbpass",
    b"userpass",
    b"qwerty",
    b"hunter2",
    b"letmein",
    b"passw0rd",
    b"p@ssw0rd",
    b"password1",
    b"password123",
    b"pass123",
    b"test123",
    b"secret123",
    b"12345",
    b"123456",
    b"12345678",
];

/// False for what stands in place of a password: a word for it, a variable, a format directive, a mask.
pub fn is_password(secret: &[u8], context: &[u8]) -> bool {
    let small = secret.to_ascii_lowercase();
    let reference = matches!(
        small.first(),
        Some(b'$' | b'%' | b'{' | b'<' | b'[' | b'(' | b'*' | b'#' | b'@' | b':' | b'.')
    ) || contains(&small, b"${")
        || contains(&small, b"{{")
        || contains(&small, b"#{")
        || contains(&small, b"%(");
    let call = contains(&small, b"(")
        || contains(&small, b"process.env")
        || contains(&small, b"os.environ");
    let masked = small
        .iter()
        .all(|byte| matches!(byte, b'*' | b'x' | b'.' | b'-' | b'_'));
    !reference
        && !call
        && !masked
        && !NO_PASSWORDS.contains(&small.as_slice())
        && shannon(&small) >= 1.5
        && is_no_example(secret, context)
}

/// Hosts at which every credential is a story: reserved names (RFC 2606), what tutorials call a host.
const NO_HOSTS: &[&[u8]] = &[
    b"example.com",
    b"example.org",
    b"example.net",
    b"example",
    b"domain.com",
    b"mydomain.com",
    b"yourdomain.com",
    b"host",
    b"hostname",
    b"server",
    b"myserver",
    b"your-server",
    b"site.com",
    b"website.com",
    b"url",
    b"domain",
    b"host.com",
];

/// The credential stands before a host that is one: `…@host` in `context`.
pub fn is_on_a_real_host(secret: &[u8], context: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(context, secret) else {
        return true;
    };
    let Some((_, after)) = context[at + secret.len()..].split_first() else {
        return true;
    };
    let host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let end = after
        .iter()
        .position(|byte| !host(byte))
        .unwrap_or(after.len());
    let name = after[..end].to_ascii_lowercase();
    !NO_HOSTS.contains(&name.as_slice())
        && !name.ends_with(b".example.com")
        && !name.ends_with(b".example")
}

/// Six of the same letter in a row.
fn has_run(text: &[u8]) -> bool {
    text.windows(6)
        .any(|six| six.iter().all(|byte| *byte == six[0]))
}

/// Ten letters or digits that count up or down: `abcdefghij`, `9876543210`.
fn has_sequence(text: &[u8]) -> bool {
    let counts = |ten: &[u8], step: u8| {
        ten.windows(2)
            .all(|pair| pair[0].is_ascii_alphanumeric() && pair[1] == pair[0].wrapping_add(step))
    };
    text.windows(10)
        .any(|ten| counts(ten, 1) || counts(ten, 255))
}

pub(super) fn contains(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_examples_are_known() {
        for example in [
            "AKIAIOSFODNN7EXAMPLE",
            "sk-xxxxxxxxxxxx",
            "ghp_your_token_here",
            "0000000000000000",
        ] {
            assert!(!is_no_example(example.as_bytes(), b""), "{example}");
        }
        assert!(is_no_example(b"Zr8Qk2LmX0pT7bV1", b""));
    }

    #[test]
    fn hosts_of_stories_are_known() {
        assert!(!is_on_a_real_host(
            b"hunter22",
            b"https://ada:hunter22@example.com/x"
        ));
        assert!(is_on_a_real_host(
            b"hunter22",
            b"https://ada:hunter22@git.acme.io/x"
        ));
    }

    #[test]
    fn references_and_words_are_no_passwords() {
        for word in [
            "${DB_PASSWORD}",
            "password",
            "<secret>",
            "{{ pass }}",
            "getPassword()",
            "********",
            "aaaa",
        ] {
            assert!(!is_password(word.as_bytes(), b""), "{word}");
        }
        assert!(is_password(b"tr0ub4dor&3", b""));
    }
}
