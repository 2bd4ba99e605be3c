//! Credentials: every form of key, and every way in which they can be wrong.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::PathBuf;

use crate::credentials::{Authority, User, identity, write};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use reconciler::adapter::teleport::{Identity, Problem, Source};
use reconciler::model::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

const RSA_PKCS1: &str = include_str!("../data/keys/rsa-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("../data/keys/rsa-pkcs8.pem");
const EC_SEC1: &str = include_str!("../data/keys/ec-sec1.pem");
const EC_PKCS8: &str = include_str!("../data/keys/ec-pkcs8.pem");

struct Bench {
    dir: tempfile::TempDir,
    users: Authority,
    hosts: Authority,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, users: Authority::new("root.test"), hosts: Authority::new("root.test") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn certificate(&self, key: &KeyPair) -> String {
        self.users.user(&User::default(), key)
    }

    /// A whole identity.
    fn good(&self) -> (KeyPair, String) {
        let key = KeyPair::generate().unwrap();
        let text = identity(&key.serialize_pem(), &self.certificate(&key), &[&self.hosts.pem]);
        (key, text)
    }

    fn load(&self, text: &str) -> Result<Identity, Problem> {
        let path = self.path("identity");
        write(&path, text, 0o600);
        Self::load_source(&Source::File(path))
    }

    /// Also checks what every message must be like.
    fn load_source(source: &Source) -> Result<Identity, Problem> {
        Identity::load(source, NOW).map_err(|error| {
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(&error.path.display().to_string()), "{shown}");
            assert!(!error.problem.remedy().is_empty(), "{shown}");
            for path in source.paths() {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                for line in text.lines().filter(|line| line.len() >= 16 && !line.contains('-')) {
                    assert!(!shown.contains(line), "a line of the file is in {shown}");
                }
            }
            error.problem
        })
    }

    fn problem(&self, text: &str) -> Problem {
        self.load(text).unwrap_err()
    }
}

#[test]
fn every_form_of_key_under_any_label() {
    let bench = Bench::new();
    let generated = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
        .map(|algorithm| KeyPair::generate_for(algorithm).unwrap());
    let mut forms: Vec<(String, String)> =
        generated.iter().map(|key| (key.serialize_pem(), bench.certificate(key))).collect();
    let rsa = bench.certificate(&KeyPair::from_pem(RSA_PKCS8).unwrap());
    let ec = bench.certificate(&KeyPair::from_pem(EC_PKCS8).unwrap());
    for (key, certificate) in
        [(RSA_PKCS1, &rsa), (RSA_PKCS8, &rsa), (EC_SEC1, &ec), (EC_PKCS8, &ec)]
    {
        forms.push((key.to_owned(), certificate.clone()));
        // Labels prove nothing: older programs mixed them up.
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            let body: Vec<&str> = key.lines().filter(|line| !line.starts_with("-----")).collect();
            let body = body.join("\n");
            let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            forms.push((text, certificate.clone()));
        }
    }
    assert_eq!(forms.len(), 3 + 4 * 4);
    for (key, certificate) in forms {
        let text = identity(&key, &certificate, &[&bench.hosts.pem]);
        let label = key.lines().next().unwrap();
        let loaded = bench.load(&text).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(loaded.names.user, "bot-edge");
    }
}

#[test]
fn what_the_certificate_says() {
    let bench = Bench::new();
    let (key, _) = bench.good();
    let other = Authority::new("root.test");
    let text =
        identity(&key.serialize_pem(), &bench.certificate(&key), &[&bench.hosts.pem, &other.pem]);
    let loaded = bench.load(&text.replace('\n', "\r\n")).unwrap();
    assert_eq!(loaded.names.roles, ["editor"]);
    assert_eq!(loaded.names.cluster, "root.test");
    assert_eq!(loaded.names.not_after, Timestamp(4_102_444_800_000));
    assert_eq!(loaded.authorities.len(), 2, "two authorities while they are rotated");
    assert_eq!(loaded.roots.len(), 2);

    // Without the attribute of its own, the issuer names the cluster.
    let user = User { cluster: None, ..User::default() };
    let text = identity(&key.serialize_pem(), &bench.users.user(&user, &key), &[&bench.hosts.pem]);
    assert_eq!(bench.load(&text).unwrap().names.cluster, "root.test");

    let name = loaded.control_plane();
    assert!(name.starts_with("teleport:root.test:"), "{name}");
    assert!(!format!("{loaded:?}").contains("key"), "{loaded:?}");
}

