//! Lines and columns of offsets.

/// Line and column of an offset: from one, in characters. Bytes that are not UTF-8 count one.
pub fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let Mark { line, column, .. } = START.after(before);
    (line, column)
}

/// What an offset is in lines and columns.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: usize,
    line: usize,
    column: usize,
}

const START: Mark = Mark { offset: 0, line: 1, column: 1 };

impl Mark {
    /// The mark behind some bytes that follow.
    fn after(self, bytes: &[u8]) -> Self {
        let mut after = Self { offset: self.offset + bytes.len(), ..self };
        for chunk in bytes.utf8_chunks() {
            let mut rest = chunk.valid();
            if let Some(newline) = rest.rfind('\n') {
                after.line += rest.bytes().filter(|byte| *byte == b'\n').count();
                after.column = 1;
                rest = rest.get(newline + 1..).unwrap_or_default();
            }
            let marks = rest.matches('\u{FEFF}').count();
            after.column += rest.chars().count() - marks + chunk.invalid().len();
        }
        after
    }
}

/// Bytes between two marks.
const STEP: usize = 1024;

/// Marks all over a file: who asks for many places must not read it from its beginning each time.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    marks: Vec<Mark>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut marks = vec![START];
        let mut last = START;
        while last.offset + STEP < bytes.len() {
            let end = char_start(bytes, last.offset + STEP);
            last = last.after(bytes.get(last.offset..end).unwrap_or_default());
            marks.push(last);
        }
        Self { bytes, marks }
    }

    /// As [`position`].
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.bytes.len());
        let next = self.marks.partition_point(|mark| mark.offset <= offset);
        let mark = next.checked_sub(1).and_then(|last| self.marks.get(last)).unwrap_or(&START);
        let after = mark.after(self.bytes.get(mark.offset..offset).unwrap_or_default());
        (after.line, after.column)
    }
}

/// An offset, or where the character begins that it lies in.
fn char_start(bytes: &[u8], offset: usize) -> usize {
    // What follows a first byte: at most three.
    let starts = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80);
    (offset.saturating_sub(3)..=offset).rev().find(starts).unwrap_or(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_change_no_place() {
        let parts: [&[u8]; 8] = [
            b"a",
            b"\n",
            "\u{e4}".as_bytes(),
            "\u{20ac}".as_bytes(),
            "\u{1f680}".as_bytes(),
            b"\x80",
            b"\xF0\x9F",
            "\u{FEFF}".as_bytes(),
        ];
        let mut random = fastrand::Rng::with_seed(7);
        let bytes: Vec<u8> = (0..3 * STEP)
            .flat_map(|_| parts.get(random.usize(..8)).copied().unwrap_or_default())
            .copied()
            .collect();
        let lines = Lines::of(&bytes);
        assert!(lines.marks.len() > 3);
        for offset in 0..bytes.len() + 2 {
            assert_eq!(lines.position(offset), position(&bytes, offset), "{offset}");
        }
        assert_eq!(position("x\n\u{FEFF}\u{e4}b".as_bytes(), 7), (2, 2));
        assert_eq!(position(b"\xFF\xFFb", 2), (1, 3));
    }
}
