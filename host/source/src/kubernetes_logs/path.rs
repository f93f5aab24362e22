//! What the path of a log says about its container.
//!
//! The kubelet writes `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/RESTARTS.log`. A rotated log is
//! `0.log.20260101-120000`, and later `0.log.20260101-120000.gz`.

use std::path::Path;

/// A log of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PodFile<'p> {
    pub(super) namespace: &'p str,
    pub(super) pod: &'p str,
    /// In the name of the folder. Of a static pod, it is another one than that of the API.
    pub(super) uid: &'p str,
    pub(super) container: &'p str,
    pub(super) restarts: u64,
}

impl<'p> PodFile<'p> {
    /// `None` if the path is not that of a log of a container.
    pub(super) fn parse(path: &'p Path) -> Option<Self> {
        let mut parts = path.components().rev().map(|part| part.as_os_str().to_str());
        let (file, container, folder) = (parts.next()??, parts.next()??, parts.next()??);
        // No name of Kubernetes has `_`.
        let mut parts = folder.split('_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        let is_named = [namespace, pod, uid, container].iter().all(|name| !name.is_empty());
        let restarts = file.split_once(".log")?.0.parse().ok()?;
        (is_named && parts.next().is_none()).then_some(Self { namespace, pod, uid, container, restarts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_namespace_pod_container_and_restarts() {
        let parse = |path: &'static str| PodFile::parse(Path::new(path));
        let file = PodFile { namespace: "shop", pod: "cart-7d4b", uid: "0a1b-2c", container: "app", restarts: 3 };
        for name in ["3.log", "3.log.20260101-120000", "3.log.20260101-120000.gz"] {
            let path = format!("/var/log/pods/shop_cart-7d4b_0a1b-2c/app/{name}");
            assert_eq!(PodFile::parse(Path::new(&path)), Some(file), "{path}");
        }
        for path in [
            "/var/log/pods/shop_cart/app/0.log",
            "/var/log/pods/shop_cart_u_x/app/0.log",
            "/var/log/pods/shop__u/app/0.log",
            "/var/log/pods/shop_cart_u/app/x.log",
            "/var/log/pods/shop_cart_u/app/0.txt",
            "0.log",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
