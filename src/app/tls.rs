//! The certificate and key that the gateway shows its clients: checked before it listens, and another pair at a reload.

use std::sync::Arc;

use pingora::listeners::tls::TlsSettings;

use super::StartError;
use crate::config::{Fault, Source, Tls};

#[cfg(feature = "openssl")]
pub use pair::Shown;

#[cfg(feature = "openssl")]
mod pair {
    use std::fs;
    use std::path::Path;

    use arc_swap::ArcSwap;
    use async_trait::async_trait;
    use pingora::listeners::TlsAccept;
    use pingora::protocols::tls::TlsRef;
    use pingora::tls::ext;
    use pingora::tls::pkey::{PKey, Private};
    use pingora::tls::x509::X509;

    use super::{Arc, Fault, Source, Tls};

    /// What is shown at each handshake.
    pub struct Shown(ArcSwap<Pair>);

    struct Pair {
        own: X509,
        chain: Vec<X509>,
        key: PKey<Private>,
    }

    impl Shown {
        /// Reads a certificate, those that vouch for it, and its key; `took` gets the file of certificates.
        ///
        /// # Errors
        /// What is wrong with which of the files.
        pub fn read(tls: &Tls, took: impl FnOnce(&Source)) -> Result<Self, Fault> {
            let fault =
                |path: &Path, why: &str| Fault::of_file(&path.display().to_string(), why.into());
            let source = Source::read(&tls.cert)?;
            let found = X509::stack_from_pem(source.text.as_bytes()).unwrap_or_default();
            let mut certificates = found.into_iter();
            let Some(own) = certificates.next() else {
                return Err(fault(&tls.cert, "holds no certificate in PEM"));
            };
            let text = fs::read(&tls.key)
                .map_err(|error| fault(&tls.key, &format!("cannot be read: {error}")))?;
            let key = PKey::private_key_from_pem(&text)
                .map_err(|_| fault(&tls.key, "holds no private key in PEM that could be read"))?;
            let public = own
                .public_key()
                .map_err(|_| fault(&tls.cert, "holds a certificate without a public key"))?;
            if !public.public_eq(&key) {
                let why = format!("is not the key of {}", tls.cert.display());
                return Err(fault(&tls.key, &why));
            }
            took(&source);
            let chain = certificates.collect();
            Ok(Self(ArcSwap::from_pointee(Pair { own, chain, key })))
        }

        /// Shows what the other one has from the next handshake on.
        pub fn replace(&self, other: &Self) {
            self.0.store(other.0.load_full());
        }
    }

    /// Shows it to whoever connects.
    pub struct Shows(pub Arc<Shown>);

    #[async_trait]
    impl TlsAccept for Shows {
        async fn certificate_callback(&self, ssl: &mut TlsRef) {
            let pair = self.0.0.load_full();
            let shown = ext::ssl_use_certificate(ssl, &pair.own)
                .and_then(|()| ext::ssl_use_private_key(ssl, &pair.key))
                .and_then(|()| {
                    let mut chain = pair.chain.iter();
                    chain.try_for_each(|one| ext::ssl_add_chain_cert(ssl, one))
                });
            if let Err(error) = shown {
                tracing::warn!(%error, "a handshake without a certificate");
            }
        }
    }
}

/// How a listener speaks TLS.
///
/// # Errors
/// When the library cannot be set up.
#[cfg(feature = "openssl")]
pub fn settings(shown: &Arc<Shown>) -> Result<TlsSettings, StartError> {
    let callbacks = Box::new(pair::Shows(Arc::clone(shown)));
    let mut tls = TlsSettings::with_callbacks(callbacks)
        .map_err(|error| StartError::Tls(error.to_string()))?;
    tls.enable_h2();
    Ok(tls)
}

/// Nothing: this build has no TLS.
#[cfg(not(feature = "openssl"))]
pub struct Shown(());

#[cfg(not(feature = "openssl"))]
impl Shown {
    /// # Errors
    /// Always: this build has no TLS.
    pub fn read(tls: &Tls, _took: impl FnOnce(&Source)) -> Result<Self, Fault> {
        let why = "is of no use: this build has no TLS".to_owned();
        Err(Fault::of_file(&tls.cert.display().to_string(), why))
    }

    pub fn replace(&self, _other: &Self) {}
}

/// # Errors
/// Always: this build has no TLS.
#[cfg(not(feature = "openssl"))]
pub fn settings(_shown: &Arc<Shown>) -> Result<TlsSettings, StartError> {
    Err(StartError::Tls("this build has no TLS".to_owned()))
}
