//! The certificate authorities that the system trusts.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::CertificateResult;

/// Problems that were logged. Clients load the authorities again and again; each problem is logged once.
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Loads the authorities that the system trusts. Logs and skips every certificate and file that
/// cannot be used.
pub fn system_roots() -> Vec<CertificateDer<'static>> {
    usable(rustls_native_certs::load_native_certs())
}

fn usable(found: CertificateResult) -> Vec<CertificateDer<'static>> {
    for error in &found.errors {
        log(error.to_string());
    }
    let (count, mut store) = (found.certs.len(), RootCertStore::empty());
    let mut roots = Vec::with_capacity(count);
    for (index, root) in found.certs.into_iter().enumerate() {
        match store.add(root.clone()) {
            Ok(()) => roots.push(root),
            Err(error) => log(format!("certificate {} of {count}: {error}", index + 1)),
        }
    }
    roots
}

fn log(error: String) {
    if LOGGED.lock().insert(error.clone()) {
        tracing::warn!(error, "cannot use a root certificate of the system; ignoring it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bad_root_certificates_are_logged_once_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let good = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        // Valid base64 that is not a certificate, and a truncated block.
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (first, second) = (folder.path().join("roots.pem"), folder.path().join("cut.pem"));
        std::fs::write(&first, format!("{bad}{good}")).unwrap();
        std::fs::write(&second, good.get(..80).unwrap()).unwrap();
        let log = Log::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..2 {
                let roots = usable(rustls_native_certs::load_certs_from_paths(Some(&first), None));
                assert_eq!(roots.len(), 1, "the good certificate is used");
                assert!(usable(rustls_native_certs::load_certs_from_paths(Some(&second), None)).is_empty());
            }
        });
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert_eq!(text.matches("cannot use a root certificate of the system").count(), 2, "{text}");
        assert!(text.contains("of 2: ") && text.contains("missing section end"), "{text}");
    }
}
