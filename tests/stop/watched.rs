//! Files that the configuration names: a change of their content counts as a change of the
//! configuration.

use std::os::unix::fs::symlink;

use wattle_tests::{Endpoint, Folder, free_address};

use super::{head, http};

/// Certificates of authorities that sign nothing.
const ONE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUPMgMUs9QSM41g4JjOq9mq472sfowCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDb25lMCAXDTI2MTEyODEyNDMxN1oYDzIxMjYxMTA0MTI0MzE3
WjAOMQwwCgYDVQQDDANvbmUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQHQJI0
vsMK+bDxH9Giwbkuoh4R/kYz235Uit3WSHK6DOQ7oRTNG8wFp2hBnypVxwK2Ro0n
WT8rqhpFgJ1hXRYeo1MwUTAdBgNVHQ4EFgQUJZp3iqQ7Bt20ZhpRH52NNImmFH8w
HwYDVR0jBBgwFoAUJZp3iqQ7Bt20ZhpRH52NNImmFH8wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiEA0BI8Wd80KZpHNapQZEYaGRUTVl5gilYPAo4Y
IGymqPkCIC1vK7d8Crk61O7psMV5X8rcO90yoh7wkam7JSr6SsJi
-----END CERTIFICATE-----
";
const TWO: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUU04G3AhrqvKCrSWbLEdmAi9QCPgwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDdHdvMCAXDTI2MTEyODEyNDMxN1oYDzIxMjYxMTA0MTI0MzE3
WjAOMQwwCgYDVQQDDAN0d28wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATX8urY
fh789rpbSXMVe07D7ws8rF9+Xjl4lMchUvdME5ZDFhxx/Hz2NMgKJFU4VXqlVQXB
yy1EqTgT6Rb8IyYVo1MwUTAdBgNVHQ4EFgQUO+4r4Ou9uK4szSMYF3dM78ULPMsw
HwYDVR0jBBgwFoAUO+4r4Ou9uK4szSMYF3dM78ULPMswDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNJADBGAiEApFb8DlAoaqkFtHeb8DBrZWmz9CHMrKRk50AS
S6Ww+w4CIQCOhJfJPtKLv4IYRzJrECPPtgeXYBNPmBoqVnf6PmnYCA==
-----END CERTIFICATE-----
";

/// Renews a certificate in each common way; the text of the configuration stays the same.
#[test]
fn a_renewed_certificate_causes_a_reload() {
    for how in ["renamed", "written", "linked"] {
        let folder = Folder::new();
        let to = free_address();
        let _server = Endpoint::listen(to);
        std::fs::create_dir(folder.path("in")).unwrap();
        folder.write("tls/v1/ca.pem", ONE);
        folder.write("tls/v2/ca.pem", TWO);
        // Like a secret that Kubernetes mounts.
        symlink("v1", folder.path("tls/..data")).unwrap();
        match how {
            "linked" => symlink("..data/ca.pem", folder.path("tls/ca.pem")).unwrap(),
            _ => _ = folder.write("tls/ca.pem", ONE),
        }
        let mut agent = folder.start(&(head("") + &http("out", to, "tls.ca_file = \"tls/ca.pem\"")));
        match how {
            "renamed" => folder.replace("tls/ca.pem", TWO),
            "written" => _ = folder.write("tls/ca.pem", TWO),
            _ => {
                symlink("v2", folder.path("tls/..data_tmp")).unwrap();
                std::fs::rename(folder.path("tls/..data_tmp"), folder.path("tls/..data")).unwrap();
            }
        }
        let line = agent.wait_for("reloaded");
        assert!(line.contains("generation=2"), "{how}: {line}");
        agent.stop().summary();
    }
}
