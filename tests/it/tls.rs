//! TLS on both sides: what agents connect to, and the way to a provider with an authority of its own. One gateway stands in
//! front of another one, so that both are seen at once.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{Gateway, Home, Wish, World, message};
use crate::provider::Provider;

fn openssl(dir: &Path, args: &str) {
    let output = Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("the openssl command line is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {args}: {told}");
}

/// An authority, and a certificate of `localhost` by it, made up for this test.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(
        dir,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=throwaway"),
    );
    openssl(
        dir,
        &format!("req {key} -keyout tls.key -out tls.csr -subj /CN=localhost")
            .replace(" -days 2", ""),
    );
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").expect("a file");
    openssl(
        dir,
        "x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out tls.pem",
    );
}

#[tokio::test]
async fn a_certificate_without_its_key_is_told_before_anything_starts() {
    let provider = Provider::start().await;
    let home = Home::new(&provider, &Wish::default());
    certificates(home.dir.path());
    let text = std::fs::read_to_string(home.path("tollgate.toml")).expect("the configuration");
    for (cert, key, said) in [
        ("tls.pem", "ca.key", "ca.key:1:1  is not the key of"),
        (
            "tls.key",
            "tls.key",
            "tls.key:1:1  holds no certificate in PEM",
        ),
        (
            "tls.pem",
            "tls.pem",
            "tls.pem:1:1  holds no private key in PEM",
        ),
        ("none.pem", "tls.key", "none.pem:1:1"),
    ] {
        let tls = format!("h2c = true\ntls = {{ cert = \"{cert}\", key = \"{key}\" }}");
        home.write("tollgate.toml", &text.replace("h2c = true", &tls));
        for command in ["check", "serve"] {
            let output = home.tollgate(&[command]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let told = told + &String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                output.status.code(),
                Some(78),
                "{command} {cert} {key}: {told}"
            );
            assert!(told.contains(said) && !told.contains("panicked"), "{told}");
        }
    }
}

