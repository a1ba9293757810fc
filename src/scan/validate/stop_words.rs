//! Text that is meant to be seen: documented example keys, placeholders, references to where the secret is.

use super::entropy::{is_mixed_case, shannon};

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
    b"yourhuggingface",
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
    b"1234567890123456",
    b"sk-1234567890abcdef",
    b"1234-5678-abcdef",
    b"0000000000",
    b"dummy",
    b"notreal",
    b"not-real",
    b"not_real",
    b"fakekey",
    b"faketoken",
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
    b"_____",
    // The beginnings of values that everybody has: the keys of Azurite and of the Cosmos DB emulator, Mapbox' own public token.
    b"eby8vdm02xnocqflquwj",
    b"c2y6ydjf5/r+ob0n8a7c",
    b"eyj1ijoibwfwym94ii",
];

/// False where the letters alone count up the alphabet, whatever stands between them: `a1B2c3D4e5F6…` is what a hand types
/// for a sample, and what no generator makes.
pub fn is_not_typed(secret: &[u8], _: &[u8]) -> bool {
    let letters = secret.iter().filter(|byte| byte.is_ascii_alphabetic());
    let letters: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    !has_sequence(&letters, 12)
}

/// False for a placeholder or a key printed in a vendor's documentation.
pub fn is_no_example(secret: &[u8], _: &[u8]) -> bool {
    let small = secret.to_ascii_lowercase();
    let run = small
        .windows(8)
        .any(|eight| eight.iter().all(|byte| *byte == eight[0]));
    !WORDS.iter().any(|word| contains(&small, word)) && !run && !has_sequence(&small, 16)
}

/// Stricter, for what has no structure of its own: not made of letters or digits in their order (`1234567890abcdefgh`), and no
/// word that says "this is a story" in it.
pub fn is_no_sequence(secret: &[u8], context: &[u8]) -> bool {
    const STORIES: [&[u8]; 8] = [
        b"sample",
        b"fake",
        b"12345678",
        b"abcdefgh",
        b"test_",
        b"test-",
        b"my_",
        b"secret_key",
    ];
    let small = secret.to_ascii_lowercase();
    let run = small
        .windows(5)
        .any(|five| five.iter().all(|byte| *byte == five[0]));
    is_no_example(secret, context) && !run && !STORIES.iter().any(|word| contains(&small, word))
}

/// What stands before a digest, the name of a commit or a file's checksum, in small letters.
const DIGESTS: &[&[u8]] = &[
    b"sha1",
    b"sha-1",
    b"sha2",
    b"sha5",
    b"sha3",
    b"md5",
    b"commit",
    b"tree ",
    b"parent ",
    b"merge:",
    b"digest",
    b"integrity",
    b"checksum",
    b"revision",
    b"etag",
    b"blob ",
    b"index ",
    b"fingerprint",
    b"gitsha",
    b"git_sha",
    b"build-hash",
    b"rev:",
];

/// False for hexadecimal digits or base64 that the text before calls a digest.
pub fn is_no_digest(secret: &[u8], context: &[u8]) -> bool {
    let at = memchr::memmem::find(context, secret).unwrap_or(0);
    let before = context[at.saturating_sub(24)..at].to_ascii_lowercase();
    !DIGESTS.iter().any(|word| contains(&before, word))
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
    b"randompassword",
    b"rootpassword",
    b"rootpass",
    b"adminpass",
    b"adminpassword",
    b"postgrespass",
    b"postgrespassword",
    b"mysqlpassword",
    b"redispw",
    b"redispass",
    b"redispassword",
    b"anonymous",
    b"mysecretpassword",
    b"opensesame",
    b"open sesame",
    b"changeit",
    b"tiger",
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
    let call = small.ends_with(b")") && contains(&small, b"(")
        || contains(&small, b"process.env")
        || contains(&small, b"os.environ");
    // `host:8080,other` is no password but a port.
    let port = small
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .is_some_and(|at| at > 0 && matches!(small[at], b',' | b'/'));
    let masked = small
        .iter()
        .all(|byte| matches!(byte, b'*' | b'x' | b'.' | b'-' | b'_'));
    !is_reference(secret)
        && !call
        && !masked
        && !port
        && !NO_PASSWORDS.contains(&small.as_slice())
        && shannon(&small) >= 1.5
        && is_no_example(secret, context)
}

