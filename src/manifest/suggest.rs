//! The word that was probably meant.

/// The nearest of the words, if one is near: the same but for case and separators, or a few
/// keystrokes away (one for every three letters).
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(typed);
    let length = folded.chars().count();
    let allowed = (length / 3).max(1);
    words
        .into_iter()
        // Each letter more or less is a keystroke; comparing costs more than counting.
        .filter(|word| length <= WORD_MAX && fold(word).chars().count().abs_diff(length) <= allowed)
        .map(|word| (distance(&folded, &fold(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// Without case and separators: `dynamicLabels` and `dynamic_labels` are one.
pub fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Longest word that is compared; a longer one is no misspelling.
const WORD_MAX: usize = 64;

/// Insertions, deletions, substitutions and swaps of neighbours between two words.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(WORD_MAX).collect();
    let right: Vec<char> = right.chars().take(WORD_MAX).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last_left = None;
    for (i, &l) in left.iter().enumerate() {
        let mut next = vec![i + 1];
        let mut last_right = None;
        for (j, &r) in right.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost =
                (at(&row, j) + usize::from(l != r)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if j > 0 && last_left == Some(r) && last_right == Some(l) {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            next.push(cost);
            last_right = Some(r);
        }
        before = std::mem::replace(&mut row, next);
        last_left = Some(l);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let words = ["kubeconfig", "dynamic_labels", "aws", "azure"];
        for (typed, wanted) in [
            ("Kubeconfig", Some("kubeconfig")),
            ("dynamicLabels", Some("dynamic_labels")),
            ("dynamic_label", Some("dynamic_labels")),
            ("kubecnofig", Some("kubeconfig")),
            ("asw", Some("aws")),
            ("x", None),
            ("nonsense", None),
        ] {
            assert_eq!(nearest(typed, words), wanted, "{typed}");
        }
    }
}
