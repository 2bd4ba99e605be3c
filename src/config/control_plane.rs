//! `[control_plane]`: its keys belong together, so they are collected first and judged at the end.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::read::{Item, Reader};
use super::{Config, ControlPlane};
use crate::adapter::teleport::{Address, Source};

/// The words of `kind`.
const EMBEDDED: &str = "embedded";
const TELEPORT: &str = "teleport";

/// Where a key stands.
type Place = Range<usize>;

/// What was written, by key. A value that was wrong by itself has its finding already.
#[derive(Default)]
pub(super) struct Draft {
    /// Whether `agent.name` is there.
    pub(super) agent_is_named: bool,
    kind: Option<(Place, Kind)>,
    provision: Option<(Place, Duration)>,
    lag: Option<(Place, Duration)>,
    faults: Option<(Place, String)>,
    address: Option<(Place, Option<Address>)>,
    identity_file: Option<(Place, PathBuf)>,
    certificate: Option<(Place, PathBuf)>,
    key: Option<(Place, PathBuf)>,
    ca: Option<(Place, PathBuf)>,
    ca_file: Option<(Place, PathBuf)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embedded,
    Teleport,
    /// A finding is there.
    Neither,
}

impl Reader<'_> {
    /// Takes one key.
    pub(super) fn draft(&mut self, name: &str, value: &Item<'_>) {
        match name {
            "kind" => self.draft.kind = Some((value.span(), self.kind(value))),
            "provision" => self.draft.provision = Some(self.duration(value)),
            "lag" => self.draft.lag = Some(self.duration(value)),
            "faults" => {
                self.draft.faults = self.text(value).map(|text| (value.span(), text));
            }
            "address" => {
                let address = self.text(value).map(|text| text.parse::<Address>());
                let address = match address {
                    Some(Ok(address)) => Some(address),
                    Some(Err(message)) => {
                        self.add(&value.span(), message, None);
                        None
                    }
                    None => None,
                };
                self.draft.address = Some((value.span(), address));
            }
            "identity_file" => self.draft.identity_file = Some(self.file(value)),
            "certificate" => self.draft.certificate = Some(self.file(value)),
            "key" => self.draft.key = Some(self.file(value)),
            "ca" => self.draft.ca = Some(self.file(value)),
            "ca_file" => self.draft.ca_file = Some(self.file(value)),
            // A row of `KEYS` without a reader; the test over all rows finds it.
            name => self.add(&value.span(), format!("`control_plane.{name}` is not read"), None),
        }
    }

    fn kind(&mut self, value: &Item<'_>) -> Kind {
        match self.text(value).as_deref() {
            None => Kind::Neither,
            Some(EMBEDDED) => Kind::Embedded,
            Some(TELEPORT) => Kind::Teleport,
            Some(other) => {
                let what = format!("unknown control plane `{other}`");
                self.unknown(&value.span(), &what, other, [EMBEDDED, TELEPORT].into_iter());
                Kind::Neither
            }
        }
    }

    fn duration(&mut self, value: &Item<'_>) -> (Place, Duration) {
        let mut time = Duration::ZERO;
        self.time(value, Duration::ZERO, &mut time);
        (value.span(), time)
    }

    fn file(&mut self, value: &Item<'_>) -> (Place, PathBuf) {
        let mut path = PathBuf::new();
        self.path(value, &mut path);
        (value.span(), path)
    }

    /// Judges the whole.
    pub(super) fn control_plane(&mut self, config: &mut Config) {
        let draft = std::mem::take(&mut self.draft);
        match &draft.kind {
            Some((_, Kind::Neither)) => {}
            None | Some((_, Kind::Embedded)) => self.embedded(draft, config),
            Some((place, Kind::Teleport)) => {
                let place = place.clone();
                self.teleport(&place, draft, config);
            }
        }
    }

    fn embedded(&mut self, draft: Draft, config: &mut Config) {
        let files = [
            ("identity_file", draft.identity_file),
            ("certificate", draft.certificate),
            ("key", draft.key),
            ("ca", draft.ca),
            ("ca_file", draft.ca_file),
        ];
        let files = files.into_iter().filter_map(|(key, file)| Some((key, file?.0)));
        let address = draft.address.map(|(place, _)| ("address", place));
        for (key, place) in address.into_iter().chain(files) {
            let hint = format!("add `kind = \"{TELEPORT}\"` to [control_plane]");
            self.add(
                &place,
                format!("`{key}` only applies to `kind = \"{TELEPORT}\"`"),
                Some(hint),
            );
        }
        if let ControlPlane::Embedded { provision, lag, faults } = &mut config.control_plane {
            take(draft.provision, provision);
            take(draft.lag, lag);
            take(draft.faults, faults);
        }
    }

    fn teleport(&mut self, place: &Place, draft: Draft, config: &mut Config) {
        let embedded = [
            ("provision", draft.provision.map(|(place, _)| place)),
            ("lag", draft.lag.map(|(place, _)| place)),
            ("faults", draft.faults.map(|(place, _)| place)),
        ];
        for (key, place) in embedded {
            if let Some(place) = place {
                self.add(&place, format!("`{key}` only applies to `kind = \"{EMBEDDED}\"`"), None);
            }
        }
        if !draft.agent_is_named {
            let hint = "set `name = \"…\"` in [agent]: it marks what this agent owns, and two \
                        agents with the same name would claim each other's resources";
            self.add(
                place,
                "`agent.name` is required with `kind = \"teleport\"`".to_owned(),
                Some(hint.to_owned()),
            );
        }
        if draft.address.is_none() {
            let hint = "set `address = \"host:port\"` to the proxy or the Auth Service";
            self.add(place, "`address` is missing".to_owned(), Some(hint.to_owned()));
        }
        let triple = [&draft.certificate, &draft.key, &draft.ca];
        let given = triple.iter().filter(|file| file.is_some()).count();
        let credentials = match (draft.identity_file, draft.certificate, draft.key, draft.ca) {
            (Some((_, file)), None, None, None) => Some(Source::File(file)),
            (None, Some((_, certificate)), Some((_, key)), Some((_, ca))) => {
                Some(Source::Triple { certificate, key, ca })
            }
            (identity, _, _, _) => {
                let message = match (identity, given) {
                    (Some(_), _) => "more than one credential is set",
                    (None, 0) => "credentials are missing",
                    (None, _) => "`certificate`, `key` and `ca` must be set together",
                };
                let hint = "set either `identity_file`, or all of `certificate`, `key` and `ca`";
                self.add(place, message.to_owned(), Some(hint.to_owned()));
                None
            }
        };
        if let (Some((_, Some(address))), Some(credentials)) = (draft.address, credentials) {
            let ca_file = draft.ca_file.map(|(_, file)| file);
            config.control_plane = ControlPlane::Teleport { address, credentials, ca_file };
        }
    }
}

fn take<T>(from: Option<(Place, T)>, to: &mut T) {
    if let Some((_, value)) = from {
        *to = value;
    }
}
