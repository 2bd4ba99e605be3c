//! What reasons are called, and what can be done about what waits.

use std::fmt;

use super::{DeferReason, Reason, Step};
use crate::model::FieldPath;

impl Reason {
    /// One or a few words, lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Vanished => "vanished",
            Self::Edited => "edited",
            Self::Drifted => "drifted",
            Self::EditedAndDrifted => "edited and drifted",
            Self::Adopted => "adopted",
            Self::Reclaimed => "reclaimed",
            Self::Pruned => "pruned",
            Self::Unmatched => "unmatched",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Step {
    /// The reason and what there is to say about it: `missing, matches item 2: env=test`.
    pub fn because(&self) -> String {
        match (self.reason, &self.note) {
            // The note says the same, and from what to what.
            (Reason::Unmatched, Some(note)) => note.clone(),
            (reason, Some(note)) => format!("{reason}, {note}"),
            (reason, None) => reason.to_string(),
        }
    }
}

impl DeferReason {
    /// What it is and what to do about it, on one line.
    pub fn with_remedy(&self) -> String {
        self.remedy().map_or_else(|| self.to_string(), |remedy| format!("{self}; {remedy}"))
    }

    /// A stable word for programs, `live_unknown`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::SourceUnknown => "source_unknown",
            Self::LiveUnknown(_) => "live_unknown",
            Self::Settling => "settling",
            Self::LabelUnknown(_) => "label_unknown",
            Self::PausedUntil(_) => "paused_until",
            Self::Expired(_) => "expired",
            Self::KeepDirective => "keep_directive",
            Self::OwnedBy(_) => "owned_by",
            Self::ForeignOrigin(_) => "foreign_origin",
            Self::Preset => "preset",
            Self::Unmarked => "unmarked",
            Self::NotAdopted => "not_adopted",
            Self::Immutable(_) => "immutable",
            Self::TooNew(_, _) => "too_new",
            Self::NotMadeByUs => "not_made_by_us",
            Self::MissingReference(_) => "missing_reference",
            Self::ReferencedBy(_) => "referenced_by",
        }
    }

    /// What a person can do about it; `None`: it passes by itself.
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Frozen => Some("correct the document; until then it stays as it is"),
            Self::SourceUnknown => {
                Some("correct the documents with errors; until then nothing is deleted")
            }
            Self::LiveUnknown(_) | Self::Settling | Self::PausedUntil(_) => None,
            Self::LabelUnknown(_) => {
                Some("`reconciler status` says what became of their commands; until then it stays")
            }
            Self::Expired(_) => Some("remove the manifest, or set a later `metadata.expires`"),
            Self::KeepDirective => Some("delete it by hand to remove it"),
            Self::OwnedBy(_) => {
                Some("remove it from the other agent, or set `reconciler/adopt: always`")
            }
            Self::ForeignOrigin(_) => Some("manage it where it comes from, or choose another name"),
            Self::Preset => Some("choose another name; Teleport keeps this one as it likes"),
            Self::Unmarked => Some("delete it by hand, or declare it again"),
            Self::NotAdopted => Some("remove `reconciler/adopt: never`, or choose another name"),
            Self::Immutable(_) => Some("delete it and create it again, or undo the edit"),
            Self::TooNew(_, _) => {
                Some("leave that out, or update Teleport; until then it stays as it is")
            }
            Self::NotMadeByUs => Some("it appears by itself; until then nothing is done"),
            Self::MissingReference(_) => Some("declare it, or correct the name"),
            Self::ReferencedBy(_) => Some("remove the reference first"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, paths: &[FieldPath]) -> fmt::Result {
    for (position, path) in paths.iter().enumerate() {
        write!(f, "{} `{path}`", if position == 0 { "" } else { "," })?;
    }
    Ok(())
}

impl fmt::Display for DeferReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frozen => f.write_str("its document is in doubt"),
            Self::SourceUnknown => {
                f.write_str("no longer declared, but some document could not be understood")
            }
            Self::LiveUnknown(reason) => {
                write!(f, "the live side of its kind is not wholly known: {reason}")
            }
            Self::Settling => f.write_str("an earlier write has not been seen yet"),
            Self::LabelUnknown(labels) => {
                let labels: Vec<String> = labels.iter().map(|key| format!("`{key}`")).collect();
                let plural = if labels.len() == 1 { "label" } else { "labels" };
                write!(f, "the value of the {plural} {} is not known yet", labels.join(", "))
            }
            Self::PausedUntil(until) => write!(f, "paused until {until}"),
            Self::Expired(at) => write!(f, "expired at {at} (`metadata.expires`)"),
            Self::KeepDirective => {
                f.write_str("no longer wanted, but kept by `reconciler/prune: \"false\"`")
            }
            Self::OwnedBy(agent) => write!(f, "owned by agent `{agent}`"),
            Self::ForeignOrigin(origin) => write!(f, "kept by another program (origin `{origin}`)"),
            Self::Preset => f.write_str("made by Teleport itself"),
            Self::Unmarked => {
                f.write_str("no longer declared, but it no longer has our owner label")
            }
            Self::NotAdopted => f.write_str("it exists, and `reconciler/adopt: never` is set"),
            Self::Immutable(paths) => {
                f.write_str("cannot be changed once it exists:")?;
                list(f, paths)
            }
            Self::TooNew(paths, server) => {
                write!(f, "Teleport {server} does not keep")?;
                list(f, paths)
            }
            Self::NotMadeByUs => f.write_str("not there, and only Teleport itself makes it"),
            Self::MissingReference(id) => write!(f, "refers to `{id}`, which is not there"),
            Self::ReferencedBy(id) => write!(f, "no longer declared, but `{id}` refers to it"),
        }
    }
}
