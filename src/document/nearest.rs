//! The name that a mistyped one probably meant.

/// The nearest of the known names: at most a third of its letters away. `None` where nothing is near.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(away, candidate)| *away <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// Edits between two names (insert, delete, replace, swap of neighbours); names longer than 64 letters are just far.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len() > 64 || to.len() > 64 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_finds_the_name() {
        let known = ["drain_timeout", "upload_timeout", "body", "buffered"];
        assert_eq!(nearest("drain_timout", known), Some("drain_timeout"));
        assert_eq!(nearest("bdoy", known), Some("body"));
        assert_eq!(nearest("bufered", known), Some("buffered"));
        assert_eq!(nearest("unrelated", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
