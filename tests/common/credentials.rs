//! Authorities, certificates and identity files of tests, as a real cluster makes them.

#![allow(unreachable_pub, reason = "a module of a test")]
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(clippy::unwrap_used, reason = "test code")]

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The origin cluster, among the subject's attributes.
const CLUSTER: [u64; 5] = [1, 3, 9999, 1, 7];

/// Names that every Auth Service's certificate bears.
pub const SERVER_NAMES: [&str; 2] = ["teleport.cluster.local", "*.teleport.cluster.local"];

/// A certificate authority.
pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    pub der: Vec<u8>,
}

impl Authority {
    pub fn new(cluster: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, cluster);
        params.distinguished_name.push(DnType::OrganizationName, cluster);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// A user's certificate; times are seconds since 1970.
    pub fn user(&self, who: &User<'_>, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, who.name);
        if let Some(role) = who.role {
            name.push(DnType::OrganizationName, role);
        }
        if let Some(cluster) = who.cluster {
            name.push(DnType::CustomDnType(CLUSTER.to_vec()), cluster);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(who.from);
        params.not_after = epoch + Duration::from_secs(who.to);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A server's certificate and key.
    pub fn server(&self, names: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().to_vec(), key.serialize_der())
    }
}

/// Whom a certificate names.
#[derive(Clone, Copy)]
pub struct User<'a> {
    pub name: &'a str,
    pub role: Option<&'a str>,
    pub cluster: Option<&'a str>,
    pub from: u64,
    pub to: u64,
}

impl Default for User<'_> {
    /// Good from 2020 to 2100.
    fn default() -> Self {
        Self {
            name: "bot-edge",
            role: Some("editor"),
            cluster: Some("root.test"),
            from: 1_577_836_800,
            to: 4_102_444_800,
        }
    }
}

/// The text of an identity file, in the order in which the official programs write it.
pub fn identity(key: &str, certificate: &str, authorities: &[&str]) -> String {
    format!(
        "{key}ecdsa-sha2-nistp256-cert-v01@openssh.com AAAAKGVjZHNh\n{certificate}\
         @cert-authority localhost,root.test,*.root.test ecdsa-sha2-nistp256 AAAA type=host\n{}",
        authorities.concat()
    )
}

/// Writes in place, as `tbot` does.
pub fn write(path: &Path, text: &str, mode: u32) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).unwrap();
}