/// What the gateway shows: the fingerprint of its certificate.
fn shown(inner: &Inner) -> String {
    let script = "openssl s_client -connect \"$0\" -servername localhost < /dev/null 2> /dev/null \
                  | openssl x509 -noout -fingerprint -sha256";
    let output = Command::new("bash")
        .args(["-c", script, &inner.gateway.data])
        .current_dir(inner.home.dir.path())
        .output()
        .expect("bash runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Has the gateway read its files again, and waits until it says so.
async fn reload(inner: &Inner, said: &str) {
    inner.gateway.signal("HUP");
    let told = async {
        while !inner.gateway.log().contains(said) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    told.expect("the reload is told of in time");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_reload_and_a_wrong_pair_is_not() {
    let inner = inner().await;
    let fingerprint = |file: &str| {
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", file])
            .current_dir(inner.home.dir.path())
            .output()
            .expect("openssl runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let first = fingerprint("tls.pem");
    assert!(first.contains("ingerprint=") && shown(&inner) == first);
    let key = std::fs::read(inner.home.path("tls.key")).expect("the key");
    certificates(inner.home.dir.path());
    let second = fingerprint("tls.pem");
    assert_ne!(second, first);
    // The new certificate with the old key: half of a renewal.
    let new_key = std::fs::read(inner.home.path("tls.key")).expect("the key");
    std::fs::write(inner.home.path("tls.key"), key).expect("a file");
    reload(&inner, "is not the key of").await;
    assert_eq!(shown(&inner), first);
    std::fs::write(inner.home.path("tls.key"), new_key).expect("a file");
    reload(&inner, "configuration reloaded").await;
    assert_eq!(shown(&inner), second);
}

/// A gateway that listens with TLS.
struct Inner {
    provider: Provider,
    home: Home,
    gateway: Gateway,
    key: String,
}

async fn inner() -> Inner {
    let provider = Provider::start().await;
    let home = Home::new(&provider, &Wish::default());
    certificates(home.dir.path());
    let text = std::fs::read_to_string(home.path("tollgate.toml")).expect("the configuration");
    let tls = "h2c = true\ntls = { cert = \"tls.pem\", key = \"tls.key\" }";
    home.write("tollgate.toml", &text.replace("h2c = true", tls));
    home.apply();
    let key = home.create_key("payments");
    let gateway = home.serve();
    Inner {
        provider,
        home,
        gateway,
        key,
    }
}

/// A gateway whose providers are the inner one, by several names and authorities.
async fn outer(inner: &Inner) -> World {
    let port = inner.gateway.data.rsplit(':').next().expect("a port");
    let key = inner.home.path("inner.key");
    std::fs::write(&key, &inner.key).expect("a file");
    let provider = |name: &str, host: &str, ca: &str| {
        format!(
            "[provider.{name}]\ndialect = \"anthropic\"\nprices = \"anthropic\"\nattempts = 4\ncredential = \"file:{}\"\n\
             addresses = [\"https://{host}:{port}\"]\n{ca}\n",
            key.display()
        )
    };
    let ca = format!("ca = \"{}\"", inner.home.path("ca.pem").display());
    World::start(Wish {
        settings: [
            provider("trusted", "localhost", &ca),
            provider("second", "localhost", &format!("{ca}\nhttp = \"2\"")),
            provider("unknown", "localhost", ""),
            provider("misnamed", "127.0.0.1", &ca),
        ]
        .concat(),
        ..Wish::default()
    })
    .await
}

#[tokio::test]
async fn a_provider_is_trusted_by_its_own_authority_and_name_and_by_nothing_less() {
    let inner = inner().await;
    let world = outer(&inner).await;
    let asked = [(10, false), (300_000, false), (10, true)];
    for ((size, streams), name) in asked
        .map(|how| [(how, "trusted"), (how, "second")])
        .concat()
    {
        let mut body = message(&"x".repeat(size));
        body["stream"] = json!(streams);
        let path = format!("/{name}/v1/messages");
        let sent = world.post(&path).json(&body).send().await;
        let answer = sent.expect("an answer");
        assert_eq!(answer.status(), 200, "{size}");
        let text = answer.text().await.expect("a whole answer");
        assert!(text.contains("Hello"), "{text}");
        assert_eq!(inner.provider.last().json(), body);
    }
    let before = inner.provider.received().len();
    for untrusted in ["unknown", "misnamed"] {
        let path = format!("/{untrusted}/v1/messages");
        let sent = world.post(&path).json(&message("hi")).send().await;
        let answer = sent.expect("an answer");
        assert_eq!(answer.status(), 502, "{untrusted}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["error"]["message"], "the provider cannot be reached");
    }
    assert_eq!(inner.provider.received().len(), before);
    let rows = world.rows(8).await;
    assert!(
        rows[..6].iter().all(|row| row["cost_usd"] == "0.0003"),
        "{rows:#?}"
    );
    assert!(
        rows[6..]
            .iter()
            .all(|row| row["code"] == "upstream_unreachable" && row["cost_usd"] == "0.00")
    );
}

#[tokio::test]
async fn a_listener_with_tls_speaks_nothing_else_and_both_protocols_over_it() {
    let inner = inner().await;
    let plain = reqwest::get(format!("http://{}/", inner.gateway.data)).await;
    assert!(plain.is_err(), "no plain HTTP");
    for (offered, agreed) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
    ] {
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &inner.gateway.data,
                "-servername",
                "localhost",
                "-verify_return_error",
            ])
            .args([
                "-verify_hostname",
                "localhost",
                "-CAfile",
                "ca.pem",
                "-alpn",
                offered,
            ])
            .current_dir(inner.home.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("openssl runs");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            told.contains(agreed) && told.contains("Verify return code: 0 (ok)"),
            "{offered}: {told}"
        );
    }
}