#[test]
fn every_way_to_be_wrong_says_which() {
    let bench = Bench::new();
    let (key, good) = bench.good();
    let (pem, certificate) = (key.serialize_pem(), bench.certificate(&key));
    let with = |user: User<'_>| identity(&pem, &bench.users.user(&user, &key), &[&bench.hosts.pem]);
    let ca = bench.hosts.pem.as_str();

    let stranger = KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(bench.problem(&identity(&stranger, &certificate, &[ca])), Problem::KeyOfAnother);

    let over = with(User { from: 1_700_000_000, to: 1_700_003_600, ..User::default() });
    assert_eq!(bench.problem(&over), Problem::Expired(Timestamp(1_700_003_600_000)));
    let early = with(User { from: 1_900_000_000, to: 1_900_003_600, ..User::default() });
    assert_eq!(bench.problem(&early), Problem::NotYetValid(Timestamp(1_900_000_000_000)));
    let nobody = with(User { role: None, ..User::default() });
    assert!(matches!(bench.problem(&nobody), Problem::Certificate(why) if why.contains("role")));

    // An authority that is a leaf, and one that is nothing.
    let leaf = identity(&pem, &certificate, &[&certificate]);
    assert!(matches!(bench.problem(&leaf), Problem::Authority(why) if why.contains("sign")));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(bench.problem(&identity(&pem, &certificate, &[junk])), Problem::Authority(_)));
    assert!(matches!(bench.problem(&identity(&pem, junk, &[ca])), Problem::Certificate(_)));
    assert!(matches!(bench.problem(&identity(&pem, &certificate, &[])), Problem::Torn(_)));
    assert_eq!(bench.problem(&identity(junk, &certificate, &[ca])), Problem::Key);
    let ssh = pem.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY");
    assert!(matches!(bench.problem(&identity(&ssh, &certificate, &[ca])), Problem::KeyForm(_)));
    let locked = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert!(matches!(bench.problem(&identity(&locked, &certificate, &[ca])), Problem::Pem(_)));

    let path = bench.path("absent");
    assert_eq!(Bench::load_source(&Source::File(path)).unwrap_err(), Problem::Missing);
    let path = bench.path("open");
    write(&path, &good, 0o644);
    assert_eq!(Bench::load_source(&Source::File(path)).unwrap_err(), Problem::TooOpen(0o644));
    let directory = Source::File(bench.dir.path().to_owned());
    assert!(matches!(Bench::load_source(&directory).unwrap_err(), Problem::Unreadable(_)));
    assert_eq!(bench.problem(&"x".repeat(1024 * 1024 + 1)), Problem::TooLarge);
}

/// `tbot` truncates and writes in place: whatever a reader sees in between is not whole.
#[test]
fn a_file_cut_anywhere_is_torn_or_whole() {
    let bench = Bench::new();
    let (_, good) = bench.good();
    let ends = good.trim_end().len();
    for cut in (0..ends).step_by(7) {
        let problem = bench.problem(good.get(..cut).unwrap());
        assert!(matches!(problem, Problem::Torn(_)), "cut at {cut}: {problem}");
    }
    bench.load(&good).unwrap();
}

#[test]
fn three_files_are_as_good_as_one() {
    let bench = Bench::new();
    let (key, _) = bench.good();
    let source = Source::Triple {
        certificate: bench.path("x.crt"),
        key: bench.path("x.key"),
        ca: bench.path("x.cas"),
    };
    write(&bench.path("x.crt"), &bench.certificate(&key), 0o644);
    write(&bench.path("x.key"), &key.serialize_pem(), 0o600);
    write(&bench.path("x.cas"), &bench.hosts.pem, 0o644);
    assert_eq!(Bench::load_source(&source).unwrap().names.user, "bot-edge");

    // Only the key is a secret.
    write(&bench.path("x.key"), &key.serialize_pem(), 0o604);
    assert_eq!(Bench::load_source(&source).unwrap_err(), Problem::TooOpen(0o604));
    write(&bench.path("x.key"), &KeyPair::generate().unwrap().serialize_pem(), 0o600);
    assert_eq!(Bench::load_source(&source).unwrap_err(), Problem::KeyOfAnother);
    write(&bench.path("x.cas"), "", 0o644);
    assert!(matches!(Bench::load_source(&source).unwrap_err(), Problem::Authority(_)));
}

#[test]
fn a_state_follows_its_cluster_through_a_rotation_and_no_further() {
    use reconciler::adapter::sqlite::same_control_plane as same;
    assert!(same("teleport:a:1", "teleport:a:1"));
    assert!(same("teleport:a:1", "teleport:a:1+2"), "a new authority joins");
    assert!(same("teleport:a:1+2", "teleport:a:2"), "the old one leaves");
    assert!(!same("teleport:a:1", "teleport:a:2"));
    assert!(!same("teleport:a:1", "teleport:b:1"));
    assert!(!same("embedded", "teleport:a:1"));
    assert!(same("embedded", "embedded"));
}