/// Whether this stands for a value that is somewhere else: a variable, a directive, something in brackets. A password may
/// begin with the same signs.
fn is_reference(secret: &[u8]) -> bool {
    // A name has capitals, small letters and digits together hardly ever; a password that somebody generated does.
    let is_name = |text: &[u8]| {
        let has = |is: fn(&u8) -> bool| text.iter().any(is);
        let mut bytes = text.iter();
        bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            && !(has(u8::is_ascii_uppercase)
                && has(u8::is_ascii_lowercase)
                && has(u8::is_ascii_digit))
    };
    let within = [b"${".as_slice(), b"{{", b"#{", b"%("];
    within.iter().any(|sign| contains(secret, sign))
        || match secret {
            [b'$' | b'@' | b'#' | b':' | b'.', name @ ..] | [b'%', name @ .., b'%'] => {
                is_name(name)
            }
            [b'{', .., b'}'] | [b'[', .., b']'] | [b'(', .., b')'] | [b'<', ..] => true,
            _ => false,
        }
}

/// A password where nothing but a name vouches for it: with a digit or a sign among letters, so that words and names of
/// variables are left alone.
pub fn is_opaque_password(secret: &[u8], context: &[u8]) -> bool {
    let signs = secret
        .iter()
        .filter(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'.' | b'-' | b'/'))
        .count();
    let digits = secret.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .count();
    let marked = letters >= 2 && digits + signs >= 1 && shannon(secret) >= 2.3;
    marked || is_mixed_case(secret, context)
}

/// False where an address has its user's or its database's name for the password, as samples for containers do:
/// `airflow:airflow@postgres/airflow`.
pub fn is_not_the_user(secret: &[u8], context: &[u8]) -> bool {
    let place = [b":", secret, b"@"].concat();
    let Some(at) = memchr::memmem::find(context, &place) else {
        return true;
    };
    let (before, after) = (&context[..at], &context[at + place.len()..]);
    let user = before.rsplit(|&byte| byte == b'/').next();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_host = |byte: &u8| is_name(byte) || matches!(byte, b'.' | b':' | b',');
    let path = after.iter().position(|byte| !is_host(byte));
    let database = path.and_then(|at| after[at..].strip_prefix(b"/"));
    let database = database.and_then(|path| path.split(|byte| !is_name(byte)).next());
    let same = |name: &[u8]| name.eq_ignore_ascii_case(secret);
    !user.is_some_and(same) && !database.is_some_and(same)
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

/// So many letters or digits that count up or down: `abcdefgh`, `8765`.
fn has_sequence(text: &[u8], length: usize) -> bool {
    let counts = |part: &[u8], step: u8| {
        part.windows(2)
            .all(|pair| pair[0].is_ascii_alphanumeric() && pair[1] == pair[0].wrapping_add(step))
    };
    text.windows(length)
        .any(|part| counts(part, 1) || counts(part, 255))
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
            "sk-1234567890abcdef1234567890abcdef",
            "xoxb-1234-5678-abcdef",
        ] {
            assert!(!is_no_example(example.as_bytes(), b""), "{example}");
        }
        assert!(is_no_example(b"Zr8Qk2LmX0pT7bV1", b""));
    }

    #[test]
    fn letters_typed_in_their_order_are_a_sample_whatever_stands_between() {
        for typed in ["a1B2c3D4e5F6g7H8i9J0k1L2m3", "123abcDEF456ghiJKL789mnoPQR"] {
            assert!(!is_not_typed(typed.as_bytes(), b""), "{typed}");
        }
        assert!(is_not_typed(b"a1B2c3D4q5F6g7H8k9J0k1L2x3", b""));
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
    fn names_of_users_and_databases_are_no_passwords() {
        for (password, address) in [
            ("airflow", "postgres://airflow:airflow@postgres/x"),
            ("Sonar", "postgres://a:Sonar@db.acme.io:5432/sonar?a=b"),
        ] {
            assert!(!is_not_the_user(password.as_bytes(), address.as_bytes()));
        }
        for address in [
            "postgres://airflow:kT7xQ4@postgres/airflow",
            "postgres://a/kT7xQ4 b:kT7xQ4@db",
            "redis://:kT7xQ4@cache:6379/kT7xQ42",
        ] {
            assert!(is_not_the_user(b"kT7xQ4", address.as_bytes()), "{address}");
        }
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
            "$DB_PASS",
            "$password",
            "%DB_PASS%",
            "%s",
            "{password}",
            "[PASSWORD]",
            ":password",
            "#{pass}",
            "mysecretpassword",
        ] {
            assert!(!is_password(word.as_bytes(), b""), "{word}");
        }
        for begins in [
            "$", "%", "{", "[", "(", "*", "#", "@", ":", ".", "%40", "%2F",
        ] {
            let password = format!("{begins}kT7xQ4mZb");
            assert!(is_password(password.as_bytes(), b""), "{password}");
        }
        for password in ["tr0ub4dor&3", "Ab(9x)Qz7", "k%40T7xQ4"] {
            assert!(is_password(password.as_bytes(), b""), "{password}");
        }
    }
}
