//! Pages of lists: the key of a page is the name of its first item.

/// The largest and the default page of most lists.
pub(super) const SIZE_MAX: usize = 1000;

/// Clamps a wanted size as most lists do: none, negative or too large becomes [`SIZE_MAX`].
pub(super) fn size(wanted: i32) -> usize {
    usize::try_from(wanted).ok().filter(|size| (1..=SIZE_MAX).contains(size)).unwrap_or(SIZE_MAX)
}

/// Cuts a page off the items: the items, and the name of the next one; empty at the end.
pub(super) fn cut<T>(
    items: impl IntoIterator<Item = (String, T)>,
    size: usize,
) -> (Vec<T>, String) {
    let mut page = Vec::new();
    for (name, item) in items {
        if page.len() == size {
            return (page, name);
        }
        page.push(item);
    }
    (page, String::new())
}
