//! A failing registry: in every case the client reports the problem in time, and stores nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wattle_registry::client::{ClientOptions, RegistryOptions};
use wattle_registry::files::Files;
use wattle_registry::{Client, Image, PullError, Reference, Store};
use wattle_tests::{FakeRegistry, Manner, free_address};

/// An image with a layer of some size.
pub(crate) fn image(version: &str) -> Image {
    let noise: Vec<u8> = (0..3000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let manifest = format!("[pack]\nname = \"sample\"\nversion = \"{version}\"\ncontract = \"0.1\"\n");
    let files = Files::from([("pack.toml".to_owned(), manifest.into_bytes()), ("noise".to_owned(), noise)]);
    Image::pack(&files, "sample", version, "0.1").unwrap()
}

/// Pulls to a temporary store.
fn pull(client: &Client, reference: &Reference) -> Result<Image, PullError> {
    let data = tempfile::tempdir().unwrap();
    client.pull(reference, &Store::new(data.path()))
}

fn client(registries: BTreeMap<String, RegistryOptions>) -> Client {
    Client::new(ClientOptions { registries, timeout: Duration::from_secs(1), env: Arc::new(|_| None) })
}

#[test]
fn a_pack_is_pulled_by_tag_and_by_digest() {
    let registry = FakeRegistry::start();
    let image = image("1.0.0");
    registry.put("1", &image);
    let reference: Reference = registry.reference("1").parse().unwrap();
    let client = client(BTreeMap::new());
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    assert_eq!(client.pull(&reference, &store).unwrap(), image);
    assert_eq!(client.pull(&reference.pinned(&image.digest()), &store).unwrap(), image);
    assert_eq!(client.digest(&reference).unwrap(), Some(image.digest()));
}

#[test]
fn every_failure_of_a_registry_is_reported_and_nothing_is_stored() {
    let registry = FakeRegistry::start();
    registry.put("1", &image("1.0.0"));
    let reference: Reference = registry.reference("1").parse().unwrap();
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    for (manner, part) in Manner::ILL {
        registry.behave(manner);
        let pulled = client(BTreeMap::new()).pull(&reference, &store).map_err(|error| error.to_string());
        let kept = pulled.and_then(|image| store.insert(&image).map_err(|error| error.to_string()));
        let error = kept.map(|stored| stored.digest).unwrap_err();
        assert!(error.to_lowercase().contains(&part.to_lowercase()), "{manner:?}: {error}");
        println!("{manner:?}: {error}");
        let images = std::fs::read_dir(data.path().join("oci/images")).map_or(0, Iterator::count);
        assert_eq!(images, 0, "{manner:?}");
    }
    registry.behave(Manner::Good);
    store.insert(&client(BTreeMap::new()).pull(&reference, &store).unwrap()).unwrap();
}

#[test]
fn a_pull_by_digest_gets_exactly_that_digest() {
    let registry = FakeRegistry::start();
    let (one, other) = (image("1.0.0"), image("1.0.1"));
    registry.put("1", &one);
    // Under a tag that looks like the digest of another image.
    registry.put(&other.digest(), &one);
    let reference: Reference = registry.reference("1").parse().unwrap();
    let error = pull(&client(BTreeMap::new()), &reference.pinned(&other.digest())).unwrap_err().to_string();
    assert!(error.contains(&one.digest()) && error.contains(&other.digest()), "{error}");
}

#[test]
fn a_registry_that_is_down_is_named() {
    let reference: Reference = format!("oci://{}/packs/sample:1", free_address()).parse().unwrap();
    let error = pull(&client(BTreeMap::new()), &reference).unwrap_err().to_string();
    assert!(error.contains(&reference.host) && error.to_lowercase().contains("refused"), "{error}");
}

#[test]
fn credentials_go_only_to_their_host() {
    let (registry, other) = (FakeRegistry::start(), FakeRegistry::start());
    registry.put("1", &image("1.0.0"));
    let options = RegistryOptions {
        insecure: false,
        credentials: Some(wattle_registry::Credentials { username: "reader".into(), password: "secret".into() }),
    };
    let client = client(BTreeMap::from([(registry.address().to_string(), options)]));
    registry.behave(Manner::Unauthorized);
    let reference: Reference = registry.reference("1").parse().unwrap();
    let error = pull(&client, &reference).unwrap_err().to_string();
    assert!(!error.contains("secret") && error.contains("401"), "{error}");
    assert_eq!(registry.authorizations(), ["Basic cmVhZGVyOnNlY3JldA=="]);
    other.behave(Manner::Unauthorized);
    pull(&client, &other.reference("1").parse().unwrap()).unwrap_err();
    assert_eq!(other.authorizations(), [""; 0]);
}
