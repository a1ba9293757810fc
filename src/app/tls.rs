//! The certificate and key that the gateway shows its clients, checked before it listens: Pingora takes any two files, and
//! fails at each handshake.

use std::fs;
use std::path::Path;

use crate::config::{Fault, Tls};

/// Whether the files hold a certificate and its key.
///
/// # Errors
/// What is wrong with which of them.
#[cfg(feature = "openssl")]
pub fn check(tls: &Tls) -> Result<(), Fault> {
    use pingora::tls::pkey::PKey;
    use pingora::tls::x509::X509;

    let fault = |path: &Path, why: &str| Fault::of_file(&path.display().to_string(), why.into());
    let read = |path: &Path| {
        fs::read(path).map_err(|error| fault(path, &format!("cannot be read: {error}")))
    };
    let certificates = X509::stack_from_pem(&read(&tls.cert)?).unwrap_or_default();
    let Some(certificate) = certificates.first() else {
        return Err(fault(&tls.cert, "holds no certificate in PEM"));
    };
    let key = PKey::private_key_from_pem(&read(&tls.key)?)
        .map_err(|_| fault(&tls.key, "holds no private key in PEM that could be read"))?;
    let public = certificate
        .public_key()
        .map_err(|_| fault(&tls.cert, "holds a certificate without a public key"))?;
    if !public.public_eq(&key) {
        let why = format!("is not the key of {}", tls.cert.display());
        return Err(fault(&tls.key, &why));
    }
    Ok(())
}

/// # Errors
/// Always: this build has no TLS.
#[cfg(not(feature = "openssl"))]
pub fn check(tls: &Tls) -> Result<(), Fault> {
    let why = "is of no use: this build has no TLS".to_owned();
    Err(Fault::of_file(&tls.cert.display().to_string(), why))
}
